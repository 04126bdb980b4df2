import type { Caller } from '@worktide/runtime';
import { activeTimeEntry, type ShownPresence, type TimeEntry } from '@worktide/schemas';
import type { Presences } from './presence/presences.ts';

const timeoutMs = 3_000;
/** After a restart all come at once: the others wait. */
const atOnce = 20;

/** What a socket is told first. */
export interface FirstState {
  /** Absent where it could not be asked for: then the list says. */
  entry?: TimeEntry | null;
  presence: ShownPresence;
  /** Absent where it could not be asked for, too: live events go on without the database. */
  unreadNotifications?: number;
}

/**
 * What is so when somebody connects: their open time entry as the writer shows it to them, their presence, and how much they
 * have not read.
 * @param options.unread how many notifications of a person are not read yet.
 */
export function createFirstState(options: {
  writerUrl: string;
  presences: Pick<Presences, 'read'>;
  unread: (organizationId: string, userId: string) => Promise<number>;
}): (caller: Caller, token: string) => Promise<FirstState> {
  const { writerUrl, presences, unread } = options;
  let asking = 0;
  const waiting: (() => void)[] = [];

  async function activeEntry(token: string): Promise<TimeEntry | null | undefined> {
    if (asking >= atOnce) await new Promise<void>((resolve) => waiting.push(resolve));
    asking++;
    try {
      const response = await fetch(`${writerUrl.replace(/\/+$/, '')}/api/v1/time-entries/active`, {
        headers: { authorization: `Bearer ${token}` },
        signal: AbortSignal.timeout(timeoutMs),
      });
      const text = await response.text();
      return response.ok ? activeTimeEntry.parse(JSON.parse(text)).entry : undefined;
    } catch {
      return undefined;
    } finally {
      asking--;
      waiting.shift()?.();
    }
  }

  return async ({ organizationId, userId }, token) => {
    const [entry, presence, unreadNotifications] = await Promise.all([
      activeEntry(token),
      presences.read(organizationId, [userId]),
      unread(organizationId, userId).catch(() => undefined),
    ]);
    return {
      ...(entry === undefined ? {} : { entry }),
      presence: presence[0]!,
      ...(unreadNotifications === undefined ? {} : { unreadNotifications }),
    };
  };
}
