import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { freshServiceDatabase, type TestDatabase } from '@worktide/backends';
import { createPool, type Pool, tablesWithoutTenantPolicy, tenantTransaction } from '@worktide/postgres';
import { silentLogger } from '@worktide/runtime';
import { createExport } from './exports/store.ts';
import { database } from './index.ts';

let db: TestDatabase;
let pool: Pool;
beforeAll(async () => {
  db = await freshServiceDatabase(database);
  pool = createPool(db.url, { applicationName: 'test', log: silentLogger() });
});
afterAll(async () => {
  await pool?.end();
  await db?.drop();
});

describe('the database itself keeps organisations apart', () => {
  test('every table that requests reach has a policy', async () => {
    expect(await tablesWithoutTenantPolicy(db.admin, 'analytics')).toEqual([]);
  });

  test('a query that asks for no organisation sees one, and none writes into another', async () => {
    const [ours, theirs] = [randomUUID(), randomUUID()];
    for (const organizationId of [ours, theirs]) {
      const asked = { report: 'audit' } as const;
      await createExport(pool, { organizationId, userId: randomUUID(), asked, format: 'csv' }, { maxStoredBytes: 1 });
    }
    const { rows } = await tenantTransaction(pool, ours, (client) =>
      client.query('SELECT organization_id FROM analytics.exports'),
    );
    expect(rows).toEqual([{ organization_id: ours }]);
    const move = tenantTransaction(pool, ours, (client) =>
      client.query('UPDATE analytics.exports SET organization_id = $1', [theirs]),
    );
    await expect(move).rejects.toMatchObject({ code: '42501' });
  });

  test('whose turn it was is nothing for requests', async () => {
    const read = tenantTransaction(pool, randomUUID(), (client) =>
      client.query('SELECT * FROM analytics.export_turns'),
    );
    await expect(read).rejects.toMatchObject({ cause: { code: '42501' } });
  });
});
