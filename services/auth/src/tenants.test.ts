import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createPool, type Pool, tablesWithoutTenantPolicy, tenantTransaction } from '@worktide/postgres';
import { silentLogger } from '@worktide/runtime';
import { authDatabase, type Running, signUp, startAuth, type TestDatabase } from './testing.ts';

let database: TestDatabase;
let auth: Running;
let pool: Pool;
beforeAll(async () => {
  database = await authDatabase();
  auth = await startAuth(database.url);
  pool = createPool(database.url, { applicationName: 'auth-test', log: silentLogger() });
});
afterAll(async () => {
  await pool?.end();
  await auth?.close();
  await database?.drop();
});

describe('the database itself keeps organisations apart', () => {
  test('every table that requests reach has a policy', async () => {
    expect(await tablesWithoutTenantPolicy(database.admin, 'auth')).toEqual([]);
  });

  test.each(['users', 'sessions'])('%s: a query that asks for no organisation sees one', async (table) => {
    const { organization } = await signUp(auth);
    await signUp(auth);
    const { rows } = await tenantTransaction(pool, organization.id, (client) =>
      client.query(`SELECT organization_id FROM auth.${table}`),
    );
    expect(rows).toEqual([{ organization_id: organization.id }]);
  });

  test('what waits in the outbox, of all organisations, cannot be read there', async () => {
    const { organization } = await signUp(auth);
    const read = tenantTransaction(pool, organization.id, (client) => client.query('SELECT events FROM auth.outbox'));
    await expect(read).rejects.toMatchObject({ cause: { code: '42501' } });
  });
});
