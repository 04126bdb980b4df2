import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { freshClickHouseDatabase } from '@worktide/backends';
import { type ClickHouse, createClickHouse, migrateClickHouse } from '@worktide/clickhouse';
import { silentLogger } from '@worktide/runtime';
import { migrationsFolder } from '../index.ts';
import { deletionsInClickHouse, eraseOrganization } from './erase-organization.ts';

let database: Awaited<ReturnType<typeof freshClickHouseDatabase>>;
let clickhouse: ClickHouse;

beforeAll(async () => {
  database = await freshClickHouseDatabase();
  clickhouse = createClickHouse(database.url, { log: silentLogger() });
  await migrateClickHouse(database.url, migrationsFolder, { log: silentLogger() });
});
afterAll(async () => {
  await clickhouse?.close();
  await database?.drop();
});

test('what is stored of an organisation is erased, also what came late, and nothing of another', async () => {
  const [gone, stays] = [randomUUID(), randomUUID()];
  // All that there are, so that a new one is not forgotten: who did what stays, and that they are gone.
  const kept = ['audit', 'deleted_organizations', 'migrations'];
  const all = await clickhouse.query<{ name: string }>(
    "SELECT name FROM system.tables WHERE database = currentDatabase() AND engine != 'View'",
  );
  const tables = all.map(({ name }) => name).filter((name) => !kept.includes(name));
  const fill = async () => {
    for (const table of tables) {
      for (const organizationId of [gone, stays]) {
        // Young enough for the TTL of pings.
        const times = table === 'pings' ? ['started_at', 'ended_at', 'received_at'] : [];
        const columns = ['organization_id', ...times].join(', ');
        const values = ['{organizationId:UUID}', ...times.map(() => 'now64(3)')].join(', ');
        await clickhouse.command(`INSERT INTO ${table} (${columns}) SELECT ${values}`, { params: { organizationId } });
      }
    }
  };
  const counts = async (organizationId: string) =>
    Object.fromEntries(
      await Promise.all(
        tables.map(async (table) => {
          const sql = `SELECT count() AS n FROM ${table} WHERE organization_id = {organizationId:UUID}`;
          const [row] = await clickhouse.query<{ n: number | string }>(sql, { params: { organizationId } });
          return [table, Number(row!.n) > 0];
        }),
      ),
    );
  const every = (there: boolean) => Object.fromEntries(tables.map((table) => [table, there]));
  for (let round = 0; round < 2; round++) {
    await fill();
    await eraseOrganization(clickhouse, gone);
    expect(await counts(gone)).toEqual(every(false));
    expect(await counts(stays)).toEqual(every(true));
  }
  await eraseOrganization(clickhouse, randomUUID());
});

test('which are to be erased is remembered until it is done', async () => {
  const deletions = deletionsInClickHouse(clickhouse);
  const ids = [randomUUID(), randomUUID()];
  await deletions.add(ids);
  await deletions.add(ids);
  expect((await deletions.due()).sort()).toEqual([...ids].sort());
  await deletions.done(ids[0]!);
  expect(await deletions.due()).toEqual([ids[1]]);
  await deletions.add(ids);
  expect(await deletions.due()).toEqual([ids[1]]);
});
