import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { type Queryable, tablesWithoutTenantPolicy, tenantTransaction, transaction } from '@worktide/postgres';
import { monthOf, monthStart } from '../merge/index.ts';
import {
  erase,
  key,
  newStream,
  openWriter,
  seen,
  type TestDatabase,
  type TestWriter,
  trackingDatabase,
} from '../testing.ts';
import { listUsage } from '../usage/list.ts';
import { mergeStreams } from './merge.ts';
import { partitionOf } from './partitions.ts';

// The second wall: what the database refuses to a request, whatever its query forgets to ask.
let database: TestDatabase;
let writer: TestWriter;
const month = monthOf(Date.now());
const start = monthStart(month);
const mine = newStream();
// The same user id elsewhere is another user.
const others = newStream({ userId: mine.userId });
const tenant = 'worktide_session_writer_tenant';

beforeAll(async () => {
  database = await trackingDatabase();
  writer = await openWriter(database.url);
  await writer.partitions.maintain();
  for (const stream of [mine, others]) {
    const pings = [seen(start, start + 10, key('A')), seen(start + 20, start + 30, key('A'))];
    await (await mergeStreams(writer, [{ stream, pings }])).published;
    const { organizationId, userId } = stream;
    const erasure = { organizationId, userId, deviceId: null, from: start + 25, to: start + 26, requestedBy: userId };
    await erase(writer, erasure);
  }
});
afterAll(async () => {
  await writer?.close();
  await database?.drop();
});

const asTenant = <T>(fn: (client: Queryable) => Promise<T>): Promise<T> =>
  tenantTransaction(writer.pool, mine.organizationId, fn);
const count = async (client: Queryable, from: string): Promise<number> =>
  (await client.query(`SELECT count(*) AS n FROM ${from}`)).rows[0].n;

test('every table granted to the tenant role has row security and a policy that asks for the organisation', async () => {
  expect(await tablesWithoutTenantPolicy(writer.pool, 'tracking')).toEqual([]);
});

test('it may read what lists read, and nothing else; no partition has a grant of its own', async () => {
  const { rows } = await writer.pool.query(
    `SELECT c.relname, p AS privilege FROM pg_class c,
       unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER']) p
     WHERE c.relnamespace = 'tracking'::regnamespace AND c.relkind IN ('r', 'p', 'v')
       AND has_table_privilege($1, c.oid, p) ORDER BY 1`,
    [tenant],
  );
  const granted = Map.groupBy(rows, ({ relname }) => relname);
  expect(
    Object.fromEntries([...granted].map(([table, list]) => [table, list.map(({ privilege }) => privilege).sort()])),
  ).toEqual({
    alerts: ['SELECT'],
    erased_ranges: ['SELECT'],
    // Imported entries are applied, and taken out, as their organisation.
    import_parts: ['DELETE', 'INSERT', 'SELECT'],
    known_projects: ['SELECT'],
    known_tasks: ['SELECT'],
    // Within a transaction that tells others of it; its events are not to be read.
    outbox: ['DELETE', 'INSERT'],
    removed_imports: ['INSERT', 'SELECT'],
    streams: ['SELECT'],
    // Offline entries are applied as their organisation.
    sync_batch_parts: ['INSERT', 'SELECT'],
    sync_keys: ['INSERT', 'SELECT', 'UPDATE'],
    sync_taken: ['INSERT', 'SELECT', 'UPDATE'],
    // Never changed, never deleted.
    time_entry_changes: ['INSERT', 'SELECT'],
    // Deleted by a mark alone.
    time_entries: ['INSERT', 'SELECT', 'UPDATE'],
    timer_requests: ['INSERT', 'SELECT'],
    usage_entries: ['SELECT'],
  });
  for (const table of [partitionOf('usage_entries', month), 'usage_gaps', '(SELECT events FROM outbox) o']) {
    await expect(asTenant((client) => count(client, table))).rejects.toMatchObject({ cause: { code: '42501' } });
  }
});

test('a query that forgets to ask whose the rows are sees one organisation', async () => {
  expect(await count(writer.pool, 'usage_entries')).toBe(4);
  expect(await asTenant((client) => count(client, 'usage_entries'))).toBe(2);
  expect(await asTenant((client) => count(client, 'streams'))).toBe(1);
  const { rows } = await writer.pool.query('SELECT id FROM streams WHERE organization_id = $1', [
    others.organizationId,
  ]);
  expect(await asTenant((client) => count(client, `usage_entries WHERE stream_id = ${rows[0].id}`))).toBe(0);
  const { organizationId } = others;
  const foreign = asTenant((client) => count(client, `streams WHERE organization_id = '${organizationId}'`));
  expect(await foreign).toBe(0);
});

test('the role without an organisation sees nothing, and gaps are walled in, should they be granted', async () => {
  const counts = (organizationId: string): Promise<number[]> =>
    transaction(writer.pool, async (client) => {
      await client.query(`GRANT SELECT ON usage_gaps TO ${tenant}; SET LOCAL ROLE ${tenant}`);
      await client.query("SELECT set_config('worktide.organization_id', $1, true)", [organizationId]);
      const result: number[] = [];
      for (const table of ['streams', 'usage_entries', 'usage_gaps', 'erased_ranges'])
        result.push(await count(client, table));
      await client.query(`RESET ROLE; REVOKE ALL ON usage_gaps FROM ${tenant}`);
      return result;
    });
  expect(await counts('')).toEqual([0, 0, 0, 0]);
  expect(await counts(mine.organizationId)).toEqual([1, 2, 1, 1]);
});

test('lists are read as the tenant role', async () => {
  const query = { ...mine, from: start, to: start + 1_000, limit: 10, deviceId: undefined };
  expect((await listUsage(writer.pool, query)).items).toHaveLength(2);
  await database.admin.query(`REVOKE SELECT ON tracking.usage_entries FROM ${tenant}`);
  try {
    await expect(listUsage(writer.pool, query)).rejects.toMatchObject({ statusCode: 503 });
  } finally {
    await database.admin.query(`GRANT SELECT ON tracking.usage_entries TO ${tenant}`);
  }
});
