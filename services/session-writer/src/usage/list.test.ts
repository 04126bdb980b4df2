import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type Pool, type PoolClient, tenantTransaction } from '@worktide/postgres';
import { monthOf, monthStart } from '../merge/index.ts';
import { createStreams, type StreamIdentity } from '../store/streams.ts';
import { lookedAt, newStream, openWriter, type TestDatabase, type TestWriter, trackingDatabase } from '../testing.ts';
import { listUsage, monthQuery, reachingQuery } from './list.ts';

let database: TestDatabase;
let writer: TestWriter;
const month = monthOf(Date.now());
const start = monthStart(month);
const second = 1_000;
const [streams, entriesEach] = [4_000, 10];
const owner = newStream();

beforeAll(async () => {
  database = await trackingDatabase();
  writer = await openWriter(database.url);
  await writer.partitions.maintain();
  const devices = Array.from({ length: streams }, (_, i): StreamIdentity => ({ ...owner, deviceId: `device ${i}` }));
  await createStreams(writer.pool, devices);
  // Those of every device begin a millisecond after those of the one before.
  await writer.pool.query(
    `INSERT INTO usage_entries (month, id, stream_id, started_at, ended_at, version, state, app)
     SELECT $1, gen_random_uuid(), s.id, $2::int8 + i * 60000 + s.id % 60000, $2::int8 + i * 60000 + s.id % 60000 + 1000, 1, 'active', 'A'
     FROM streams s, generate_series(0, $4::int - 1) i WHERE s.user_id = $3`,
    [month, start, owner.userId, entriesEach],
  );
  await database.admin.query('ANALYZE tracking.usage_entries, tracking.streams');
}, 60_000);
afterAll(async () => {
  await writer?.close();
  await database?.drop();
});

describe('a user with thousands of devices', () => {
  const limit = 11;
  const end = start + 20 * 86_400 * second;
  const whose = [owner.organizationId, owner.userId, null, month];
  const none = [Number.MIN_SAFE_INTEGER, '00000000-0000-0000-0000-000000000000'];
  const asTenant = <T>(pool: Pool, fn: (client: PoolClient) => Promise<T>): Promise<T> =>
    tenantTransaction(pool, owner.organizationId, fn);

  test.each([
    ['a first page', monthQuery, [...whose, start, end, ...none, limit]],
    ['a later page', monthQuery, [...whose, start + 90 * second, end, start + 90 * second, none[1], limit]],
    ['what reaches into the range', reachingQuery, [...whose, start + 90 * second, ...none, limit]],
  ])('of each, one entry is looked at, and those of the page: %s', async (_, sql, parameters) => {
    const page = limit * (limit + 1);
    expect(await lookedAt(writer.pool, sql, parameters)).toBeLessThanOrEqual(2 * streams + page);
    // With a look at its stream for each entry.
    expect(await lookedAt(writer.pool, sql, parameters, asTenant)).toBeLessThanOrEqual(3 * streams + 2 * page);
  });

  test('pages hold everything once, in order', async () => {
    const query = { ...owner, deviceId: undefined, from: start + 61 * second, to: start + 70 * second, limit: 500 };
    const { rows } = await database.admin.query<{ id: string }>(
      `SELECT e.id FROM tracking.usage_entries e JOIN tracking.streams s ON s.id = e.stream_id
       WHERE s.user_id = $1 AND e.started_at < $3 AND e.ended_at > $2 ORDER BY e.started_at, e.id`,
      [owner.userId, query.from, query.to],
    );
    const found: string[] = [];
    for (let cursor: string | null | undefined; cursor !== null; ) {
      const page = await listUsage(writer.pool, { ...query, cursor });
      found.push(...page.items.map(({ id }) => id));
      cursor = page.nextCursor;
    }
    expect(found.length).toBeGreaterThan(1_000);
    expect(found).toEqual(rows.map(({ id }) => id));
  });

  test('ends with its request', async () => {
    const gone = new AbortController();
    gone.abort();
    const query = { ...owner, deviceId: undefined, from: start, to: end, limit: 500 };
    await expect(listUsage(writer.pool, query, gone.signal)).rejects.toMatchObject({ code: 'REQUEST_ABORTED' });
  });
});
