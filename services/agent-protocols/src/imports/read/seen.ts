import { applyPrivacy, type CompiledPrivacy, type Observed, type PrivacyKind } from '@worktide/privacy';
import { derivedUuid } from '@worktide/runtime';
import { checkPing, defaultPingLimits, isProblem, type PingEvent, pingEventBounds } from '@worktide/schemas';
import { deviceIdOf, type Problem } from '../items.ts';

/** What is known of whoever imports what their devices saw. */
export interface SeenContext {
  importId: string;
  userId: string;
  nowMs: number;
  /** What began before that, epoch ms, is not kept any more. */
  keptFromMs: number;
  rules: CompiledPrivacy;
  observed: Observed;
}

/** One span of time as a file has it. */
export interface Seen {
  device: string;
  /** Says what it is, alike each time it is read. */
  content: bigint;
  from: number;
  to: number;
  fields: { app: string; source: string; state?: 'active' | 'idle'; title?: string; url?: string };
  isPrivate: boolean;
}

const pieceMs = defaultPingLimits.maxDurationMs;
const limits = {
  ...defaultPingLimits,
  // How old it may be is judged below; the log takes fifty years.
  maxAgeMs: pingEventBounds.ageMs,
  maxDurationMs: pieceMs,
};

export const olderThanKept: Problem = {
  code: 'OLDER_THAN_KEPT',
  message: 'It is of a time that is not kept any more.',
};

/**
 * The pings that a span of history is: of a day each at most, as far as privacy leaves them.
 * @returns what is wrong with it, where there is something.
 */
export function pingsOf(seen: Seen, context: SeenContext): { pings: PingEvent[]; taken: PrivacyKind[] } | Problem {
  const { device, from, to, fields, isPrivate } = seen;
  const { importId, nowMs, keptFromMs, rules, observed } = context;
  if (to - from > pingEventBounds.durationMs) return { code: 'TOO_LONG', message: 'It is longer than 31 days.' };
  if (from < keptFromMs) return olderThanKept;
  const deviceId = deviceIdOf(importId, device);
  const pings: PingEvent[] = [];
  const taken = new Set<PrivacyKind>();
  for (let start = from, first = true; first || start < to; start += pieceMs, first = false) {
    const end = Math.min(to, start + pieceMs);
    const ping = checkPing(
      {
        id: derivedUuid('imported', deviceId, String(seen.content), start),
        startedAt: new Date(start).toISOString(),
        endedAt: new Date(end).toISOString(),
        ...fields,
      },
      { nowMs, deviceId, limits },
    );
    if (isProblem(ping)) return ping;
    const left = applyPrivacy(rules, ping, observed, nowMs, { privateWindow: isPrivate });
    pings.push(...left.pings);
    for (const kind of left.taken) taken.add(kind);
  }
  return { pings, taken: [...taken] };
}
