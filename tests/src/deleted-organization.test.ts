import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { call, expectStatus, until } from '@worktide/testing';
import pg from 'pg';
import {
  appsReport,
  makeAgentKey,
  type Person,
  ping,
  post,
  register,
  usageOf,
  yesterdayNoon,
} from './support/people.ts';
import { type Product, postgresUrlOf, startProduct, temporaryFolder } from './support/product.ts';
import { settled, uploadScreenshot } from './support/screenshots.ts';

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let product: Product;
let admin: pg.Client;

beforeAll(async () => {
  folder = await temporaryFolder();
  product = await startProduct(folder.dir);
  admin = new pg.Client({ connectionString: await postgresUrlOf(product) });
  await admin.connect();
}, 120_000);
afterAll(async () => {
  await admin?.end();
  await product?.process.stop();
  await folder?.remove();
});

/** Somebody's organisation with one of everything. */
async function company(): Promise<Person & { key: string }> {
  const { url } = product;
  const person = await register(url);
  const { key } = await makeAgentKey(url, person);
  await post(url, key, ping('Editor', { at: yesterdayNoon(), seconds: 60 }));
  const make = async (where: string, body: object) =>
    expectStatus(await call(url, 'post', `/api/v1${where}`, { bearer: person.accessToken, body }), 201);
  const { id: projectId } = await make('/projects', { name: 'P' });
  await make(`/projects/${projectId}/teams`, { name: 'T' });
  await make('/webhooks', { url: 'https://receiver.invalid/', events: ['task.created'] });
  await make('/tasks', { projectId, title: 'T' });
  await make('/time-entries', { projectId });
  const minute = { minute: new Date(yesterdayNoon()).toISOString(), keyboardClicks: 1, mouseMovements: 1 };
  expectStatus(await call(url, 'post', '/api/v1/activity', { bearer: key, body: minute }), 202);
  await settled(url, person.accessToken, await uploadScreenshot(url, key, 'picture'));
  await until('the report', async () => Object.keys(await appsReport(url, person.accessToken)).length === 1);
  const asked = { report: 'usage', format: 'csv', from: '2026-01-01T00:00:00Z', to: '2030-01-01T00:00:00Z' };
  const exporting = await call(url, 'post', '/api/v1/reports/exports', { bearer: person.accessToken, body: asked });
  const { exportId } = expectStatus(exporting, 202);
  const link = await until('the export', async () => {
    const found = await call(url, 'get', `/api/v1/reports/exports/${exportId}`, { bearer: person.accessToken });
    return found.body?.url as string | undefined;
  });
  const file = await fetch(link);
  expect([file.status, (await file.text()).split('\r\n').length]).toEqual([200, 3]);
  await until('it was told, and its systems were tried', async () => {
    const rows = await rowsOf(person.organizationId);
    const told = ['notifications', 'known_tasks', 'known_teams', 'webhook_deliveries', 'webhook_turns'];
    return told.every((table) => rows[`realtime.${table}`] !== undefined);
  });
  return { ...person, key };
}

/** Rows of an organisation by table, in whatever schema. */
async function rowsOf(organizationId: string): Promise<Record<string, number>> {
  const { rows: tables } = await admin.query<{ name: string }>(
    `SELECT c.table_schema || '.' || c.table_name AS name FROM information_schema.columns c
     JOIN information_schema.tables t USING (table_schema, table_name)
     WHERE c.column_name = 'organization_id' AND t.table_type = 'BASE TABLE' ORDER BY 1`,
  );
  const counts: Record<string, number> = {};
  for (const { name } of tables) {
    const { rows } = await admin.query(`SELECT count(*)::int AS n FROM ${name} WHERE organization_id = $1`, [
      organizationId,
    ]);
    if (rows[0].n > 0) counts[name] = rows[0].n;
  }
  return counts;
}

test('of an organisation whose deletion is due nothing is left, and of another one everything', async () => {
  const [gone, stays] = [await company(), await company()];
  const { url } = product;
  expect(Object.keys(await rowsOf(gone.organizationId)).length).toBeGreaterThan(12);
  const before = await rowsOf(stays.organizationId);
  const password = { bearer: gone.accessToken, body: { password: gone.password } };
  expectStatus(await call(url, 'post', '/api/v1/organization/deletion', password), 200);
  await admin.query('UPDATE auth.organizations SET deletion_at = now() WHERE id = $1', [gone.organizationId]);

  await until(
    'nobody is in',
    async () => (await call(url, 'get', '/api/v1/auth/me', { bearer: gone.accessToken })).status === 401,
  );
  await until('the key is out', async () => {
    const late = { bearer: gone.key, body: ping('Late') };
    return (await call(url, 'post', '/api/v1/pings', late)).status === 401;
  });
  // What stays says that nothing is to come back, and for a while that its people are out, which pictures are gone, and that
  // nothing is counted of them.
  const expected = [
    'agent_protocols.deleted_organizations',
    'auth.revocations',
    'realtime.deleted_organizations',
    'screenshots.deleted_organizations',
    'screenshots.screenshots',
    'screenshots.stored_bytes',
    'tracking.deleted_organizations',
    'workspace.deleted_organizations',
  ];
  await until(
    'all of it is erased',
    async () => {
      const left = Object.keys(await rowsOf(gone.organizationId));
      if (JSON.stringify(left) !== JSON.stringify(expected)) throw new Error(`there is still ${left.join(', ')}`);
      return true;
    },
    { seconds: 60 },
  );
  const objects = path.join(product.data, 'objects');
  await until('the pictures, too', async () => {
    const files = await readdir(objects, { recursive: true, withFileTypes: true });
    return !files.some((file) => file.isFile() && file.parentPath.includes(gone.organizationId));
  });
  const { rows } = await admin.query(
    'SELECT count(*)::int AS n FROM tracking.usage_entries e WHERE NOT EXISTS (SELECT 1 FROM tracking.streams s WHERE s.id = e.stream_id)',
  );
  expect(rows).toEqual([{ n: 0 }]);

  expect(await rowsOf(stays.organizationId)).toEqual(before);
  expect(await usageOf(url, stays.accessToken)).toHaveLength(1);
  expect(Object.keys(await appsReport(url, stays.accessToken))).toHaveLength(1);
  const again = { email: gone.email, password: 'x'.repeat(12), name: 'N', organizationName: 'O' };
  expectStatus(await call(url, 'post', '/api/v1/auth/register', { body: again }), 201);
}, 180_000);
