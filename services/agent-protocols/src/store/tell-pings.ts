import type { Tell } from '@worktide/postgres';
import type { Caller } from '@worktide/runtime';
import { type Codec, type PingEvent, topics } from '@worktide/schemas';

/** Pings of one record on the log, which stays far below what a record may have. */
const pingsOfRecord = 500;

/** Says what pings of a person go onto the log, in as many records as they need. */
export function tellPings(
  codec: Codec,
  tell: Tell,
  { organizationId, userId }: Pick<Caller, 'organizationId' | 'userId'>,
  pings: readonly PingEvent[],
  { nowMs, atOnce = pingsOfRecord }: { nowMs: number; atOnce?: number },
): void {
  for (let from = 0; from < pings.length; from += atOnce) {
    const record = { organizationId, userId, receivedAt: nowMs, pings: pings.slice(from, from + atOnce) };
    tell({ topic: topics.pings.name, key: userId, value: codec.encode(record) });
  }
}
