import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { openEventLog } from '@worktide/event-log';
import {
  createLifecycle,
  createLogger,
  createMetrics,
  httpOptions,
  loadConfig,
  type Metrics,
  type Role,
  serve,
  silentLogger,
  uuidv7,
} from '@worktide/runtime';
import { allTopics, createCodec, openSchemaRegistry, organizationSettings, topics } from '@worktide/schemas';
import { call, type StubAuth, startStubAuth, until } from '@worktide/testing';
import { configSchema, run } from './index.ts';
import { type TestDatabase, workspaceDatabase } from './testing.ts';

/** The service as `main.ts` runs it, beside an auth that has the routes services ask, and no more. */
const log = silentLogger();
const user = {
  id: uuidv7(),
  organizationId: uuidv7(),
  name: 'Ada',
  role: 'manager' as Role,
  timezone: 'Asia/Kathmandu',
  status: 'active' as const,
};
let database: TestDatabase;
let folder: string;
/** What auth says of it; tests change it before they start the service. */
const organization = {
  id: user.organizationId,
  timezone: 'UTC',
  subscriptionStatus: 'pro' as const,
  settings: organizationSettings.parse({}),
};
let auth: StubAuth;

beforeAll(async () => {
  database = await workspaceDatabase();
  folder = await mkdtemp(join(tmpdir(), 'workspace-'));
  auth = await startStubAuth({ users: [user], organizations: [organization] });
});
afterAll(async () => {
  auth?.close();
  await database?.drop();
  await rm(folder, { recursive: true, force: true });
});

const health = (url: string, of = 'ready') => call(url, 'GET', `/health/${of}`);
const ask = (url: string, method: string, path: string, body?: unknown) =>
  call(url, method, `/api/v1${path}`, { bearer: auth.tokenOf(user), body });

async function start(more: Record<string, string> = {}) {
  const lifecycle = createLifecycle({ log });
  const metrics: Metrics = createMetrics();
  const config = loadConfig(configSchema, {
    HOST: '127.0.0.1',
    PORT: '0',
    POSTGRES_URL: database.url,
    EVENT_LOG_URL: `lmdb:${folder}`,
    AUTH_URL: auth.url,
    INTERNAL_TOKEN: 'internal-token-of-tests-0123456789abcdef',
    ...more,
  });
  const warnings: string[] = [];
  const write = (line: string): void => void warnings.push(JSON.parse(line).msg);
  const heard = createLogger({ service: 'workspace', level: 'warn', destination: { write } });
  const service = await run(config, { lifecycle, log: heard, metrics });
  const { url } = await serve({ services: [service], lifecycle, log, metrics, ...httpOptions(config) });
  return { url, lifecycle, metrics, warnings };
}

test('every problem of the configuration is told at once', () => {
  const bad = { POSTGRES_URL: 'mysql://x', INTERNAL_TOKEN: 'short', PORT: 'x' };
  expect(() => loadConfig(configSchema, bad)).toThrow(
    /PORT[\s\S]*POSTGRES_URL[\s\S]*EVENT_LOG_URL[\s\S]*AUTH_URL[\s\S]*INTERNAL_TOKEN/,
  );
});

test('starts while everything else is away: alive, not ready, 503, and closes in order', async () => {
  const { url, lifecycle } = await start({
    POSTGRES_URL: 'postgres://nobody:secret@127.0.0.1:9/none',
    AUTH_URL: 'http://127.0.0.1:9',
    KEY_VALUE_URL: 'redis://127.0.0.1:9',
    SCHEMA_REGISTRY_URL: 'http://127.0.0.1:9',
  });
  expect((await health(url, 'live')).status).toBe(200);
  expect(await health(url)).toMatchObject({
    status: 503,
    body: {
      dependencies: {
        postgres: { status: 'down' },
        auth: { status: 'down' },
        'schema registry': { status: 'down' },
      },
    },
  });
  expect((await ask(url, 'GET', '/projects')).status).toBe(503);
  expect(await lifecycle.close()).toBe(true);
});

test('with a real credential, from a request to the log; a clean stop leaves a clean outbox', async () => {
  const eventLog = openEventLog(`lmdb:${folder}`, { clientId: 'test', log, metrics: createMetrics() });
  try {
    await eventLog.admin.ensureTopics(allTopics());
    const codec = createCodec(openSchemaRegistry('local:'), topics['workspace-events']);
    await codec.prepare();
    const { url, lifecycle, metrics } = await start();
    await until('it is ready', async () => (await health(url)).status === 200);
    expect((await call(url, 'GET', '/api/v1/projects')).status).toBe(401);

    const project = await ask(url, 'POST', '/projects', { name: 'Apollo' });
    expect(project).toMatchObject({ status: 201, body: { createdBy: user.id } });
    expect(project.headers.get('ratelimit-remaining')).not.toBeNull();
    const task = { projectId: project.body.id, title: 'A task', assigneeId: user.id };
    expect((await ask(url, 'POST', '/tasks', task)).status).toBe(201);
    expect(await ask(url, 'POST', '/tasks', { ...task, assigneeId: uuidv7() })).toMatchObject({
      status: 400,
      body: { code: 'UNKNOWN_USER' },
    });
    expect((await ask(url, 'GET', '/projects/active')).body.items).toEqual([project.body]);
    expect((await metrics.render()).text).toMatch(/worktide_cache_lookups_total\{cache="projects",outcome="miss"\} 1/);

    const read = async (topic: string) => {
      const partitions = Array.from({ length: 12 }, (_, partition) =>
        eventLog.admin.read(topic, { partition, fromOffset: 0, limit: 100 }),
      );
      return (await Promise.all(partitions)).flat();
    };
    await until('two events and two audit records', async () =>
      (await Promise.all([read('workspace-events'), read('audit')])).every((records) => records.length === 2),
    );
    const records = await read('workspace-events');
    expect(records.map(({ key }) => key)).toEqual([user.organizationId, user.organizationId]);
    expect(codec.decode(records[0]!.value)).toMatchObject({ actorId: user.id });
    expect(await lifecycle.close()).toBe(true);
    const { rows } = await database.admin.query('SELECT count(*)::int AS n FROM workspace.outbox');
    expect(rows).toEqual([{ n: 0 }]);
  } finally {
    await eventLog.close();
  }
});

test.each(['organization', 'own'] as const)(
  'the setting taskVisibility comes from auth: %s',
  async (taskVisibility) => {
    organization.settings = organizationSettings.parse({ taskVisibility });
    const { url, lifecycle } = await start();
    const employee = { ...user, id: uuidv7(), role: 'employee' as const };
    const project = await ask(url, 'POST', '/projects', { name: taskVisibility });
    const { id } = (await ask(url, 'POST', '/tasks', { projectId: project.body.id, title: 'A task' })).body;
    const seen = await call(url, 'GET', `/api/v1/tasks/${id}`, { bearer: auth.tokenOf(employee) });
    expect(seen.status).toBe(taskVisibility === 'own' ? 404 : 200);
    expect((await ask(url, 'GET', `/tasks/${id}`)).status).toBe(200);
    expect(await lifecycle.close()).toBe(true);
  },
);

test('a start makes the words of older tasks anew, and a database that comes back later is waited for', async () => {
  const first = await start();
  const project = await ask(first.url, 'POST', '/projects', { name: 'Mercury' });
  const task = await ask(first.url, 'POST', '/tasks', { projectId: project.body.id, title: 'Straße' });
  const age = () =>
    database.admin.query(
      "UPDATE workspace.tasks SET words_form = 1, words = array_to_tsvector(ARRAY['straße']) WHERE id = $1",
      [task.body.id],
    );
  const isFound = async (url: string): Promise<boolean> =>
    (await ask(url, 'GET', '/tasks?search=strasse')).body.items.length === 1;
  expect(await isFound(first.url)).toBe(true);
  await first.lifecycle.close();

  await age();
  const second = await start();
  await until('the task is found', () => isFound(second.url));
  await second.lifecycle.close();

  await age();
  // What the sweep needs is missing at first.
  await database.admin.query('ALTER TABLE workspace.tasks RENAME COLUMN words_form TO words_form_away');
  const third = await start();
  await until('it was tried', () =>
    third.warnings.some((text) => text.startsWith('words of older tasks: not done yet')),
  );
  await database.admin.query('ALTER TABLE workspace.tasks RENAME COLUMN words_form_away TO words_form');
  await until('the task is found', () => isFound(third.url));
  expect(await third.lifecycle.close()).toBe(true);
});

test('Kafka and key-value away: ready, people work on, and what is to be told waits in the outbox', async () => {
  const { url, lifecycle } = await start({
    EVENT_LOG_URL: 'kafka://127.0.0.1:9',
    KEY_VALUE_URL: 'redis://127.0.0.1:9',
  });
  await until('it is ready', async () => (await health(url)).status === 200);
  const { status, body } = await ask(url, 'POST', '/projects', { name: 'Gemini' });
  expect(status).toBe(201);
  const active = await ask(url, 'GET', '/projects/active');
  expect(active.body.items.map(({ id }: { id: string }) => id)).toContain(body.id);
  await lifecycle.close();
  const { rows } = await database.admin.query('SELECT count(*)::int AS n FROM workspace.outbox');
  expect(rows).toEqual([{ n: 1 }]);
});

test('the OpenAPI document has every route, and says who may write projects and teams', async () => {
  const { url, lifecycle } = await start();
  const { paths } = (await (await fetch(`${url}/api/docs/openapi.json`)).json()) as { paths: Record<string, object> };
  const operations = Object.entries(paths).flatMap(([path, item]) => Object.keys(item).map((m) => `${m} ${path}`));
  for (const operation of [
    'get /api/v1/projects/active',
    'post /api/v1/projects/{id}/restore',
    'post /api/v1/projects/{id}/teams',
    'delete /api/v1/teams/{id}/members/{userId}',
    'get /api/v1/tasks/stats',
    'patch /api/v1/tasks/{id}',
    'post /api/v1/tasks/{id}/restore',
  ]) {
    expect(operations).toContain(operation);
  }
  await lifecycle.close();
});
