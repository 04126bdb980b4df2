import { type Pool, type Queryable, transaction } from '@worktide/postgres';
import { type Month, monthEnd, monthStart, monthsOf, type Span } from '../merge/index.ts';
import { plainArray } from './arrays.ts';
import type { MergeOptions, StreamWork } from './merge.ts';
import { partitionOf } from './partitions.ts';
import { byIndex, byOrderedIndex, lookUp } from './plans.ts';
import { lockOrder } from './streams.ts';

/** A range that is being worked off. */
export interface RangeRow {
  id: string;
  organizationId: string;
  userId: string;
  deviceId: string | null;
  from: number;
  to: number;
  doneDevice: string | null;
  doneSource: string | null;
  doneUntil: number | null;
}

/** Streams up to this one are done, in the order of their identity; this one up to an instant where one is given. */
export interface Progress {
  device: string;
  source: string;
  until: number | null;
}

/** Entries, or gaps, that one transaction takes away. */
const rowsPerSlice = 1_000;
/** Streams it looks at, and streams and months it changes. */
const streamsPerSlice = 200;
const partsPerSlice = 100;

interface StreamRow {
  id: number;
  device_id: string;
  source: string;
}

/**
 * What the next transaction of an erasure has to do.
 * @returns no progress where nothing is left after it.
 */
export async function findSlice(
  options: Pick<MergeOptions, 'pool' | 'partitions'>,
  range: RangeRow,
): Promise<{ work: StreamWork[]; progress: Progress | undefined }> {
  const { pool, partitions } = options;
  const { organizationId, userId, to } = range;
  const streams = await nextStreams(pool, range);
  const startOf = ({ device_id, source }: StreamRow): number =>
    range.doneUntil !== null && device_id === range.doneDevice && source === range.doneSource
      ? range.doneUntil
      : range.from;
  const existing = new Set(await partitions.existing());
  const months = monthsOf(range.from, to).filter((month) => existing.has(month));
  const occupied = await occupiedMonths(pool, streams, months, (stream) => [startOf(stream), to]);

  const slice = await transaction(pool, async (client) => {
    await byIndex(client);
    await byOrderedIndex(client);
    const work: StreamWork[] = [];
    let rowsLeft = rowsPerSlice;
    let partsLeft = partsPerSlice;
    for (const stream of streams) {
      const { id: streamId, device_id: device, source } = stream;
      const erased: Span[] = [];
      for (const month of occupied.get(streamId) ?? []) {
        const start = Math.max(startOf(stream), monthStart(month));
        const end = Math.min(to, monthEnd(month));
        const { until, rows } = await partOf(client, { month, streamId, start, end, most: rowsLeft });
        if (erased.length === 0) {
          work.push({ stream: { organizationId, userId, deviceId: device, source }, pings: [], erased });
        }
        erased.push({ start, end: until ?? end });
        rowsLeft -= rows;
        partsLeft--;
        if (until !== null || rowsLeft <= 0 || partsLeft <= 0) {
          return { work, progress: { device, source, until: until ?? (end < to ? end : null) } };
        }
      }
    }
    return { work, progress: undefined };
  });
  if (slice.progress) return slice;
  const last = streams.at(-1);
  const more = last !== undefined && streams.length === streamsPerSlice;
  return { ...slice, progress: more ? { device: last.device_id, source: last.source, until: null } : undefined };
}

/** The next of the user's streams, in the order of the index by identity. */
async function nextStreams(pool: Pool, range: RangeRow): Promise<StreamRow[]> {
  const { organizationId, userId, deviceId, doneDevice, doneSource, doneUntil } = range;
  const from = doneUntil === null ? '>' : '>=';
  return transaction(pool, (client) =>
    lookUp<StreamRow>(
      client,
      `SELECT id, device_id, source FROM streams
       WHERE organization_id = $1 AND user_id = $2 AND ($3::text IS NULL OR device_id = $3)
         AND (device_id, source) ${from} ($4, $5)
       ORDER BY device_id, source LIMIT ${streamsPerSlice}`,
      // No device has an empty name.
      [organizationId, userId, deviceId, doneDevice ?? deviceId ?? '', doneSource ?? ''],
    ),
  );
}

/**
 * In which of the months each stream has something that touches its span. Asked when each of them has been locked once: a
 * fold that began before the range was recorded does not respect it, and what it stores has to be seen here. Whoever
 * folds after it does.
 */
async function occupiedMonths(
  pool: Pool,
  streams: readonly StreamRow[],
  months: readonly Month[],
  spanOf: (stream: StreamRow) => [number, number],
): Promise<Map<number, Month[]>> {
  const occupied = new Map<number, Month[]>(streams.map(({ id }) => [id, []]));
  if (streams.length === 0) return occupied;
  const spans = streams.map(spanOf);
  await transaction(pool, async (client) => {
    await byIndex(client);
    // In the order in which everybody locks them.
    await client.query(
      `SELECT FROM streams s WHERE id = ANY($1::int8[]) ORDER BY ${lockOrder('s')} FOR NO KEY UPDATE`,
      [plainArray(streams.map(({ id }) => id))],
    );
    await byOrderedIndex(client);
    for (const month of months) {
      // Gaps lie in entries. Entries of a stream are disjoint: the last that starts before the end tells.
      const { rows } = await client.query<{ id: number }>(
        `SELECT w.id FROM unnest($2::int8[], $3::int8[], $4::int8[]) AS w(id, lo, hi)
         CROSS JOIN LATERAL (
           SELECT ended_at FROM ${partitionOf('usage_entries', month)}
           WHERE month = $1 AND stream_id = w.id AND started_at < w.hi ORDER BY started_at DESC LIMIT 1
         ) e WHERE e.ended_at > w.lo`,
        [
          month,
          plainArray(streams.map(({ id }) => id)),
          ...[0, 1].map((i) => plainArray(spans.map((span) => span[i]!))),
        ],
      );
      for (const { id } of rows) occupied.get(id)!.push(month);
    }
  });
  return occupied;
}

/** Where a transaction that begins at `start` has enough to do, null for not before `end`; and how much that is. */
async function partOf(
  client: Queryable,
  part: { month: Month; streamId: number; start: number; end: number; most: number },
): Promise<{ until: number | null; rows: number }> {
  const { month, streamId, start, end, most } = part;
  const rowsIn = (table: 'usage_entries' | 'usage_gaps'): string =>
    `FROM ${partitionOf(table, month)} WHERE month = $1 AND stream_id = $2 AND started_at > $3 AND started_at < $4
     ORDER BY started_at`;
  const nth = (table: 'usage_entries' | 'usage_gaps'): string =>
    `(SELECT started_at ${rowsIn(table)} OFFSET $5 LIMIT 1)`;
  const count = (table: 'usage_entries' | 'usage_gaps'): string =>
    `(SELECT count(*) FROM (SELECT ${rowsIn(table)} LIMIT $5) AS counted)`;
  const { rows } = await client.query<{ until: number | null; rows: number }>(
    `SELECT least(${nth('usage_entries')}, ${nth('usage_gaps')}) AS until,
         1 + greatest(${count('usage_entries')}, ${count('usage_gaps')}) AS rows`,
    [month, streamId, start, end, most],
  );
  return rows[0]!;
}
