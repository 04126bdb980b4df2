import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { backend, freshServiceDatabase, type TestDatabase } from '@worktide/backends';
import { openObjectStore } from '@worktide/object-store';
import { tablesWithoutTenantPolicy } from '@worktide/postgres';
import { createLifecycle, createMetrics, type Lifecycle, silentLogger, uuidv7 } from '@worktide/runtime';
import type { ImportRecord } from '@worktide/schemas';
import { call, until } from '@worktide/testing';
import { database as serviceDatabase } from '../database.ts';
import { bring, ClaimLost } from './bring.ts';
import { claimImport } from './claims.ts';
import { fileKeyOf } from './keys.ts';
import { importMetrics } from './metrics.ts';
import { noteOutcome } from './outcomes.ts';
import { createImportSweep, eraseImports } from './sweep.ts';
import { startImports, type TestImports } from './testing.ts';

const log = silentLogger();
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
});
afterEach(async () => {
  await lifecycle.close();
  await database.admin.query(
    'TRUNCATE agent_protocols.imports, agent_protocols.imported_content, agent_protocols.import_outcomes',
  );
  await rm(folder, { recursive: true, force: true });
});

async function start(options: Parameters<typeof startImports>[3] = {}): Promise<void> {
  lifecycle = createLifecycle({ log });
  imports = await startImports(database.url, folder, lifecycle, options);
}

const first = Math.floor(Date.now() / 86_400_000) * 86_400_000 - 200 * 86_400_000;
const events = (from: number, count: number): object[] =>
  Array.from({ length: count }, (_, i) => ({
    timestamp: new Date(first + (from + i) * 60_000).toISOString(),
    duration: 60,
    data: { app: `A ${from + i}` },
  }));
const activityWatch = (all: object[], host = 'desk'): Blob =>
  new Blob([JSON.stringify({ buckets: { w: { type: 'currentwindow', client: 'w', hostname: host, events: all } } })]);
const header = 'User,Email,Start date,Start time,End date,End time,Duration,Description';
const toggl = (...hours: number[]): Blob =>
  new Blob([
    [header, ...hours.map((h) => `Me,,2026-01-15,${h}:00,2026-01-15,${h + 1}:00,1:00:00,Hour ${h}`)].join('\n'),
  ]);

type Person = ReturnType<TestImports['person']>;
const ask = (person: Person, method: string, id: string, rest = '') =>
  call(imports.url, method, `/api/v1/imports/${id}${rest}`, { bearer: person.header.slice('Bearer '.length) });
const shown = async (person: Person, id: string) => (await ask(person, 'get', id)).body;
const reaches = (person: Person, id: string, status: string) =>
  until(`it is ${status}`, async () => {
    const job = await shown(person, id);
    return job.status === status && job;
  });
async function ready(person: Person, kind: string, file: Blob, fields: Record<string, string> = {}): Promise<string> {
  const { body } = await imports.post(person.header, { kind, ...fields }, file);
  await reaches(person, body.importId as string, 'ready');
  return body.importId as string;
}
const objects = async (): Promise<string[]> => {
  const files = await readdir(path.join(folder, 'objects'), { recursive: true, withFileTypes: true }).catch(() => []);
  return files.filter((one) => one.isFile()).map(({ name }) => name);
};
const appsOf = (records: readonly ImportRecord[]): string[] =>
  records.flatMap(({ what }) => (what.type === 'pings' ? what.pings.map(({ app }) => app) : []));

test('every table has a policy for its tenants', async () => {
  await start();
  expect(await tablesWithoutTenantPolicy(database.admin, 'agent_protocols')).toEqual([]);
});

test('whatever is refused says why and leaves nothing', async () => {
  await start({ env: { IMPORT_MAX_BYTES: 10_000 } });
  const person = imports.person();
  const file = activityWatch(events(0, 1));
  const refusals: [number, string, Record<string, string>, Blob | undefined][] = [
    [400, 'FILE_MISSING', { kind: 'activitywatch' }, undefined],
    [400, 'EMPTY_FILE', { kind: 'activitywatch' }, new Blob([])],
    [400, 'VALIDATION_FAILED', {}, file],
    [400, 'VALIDATION_FAILED', { kind: 'excel' }, file],
    [400, 'VALIDATION_FAILED', { kind: 'clockify', timezone: 'Mars/Olympus' }, file],
    [400, 'TIMEZONE_REQUIRED', { kind: 'toggl' }, toggl(9)],
    [413, 'BODY_TOO_LARGE', { kind: 'activitywatch' }, new Blob(['x'.repeat(10_001)])],
  ];
  for (const [status, code, fields, blob] of refusals) {
    expect(await imports.post(person.header, fields, blob)).toMatchObject({ status, body: { code } });
  }
  expect((await imports.post('Bearer nobody', { kind: 'toggl' }, file)).status).toBe(401);
  const agent = imports.person({ sessionId: undefined as never, agentKeyId: uuidv7() });
  expect((await imports.post(agent.header, { kind: 'activitywatch' }, file)).status).toBe(403);
  expect(await objects()).toEqual([]);
  const { rows } = await imports.pool.query('SELECT count(*)::int AS n FROM agent_protocols.imports');
  expect(rows).toEqual([{ n: 0 }]);
});

test('five may wait of a person, one runs; a deleted one makes room', async () => {
  await start({ pace: { pollMs: 50 } });
  const person = imports.person();
  const ids: string[] = [];
  for (let n = 0; n < 5; n++) ids.push(await ready(person, 'activitywatch', activityWatch(events(n, 1))));
  const one = activityWatch(events(9, 1));
  expect(await imports.post(person.header, { kind: 'activitywatch' }, one)).toMatchObject({
    status: 429,
    body: { code: 'TOO_MANY_IMPORTS' },
  });
  expect(await objects()).toHaveLength(5);
  // Its outcome never comes here, so that it runs for ever.
  expect((await ask(person, 'delete', ids[0]!)).status).toBe(204);
  const entries = await ready(person, 'toggl', toggl(9), { timezone: 'UTC' });
  expect((await ask(person, 'post', entries, '/start')).status).toBe(202);
  await until('all of it is on the log', async () => (await imports.records()).length === 1);
  expect(await ask(person, 'post', ids[1]!, '/start')).toMatchObject({ status: 409, body: { code: 'IMPORT_RUNNING' } });
  expect((await ask(person, 'post', entries, '/start')).body.status).toBe('running');
});

test('entries are settled by their outcomes; what was a conflict may be brought again', async () => {
  await start();
  const person = imports.person();
  const { organizationId, userId } = person;
  const id = await ready(person, 'toggl', toggl(9, 11, 13), { timezone: 'UTC' });
  await ask(person, 'post', id, '/start');
  const [record] = await until('it is on the log', async () => {
    const all = await imports.records();
    return all.length > 0 && all;
  });
  expect(record).toMatchObject({
    organizationId,
    userId,
    importId: id,
    actorId: userId,
    what: { type: 'entries', part: 0 },
  });
  const { entries } = record!.what as ImportRecord['what'] & { type: 'entries' };
  expect(entries.map(({ index, description }) => [index, description])).toEqual([
    [1, 'Hour 9'],
    [2, 'Hour 11'],
    [3, 'Hour 13'],
  ]);
  const { index, idempotencyKey } = entries[1]!;
  const conflicts = [{ index, idempotencyKey, reason: 'overlap' as const, conflictsWith: uuidv7() }];
  const outcome = { organizationId, userId, importId: id, part: 0, created: 2, skipped: 0, conflicts };
  await noteOutcome(imports.pool, outcome);
  // Again, and for a part that is somebody else's.
  await noteOutcome(imports.pool, outcome);
  await noteOutcome(imports.pool, { ...outcome, importId: uuidv7() });
  await until('it is done', async () => (await shown(person, id)).status === 'done');
  expect((await shown(person, id)).result).toEqual({
    added: 2,
    alreadyThere: 0,
    refused: 1,
    problems: [{ code: 'OVERLAP', message: expect.any(String), count: 1, rows: [2] }],
  });

  const again = await ready(person, 'toggl', toggl(9, 11, 13), { timezone: 'UTC' });
  await ask(person, 'post', again, '/start');
  await until('what is new of it', async () => (await imports.records()).length === 2);
  const brought = (await imports.records()).find(({ importId }) => importId === again)!;
  expect(brought.what).toMatchObject({ entries: [{ index: 2 }] });

  // Two entries of each import and person are told apart by the keys of the import.
  expect((await ask(person, 'delete', id)).status).toBe(204);
  expect((await ask(person, 'get', id)).status).toBe(404);
  await until('whoever has it is told', async () =>
    (await imports.records()).some(({ importId, what }) => importId === id && what.type === 'removed'),
  );
});

test('long texts are divided among records that the log takes', async () => {
  await start();
  const person = imports.person();
  // Each character takes six bytes of JSON.
  const long = '\u0001'.repeat(1_900);
  const lines = Array.from(
    { length: 120 },
    (_, i) =>
      `Me,,2026-01-${String(1 + (i % 28)).padStart(2, '0')},${9 + Math.floor(i / 28)}:00,,,0:30:00,"${long} ${i}"`,
  );
  const id = await ready(person, 'toggl', new Blob([[header, ...lines].join('\n')]), { timezone: 'UTC' });
  await ask(person, 'post', id, '/start');
  const parts = await until('all of it is on the log', async () => {
    const all = (await imports.records()).flatMap(({ what }) => (what.type === 'entries' ? [what] : []));
    return all.reduce((sum, { entries }) => sum + entries.length, 0) === 120 && all;
  });
  expect(parts.map(({ part }) => part).sort((a, b) => a - b)).toEqual([...parts.keys()]);
  expect(parts.length).toBeGreaterThan(2);
});

describe('work', () => {
  test('who has lost it brings nothing more', async () => {
    await start({ pace: { pollMs: 3_600_000 } });
    const person = imports.person();
    const { body } = await imports.post(person.header, { kind: 'activitywatch' }, activityWatch(events(0, 10)));
    const id = body.importId as string;
    await reaches(person, id, 'ready');
    await imports.pool.query(
      `UPDATE agent_protocols.imports SET status = 'running', started_at = now(), due_at = now() WHERE id = $1`,
      [id],
    );
    const claim = (await claimImport(imports.pool, 60_000))!;
    const deps = { pool: imports.pool, outbox: imports.outbox, codec: imports.codec };
    const rows = { judged: [], position: 3, plan: claim.plan!, before: { position: 0, parts: 0, problems: [] } };
    await bring(deps, claim, rows);
    await imports.pool.query('UPDATE agent_protocols.imports SET due_at = now()');
    expect(await claimImport(imports.pool, 60_000)).toMatchObject({ id, position: 3 });
    await expect(bring(deps, claim, rows)).rejects.toThrow(ClaimLost);
  });

  test('a killed process leaves an import that another one ends, all of it there once', async () => {
    const bucket = await backend('s3');
    await start({ env: { OBJECT_STORE_URL: bucket }, pace: { rowsAtOnce: 5, leaseMs: 600 } });
    const person = imports.person();
    const id = await ready(person, 'activitywatch', activityWatch(events(0, 203)));
    await ask(person, 'post', id, '/start');
    await until('some of it is brought', async () => (await shown(person, id)).result.added > 0);
    // Nothing is given back: as if it had been killed.
    await imports.pool.query('UPDATE agent_protocols.imports SET lease = gen_random_uuid() WHERE lease IS NOT NULL');
    const job = await reaches(person, id, 'done');
    expect(job.result).toMatchObject({ added: 203, alreadyThere: 0 });
    const apps = appsOf(
      await until('all of it is on the log', async () => {
        const all = await imports.records();
        return new Set(appsOf(all)).size === 203 && all;
      }),
    );
    expect(apps).toHaveLength(203);
    const store = openObjectStore(bucket, { log, metrics: createMetrics() });
    const key = fileKeyOf(person.organizationId, id);
    await until('the file is gone', async () => (await store.head(key)) === undefined);
    await store.close();
  });

  test('a file that is gone, or none of its kind, fails for good and says so', async () => {
    await start();
    const person = imports.person();
    const { body } = await imports.post(person.header, { kind: 'wakatime' }, activityWatch(events(0, 1)));
    const job = await reaches(person, body.importId as string, 'failed');
    expect(job.failure).toMatchObject({ code: 'NOT_THIS_KIND' });
    const id = await ready(person, 'activitywatch', activityWatch(events(0, 1)));
    const store = openObjectStore(`file:${folder}/objects`, { log, metrics: createMetrics() });
    await store.delete(fileKeyOf(person.organizationId, id));
    await ask(person, 'post', id, '/start');
    const lost = await reaches(person, id, 'failed');
    expect(lost.failure).toMatchObject({ code: 'FILE_GONE' });
    expect((await ask(person, 'delete', id)).status).toBe(204);
  });

  test('what was not started goes with its file, what was taken out with what is known of it, and an organisation with all', async () => {
    await start();
    const person = imports.person();
    const sweep = createImportSweep({
      pool: imports.pool,
      store: openObjectStore(`file:${folder}/objects`, { log, metrics: createMetrics() }),
      log,
      metrics: importMetrics(createMetrics()),
      graceMs: 0,
    });
    const idle = await ready(person, 'activitywatch', activityWatch(events(0, 2)));
    const done = await ready(person, 'activitywatch', activityWatch(events(5, 2)));
    await ask(person, 'post', done, '/start');
    await reaches(person, done, 'done');
    await ask(person, 'delete', done);
    await imports.pool.query('UPDATE agent_protocols.imports SET expires_at = now() WHERE id = $1', [idle]);
    await sweep();
    const left = async (table: string): Promise<number> =>
      (await imports.pool.query(`SELECT count(*)::int AS n FROM agent_protocols.${table}`)).rows[0]!.n;
    expect([await left('imports'), await left('imported_content'), (await objects()).length]).toEqual([1, 0, 0]);
    const other = imports.person();
    await ready(other, 'activitywatch', activityWatch(events(0, 2)));
    const store = openObjectStore(`file:${folder}/objects`, { log, metrics: createMetrics() });
    await eraseImports({ pool: imports.pool, store }, person.organizationId);
    expect([await left('imports'), (await objects()).length]).toEqual([1, 1]);
    await eraseImports({ pool: imports.pool, store }, other.organizationId);
    expect([await left('imports'), (await objects()).length]).toEqual([0, 0]);
  });
});
