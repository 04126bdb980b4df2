import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { type Pool, type PoolClient, tenantTransaction } from '@worktide/postgres';
import { monthOf, monthStart } from '../merge/index.ts';
import { lookedAt, newStream, openWriter, type TestDatabase, type TestWriter, trackingDatabase } from '../testing.ts';
import { monthQuery, reachingQuery } from '../usage/list.ts';
import { entryColumns, touching } from './neighbours.ts';
import { partitionOf } from './partitions.ts';
import { createStreams } from './streams.ts';

let database: TestDatabase;
let writer: TestWriter;
const month = monthOf(Date.now());
const start = monthStart(month);
const stream = newStream();
let streamId: number;
const count = 5_000;
beforeAll(async () => {
  database = await trackingDatabase();
  writer = await openWriter(database.url);
  await writer.partitions.maintain();
  await createStreams(writer.pool, [stream, ...Array.from({ length: 50 }, () => newStream())]);
  const { rows } = await writer.pool.query('SELECT id FROM streams WHERE user_id = $1', [stream.userId]);
  streamId = rows[0]!.id;
  // A user's month of entries, and as many of each of some others; no statistics yet.
  await writer.pool.query(
    `INSERT INTO usage_entries (month, id, stream_id, started_at, ended_at, version, state, app)
     SELECT $1, gen_random_uuid(), s.id, $2::int8 + i * 400, $2::int8 + i * 400 + 300, 1, 'active', 'A'
     FROM streams s, generate_series(0, CASE s.id WHEN $3 THEN $4::int ELSE 20 END) i`,
    [month, start, streamId, count],
  );
});
afterAll(async () => {
  await writer?.close();
  await database?.drop();
});

/** As requests do. */
const asTenant = <T>(pool: Pool, fn: (client: PoolClient) => Promise<T>): Promise<T> =>
  tenantTransaction(pool, stream.organizationId, fn);

test.each(['without statistics', 'with statistics'])(
  'however much a stream has, only neighbours are read: %s',
  async (how) => {
    if (how === 'with statistics') await database.admin.query('ANALYZE tracking.usage_entries, tracking.streams');
    // In the middle, over the ends of two entries; one more follows within reach.
    const lo = start + (count / 2) * 400 + 100;
    const window = [month, [0], [streamId], [lo - 30_000], [lo], [lo + 900], [lo + 30_900], 10_001];
    const partition = partitionOf('usage_entries', month);
    expect(await lookedAt(writer.pool, touching(partition, entryColumns), window)).toBeLessThanOrEqual(4);
    const gapsPartition = partitionOf('usage_gaps', month);
    expect(await lookedAt(writer.pool, touching(gapsPartition, 'started_at, ended_at'), window)).toBe(0);

    // A page of ten: the stream, one that reaches into the range, the next after the cursor, and ten and one more.
    const whose = [stream.organizationId, stream.userId, null, month];
    const reaching = [...whose, lo, Number.MIN_SAFE_INTEGER, '00000000-0000-0000-0000-000000000000', 11];
    const cursor = lo + 400_000;
    const next = [...whose, cursor, start + 20 * 86_400_000, cursor, randomUUID(), 11];
    expect(await lookedAt(writer.pool, reachingQuery, reaching)).toBeLessThanOrEqual(2);
    expect(await lookedAt(writer.pool, monthQuery, next)).toBeLessThanOrEqual(14);
    // Row-level security adds a look at the stream of each entry, and changes nothing else.
    expect(await lookedAt(writer.pool, reachingQuery, reaching, asTenant)).toBeLessThanOrEqual(3);
    expect(await lookedAt(writer.pool, monthQuery, next, asTenant)).toBeLessThanOrEqual(14 + 13);
  },
);
