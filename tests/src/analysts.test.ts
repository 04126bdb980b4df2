import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { freePort } from '@worktide/backends';
import { createClickHouse } from '@worktide/clickhouse';
import { silentLogger } from '@worktide/runtime';
import { call, expectStatus, until } from '@worktide/testing';
import { makeAgentKey, type Person, ping, post, register, yesterdayNoon } from './support/people.ts';
import { type Product, startProduct, temporaryFolder } from './support/product.ts';

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let product: Product;
let clickhousePort: number;

beforeAll(async () => {
  folder = await temporaryFolder();
  clickhousePort = await freePort();
  product = await startProduct(folder.dir, { WORKTIDE_CLICKHOUSE_PORT: String(clickhousePort) });
}, 120_000);
afterAll(async () => {
  await product?.process.stop();
  await folder?.remove();
});

/** Somebody with a minute of work in an app. */
async function worker(app: string): Promise<Person> {
  const person = await register(product.url);
  const { key } = await makeAgentKey(product.url, person);
  await post(product.url, key, ping(app, { at: yesterdayNoon(), seconds: 60 }));
  return person;
}

const query = async (person: Person, sql: string) =>
  (await call(product.url, 'post', '/api/v1/analytics/query', { bearer: person.accessToken, body: { sql } })).body;

test('what was worked is there for SQL, by API and by an account at the port that was given, across a restart', async () => {
  const [ada, eve] = [await worker('Editor'), await worker('Browser')];
  const sql = 'SELECT app, duration_ms FROM usage';
  for (const [person, app] of [
    [ada, 'Editor'],
    [eve, 'Browser'],
  ] as const) {
    await until('the usage', async () => (await query(person, sql)).rowCount === 1);
    expect((await query(person, sql)).rows).toEqual([[app, 60_000]]);
    await until(
      'the day, summed up',
      async () => (await query(person, 'SELECT work_seconds FROM days')).rows?.[0]?.[0] === 60,
    );
  }

  const path = '/api/v1/analytics/credentials';
  const made = await call(product.url, 'post', path, { bearer: ada.accessToken, body: { name: 'Notebook' } });
  const { id, url, user, password, database } = expectStatus(made, 201);
  expect([url, database]).toEqual([`http://127.0.0.1:${clickhousePort}`, 'worktide_v1']);
  const connection = `http://${user}:${password}@127.0.0.1:${clickhousePort}/${database}`;
  async function ask<T>(text: string): Promise<T[]> {
    const clickhouse = createClickHouse(connection, { log: silentLogger() });
    try {
      return await clickhouse.query<T>(text);
    } finally {
      await clickhouse.close();
    }
  }
  expect(await ask('SELECT app FROM usage')).toEqual([{ app: 'Editor' }]);
  await expect(ask('SELECT * FROM worktide.usage')).rejects.toThrow();
  await product.process.restart();
  expect(await ask('SELECT app, active_seconds FROM app_days')).toEqual([{ app: 'Editor', active_seconds: 60 }]);
  expectStatus(await call(product.url, 'delete', `${path}/${id}`, { bearer: ada.accessToken }), 204);
  await expect(ask('SELECT app FROM usage')).rejects.toThrow();

  // Who asked what is in the trail.
  const actions = await until('the trail', async () => {
    const { items } = (await call(product.url, 'get', '/api/v1/audit?limit=500', { bearer: ada.accessToken })).body;
    const found = (items as { action: string }[])
      .map(({ action }) => action)
      .filter((name) => name.startsWith('analytics.'));
    return found.includes('analytics.account-deleted') && found;
  });
  expect(new Set(actions)).toEqual(
    new Set(['analytics.queried', 'analytics.account-created', 'analytics.account-deleted']),
  );
}, 180_000);
