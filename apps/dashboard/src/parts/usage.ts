import { useQuery } from '@tanstack/react-query';
import { client, readAll, type Schemas } from '../api/client.ts';

export type UsageEntry = Schemas['UsageEntry'];
type TimeEntry = Schemas['TimeEntry'];

const most = 60_000;
const iso = (at: number): string => new Date(at).toISOString();

/** All usage of a person that touches [from, to), oldest first. */
export function useUsage(userId: string, from: number, to: number) {
  return useQuery({
    queryKey: ['get', '/api/v1/usage', userId, from, to],
    queryFn: async ({ signal }) => {
      const query = { from: iso(from), to: iso(to), userId, limit: 500 };
      const items = await readAll<UsageEntry>(
        (cursor) =>
          client.GET('/api/v1/usage', { params: { query: { ...query, ...(cursor ? { cursor } : {}) } }, signal }),
        most,
      );
      return items.sort((a, b) => (a.startedAt < b.startedAt ? -1 : 1));
    },
  });
}

/** All time entries of a person that touch [from, to), oldest first. */
export function useTimeEntries(userId: string, from: number, to: number) {
  return useQuery({
    queryKey: ['get', '/api/v1/time-entries', userId, from, to],
    queryFn: async ({ signal }) => {
      const query = { from: iso(from), to: iso(to), userId, limit: 500 };
      const items = await readAll<TimeEntry>((cursor) =>
        client.GET('/api/v1/time-entries', {
          params: { query: { ...query, ...(cursor ? { cursor } : {}) } },
          signal,
        }),
      );
      return items.reverse();
    },
  });
}

interface Interval {
  from: number;
  to: number;
}

/** Milliseconds of the union of intervals, each clipped to [from, to): two devices at once count once. */
export function unionMs(
  intervals: readonly Interval[],
  from = Number.NEGATIVE_INFINITY,
  to = Number.POSITIVE_INFINITY,
): number {
  const sorted = intervals
    .map((one) => ({ from: Math.max(one.from, from), to: Math.min(one.to, to) }))
    .filter((one) => one.to > one.from)
    .sort((a, b) => a.from - b.from);
  let sum = 0;
  let end = Number.NEGATIVE_INFINITY;
  for (const one of sorted) {
    sum += Math.max(0, one.to - Math.max(one.from, end));
    end = Math.max(end, one.to);
  }
  return sum;
}

/** What of each interval none of the others covers, in pieces. */
export function withoutThose<T extends Interval>(intervals: readonly T[], others: readonly Interval[]): T[] {
  const sorted = [...others].sort((a, b) => a.from - b.from);
  return intervals.flatMap((one) => {
    const pieces: T[] = [];
    let from = one.from;
    for (const other of sorted) {
      if (other.to <= from) continue;
      if (other.from >= one.to) break;
      if (other.from > from) pieces.push({ ...one, from, to: other.from });
      from = other.to;
    }
    if (from < one.to) pieces.push({ ...one, from });
    return pieces;
  });
}
