import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { freshServiceDatabase, type TestDatabase } from '@worktide/backends';
import { openObjectStore } from '@worktide/object-store';
import { createLifecycle, createMetrics, type Lifecycle, silentLogger } from '@worktide/runtime';
import { createCodec, type ErasuresRecord, noPrivacyRules, openSchemaRegistry, topics } from '@worktide/schemas';
import { call, until } from '@worktide/testing';
import { database as serviceDatabase } from '../database.ts';
import { eraseTime } from '../store/erasures.ts';
import { durations } from '../wakatime/durations.ts';
import { takeHeartbeats } from '../wakatime/take.ts';
import { importMetrics } from './metrics.ts';
import { createImportSweep } from './sweep.ts';
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
  await rm(folder, { recursive: true, force: true });
});

type Person = ReturnType<TestImports['person']>;
const ask = (person: Person, method: string, id: string, rest = '') =>
  call(imports.url, method, `/api/v1/imports/${id}${rest}`, { bearer: person.header.slice('Bearer '.length) });
async function reaches(person: Person, id: string, status: string) {
  return until(`it is ${status}`, async () => {
    const { body } = await ask(person, 'get', id);
    return body.status === status && body;
  });
}
async function ready(person: Person, kind: string, file: Blob): Promise<string> {
  const { body } = await imports.post(person.header, { kind }, file);
  await reaches(person, body.importId as string, 'ready');
  return body.importId as string;
}
async function done(person: Person, id: string): Promise<void> {
  expect((await ask(person, 'post', id, '/start')).status).toBe(202);
  await reaches(person, id, 'done');
}
const today = Math.floor(Date.now() / dayMs) * dayMs;
const windows = (...events: object[]): Blob =>
  new Blob([JSON.stringify({ buckets: { w: { type: 'currentwindow', client: 'w', hostname: 'desk', events } } })]);
const event = (at: number, app: string, seconds = 60): object => ({
  timestamp: new Date(at).toISOString(),
  duration: seconds,
  data: { app, title: 't' },
});

test('all that was brought is taken out, also what the rules did not let be kept when the file was looked at', async () => {
  imports = await startImports(database.url, folder, lifecycle);
  const person = imports.person();
  imports.rules.privacy = { ...noPrivacyRules, rules: [{ id: 'k', kind: 'drop', apps: ['Kee*'] }] };
  const [first, last] = [today - 90 * dayMs, today - 10 * dayMs];
  const id = await ready(
    person,
    'activitywatch',
    windows(event(first, 'Kee'), event(today - 40 * dayMs, 'A'), event(last, 'Kee', 3 * 86_400)),
  );
  expect((await ask(person, 'get', id)).body.preview.usable).toBe(1);
  delete imports.rules.privacy;
  await done(person, id);
  expect((await ask(person, 'delete', id)).status).toBe(204);
  const all = await until('whoever has it is told', async () => {
    const records = await imports.records();
    return records.some(({ what }) => what.type === 'removed') && records;
  });
  const removed = all.flatMap(({ what }) => (what.type === 'removed' ? [what] : []));
  const brought = all.flatMap(({ what }) => (what.type === 'pings' ? what.pings : []));
  expect(removed).toHaveLength(1);
  const { from, to, devices } = removed[0]!;
  expect(brought.map(({ startedAt }) => startedAt)).toEqual(expect.arrayContaining([first, last]));
  for (const { startedAt, endedAt, deviceId } of brought) {
    expect(devices).toContain(deviceId);
    expect(from).toBeLessThanOrEqual(startedAt);
    expect(to).toBeGreaterThanOrEqual(endedAt);
  }
});

test('what a plugin sends stays when an import with the same heartbeats goes, sent before or after', async () => {
  imports = await startImports(database.url, folder, lifecycle);
  const person = imports.person({ deviceId: 'laptop' });
  const { organizationId, userId } = person;
  const beats = [0, 60, 120, 180].map((seconds) => ({
    entity: 'a.js',
    type: 'file',
    time: (today - 2 * dayMs) / 1000 + seconds,
    project: 'p',
    is_write: false,
    editor: 'Vim',
    machine: 'm',
  }));
  const send = async (): Promise<void> => {
    const registry = openSchemaRegistry('local:');
    const pings = createCodec(registry, topics.pings);
    const deps = { pool: imports.pool, outbox: imports.outbox, pings, privacy: imports.privacy };
    const sending = { caller: person, values: beats, sender: { userAgent: null, machine: null } };
    await takeHeartbeats(deps, organizationId, [sending]);
  };
  const bring = async (): Promise<string> => {
    const id = await ready(
      person,
      'wakatime',
      new Blob([JSON.stringify({ days: [{ date: 'x', heartbeats: beats }] })]),
    );
    await done(person, id);
    return id;
  };
  const devices = async (): Promise<Record<string, number>> => {
    const { rows } = await imports.pool.query<{ device: string; n: number }>(
      `SELECT device_id AS device, count(*)::int AS n FROM agent_protocols.heartbeats
       WHERE organization_id = $1 AND user_id = $2 GROUP BY 1`,
      [organizationId, userId],
    );
    return Object.fromEntries(rows.map(({ device, n }) => [device.startsWith('import:') ? 'import' : device, n]));
  };
  /** As topic `erasures` says it, once the import is taken out. */
  const takeOut = async (id: string): Promise<void> => {
    expect((await ask(person, 'delete', id)).status).toBe(204);
    const what = await until('it is told', async () =>
      (await imports.records())
        .map((one) => one.importId === id && one.what)
        .find((one) => one && one.type === 'removed'),
    );
    if (what?.type !== 'removed') throw new Error('nothing is taken out');
    const ranges = what.devices.map((deviceId) => ({ deviceId, from: what.from, to: what.to }));
    await eraseTime(imports.pool, { organizationId, userId, ranges } as ErasuresRecord);
  };

  const first = await bring();
  expect(await devices()).toEqual({ import: 4 });
  await send();
  expect(await devices()).toEqual({ import: 4, laptop: 4 });
  // Time is what lies between instants: it is there once.
  const day = { date: 'd', start: today - 2 * dayMs, end: today - dayMs };
  const spent = async () =>
    (await durations(imports.pool, person, { days: [day] })).map(({ project, ms }) => [project, ms]);
  expect(await spent()).toEqual([['p', 180_000]]);
  await takeOut(first);
  expect(await devices()).toEqual({ laptop: 4 });
  expect(await spent()).toEqual([['p', 180_000]]);

  // The other way round: what is there already is not there twice.
  const second = await bring();
  expect(await devices()).toEqual({ laptop: 4 });
  await takeOut(second);
  expect(await devices()).toEqual({ laptop: 4 });
});

test('the file of what is taken out goes at once, and counts for as long as it is there', async () => {
  const [one, other] = [windows(event(today, 'A')), windows(event(today, 'B'))];
  imports = await startImports(database.url, folder, lifecycle, { env: { IMPORT_MAX_STORED_BYTES: one.size } });
  const person = imports.person();
  const files = async (): Promise<number> => {
    const all = await readdir(path.join(folder, 'objects'), { recursive: true, withFileTypes: true });
    return all.filter((file) => file.isFile()).length;
  };
  const post = (file: Blob) => imports.post(person.header, { kind: 'activitywatch' }, file);
  const rows = async (): Promise<number> => {
    const found = await imports.pool.query(
      'SELECT count(*)::int AS n FROM agent_protocols.imports WHERE organization_id = $1',
      [person.organizationId],
    );
    return found.rows[0]!.n;
  };
  const id = await ready(person, 'activitywatch', one);
  expect((await ask(person, 'delete', id)).status).toBe(204);
  expect([await files(), await rows()]).toEqual([0, 0]);

  // What cannot be deleted: a folder stands where the file is.
  const stuck = await ready(person, 'activitywatch', one);
  const file = (await readdir(path.join(folder, 'objects'), { recursive: true })).find((name) => name.endsWith(stuck))!;
  const place = path.join(folder, 'objects', file);
  await rm(place);
  await mkdir(path.join(place, 'x'), { recursive: true });
  expect((await ask(person, 'delete', stuck)).status).toBe(204);
  expect((await ask(person, 'get', stuck)).status).toBe(404);
  expect(await post(other)).toMatchObject({ status: 429, body: { code: 'TOO_MANY_IMPORTS' } });
  await rm(place, { recursive: true });
  const store = openObjectStore(`file:${folder}/objects`, { log, metrics: createMetrics() });
  await createImportSweep({ pool: imports.pool, store, log, metrics: importMetrics(createMetrics()) })();
  await store.close();
  expect(await rows()).toBe(0);
  expect((await post(other)).status).toBe(202);
});
