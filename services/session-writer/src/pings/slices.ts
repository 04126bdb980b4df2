import type { StoredRecord } from '@worktide/event-log';
import type { StreamPings } from './decode.ts';

/** Pings of one stream in one transaction: what it costs stays near what everybody else's costs. */
export const pingsPerStream = 2_000;

/**
 * Deals records into groups that can be worked on side by side: a user's records stay together (two transactions on
 * one stream would only wait for each other), groups are about equal in bytes.
 */
export function groupByUser(records: readonly StoredRecord[], bytesPerGroup: number): StoredRecord[][] {
  const bytes = records.reduce((sum, record) => sum + record.value.length, 0);
  const groups = Array.from({ length: Math.max(1, Math.ceil(bytes / bytesPerGroup)) }, () => [] as StoredRecord[]);
  const groupOf = new Map<string, StoredRecord[]>();
  for (const record of records) {
    let group = groupOf.get(record.key);
    if (!group) {
      group = groups[groupOf.size % groups.length]!;
      groupOf.set(record.key, group);
    }
    group.push(record);
  }
  return groups.filter((group) => group.length > 0);
}

/**
 * Cuts work into transactions: each takes at most `perStream` pings of every stream, in order of time so that they
 * lie together. Whoever comes back with 100,000 offline pings is done in many, and everybody else in the first.
 */
export function* slices(streams: readonly StreamPings[], perStream = pingsPerStream): Generator<StreamPings[]> {
  let left = streams.filter(({ pings }) => pings.length > 0);
  for (const item of left) if (item.pings.length > perStream) item.pings.sort((a, b) => a.start - b.start);
  for (let from = 0; left.length > 0; from += perStream) {
    yield left.map(({ stream, pings }) => ({
      stream,
      pings: pings.length <= perStream ? pings : pings.slice(from, from + perStream),
    }));
    left = left.filter(({ pings }) => pings.length > from + perStream);
  }
}
