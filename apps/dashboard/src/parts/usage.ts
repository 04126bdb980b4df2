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
