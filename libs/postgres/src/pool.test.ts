import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { freshDatabase } from '@worktide/backends';
import { silentLogger, sleep } from '@worktide/runtime';
import { checkPostgres, createPool, type Pool, transaction, violatedConstraint } from './index.ts';

let database: Awaited<ReturnType<typeof freshDatabase>>;
let pool: Pool;
const open = (url: string, options: { max?: number; statementTimeoutMs?: number } = {}): Pool =>
  createPool(url, { applicationName: 'pool-test', log: silentLogger(), ...options });

beforeAll(async () => {
  database = await freshDatabase();
  pool = open(database.adminUrl);
  await pool.query('CREATE TABLE things (id int PRIMARY KEY, n bigint NOT NULL)');
});
afterAll(async () => {
  await pool.end();
  await database.drop();
});

const late = { code: 'DEPENDENCY_TIMEOUT', statusCode: 503 };
const away = { code: 'DEPENDENCY_UNAVAILABLE', statusCode: 503 };

describe('pool', () => {
  test('int8 comes back as an exact number, and never as a rounded one', async () => {
    const { rows } = await pool.query('SELECT 1763683200000000::bigint AS v, ARRAY[1, NULL, 3]::bigint[] AS list');
    expect(rows[0]).toEqual({ v: 1763683200000000, list: [1, null, 3] });
    await expect(pool.query('SELECT 9007199254740993::bigint')).rejects.toThrow(/not exact/);
  });

  test('a database that is not there is 503 for queries, transactions and readiness', async () => {
    const dead = open('postgres://nobody:nothing@127.0.0.1:9/none');
    await expect(dead.query('SELECT 1')).rejects.toMatchObject(away);
    await expect(transaction(dead, (client) => client.query('SELECT 1'))).rejects.toMatchObject(away);
    await expect(checkPostgres(dead)()).rejects.toMatchObject(away);
    await dead.end();
  });

  test('readiness answers 503 where every connection is busy for longer than its patience', async () => {
    const small = open(database.adminUrl, { max: 1 });
    const client = await small.connect();
    await expect(checkPostgres(small)()).rejects.toMatchObject(away);
    client.release();
    await expect(checkPostgres(small)()).resolves.toBeUndefined();
    await small.end();
  });

  test('connections ended by the server are survived, idle or in use', async () => {
    const other = open(database.adminUrl, { max: 2 });
    const killed = transaction(other, async (client) => {
      const { rows } = await client.query('SELECT pg_backend_pid() AS pid');
      await pool.query('SELECT pg_terminate_backend($1)', [rows[0].pid]);
      return client.query('SELECT 1');
    });
    await expect(killed).rejects.toMatchObject(away);
    const { rows } = await other.query('SELECT pg_backend_pid() AS pid');
    await pool.query('SELECT pg_terminate_backend($1)', [rows[0].pid]);
    for (const until = Date.now() + 5_000; other.totalCount > 0 && Date.now() < until; ) await sleep(10);
    await expect(other.query('SELECT 1')).resolves.toMatchObject({ rowCount: 1 });
    await other.end();
  });
});

describe('transaction', () => {
  test('commits what the function did and gives its result', async () => {
    const result = await transaction(pool, async (client) => {
      await client.query('INSERT INTO things VALUES (1, 10)');
      return 'done';
    });
    expect(result).toBe('done');
    expect((await pool.query('SELECT n FROM things WHERE id = 1')).rows).toEqual([{ n: 10 }]);
  });

  test('an error rolls back and comes through as it is, the connection is good for the next', async () => {
    const failing = transaction(pool, async (client) => {
      await client.query('INSERT INTO things VALUES (2, 1)');
      await client.query('INSERT INTO things VALUES (1, 1)');
    });
    const error = await failing.catch((e: unknown) => e);
    expect(violatedConstraint(error)).toBe('things_pkey');
    expect((await pool.query('SELECT 1 FROM things WHERE id = 2')).rowCount).toBe(0);
    expect(pool.waitingCount).toBe(0);
  });

  test('a swallowed database error is not taken for a commit', async () => {
    const swallowed = transaction(pool, async (client) => {
      await client.query('INSERT INTO things VALUES (3, 1)');
      await client.query('SELECT 1 / 0').catch(() => {});
    });
    await expect(swallowed).rejects.toMatchObject({ code: 'INTERNAL' });
  });

  test('a deadlock is run again until both have gone through', async () => {
    await pool.query('INSERT INTO things VALUES (11, 0), (12, 0)');
    let runs = 0;
    const bump = (first: number, second: number): Promise<void> =>
      transaction(pool, async (client) => {
        await client.query('UPDATE things SET n = n + 1 WHERE id = $1', [first]);
        runs++;
        // Both hold one row before either asks for the other, on the first attempt.
        for (const until = Date.now() + 1_000; runs < 2 && Date.now() < until; ) await sleep(5);
        await client.query('UPDATE things SET n = n + 1 WHERE id = $1', [second]);
      });
    await Promise.all([bump(11, 12), bump(12, 11)]);
    expect(runs).toBeGreaterThan(2);
    const { rows } = await pool.query('SELECT n FROM things WHERE id IN (11, 12)');
    expect(rows).toEqual([{ n: 2 }, { n: 2 }]);
  });

  test('a serialization failure that never ends is 503 after five attempts', async () => {
    let runs = 0;
    const hopeless = transaction(pool, async (client) => {
      runs++;
      await client.query("DO $$ BEGIN RAISE EXCEPTION 'again' USING ERRCODE = '40001'; END $$");
    });
    await expect(hopeless).rejects.toMatchObject(away);
    expect(runs).toBe(5);
  });

  test.each([
    ['a column that a migration has yet to make', 'SELECT missing FROM things', away],
    ['a function likewise', 'SELECT missing()', away],
    ['memory that does not suffice for it', "DO $$ BEGIN RAISE 'no' USING ERRCODE = '53200'; END $$", late],
    ['text that is no number', "SELECT 'x'::int", { code: '22P02' }],
    ['a check that says no', "DO $$ BEGIN RAISE 'no' USING ERRCODE = '23514'; END $$", { code: '23514' }],
    ['wrong SQL', 'SELEC', { code: '42601' }],
  ])('only what may succeed later is 503: %s', async (_what, sql, expected) => {
    await expect(transaction(pool, (client) => client.query(sql))).rejects.toMatchObject(expected);
    await expect(pool.query(sql)).rejects.toMatchObject(expected);
  });

  test('whatever keeps a connection from coming about is 503', async () => {
    const url = new URL(database.adminUrl);
    url.searchParams.set('sslmode', 'require');
    const untrusting = open(url.href);
    await expect(transaction(untrusting, (client) => client.query('SELECT 1'))).rejects.toMatchObject(away);
    await expect(untrusting.query('SELECT 1')).rejects.toMatchObject(away);
    await untrusting.end();
  });

  test('a statement past its time is ended by the server, and the setting does not stay on the connection', async () => {
    const strict = open(database.adminUrl, { max: 1, statementTimeoutMs: 50 });
    await expect(transaction(strict, (client) => client.query('SELECT pg_sleep(5)'))).rejects.toMatchObject(late);
    await strict.query('SELECT 1');
    const { rows } = await strict.query('SHOW statement_timeout');
    expect(rows[0].statement_timeout).toBe('0');
    await strict.end();
  });
});
