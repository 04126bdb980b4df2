import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { silentLogger } from '@worktide/runtime';
import { addMonths, monthOf, monthStart } from '../merge/index.ts';
import {
  key,
  newStream,
  openWriter,
  seen,
  stored,
  type TestDatabase,
  type TestWriter,
  trackingDatabase,
} from '../testing.ts';
import { mergeStreams } from './merge.ts';
import { createPartitions } from './partitions.ts';

let database: TestDatabase;
let writer: TestWriter;
const start = Date.UTC(2026, 10, 21);
let now = start;
beforeAll(async () => {
  database = await trackingDatabase();
  writer = await openWriter(database.url, { now: () => now, retentionMonths: 3 });
});
afterAll(async () => {
  await writer?.close();
  await database?.drop();
});

const tables = async (): Promise<string[]> => {
  const { rows } = await database.admin.query(
    `SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
     WHERE i.inhparent IN ('tracking.usage_entries'::regclass, 'tracking.usage_gaps'::regclass) ORDER BY 1`,
  );
  return rows.map((row) => row.relname);
};
const at = (month: string, offset = 1000) =>
  seen(monthStart(month) + offset, monthStart(month) + offset + 10, key('A'));

describe('partitions', () => {
  test('are made ahead, by several at once without trouble, once', async () => {
    expect(() => writer.partitions.check()).toThrow();
    const other = () =>
      createPartitions({ pool: writer.pool, retentionMonths: 3, log: silentLogger(), now: () => now });
    await Promise.all([writer.partitions.maintain(), other().maintain(), other().ensure(['2026-12-01', '2026-09-01'])]);
    writer.partitions.check();
    const months = ['2026_09', '2026_11', '2026_12', '2027_01', '2027_02'];
    expect(await tables()).toEqual([
      ...months.map((m) => `usage_entries_${m}`),
      ...months.map((m) => `usage_gaps_${m}`),
    ]);
    expect(await writer.partitions.maintain()).toEqual({ made: [], dropped: [] });
  });

  test('have the exclusion constraint of the whole table, deferrable, and its indexes', async () => {
    const { rows } = await database.admin.query(
      `SELECT p.conname AS parent, c.condeferrable, c.condeferred, pg_get_constraintdef(c.oid) AS definition
       FROM pg_constraint c JOIN pg_constraint p ON p.oid = c.conparentid
       WHERE c.conrelid = 'tracking.usage_entries_2026_11'::regclass AND c.contype = 'x'`,
    );
    expect(rows).toEqual([
      {
        parent: 'usage_entries_no_overlap',
        condeferrable: true,
        condeferred: false,
        definition: 'EXCLUDE USING gist (stream_id WITH =, during WITH &&, month WITH =) DEFERRABLE',
      },
    ]);
    const { rows: indexes } = await database.admin.query(
      `SELECT count(*)::int AS n FROM pg_index i JOIN pg_inherits h ON h.inhrelid = i.indexrelid
       WHERE i.indrelid = 'tracking.usage_entries_2026_11'::regclass`,
    );
    expect(indexes).toEqual([{ n: 3 }]);
  });

  test('are made when a late ping needs one, while another transaction writes', async () => {
    const busy = await writer.pool.connect();
    try {
      await busy.query('BEGIN');
      await busy.query(
        `INSERT INTO usage_gaps VALUES ('2026-11-01', 1, ${monthStart('2026-11-01')}, ${monthStart('2026-11-01') + 1})`,
      );
      const stream = newStream();
      expect(await mergeStreams(writer, [{ stream, pings: [at('2026-10-01')] }])).toMatchObject({ added: 1, letGo: 0 });
      expect((await stored(database.admin, stream)).entries).toHaveLength(1);
    } finally {
      await busy.query('ROLLBACK');
      busy.release();
    }
  });

  test('are dropped by retention; pings of those months are counted and let go, the rest of them kept', async () => {
    const stream = newStream();
    const september = '2026-09-01';
    await mergeStreams(writer, [{ stream, pings: [at(september), at('2026-10-01', 100_000)] }]);
    now = Date.UTC(2027, 0, 2);
    expect(await writer.partitions.maintain()).toEqual({ made: ['2027-03-01', '2027-04-01'], dropped: [september] });
    expect(await tables()).not.toContain('usage_entries_2026_09');
    const boundary = monthStart('2026-10-01');
    const outcome = await mergeStreams(writer, [
      { stream, pings: [at(september), seen(boundary - 10, boundary + 10, key('A'))] },
    ]);
    expect(outcome).toMatchObject({ added: 1, letGo: 2 });
    expect((await stored(database.admin, stream)).entries.map((e) => e.start - boundary)).toEqual([0, 100_000]);
    expect(await tables()).not.toContain('usage_entries_2026_09');
    now = start;
  });

  test('that another process has dropped are asked for again', async () => {
    const stream = newStream();
    const october = [{ stream, pings: [at('2026-10-01')] }];
    await writer.partitions.ensure(['2026-10-01']);
    await database.admin.query('DROP TABLE tracking.usage_entries_2026_10, tracking.usage_gaps_2026_10');
    await expect(mergeStreams(writer, october)).rejects.toThrow();
    expect(await mergeStreams(writer, october)).toMatchObject({ added: 1 });
  });

  test('know how far ahead is too far', () => {
    expect(writer.partitions.horizon()).toBe(monthStart(addMonths(monthOf(now), 4)));
    expect(writer.partitions.isKept('2026-08-01')).toBe(true);
    expect(writer.partitions.isKept('2026-07-01')).toBe(false);
  });
});
