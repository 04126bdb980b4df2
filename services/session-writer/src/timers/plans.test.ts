import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { type Pool, type PoolClient, tenantTransaction } from '@worktide/postgres';
import { lookedAt, openWriter, type TestDatabase, type TestWriter, trackingDatabase } from '../testing.ts';
import { listQuery } from './list.ts';
import { overlapQuery } from './store.ts';

// What a person had over the years costs nothing: as a tenant, for whom few operators may use an index.

let database: TestDatabase;
let writer: TestWriter;
const [organizationId, userId] = [randomUUID(), randomUUID()];
const entries = 20_000;
const hour = 3_600_000;
const end = Date.UTC(2026, 10, 20);
const iso = (hours: number): string => new Date(end + hours * hour).toISOString();

beforeAll(async () => {
  database = await trackingDatabase();
  writer = await openWriter(database.url);
  // An hour each, half an hour apart; the last one begins two hours before the end.
  await writer.pool.query(
    `INSERT INTO time_entries (organization_id, id, user_id, kind, span, pauses, tags, billable, timezone, created_at, updated_at, version)
     SELECT $1, gen_random_uuid(), $2, 'manual', tstzrange(t, t + interval '1 hour'), '{}', '{}', false, 'UTC', t, t, 1
     FROM generate_series(1, $3::int) i, LATERAL (SELECT $4::timestamptz - (i * interval '90 min') - interval '30 min' AS t) AS start`,
    [organizationId, userId, entries, new Date(end).toISOString()],
  );
  await database.admin.query('ANALYZE tracking.time_entries');
}, 60_000);
afterAll(async () => {
  await writer?.close();
  await database?.drop();
});

const asTenant = <T>(pool: Pool, fn: (client: PoolClient) => Promise<T>): Promise<T> =>
  tenantTransaction(pool, organizationId, fn);
const lastId = 'ffffffff-ffff-ffff-ffff-ffffffffffff';

test.each([
  ['the newest page', listQuery, [organizationId, userId, iso(-900), iso(0), iso(0), lastId, null, null, 101], 101],
  [
    'an old one',
    listQuery,
    [organizationId, userId, iso(-20_900), iso(-20_000), iso(-20_000), lastId, null, null, 101],
    101,
  ],
  [
    'a week of long ago',
    listQuery,
    [organizationId, userId, iso(-168 * 50), iso(-168 * 49), iso(-168 * 49), lastId, null, null, 501],
    112,
  ],
  ['what is in the way of a timer', overlapQuery, [organizationId, userId, randomUUID(), iso(0), 'infinity'], 0],
  [
    'what is in the way of an old entry',
    overlapQuery,
    [organizationId, userId, randomUUID(), iso(-9_000), iso(-8_999)],
    1,
  ],
])('%s looks at no more than it gives, and the one before', async (_what, sql, parameters, given) => {
  expect(await lookedAt(writer.pool, sql, parameters, asTenant)).toBeLessThanOrEqual(given + 3);
});
