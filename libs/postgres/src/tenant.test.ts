import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { freshDatabase } from '@worktide/backends';
import { silentLogger, uuidv7 } from '@worktide/runtime';
import {
  createPool,
  type Pool,
  prepareServiceDatabase,
  type Queryable,
  tablesWithoutTenantPolicy,
  tenantTransaction,
  transaction,
} from './index.ts';

const tenant = 'worktide_test_tenants_tenant';
const asks = "(SELECT nullif(current_setting('worktide.organization_id', true), '')::uuid)";
const migration = `
  CREATE TABLE things (organization_id uuid NOT NULL, name text NOT NULL);
  ALTER TABLE things ENABLE ROW LEVEL SECURITY;
  CREATE POLICY tenant ON things USING (organization_id = ${asks});
  CREATE TABLE ours (n int);
  GRANT SELECT, INSERT, UPDATE, DELETE ON things TO ${tenant};
  GRANT SELECT, INSERT, UPDATE, DELETE ON outbox TO ${tenant};`;

let database: Awaited<ReturnType<typeof freshDatabase>>;
let folder: string;
let url: string;
let pool: Pool;
const one = uuidv7();
const other = uuidv7();
const open = (more: { max?: number; statementTimeoutMs?: number } = {}): Pool =>
  createPool(url, { applicationName: 'tenant-test', log: silentLogger(), ...more });

beforeAll(async () => {
  database = await freshDatabase();
  folder = await mkdtemp(join(tmpdir(), 'worktide-tenants-'));
  await writeFile(join(folder, '0001_things.sql'), migration);
  url = await prepareServiceDatabase({
    adminUrl: database.adminUrl,
    database: { schema: 'shop', role: 'worktide_test_tenants', folder, outbox: true },
    password: 'secret',
    log: silentLogger(),
  });
  // One connection: whatever stays on it, the next use sees.
  pool = open({ max: 1 });
});
afterAll(async () => {
  await pool?.end();
  await database.drop();
  await rm(folder, { recursive: true });
});
beforeEach(async () => {
  await pool.query('DELETE FROM things');
  await pool.query("INSERT INTO things VALUES ($1, 'a'), ($1, 'b'), ($2, 'c')", [one, other]);
});

const names = async (client: Queryable): Promise<string[]> =>
  (await client.query('SELECT name FROM things ORDER BY name')).rows.map(({ name }) => name);
const whoAmI = async (client: Queryable) =>
  (
    await client.query(
      `SELECT current_user::text AS who, coalesce(current_setting('worktide.organization_id', true), '') AS organization,
         current_setting('search_path') AS path`,
    )
  ).rows[0];
const owner = { who: 'worktide_test_tenants', organization: '', path: 'shop, public' };

describe('tenantTransaction', () => {
  test('sees the rows of its organisation alone, the owner sees all', async () => {
    expect(await tenantTransaction(pool, one, names)).toEqual(['a', 'b']);
    expect(await tenantTransaction(pool, other.toUpperCase(), names)).toEqual(['c']);
    expect(await tenantTransaction(pool, uuidv7(), names)).toEqual([]);
    expect(await transaction(pool, names)).toEqual(['a', 'b', 'c']);
    expect(await tenantTransaction(pool, one, whoAmI)).toEqual({ ...owner, who: tenant, organization: one });
  });

  test('changes and deletes nothing of another, however a statement is written', async () => {
    await tenantTransaction(pool, one, async (client) => {
      await client.query("UPDATE things SET name = name || '!'");
      await client.query("DELETE FROM things WHERE name = 'a!' OR organization_id <> $1", [one]);
      await client.query("INSERT INTO things VALUES ($1, 'new')", [one]);
    });
    expect(await names(pool)).toEqual(['b!', 'c', 'new']);
  });

  test('a row for another organisation is refused, is no trouble of the database, and undoes the whole', async () => {
    for (const sql of ['INSERT INTO things VALUES ($1, $2)', 'UPDATE things SET organization_id = $1, name = $2']) {
      const refused = tenantTransaction(pool, one, async (client) => {
        await client.query("INSERT INTO things VALUES ($1, 'undone')", [one]);
        await client.query(sql, [other, 'smuggled']);
      });
      await expect(refused).rejects.toMatchObject({
        code: '42501',
        message: expect.stringMatching(/row-level security/),
      });
    }
    expect(await names(pool)).toEqual(['a', 'b', 'c']);
    expect(await whoAmI(pool)).toEqual(owner);
  });

  test('tables without a grant are not there for it, nor is TRUNCATE, which no policy governs', async () => {
    for (const sql of ['SELECT * FROM ours', 'SELECT * FROM migrations', 'TRUNCATE things', 'CREATE TABLE mine ()']) {
      const refused = tenantTransaction(pool, one, (client) => client.query(sql));
      await expect(refused).rejects.toMatchObject({ code: 'DEPENDENCY_UNAVAILABLE', cause: { code: '42501' } });
    }
  });

  test('the tenant role without an organisation sees nothing and writes nothing', async () => {
    const bare = <T>(fn: (client: Queryable) => Promise<T>): Promise<T> =>
      transaction(pool, async (client) => {
        await client.query(`SET LOCAL ROLE ${tenant}`);
        return fn(client);
      });
    // Never set on this connection, and set once before: NULL and the empty text.
    const fresh = open({ max: 1 });
    const never = await transaction(fresh, async (client) => {
      await client.query(`SET LOCAL ROLE ${tenant}`);
      return names(client);
    });
    await fresh.end();
    expect(never).toEqual([]);
    await tenantTransaction(pool, one, names);
    expect(await bare(names)).toEqual([]);
    const insert = bare((client) => client.query("INSERT INTO things VALUES ($1, 'x')", [one]));
    await expect(insert).rejects.toMatchObject({ code: '42501' });
  });

  test.each([
    ['a commit', async () => {}],
    [
      'an error of its own',
      async () => {
        throw new Error('no');
      },
    ],
    ['an error of the database', (client: Queryable) => client.query('SELECT 1 / 0').then(() => {})],
    ['a swallowed one', (client: Queryable) => client.query('SELECT 1 / 0').then(undefined, () => {})],
    [
      'a setting that is changed within',
      async (client: Queryable) => {
        await client.query("SELECT set_config('worktide.organization_id', $1, true)", [other]);
      },
    ],
  ])('role and setting are gone on the next use of the connection, after %s', async (_how, fn) => {
    const pid = async (): Promise<number> => (await pool.query('SELECT pg_backend_pid() AS pid')).rows[0].pid;
    const before = await pid();
    await tenantTransaction(pool, one, async (client) => {
      await names(client);
      await fn(client);
    }).catch(() => {});
    expect(await pid()).toBe(before);
    expect(await whoAmI(pool)).toEqual(owner);
    expect(await transaction(pool, whoAmI)).toEqual(owner);
    expect(await names(pool)).toEqual(['a', 'b', 'c']);
  });

  test("the pool's statement timeout holds, and so it does for what follows", async () => {
    const strict = open({ max: 1, statementTimeoutMs: 50 });
    const shown = await tenantTransaction(strict, one, (client) => client.query('SHOW statement_timeout'));
    expect(shown.rows).toEqual([{ statement_timeout: '50ms' }]);
    const slow = tenantTransaction(strict, one, (client) => client.query('SELECT pg_sleep(5)'));
    await expect(slow).rejects.toMatchObject({ code: 'TIMEOUT', statusCode: 503 });
    expect(await whoAmI(strict)).toEqual(owner);
    expect((await strict.query('SHOW statement_timeout')).rows).toEqual([{ statement_timeout: '30s' }]);
    await strict.end();
  });

  test('with a lock, one after the other, and each sees what the one before has committed', async () => {
    const shared = open({ max: 4 });
    const seen: string[][] = [];
    const add = (lock: string, name: string) =>
      tenantTransaction(
        shared,
        one,
        async (client) => {
          seen.push(await names(client));
          await client.query('INSERT INTO things VALUES ($1, $2)', [one, name]);
        },
        { own: true, lock },
      );
    const lock = "it's \\ one";
    await Promise.all(['x', 'x', 'x'].map((name) => add(lock, name)));
    expect(seen.map((found) => found.length)).toEqual([2, 3, 4]);
    // Held to the end, and not beyond it.
    await add(lock, 'x');
    await shared.end();
  });

  test('a deadlock or serialization failure is run again, as the same tenant', async () => {
    let runs = 0;
    const result = await tenantTransaction(pool, one, async (client) => {
      if (++runs < 3) await client.query("DO $$ BEGIN RAISE EXCEPTION 'again' USING ERRCODE = '40001'; END $$");
      return names(client);
    });
    expect([runs, result]).toEqual([3, ['a', 'b']]);
  });

  test.each([
    "' OR true --",
    `${one}'; RESET ROLE; --`,
    `${one}\n`,
    `${one}', true); SELECT set_config('role', 'none`,
    '',
    'x',
    one.replaceAll('-', ''),
  ])('what is no UUID is rejected before anything reaches the database: %j', async (text) => {
    let ran = false;
    const refused = tenantTransaction(pool, text, async () => {
      ran = true;
    });
    await expect(refused).rejects.toThrow(TypeError);
    expect(ran).toBe(false);
    expect(await whoAmI(pool)).toEqual(owner);
  });

  test('a database whose migrations have yet to make the role is 503', async () => {
    const admin = createPool(database.adminUrl, { applicationName: 'tenant-test', log: silentLogger() });
    await expect(tenantTransaction(admin, one, names)).rejects.toMatchObject({ code: 'DEPENDENCY_UNAVAILABLE' });
    await admin.end();
  });
});

describe('tablesWithoutTenantPolicy', () => {
  /** What it finds with this DDL, which is undone. */
  async function found(sql: string): Promise<string[]> {
    const client = await pool.connect();
    try {
      await client.query(`BEGIN; ${sql}`);
      return await tablesWithoutTenantPolicy(client, 'shop');
    } finally {
      await client.query('ROLLBACK');
      client.release();
    }
  }

  test('nothing where every grant has its policy; the outbox is let pass', async () => {
    expect(await found('')).toEqual([]);
    expect(
      await found(`CREATE VIEW v WITH (security_invoker = true) AS TABLE ours; GRANT SELECT ON v TO ${tenant}`),
    ).toEqual([]);
  });

  const grant = (what: string, on = 'ours'): string => `GRANT ${what} ON ${on} TO ${tenant}`;
  test.each([
    [grant('SELECT'), 'ours: no row security'],
    [grant('SELECT (n)'), 'ours: no row security'],
    ['GRANT SELECT ON ours TO PUBLIC', 'ours: no row security'],
    [`ALTER TABLE ours ENABLE ROW LEVEL SECURITY; ${grant('INSERT')}`, 'ours: no policy'],
    [
      `ALTER TABLE ours ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON ours USING (true); ${grant('SELECT')}`,
      'ours: a policy that does not ask for the organisation',
    ],
    [
      'CREATE POLICY leak ON things FOR INSERT WITH CHECK (true)',
      'things: a policy that does not ask for the organisation',
    ],
    ['ALTER TABLE things DISABLE ROW LEVEL SECURITY', 'things: no row security'],
    [grant('TRUNCATE', 'things'), 'things: a privilege that no policy governs'],
    [grant('REFERENCES (name)', 'things'), 'things: a privilege that no policy governs'],
    [`CREATE VIEW v AS TABLE things; ${grant('SELECT', 'v')}`, 'v: a view that reads as its owner'],
    [`CREATE MATERIALIZED VIEW m AS TABLE things; ${grant('SELECT', 'm')}`, 'm: not a table: it knows no policies'],
  ])('%s', async (sql, problem) => {
    expect(await found(sql)).toEqual([problem]);
  });

  test('where nothing is granted, nothing was checked', async () => {
    await expect(tablesWithoutTenantPolicy(pool, 'nowhere')).rejects.toThrow(/nowhere/);
  });
});
