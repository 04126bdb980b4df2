import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { freshServiceDatabase, type TestDatabase } from '@worktide/backends';
import { createLifecycle, type Lifecycle, silentLogger } from '@worktide/runtime';
import { call, until } from '@worktide/testing';
import { database as serviceDatabase } from '../database.ts';
import { listImports } from './store.ts';
import { startImports, type TestImports } from './testing.ts';

const log = silentLogger();
const dayMs = 86_400_000;
let database: TestDatabase;
let folder: string;
let lifecycle: Lifecycle;
let imports: TestImports;
beforeAll(async () => {
  database = await freshServiceDatabase(serviceDatabase);
});
afterAll(() => database?.drop());
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'imports-'));
  lifecycle = createLifecycle({ log });
});
afterEach(async () => {
  await lifecycle.close();
  await database.admin.query('TRUNCATE agent_protocols.imports, agent_protocols.imported_content');
  await rm(folder, { recursive: true, force: true });
});

type Person = ReturnType<TestImports['person']>;
const ask = (person: Person, method: string, id: string, rest = '') =>
  call(imports.url, method, path.posix.join('/api/v1/imports', id, rest), {
    bearer: person.header.slice('Bearer '.length),
  });
const statusOf = async (person: Person, id: string): Promise<string> => (await ask(person, 'get', id)).body.status;
const reaches = (person: Person, id: string, status: string) =>
  until(`it is ${status}`, async () => (await statusOf(person, id)) === status);
async function post(person: Person, file: Blob): Promise<string> {
  const { body } = await imports.post(person.header, { kind: 'activitywatch' }, file);
  return body.importId as string;
}
async function ready(person: Person, file: Blob): Promise<string> {
  const id = await post(person, file);
  await reaches(person, id, 'ready');
  return id;
}
const today = Math.floor(Date.now() / dayMs) * dayMs;
const windows = (count: number, others = 0): Blob => {
  const events = Array.from({ length: count }, (_, i) => ({
    timestamp: new Date(today - dayMs + i * 60_000).toISOString(),
    duration: 60,
    data: { app: `A ${i}` },
  }));
  const bucket = { type: 'currentwindow', client: 'w', hostname: 'desk', events };
  const more = Array.from({ length: others }, (_, i) => [`b ${i}`, { ...bucket, type: '€'.repeat(256), events: [] }]);
  return new Blob([JSON.stringify({ buckets: { w: bucket, ...Object.fromEntries(more) } })]);
};

test('what an import goes by is read for no list, and its buckets are let go of once its file is', async () => {
  imports = await startImports(database.url, folder, lifecycle);
  const person = imports.person();
  const id = await ready(person, windows(2, 50));
  const planOf = async () =>
    (await imports.pool.query('SELECT plan FROM agent_protocols.imports WHERE id = $1', [id])).rows[0]!.plan;
  expect(Object.keys((await planOf()).buckets)).toHaveLength(51);
  const asked = { userId: null, status: undefined, cursor: undefined, limit: 10 };
  const { signal } = new AbortController();
  const { rows } = await listImports(imports.pool, person.organizationId, asked, { signal });
  expect(rows).toMatchObject([{ id, status: 'ready' }]);
  expect(rows[0]).not.toHaveProperty('plan');
  await ask(person, 'post', id, '/start');
  await reaches(person, id, 'done');
  expect(await planOf()).toMatchObject({ buckets: {}, devices: ['desk'], rows: 2 });
});

test('who asks for lists over and over is told to wait', async () => {
  imports = await startImports(database.url, folder, lifecycle, { reads: 2 });
  const [person, other] = [imports.person(), imports.person()];
  const list = async (one: Person): Promise<number> => (await ask(one, 'get', '')).status;
  expect([await list(person), await list(person), await list(person)]).toEqual([200, 200, 429]);
  expect(await list(other)).toBe(200);
});
