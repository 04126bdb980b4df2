import type { Queryable } from '@worktide/postgres';
import type { TimeEntry, TimeEntryState } from '@worktide/schemas';
import { monthsOf } from '../merge/index.ts';
import { plainArray } from '../store/arrays.ts';

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
 * How much of some entries of one user was worked, active, idle and neither; derived from usage at every asking, so that
 * nothing late or repeated can make it wrong. Active wins where devices disagree; shown by rule Time: shown.
 * @param client of a tenant's transaction.
 */
export async function secondsOf(
  client: Queryable,
  userId: string,
  entries: readonly TimeEntryState[],
  nowMs: number,
): Promise<Seconds[]> {
  const worked = entries.map((entry) => workedOf(entry, nowMs));
  const pieces = worked.flatMap((spans, entry) =>
    spans.flatMap(({ start, end }) => monthsOf(start, end).map((month) => ({ entry, month, start, end }))),
  );
  // A timer that was started now.
  const { rows } =
    pieces.length === 0
      ? { rows: [] }
      : await client.query<Used>(
          `SELECT entry, active_ms, covered_ms, last_activity_at
     FROM usage_within($1, $2::int[], $3::date[], $4::bigint[], $5::bigint[])`,
          [
            userId,
            plainArray(pieces.map(({ entry }) => entry)),
            pieces.map(({ month }) => month),
            plainArray(pieces.map(({ start }) => start)),
            plainArray(pieces.map(({ end }) => end)),
          ],
        );
  const used = new Map(rows.map((row) => [row.entry, row]));
  const seconds = (ms: number): number => Math.round(ms / 1000);
  return worked.map((spans, i) => {
    const { active_ms = 0, covered_ms = 0, last_activity_at = null } = used.get(i) ?? {};
    const workedSeconds = seconds(spans.reduce((sum, { start, end }) => sum + end - start, 0));
    const activeSeconds = seconds(active_ms);
    const idleSeconds = seconds(covered_ms) - activeSeconds;
    return {
      workedSeconds,
      activeSeconds,
      idleSeconds,
      untrackedSeconds: workedSeconds - activeSeconds - idleSeconds,
      lastActivityAt: last_activity_at === null ? null : new Date(last_activity_at).toISOString(),
    };
  });
}

interface Used {
  entry: number;
  active_ms: number;
  covered_ms: number;
  last_activity_at: number | null;
}
