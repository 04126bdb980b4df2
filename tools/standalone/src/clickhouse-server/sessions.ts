import type { Session } from 'chdb';
import type { Engine } from './engine.ts';
import { ClickHouseError, errorCodes } from './errors.ts';

/** Sessions with an id (`session_id`): temporary tables and SET live on between requests until they expire. */
export interface Sessions {
  /**
   * @param timeoutSeconds how long it may idle after this request.
   * @param mustExist `session_check=1`.
   * @throws ClickHouseError 373 when another request is using it, 372 when it had to exist.
   */
  take(id: string, timeoutSeconds: number, mustExist: boolean): { session: Session; release: () => void };
  close(): void;
}

/** At most so many sessions at once; the one idle longest makes room. */
const maxSessions = 100;
/** `max_session_timeout` of ClickHouse. */
const maxTimeoutSeconds = 3600;

interface Held {
  session: Session;
  busy: boolean;
  expiry: NodeJS.Timeout | undefined;
}

export function createSessions(engine: Pick<Engine, 'openSession' | 'closeSession'>): Sessions {
  const held = new Map<string, Held>();
  const drop = (id: string): void => {
    const entry = held.get(id);
    if (!entry) return;
    clearTimeout(entry.expiry);
    held.delete(id);
    engine.closeSession(entry.session);
  };
  return {
    take(id, timeoutSeconds, mustExist) {
      if (!(timeoutSeconds > 0 && timeoutSeconds <= maxTimeoutSeconds)) {
        throw new ClickHouseError(errorCodes.INVALID_SESSION_TIMEOUT, 'Invalid session timeout');
      }
      let entry = held.get(id);
      if (entry?.busy) throw new ClickHouseError(errorCodes.SESSION_IS_LOCKED, `Session ${id} is locked`);
      if (!entry) {
        if (mustExist) throw new ClickHouseError(errorCodes.SESSION_NOT_FOUND, `Session ${id} not found`);
        // A Map keeps the order of insertion, and every use inserts anew: the first idle one is the oldest.
        const oldest = held.size >= maxSessions ? [...held].find(([, e]) => !e.busy)?.[0] : undefined;
        if (oldest !== undefined) drop(oldest);
        entry = { session: engine.openSession(), busy: true, expiry: undefined };
      }
      const taken = entry;
      clearTimeout(taken.expiry);
      taken.busy = true;
      held.delete(id);
      held.set(id, taken);
      return {
        session: taken.session,
        release() {
          taken.busy = false;
          if (held.get(id) !== taken) return;
          taken.expiry = setTimeout(() => drop(id), timeoutSeconds * 1_000);
          taken.expiry.unref();
        },
      };
    },
    close() {
      for (const id of [...held.keys()]) drop(id);
    },
  };
}
