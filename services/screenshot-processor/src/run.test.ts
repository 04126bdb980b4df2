import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { backend, freshServiceDatabase, type TestDatabase } from '@worktide/backends';
import { openEventLog } from '@worktide/event-log';
import { openObjectStore } from '@worktide/object-store';
import {
  createLifecycle,
  createMetrics,
  httpOptions,
  loadConfig,
  type Metrics,
  serve,
  silentLogger,
  uuidv7,
} from '@worktide/runtime';
import {
  allTopics,
  createCodec,
  openSchemaRegistry,
  organizationSettings,
  type ScreenshotRecord,
  topics,
  uploadKey,
} from '@worktide/schemas';
import { call, type StubAuth, startStubAuth, until } from '@worktide/testing';
import { configSchema, database, run } from './index.ts';
import { detailLeft, signingSecret, textPicture } from './testing.ts';

/** The service as `main.ts` runs it, beside an auth that has the routes services ask, and no more. */
const log = silentLogger();
const user = {
  id: uuidv7(),
  organizationId: uuidv7(),
  name: 'Ada',
  role: 'employee' as const,
  timezone: 'Asia/Kathmandu',
  status: 'active' as const,
};
let db: TestDatabase;
let folder: string;
let auth: StubAuth;

beforeAll(async () => {
  db = await freshServiceDatabase(database);
  folder = await mkdtemp(join(tmpdir(), 'screenshots-run-'));
  const organization = {
    id: user.organizationId,
    timezone: 'UTC',
    subscriptionStatus: 'pro' as const,
    settings: { ...organizationSettings.parse({}), minimumBlurLevel: 2 },
  };
  auth = await startStubAuth({ organizations: [organization] });
});
afterAll(async () => {
  auth?.close();
  await db?.drop();
  await rm(folder, { recursive: true, force: true });
});

const health = (url: string, of = 'ready') => call(url, 'GET', `/health/${of}`);
const ask = (url: string, method: string, path: string) =>
  call(url, method, `/api/v1${path}`, { bearer: auth.tokenOf(user) });

async function start(more: Record<string, string> = {}) {
  const lifecycle = createLifecycle({ log });
  const metrics: Metrics = createMetrics();
  const config = loadConfig(configSchema, {
    HOST: '127.0.0.1',
    PORT: '0',
    POSTGRES_URL: db.url,
    EVENT_LOG_URL: `lmdb:${join(folder, 'log')}`,
    AUTH_URL: auth.url,
    INTERNAL_TOKEN: 'internal-token-of-tests-0123456789abcdef',
    OBJECT_STORE_URL: `file:${join(folder, 'objects')}`,
    OBJECT_SIGNING_SECRET: signingSecret,
    ...more,
  });
  const service = await run(config, { lifecycle, log, metrics });
  // As where the gateway serves the same links on the same port.
  const services = [service, { name: 'gateway', routes: [], rawRoutes: service.rawRoutes ?? [], checks: {} }];
  const { url } = await serve({ services, lifecycle, log, metrics, ...httpOptions(config) });
  return { url, lifecycle, metrics };
}

describe('the configuration', () => {
  test('every problem is told at once', () => {
    const bad = { POSTGRES_URL: 'mysql://x', INTERNAL_TOKEN: 'short', PORT: 'x', SCREENSHOT_CONCURRENCY: '0' };
    expect(() => loadConfig(configSchema, bad)).toThrow(
      /PORT[\s\S]*POSTGRES_URL[\s\S]*EVENT_LOG_URL[\s\S]*AUTH_URL[\s\S]*INTERNAL_TOKEN[\s\S]*OBJECT_STORE_URL[\s\S]*SCREENSHOT_CONCURRENCY/,
    );
  });

  test('a folder needs a secret to sign with, S3 does not', async () => {
    await expect(start({ OBJECT_SIGNING_SECRET: '' })).rejects.toThrow(/OBJECT_SIGNING_SECRET/);
    const { lifecycle } = await start({
      OBJECT_SIGNING_SECRET: '',
      OBJECT_STORE_URL: 's3://key:secret@bucket?region=us-east-1',
    });
    await lifecycle.close();
  });
});

test('starts while everything else is away: alive, not ready, 503, and closes in order', async () => {
  const { url, lifecycle } = await start({
    POSTGRES_URL: 'postgres://nobody:secret@127.0.0.1:9/none',
    AUTH_URL: 'http://127.0.0.1:9',
    KEY_VALUE_URL: 'redis://127.0.0.1:9',
    SCHEMA_REGISTRY_URL: 'http://127.0.0.1:9',
    EVENT_LOG_URL: 'kafka://127.0.0.1:9',
    OBJECT_STORE_URL: 's3://key:secret@bucket?endpoint=http://127.0.0.1:9&region=us-east-1&pathStyle=true',
  });
  expect((await health(url, 'live')).status).toBe(200);
  const down = { status: 'down' };
  expect(await health(url)).toMatchObject({
    status: 503,
    body: {
      dependencies: {
        postgres: down,
        auth: down,
        'schema registry': down,
        'object store': down,
        'screenshots consumer': down,
      },
    },
  });
  expect((await ask(url, 'GET', '/screenshots')).status).toBe(503);
  expect(await lifecycle.close()).toBe(true);
}, 30_000);

test.each(['file', 's3'])(
  'from an upload to a picture, on %s; a clean stop leaves a clean outbox',
  async (kind) => {
    const metrics = createMetrics();
    const eventLog = openEventLog(`lmdb:${join(folder, 'log')}`, { clientId: 'test', log, metrics });
    // A part of the bucket of its own.
    const storeUrl = kind === 's3' ? `${await backend('s3')}&prefix=${uuidv7()}/` : `file:${join(folder, 'objects')}`;
    const store = openObjectStore(storeUrl, { log, metrics });
    try {
      await eventLog.admin.ensureTopics(allTopics());
      const codec = createCodec(openSchemaRegistry('local:'), topics.screenshots);
      await codec.prepare();
      const { url, lifecycle } = await start({ OBJECT_STORE_URL: storeUrl });
      await until('it is ready', async () => (await health(url)).status === 200);

      const picture = await textPicture();
      const screenshotId = uuidv7();
      const { organizationId, id: userId } = user;
      const record: ScreenshotRecord = {
        organizationId,
        userId,
        screenshotId,
        objectKey: uploadKey(organizationId, userId, screenshotId),
        contentType: 'image/png',
        size: picture.length,
        capturedAt: Date.now(),
        receivedAt: Date.now(),
        timeEntryId: null,
        blurLevel: 0,
        metadata: null,
      };
      await store.put(record.objectKey, picture, { contentType: 'image/png' });
      const producer = eventLog.producer();
      await producer.send('screenshots', [{ key: userId, value: codec.encode(record) }]);
      await until(
        'it is ready',
        async () => (await ask(url, 'GET', `/screenshots/${screenshotId}`)).body.status === 'ready',
      );
      const { body } = await ask(url, 'GET', `/screenshots?status=ready`);
      expect(body.items[0]).toMatchObject({ id: screenshotId, blurLevel: 2 });
      for (const link of [body.items[0].url, body.items[0].thumbnailUrl]) {
        const response = await fetch(new URL(link, url));
        expect(response.status).toBe(200);
        expect(await detailLeft(Buffer.from(await response.arrayBuffer()), picture)).toBeLessThan(0.08);
        // The same link is not good for anything else.
        expect((await fetch(new URL(link, url), { method: 'DELETE' })).ok).toBe(false);
      }
      const keysOf = async () => (await store.list('', { limit: 10 })).items.map(({ key }) => key);
      await until('the upload is gone', async () => (await keysOf()).length === 2);
      expect(await keysOf()).toEqual([expect.stringMatching(/^screenshots\//), expect.stringMatching(/-thumbnail$/)]);

      expect((await ask(url, 'DELETE', `/screenshots/${screenshotId}`)).status).toBe(204);
      await until('the objects are gone', async () => (await keysOf()).length === 0);
      expect(await lifecycle.close()).toBe(true);
      const { rows } = await db.admin.query('SELECT count(*)::int AS n FROM screenshots.outbox');
      expect(rows).toEqual([{ n: 0 }]);
    } finally {
      await store.close();
      await eventLog.close();
    }
  },
  60_000,
);

test('the OpenAPI document has every route, each once, and the links’', async () => {
  const { url, lifecycle } = await start();
  const { paths } = (await (await fetch(`${url}/api/docs/openapi.json`)).json()) as { paths: Record<string, object> };
  const operations = Object.entries(paths).flatMap(([path, item]) => Object.keys(item).map((m) => `${m} ${path}`));
  expect(operations.sort()).toEqual([
    'delete /api/v1/screenshots/{id}',
    'get /api/v1/screenshots',
    'get /api/v1/screenshots/{id}',
    'get /objects/{key}',
  ]);
  await lifecycle.close();
});
