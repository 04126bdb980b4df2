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

/** As long as this is held nothing of the person is brought. */
async function holdBack({ organizationId, userId }: Person): Promise<() => Promise<void>> {
  const client = await imports.pool.connect();
  const lock = `heartbeats ${organizationId} ${userId}`;
  await client.query('SELECT pg_advisory_lock(hashtextextended($1, 0))', [lock]);
  return async () => {
    await client.query('SELECT pg_advisory_unlock(hashtextextended($1, 0))', [lock]);
    client.release();
  };
}

test('while large files have all places, a small one has its own', async () => {
  const large = windows(200);
  const smallBytes = large.size - 1;
  imports = await startImports(database.url, folder, lifecycle, { pace: { smallBytes } });
  const [big, little] = [imports.person(), imports.person()];
  const id = await ready(big, large);
  const goOn = await holdBack(big);
  await ask(big, 'post', id, '/start');
  await reaches(big, id, 'running');
  await ready(little, windows(1));
  // In the try that it was in.
  const tries = await imports.pool.query(
    'SELECT status, attempts, postponed FROM agent_protocols.imports WHERE id = $1',
    [id],
  );
  expect(tries.rows).toEqual([{ status: 'running', attempts: 1, postponed: 0 }]);
  await goOn();
  await reaches(big, id, 'done');
});

test('an import makes way for those of others that wait, and goes on where it was', async () => {
  const pace = { smallBytes: 0, rowsAtOnce: 5, turnMs: 0 };
  imports = await startImports(database.url, folder, lifecycle, { pace });
  const [first, second] = [imports.person(), imports.person()];
  const id = await ready(first, windows(203));
  const goOn = await holdBack(first);
  await ask(first, 'post', id, '/start');
  await reaches(first, id, 'running');
  const other = await post(second, windows(1));
  await goOn();
  await reaches(second, other, 'ready');
  await reaches(first, id, 'done');
  expect((await ask(first, 'get', id)).body.result).toMatchObject({ added: 203, alreadyThere: 0 });
  const { rows } = await imports.pool.query(
    'SELECT organization_id AS id FROM agent_protocols.import_turns WHERE organization_id = ANY($1) ORDER BY begun_at',
    [[first.organizationId, second.organizationId]],
  );
  // The first was begun with again, after the second.
  expect(rows).toEqual([{ id: second.organizationId }, { id: first.organizationId }]);
});
