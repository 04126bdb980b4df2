import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { freshDatabase } from '@worktide/backends';
import { silentLogger } from '@worktide/runtime';
import { createPool, type MigrateOptions, migrate, type Pool } from './index.ts';

let database: Awaited<ReturnType<typeof freshDatabase>>;
let folder: string;
let pools: Pool[];

beforeEach(async () => {
  database = await freshDatabase();
  folder = await mkdtemp(join(tmpdir(), 'worktide-migrations-'));
  pools = [];
  await write('0001_first.sql', 'CREATE TABLE things (id int PRIMARY KEY, owner text DEFAULT current_user);');
});
afterEach(async () => {
  for (const pool of pools) await pool.end();
  await database.drop();
  await rm(folder, { recursive: true });
});

const write = (name: string, sql: string): Promise<void> => writeFile(join(folder, name), sql);
const options = (more: Partial<MigrateOptions> = {}): MigrateOptions => ({
  adminUrl: database.adminUrl,
  service: { schema: 'shop', role: 'worktide_test_shop', password: "it's a secret" },
  folder,
  log: silentLogger(),
  ...more,
});
function asRole(role = 'worktide_test_shop'): Pool {
  const url = new URL(database.adminUrl);
  url.username = role;
  url.password = encodeURIComponent("it's a secret");
  const pool = createPool(url.href, { applicationName: 'migrate-test', log: silentLogger() });
  pools.push(pool);
  return pool;
}

describe('migrate', () => {
  test('applies files once, in order, as the role of the service, which then owns what was made', async () => {
    await write('0002_second.sql', 'ALTER TABLE things ADD n bigint; INSERT INTO things (id, n) VALUES (1, 2);');
    expect(await migrate(options())).toEqual(['0001_first.sql', '0002_second.sql']);
    expect(await migrate(options())).toEqual([]);
    await write('0003_third.sql', 'CREATE INDEX ON things (n);');
    expect(await migrate(options())).toEqual(['0003_third.sql']);
    const pool = asRole();
    expect((await pool.query('SELECT * FROM things')).rows).toEqual([{ id: 1, owner: 'worktide_test_shop', n: 2 }]);
    await pool.query('DROP TABLE things');
  });

  test('a role sees its own schema only, and its sessions have the defaults that a pooler cannot lose', async () => {
    await migrate(options());
    await migrate(options({ service: { schema: 'till', role: 'worktide_test_till', password: "it's a secret" } }));
    const till = asRole('worktide_test_till');
    await expect(till.query('SELECT * FROM shop.things')).rejects.toMatchObject({ code: 'DEPENDENCY_UNAVAILABLE' });
    expect((await till.query('SHOW search_path')).rows[0].search_path).toBe('till, public');
    expect((await till.query('SHOW statement_timeout')).rows[0].statement_timeout).toBe('30s');
  });

  test('the tenant role may do nothing by itself: no log-in, no way round policies, no table but what a file grants', async () => {
    await write('0002_second.sql', 'GRANT SELECT ON things TO worktide_test_shop_tenant;');
    await migrate(options({ outbox: true }));
    const { rows: roles } = await asRole().query(
      `SELECT rolcanlogin, rolsuper, rolbypassrls, rolcreaterole, rolcreatedb FROM pg_roles
       WHERE rolname = 'worktide_test_shop_tenant'`,
    );
    expect(roles.flatMap(Object.values)).toEqual([false, false, false, false, false]);
    const { rows: tables } = await asRole().query(
      `SELECT relname FROM pg_class WHERE relnamespace = 'shop'::regnamespace AND relkind = 'r'
         AND has_table_privilege('worktide_test_shop_tenant', oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE')`,
    );
    expect(tables).toEqual([{ relname: 'things' }]);
    const { rows: may } = await asRole().query(
      `SELECT has_schema_privilege('worktide_test_shop_tenant', 'shop', 'CREATE') AS make,
         pg_has_role('worktide_test_shop_tenant', 'worktide_test_shop', 'MEMBER') AS climb`,
    );
    expect(may).toEqual([{ make: false, climb: false }]);
  });

  test('a role whose tenant role would have too long a name is refused', async () => {
    const service = { schema: 'shop', role: 'r'.repeat(57), password: 'x' };
    await expect(migrate(options({ service }))).rejects.toMatchObject({ code: 'MIGRATION_FAILED' });
  });

  test('several at once apply every file once', async () => {
    await write('0002_second.sql', 'INSERT INTO things (id) VALUES (1);');
    const results = await Promise.all([1, 2, 3, 4].map(() => migrate(options())));
    expect(results.flat().sort()).toEqual(['0001_first.sql', '0002_second.sql']);
    expect((await asRole().query('SELECT count(*) FROM things')).rows).toEqual([{ count: 1 }]);
  });

  test('an applied file that was edited is refused, other line ends are not an edit', async () => {
    await migrate(options());
    await write('0001_first.sql', 'CREATE TABLE things (id int PRIMARY KEY);');
    await expect(migrate(options())).rejects.toMatchObject({ code: 'MIGRATION_EDITED' });
    await write('0001_first.sql', 'CREATE TABLE things (id int PRIMARY KEY, owner text DEFAULT current_user);');
    expect(await migrate(options())).toEqual([]);
  });

  test('a file with a number below an applied one is refused', async () => {
    await write('0003_third.sql', 'SELECT 1;');
    await migrate(options());
    await write('0002_second.sql', 'SELECT 1;');
    await expect(migrate(options())).rejects.toMatchObject({ code: 'MIGRATION_OUT_OF_ORDER' });
  });

  test('a file that fails leaves nothing behind, those before it stay, and it can be mended', async () => {
    await write('0002_second.sql', 'CREATE TABLE more (id int); SELECT 1 / 0;');
    await expect(migrate(options())).rejects.toMatchObject({ code: 'MIGRATION_FAILED' });
    await write('0002_second.sql', 'CREATE TABLE more (id int);');
    expect(await migrate(options())).toEqual(['0002_second.sql']);
  });

  test('the outbox table and extensions come on request, also to a schema that has files already', async () => {
    await migrate(options());
    const more = options({ outbox: true, extensions: ['btree_gist'] });
    expect(await migrate(more)).toEqual(['outbox/0001_outbox.sql', 'outbox/0002_refused.sql']);
    await asRole().query('CREATE TABLE spans (a int, b tstzrange, EXCLUDE USING gist (a WITH =, b WITH &&))');
    expect((await asRole().query('SELECT * FROM outbox')).rows).toEqual([]);
  });

  test('an administrator who is no superuser is enough', async () => {
    const admin = createPool(database.adminUrl, { applicationName: 'migrate-test', log: silentLogger() });
    pools.push(admin);
    const name = (await admin.query('SELECT current_database() AS name')).rows[0].name;
    await admin.query('DROP ROLE IF EXISTS worktide_test_admin, worktide_test_desk, worktide_test_desk_tenant');
    await admin.query("CREATE ROLE worktide_test_admin LOGIN CREATEROLE PASSWORD 'x'");
    await admin.query(`GRANT CREATE ON DATABASE ${name} TO worktide_test_admin`);
    const url = new URL(database.adminUrl);
    url.username = 'worktide_test_admin';
    url.password = 'x';
    const service = { schema: 'desk', role: 'worktide_test_desk', password: "it's a secret" };
    expect(await migrate(options({ adminUrl: url.href, service }))).toEqual(['0001_first.sql']);
    expect(await migrate(options({ adminUrl: url.href, service }))).toEqual([]);
    await admin.query('DROP SCHEMA desk CASCADE');
    const roles = 'worktide_test_admin, worktide_test_desk, worktide_test_desk_tenant';
    await admin.query(`DROP OWNED BY ${roles}`);
    await admin.query(`DROP ROLE ${roles}`);
  });

  test('a database that is away is 503', async () => {
    const nowhere = options({ adminUrl: 'postgres://a:b@127.0.0.1:9/none' });
    await expect(migrate(nowhere)).rejects.toMatchObject({ code: 'DEPENDENCY_UNAVAILABLE' });
  });
});
