import type { Queryable } from '@worktide/postgres';
import type { TimeEntry, TimeEntryState } from '@worktide/schemas';
import { monthsOf } from '../merge/index.ts';
import { plainArray } from '../store/arrays.ts';
import { windowsOf, within } from '../store/windows.ts';
import type { Span } from '../sync/union.ts';

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
  const { active, covered } = await usageWithin(client, userId, worked.flat());
  const lengthWithin = (spans: readonly Span[], pieces: readonly Span[]): number =>
    pieces.reduce((sum, piece) => sum + lengthOf(within(spans, piece)), 0);
  const seconds = (ms: number): number => Math.round(ms / 1000);
  return worked.map((pieces) => {
    const workedSeconds = seconds(lengthOf(pieces));
    const activeSeconds = seconds(lengthWithin(active, pieces));
    const idleSeconds = seconds(lengthWithin(covered, pieces)) - activeSeconds;
    const last = pieces.map((piece) => within(active, piece).at(-1)?.end).findLast((end) => end !== undefined);
    return {
      workedSeconds,
      activeSeconds,
      idleSeconds,
      untrackedSeconds: workedSeconds - activeSeconds - idleSeconds,
      lastActivityAt: last === undefined ? null : new Date(last).toISOString(),
    };
  });
}

const lengthOf = (spans: readonly Span[]): number => spans.reduce((sum, { start, end }) => sum + end - start, 0);

/** Entries of a day lie so close together. */
const closeMs = 3_600_000;
/** Look-ups of one answer: so many a tenth of a second has. A person may have thousands of streams. */
const maxLookUps = 20_000;
const minWindows = 8;

async function streamsOf(client: Queryable, userId: string): Promise<number> {
  const { rows } = await client.query<{ n: number }>(
    `SELECT count(*) AS n FROM streams
     WHERE organization_id = (SELECT nullif(current_setting('worktide.organization_id', true), '')::uuid) AND user_id = $1`,
    [userId],
  );
  return rows[0]!.n;
}

/** When a user was active, and there at all, as far as it matters to the spans: disjoint, in order. */
async function usageWithin(
  client: Queryable,
  userId: string,
  spans: readonly Span[],
): Promise<{ active: Span[]; covered: Span[] }> {
  // A timer that was started now.
  if (spans.length === 0) return { active: [], covered: [] };
  let found = windowsOf(spans, closeMs, Number.POSITIVE_INFINITY);
  // So few are looked up however many streams there are: they need no counting.
  if (found.length > minWindows) {
    const max = Math.max(minWindows, Math.floor(maxLookUps / Math.max(1, await streamsOf(client, userId))));
    found = windowsOf(spans, closeMs, max);
  }
  const windows = found.flatMap(({ start, end }) => monthsOf(start, end).map((month) => ({ month, start, end })));
  const { rows } = await client.query<Record<'active' | 'covered', [number, number][] | null>>(
    'SELECT active, covered FROM usage_of($1, $2::date[], $3::bigint[], $4::bigint[])',
    [
      userId,
      windows.map(({ month }) => month),
      plainArray(windows.map(({ start }) => start)),
      plainArray(windows.map(({ end }) => end)),
    ],
  );
  const spansOf = (pairs: [number, number][] | null): Span[] => (pairs ?? []).map(([start, end]) => ({ start, end }));
  return { active: spansOf(rows[0]!.active), covered: spansOf(rows[0]!.covered) };
}
