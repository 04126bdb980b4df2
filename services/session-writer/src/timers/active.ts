import type { Queryable } from '@worktide/postgres';
import type { TimeEntry, TimeEntryState } from '@worktide/schemas';
import { monthsOf } from '../merge/index.ts';
import { byIndex } from '../store/plans.ts';

type Seconds = Pick<
  TimeEntry,
  'workedSeconds' | 'activeSeconds' | 'idleSeconds' | 'untrackedSeconds' | 'lastActivityAt'
>;

/** What of an entry was worked until `nowMs`: its time without pauses, disjoint and in order. */
export function workedOf(entry: TimeEntryState, nowMs: number): { start: number; end: number }[] {
  const end = entry.endedAt ?? Math.max(nowMs, entry.startedAt);
  const worked: { start: number; end: number }[] = [];
  let at = entry.startedAt;
  for (const pause of entry.pauses) {
    if (pause.from > at) worked.push({ start: at, end: Math.min(pause.from, end) });
    at = Math.max(at, pause.to ?? end);
  }
  if (end > at) worked.push({ start: at, end });
  return worked.filter((piece) => piece.start < piece.end);
}

/**
 * Usage of a user within the time of some entries. Of each stream and month the entries that begin within it, and the last
 * one before, which alone may reach into it: they are disjoint, and nothing crosses a month.
 */
const activityQuery = `
  WITH windows AS (
    SELECT * FROM unnest($3::int[], $4::date[], $5::bigint[], $6::bigint[]) AS w(entry, month, start_at, end_at)
  ), used AS (
    SELECT w.entry, u.during, u.state FROM windows w CROSS JOIN streams s CROSS JOIN LATERAL (
      (SELECT during, state, ended_at FROM usage_entries
       WHERE month = w.month AND stream_id = s.id AND started_at < w.start_at ORDER BY started_at DESC LIMIT 1)
      UNION ALL
      SELECT during, state, ended_at FROM usage_entries
      WHERE month = w.month AND stream_id = s.id AND started_at >= w.start_at AND started_at < w.end_at
    ) u
    WHERE s.organization_id = $1 AND s.user_id = $2 AND u.ended_at > w.start_at
  ), united AS (
    SELECT entry, range_agg(during) AS covered, range_agg(during) FILTER (WHERE state = 'active') AS active
    FROM used GROUP BY entry
  )
  SELECT entry, length_of(worked * active) AS "activeMs", length_of(worked * covered) AS "coveredMs",
    upper(worked * active) AS "lastActivityAt"
  FROM (
    SELECT u.entry, u.covered, coalesce(u.active, '{}') AS active, w.worked::int8multirange AS worked
    FROM united u JOIN unnest($7::int[], $8::text[]) AS w(entry, worked) USING (entry)
  ) each`;

/**
 * How much of some entries of one user was worked, active, idle and neither; derived from usage at every asking, so that
 * nothing late or repeated can make it wrong. Active wins where devices disagree; shown by rule Time: shown.
 */
export async function secondsOf(
  client: Queryable,
  { organizationId, userId }: { organizationId: string; userId: string },
  entries: readonly TimeEntryState[],
  nowMs: number,
): Promise<Seconds[]> {
  const worked = entries.map((entry) => workedOf(entry, nowMs));
  const windows = entries.flatMap((entry, i) => {
    const last = worked[i]!.at(-1);
    if (!last) return [];
    return monthsOf(entry.startedAt, last.end).map((month) => ({ i, month, start: entry.startedAt, end: last.end }));
  });
  const found = new Map<number, { activeMs: number; coveredMs: number; lastActivityAt: number | null }>();
  if (windows.length > 0) {
    await byIndex(client);
    const { rows } = await client.query<{
      entry: number;
      activeMs: number;
      coveredMs: number;
      lastActivityAt: number | null;
    }>(activityQuery, [
      organizationId,
      userId,
      windows.map(({ i }) => i),
      windows.map(({ month }) => month),
      windows.map(({ start }) => start),
      windows.map(({ end }) => end),
      worked.map((_, i) => i),
      worked.map((pieces) => `{${pieces.map(({ start, end }) => `[${start},${end})`).join(',')}}`),
    ]);
    for (const { entry, ...sums } of rows) found.set(entry, sums);
  }
  const seconds = (ms: number): number => Math.round(ms / 1000);
  return worked.map((pieces, i) => {
    const { activeMs = 0, coveredMs = 0, lastActivityAt = null } = found.get(i) ?? {};
    const workedSeconds = seconds(pieces.reduce((sum, { start, end }) => sum + end - start, 0));
    const activeSeconds = seconds(activeMs);
    const idleSeconds = seconds(coveredMs) - activeSeconds;
    return {
      workedSeconds,
      activeSeconds,
      idleSeconds,
      untrackedSeconds: workedSeconds - activeSeconds - idleSeconds,
      lastActivityAt: lastActivityAt === null ? null : new Date(lastActivityAt).toISOString(),
    };
  });
}
