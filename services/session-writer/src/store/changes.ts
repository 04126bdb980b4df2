import type { Queryable } from '@worktide/postgres';
import { AppError } from '@worktide/runtime';
import { type KeySpan, type Month, type Span, shownState } from '../merge/index.ts';
import { plainArray } from './arrays.ts';
import { partitionOf } from './partitions.ts';

/** An entry as it is written. */
export interface WrittenEntry extends KeySpan {
  id: string;
  streamId: number;
  version: number;
}

/** What a transaction changes in one month, over all its streams. */
export interface MonthWrites {
  removed: string[];
  changed: WrittenEntry[];
  added: WrittenEntry[];
  gapsRemoved: (Span & { streamId: number })[];
  gapsAdded: (Span & { streamId: number })[];
}

export const noWrites = (): MonthWrites => ({ removed: [], changed: [], added: [], gapsRemoved: [], gapsAdded: [] });

/**
 * Rows to join by the whole primary key. Behind the fence (OFFSET 0) the month is a column and no constant: as one, it
 * tempts a planner without statistics to read the month's whole partition for "the few" rows of that month.
 */
const monthAndRows = (arrays: string): string => `(SELECT $1::date, r.* FROM unnest(${arrays}) r OFFSET 0)`;

/**
 * Writes set-wise, at most five statements whatever the number of entries. Removals make room before what grows into
 * it. Every row was read under its stream's lock, so a count that differs means a writer that does not lock: the
 * transaction fails rather than store a mixture.
 */
export async function writeMonth(client: Queryable, month: Month, writes: MonthWrites): Promise<void> {
  const { removed, changed, added, gapsRemoved, gapsAdded } = writes;
  const [entries, gaps] = [partitionOf('usage_entries', month), partitionOf('usage_gaps', month)];
  const run = async (rows: readonly unknown[], sql: string, parameters: unknown[]): Promise<void> => {
    if (rows.length === 0) return;
    const { rowCount } = await client.query(sql, [month, ...parameters]);
    if (rowCount !== rows.length) {
      throw new AppError('INTERNAL', 'Something went wrong on our side.', {
        cause: new Error(`${rowCount} of ${rows.length} rows: ${sql}`),
      });
    }
  };
  await run(removed, `DELETE FROM ${entries} WHERE month = $1 AND id = ANY($2::uuid[])`, [plainArray(removed)]);
  await run(
    changed,
    `UPDATE ${entries} e SET ended_at = u.ended_at, version = u.version, state = u.state, app = u.app, host = u.host,
       masked = u.masked
     FROM ${monthAndRows('$2::uuid[], $3::int8[], $4::int8[], $5::text[], $6::text[], $7::text[], $8::bool[]')}
       AS u(month, id, ended_at, version, state, app, host, masked)
     WHERE e.month = u.month AND e.id = u.id`,
    [
      plainArray(changed.map((e) => e.id)),
      plainArray(changed.map((e) => e.end)),
      plainArray(changed.map((e) => e.version)),
      changed.map((e) => shownState(e.key)),
      changed.map((e) => e.key.app),
      changed.map((e) => e.key.host),
      plainArray(changed.map((e) => (e.key.masked ? 'true' : 'false'))),
    ],
  );
  await run(
    added,
    `INSERT INTO ${entries} (month, id, stream_id, started_at, ended_at, version, state, app, host, masked)
     SELECT $1, * FROM unnest($2::uuid[], $3::int8[], $4::int8[], $5::int8[], $6::int8[], $7::text[], $8::text[], $9::text[],
       $10::bool[])`,
    [
      plainArray(added.map((e) => e.id)),
      plainArray(added.map((e) => e.streamId)),
      plainArray(added.map((e) => e.start)),
      plainArray(added.map((e) => e.end)),
      plainArray(added.map((e) => e.version)),
      added.map((e) => shownState(e.key)),
      added.map((e) => e.key.app),
      added.map((e) => e.key.host),
      plainArray(added.map((e) => (e.key.masked ? 'true' : 'false'))),
    ],
  );
  await run(
    gapsRemoved,
    `DELETE FROM ${gaps} g USING ${monthAndRows('$2::int8[], $3::int8[]')} AS u(month, stream_id, started_at)
     WHERE g.month = u.month AND g.stream_id = u.stream_id AND g.started_at = u.started_at`,
    [plainArray(gapsRemoved.map((g) => g.streamId)), plainArray(gapsRemoved.map((g) => g.start))],
  );
  await run(
    gapsAdded,
    `INSERT INTO ${gaps} (month, stream_id, started_at, ended_at)
     SELECT $1, * FROM unnest($2::int8[], $3::int8[], $4::int8[])`,
    [
      plainArray(gapsAdded.map((g) => g.streamId)),
      plainArray(gapsAdded.map((g) => g.start)),
      plainArray(gapsAdded.map((g) => g.end)),
    ],
  );
}
