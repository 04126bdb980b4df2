import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { freshDatabase } from '@worktide/backends';
import { silentLogger, sleep, uuidv7 } from '@worktide/runtime';
import { createPool, inTurn, type Pool, prepareServiceDatabase, tenantTransaction, transaction } from './index.ts';

let database: Awaited<ReturnType<typeof freshDatabase>>;
let folder: string;
let url: string;
const pools: Pool[] = [];
const open = (more: { max?: number; reserved?: number; statementTimeoutMs?: number } = {}): Pool => {
  const pool = createPool(url, { applicationName: 'turns-test', log: silentLogger(), ...more });
  pools.push(pool);
  return pool;
};

beforeAll(async () => {
  database = await freshDatabase();
  folder = await mkdtemp(join(tmpdir(), 'worktide-turns-'));
  await writeFile(join(folder, '0001_nothing.sql'), 'CREATE TABLE nothing ();');
  url = await prepareServiceDatabase({
    adminUrl: database.adminUrl,
    database: { schema: 'shop', role: 'worktide_test_turns', folder, outbox: false },
    password: 'secret',
    log: silentLogger(),
  });
});
afterEach(async () => {
  await Promise.all(pools.splice(0).map((pool) => pool.end()));
});
afterAll(async () => {
  await database.drop();
  await rm(folder, { recursive: true });
});

/** Transactions of an organisation that last until it is told to let go. */
function hold(pool: Pool, count: number, organization = uuidv7()) {
  const { promise, resolve: letGo } = Promise.withResolvers<void>();
  const held = Array.from({ length: count }, () => tenantTransaction(pool, organization, () => promise));
  return {
    async end(): Promise<void> {
      letGo();
      await Promise.all(held);
    },
  };
}

const pidOf = (pool: Pool): Promise<number> =>
  tenantTransaction(pool, uuidv7(), async (client) => (await client.query('SELECT pg_backend_pid() AS p')).rows[0].p);

describe('connections by turns', () => {
  test('however many transactions one organisation asks for, another finds a connection beside them', async () => {
    const pool = open();
    const greedy = hold(pool, 90);
    await expect(pidOf(pool)).resolves.toBeGreaterThan(0);
    await greedy.end();
  });

  test('the service itself finds one while requests of many have all theirs', async () => {
    const pool = open({ max: 4 });
    const greedy = [1, 2, 3, 4, 5].map(() => hold(pool, 20));
    await expect(transaction(pool, (client) => client.query('SELECT 1'))).resolves.toMatchObject({ rowCount: 1 });
    await expect(pool.query('SELECT 1')).resolves.toMatchObject({ rowCount: 1 });
    await expect(tenantTransaction(pool, uuidv7(), async () => 'done', { own: true })).resolves.toBe('done');
    await Promise.all(greedy.map((each) => each.end()));
  });

  test('who has no organisation yet stands in the line of an address', async () => {
    const pool = open({ max: 3, reserved: 2 });
    const begun: string[] = [];
    const { promise, resolve: letGo } = Promise.withResolvers<void>();
    const first = inTurn(pool, '192.0.2.1', () => promise);
    const rest = Array.from({ length: 30 }, () =>
      transaction(pool, async () => void begun.push('greedy'), { subject: '192.0.2.1' }),
    );
    const other = transaction(pool, async () => void begun.push('small'), { subject: '192.0.2.2' });
    letGo();
    await Promise.all([first, other, ...rest]);
    expect(begun[0]).toBe('small');
  });

  test('whose turn does not come is told 503', async () => {
    const pool = open({ max: 3 });
    const organization = uuidv7();
    const greedy = hold(pool, 101, organization);
    await expect(tenantTransaction(pool, organization, async () => {})).rejects.toMatchObject({
      code: 'BUSY',
      statusCode: 503,
    });
    await greedy.end();
  });
});

describe('work ends with its request', () => {
  const aborted = { code: 'REQUEST_ABORTED' };

  test('while it waits it leaves the line', async () => {
    const pool = open({ max: 3 });
    const organization = uuidv7();
    const greedy = hold(pool, 1, organization);
    const gone = new AbortController();
    const left = tenantTransaction(pool, organization, async () => {}, { signal: gone.signal });
    gone.abort();
    await expect(left).rejects.toMatchObject(aborted);
    await greedy.end();
    await expect(tenantTransaction(pool, organization, async () => {}, { signal: gone.signal })).rejects.toMatchObject(
      aborted,
    );
  });

  test('a statement that runs is cancelled, and the connection goes on with the next unharmed', async () => {
    const pool = open({ max: 3 });
    for (let round = 0; round < 20; round++) {
      const gone = new AbortController();
      const work = tenantTransaction(
        pool,
        uuidv7(),
        async (client) => {
          const endless = client.query('SELECT pg_sleep(600)');
          // Round by round at another stage: before the statement arrived, and while it sleeps.
          setTimeout(() => gone.abort(), round % 4);
          return endless;
        },
        { signal: gone.signal },
      );
      await expect(work).rejects.toMatchObject(aborted);
      await pidOf(pool);
    }
    // Not one connection was thrown away: two at most, one that worked and one that cancelled.
    expect(pool.totalCount).toBeLessThanOrEqual(2);
    const { rows } = await pool.query(
      "SELECT count(*)::int AS n FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)%' AND state = 'active' AND pid <> pg_backend_pid()",
    );
    expect(rows).toEqual([{ n: 0 }]);
  });

  test('an end after the work is done cancels nothing', async () => {
    const pool = open({ max: 3 });
    const gone = new AbortController();
    const result = await tenantTransaction(pool, uuidv7(), async () => 'done', { signal: gone.signal });
    gone.abort();
    await sleep(0);
    expect(result).toBe('done');
    await expect(pool.query('SELECT 1')).resolves.toMatchObject({ rowCount: 1 });
  });

  test("a request's statement has a time of its own, and its end is no trouble of the database", async () => {
    const pool = open({ max: 3, statementTimeoutMs: 50 });
    const sleepLong = async (client: { query(sql: string): Promise<unknown> }) => client.query('SELECT pg_sleep(600)');
    await expect(tenantTransaction(pool, uuidv7(), sleepLong)).rejects.toMatchObject({
      code: 'TIMEOUT',
      statusCode: 503,
    });
    await expect(tenantTransaction(pool, uuidv7(), sleepLong, { own: true })).rejects.toMatchObject({
      code: 'DEPENDENCY_TIMEOUT',
    });
    const shown = await tenantTransaction(open(), uuidv7(), (client) => client.query('SHOW statement_timeout'));
    expect(shown.rows).toEqual([{ statement_timeout: '10s' }]);
  });
});
