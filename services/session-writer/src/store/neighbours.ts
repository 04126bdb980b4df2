import type { Queryable } from '@worktide/postgres';
import type { KeySpan, Month, MonthState, Span, UsageKey, Window } from '../merge/index.ts';
import { plainArray } from './arrays.ts';
import { partitionOf } from './partitions.ts';
import type { StreamIdentity } from './streams.ts';

export interface StoredEntry extends KeySpan {
  id: string;
}

/** What is to be read of one stream and month. */
export interface Neighbourhood {
  stream: StreamIdentity;
  streamId: number;
  /** From `windowsAround`. */
  windows: readonly Window[];
  /** Of a stream that is under a mask; then all that touches a window is read, for pieces of an entry may be short. */
  underMask?: boolean;
}

interface EntryRow {
  n: number;
  id: string;
  started_at: number;
  ended_at: number;
  state: 'active' | 'idle';
  app: string;
  host: string | null;
  masked: boolean;
}

interface SpanRow {
  n: number;
  started_at: number;
  ended_at: number;
}

/**
 * Rows of a stream are disjoint. So whatever touches [from, to) is the last that starts before it, or starts in it, and the
 * next one follows it: three descents of a B-tree, however much the stream has. Of those at the ends only what touches
 * [lo, hi). The order also keeps the planner to that B-tree. Ends at $8 rows.
 */
export const touching = (partition: string, columns: string): string => `
  SELECT w.n, r.* FROM unnest($2::int4[], $3::int8[], $4::int8[], $5::int8[], $6::int8[], $7::int8[])
    AS w(n, stream_id, lo, from_, to_, hi)
  CROSS JOIN LATERAL (
    (SELECT ${columns} FROM ${partition} WHERE month = $1 AND stream_id = w.stream_id AND started_at < w.from_
     ORDER BY started_at DESC LIMIT 1)
    UNION ALL
    (SELECT ${columns} FROM ${partition}
     WHERE month = $1 AND stream_id = w.stream_id AND started_at >= w.from_ AND started_at < w.to_ ORDER BY started_at)
    UNION ALL
    (SELECT ${columns} FROM ${partition}
     WHERE month = $1 AND stream_id = w.stream_id AND started_at >= w.to_ AND started_at < w.hi
     ORDER BY started_at LIMIT 1)
  ) r WHERE r.ended_at > w.lo LIMIT $8`;

export const entryColumns = 'id, started_at, ended_at, state, app, host, masked';

/**
 * Reads what a fold of these (locked) streams needs to know of one month; answers in their order.
 * @param limit rows to read at most.
 * @returns undefined where there are more.
 */
export async function readNeighbourhoods(
  client: Queryable,
  month: Month,
  wanted: readonly Neighbourhood[],
  limit = Number.POSITIVE_INFINITY,
): Promise<MonthState<StoredEntry>[] | undefined> {
  const states = wanted.map(() => ({ entries: [] as StoredEntry[], gaps: [] as Span[], erased: [] as Span[] }));
  const windows = wanted.flatMap((near, n) =>
    near.windows.map((window) =>
      near.underMask ? { n, near, ...window, from: window.start, to: window.end } : { n, near, ...window },
    ),
  );
  const n = plainArray(windows.map((w) => w.n));
  const lo = plainArray(windows.map((w) => w.start));
  const hi = plainArray(windows.map((w) => w.end));
  // One more says that there are more; null is no limit.
  const atMost = Number.isFinite(limit) ? limit + 1 : null;
  const streamIds = plainArray(windows.map((w) => w.near.streamId));
  const [from, to] = [plainArray(windows.map((w) => w.from)), plainArray(windows.map((w) => w.to))];
  const parameters = [month, n, streamIds, lo, from, to, hi, atMost];

  const entries = await client.query<EntryRow>(touching(partitionOf('usage_entries', month), entryColumns), parameters);
  if (entries.rows.length > limit) return undefined;
  for (const row of entries.rows) {
    const { state, app, host } = row;
    const key: UsageKey = row.masked ? { state: 'active', app, host, masked: true } : { state, app, host };
    states[row.n]!.entries.push({ id: row.id, start: row.started_at, end: row.ended_at, key });
  }
  // Gaps are inside entries: a new month, or a stream's first pings, have none to ask for.
  if (entries.rows.length > 0) {
    const gaps = await client.query<SpanRow>(
      touching(partitionOf('usage_gaps', month), 'started_at, ended_at'),
      parameters,
    );
    if (gaps.rows.length > limit) return undefined;
    for (const row of gaps.rows) states[row.n]!.gaps.push({ start: row.started_at, end: row.ended_at });
  }
  // Cut at the window: beyond it gaps were not read, so nothing may change there.
  const erased = await client.query<SpanRow>(
    `SELECT w.n, greatest(e.started_at, w.lo) AS started_at, least(e.ended_at, w.hi) AS ended_at
     FROM unnest($1::int4[], $2::uuid[], $3::uuid[], $4::text[], $5::int8[], $6::int8[])
       AS w(n, organization_id, user_id, device_id, lo, hi)
     JOIN erased_ranges e ON e.organization_id = w.organization_id AND e.user_id = w.user_id
       AND e.during && int8range(w.lo, w.hi) AND (e.device_id IS NULL OR e.device_id = w.device_id)`,
    [
      n,
      plainArray(windows.map((w) => w.near.stream.organizationId)),
      plainArray(windows.map((w) => w.near.stream.userId)),
      windows.map((w) => w.near.stream.deviceId),
      lo,
      hi,
    ],
  );
  for (const row of erased.rows) states[row.n]!.erased.push({ start: row.started_at, end: row.ended_at });
  return states.map(({ entries, gaps, erased }) => ({
    entries: distinct(entries),
    gaps: distinct(gaps),
    erased: erased.sort((a, b) => a.start - b.start),
  }));
}

/** By start, each once: what touches two windows was found twice. */
function distinct<T extends Span>(rows: T[]): T[] {
  rows.sort((a, b) => a.start - b.start);
  return rows.filter((row, i) => row.start !== rows[i - 1]?.start);
}

/**
 * Reads when watchers of input (locked) say that nobody was there, as it is stored.
 * @param wanted windows, by watcher.
 * @param limit rows to read at most.
 * @returns in the order asked: whole entries that touch the windows, by start; undefined where there are more.
 */
export async function readIdle(
  client: Queryable,
  month: Month,
  wanted: readonly { inputId: number; windows: readonly Span[] }[],
  limit = Number.POSITIVE_INFINITY,
): Promise<Span[][] | undefined> {
  const windows = wanted.flatMap(({ inputId, windows: all }, n) => all.map((window) => ({ n, inputId, ...window })));
  const [lo, hi] = [plainArray(windows.map((w) => w.start)), plainArray(windows.map((w) => w.end))];
  const { rows } = await client.query<SpanRow & { state: string }>(
    touching(partitionOf('usage_entries', month), 'started_at, ended_at, state'),
    [
      month,
      plainArray(windows.map((w) => w.n)),
      plainArray(windows.map((w) => w.inputId)),
      lo,
      lo,
      hi,
      hi,
      Number.isFinite(limit) ? limit + 1 : null,
    ],
  );
  if (rows.length > limit) return undefined;
  const idle = wanted.map(() => [] as Span[]);
  for (const row of rows) if (row.state === 'idle') idle[row.n]!.push({ start: row.started_at, end: row.ended_at });
  return idle.map(distinct);
}
