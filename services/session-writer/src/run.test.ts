import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { openEventLog } from '@worktide/event-log';
import { createLifecycle, createMetrics, loadConfig, type Service, silentLogger, uuidv7 } from '@worktide/runtime';
import { allTopics, createCodec, openSchemaRegistry, topics, usageRecord } from '@worktide/schemas';
import { until } from '@worktide/testing';
import { configSchema, run } from './index.ts';
import { newStream, stored, type TestDatabase, trackingDatabase } from './testing.ts';

let database: TestDatabase;
let folder: string;
beforeAll(async () => {
  database = await trackingDatabase();
  folder = await mkdtemp(join(tmpdir(), 'session-writer-'));
});
afterAll(async () => {
  await database?.drop();
  await rm(folder, { recursive: true, force: true });
});

const log = silentLogger();
const environment = (more: Record<string, string> = {}) => ({
  POSTGRES_URL: database.url,
  EVENT_LOG_URL: `lmdb:${folder}`,
  // Nobody listens there: auth is away.
  AUTH_URL: 'http://127.0.0.1:9',
  INTERNAL_TOKEN: 'internal-token-of-tests-0123456789abcdef',
  ...more,
});

async function start(more: Record<string, string> = {}) {
  const lifecycle = createLifecycle({ log });
  const service = await run(loadConfig(configSchema, environment(more)), { lifecycle, log, metrics: createMetrics() });
  return { service, lifecycle };
}

async function failing(service: Service): Promise<string[]> {
  const names = await Promise.all(
    Object.entries(service.checks).map(async ([name, check]) => {
      try {
        await check();
        return [];
      } catch {
        return [name];
      }
    }),
  );
  return names.flat();
}

test('every problem of the configuration is told at once', () => {
  const bad = { POSTGRES_URL: 'mysql://x', INTERNAL_TOKEN: 'short', USAGE_RETENTION_MONTHS: '1' };
  expect(() => loadConfig(configSchema, bad)).toThrow(
    /POSTGRES_URL[\s\S]*EVENT_LOG_URL[\s\S]*AUTH_URL[\s\S]*INTERNAL_TOKEN[\s\S]*USAGE_RETENTION_MONTHS/,
  );
});

test('starts while the database and auth are away, says so, and closes in order', async () => {
  const { service, lifecycle } = await start({ POSTGRES_URL: 'postgres://nobody:secret@127.0.0.1:9/none' });
  expect(service.name).toBe('session-writer');
  expect(await failing(service)).toEqual(expect.arrayContaining(['postgres', 'auth']));
  expect(await failing(service)).not.toContain('event log');
  expect(await lifecycle.close()).toBe(true);
});

test('from a record in the log to an entry and its event; a second process goes on where the first stopped', async () => {
  const eventLog = openEventLog(`lmdb:${folder}`, { clientId: 'test', log, metrics: createMetrics() });
  await eventLog.admin.ensureTopics(allTopics());
  const registry = openSchemaRegistry('local:');
  const [pings, usage] = [createCodec(registry, topics.pings), createCodec(registry, topics.usage)];
  await Promise.all([pings.prepare(), usage.prepare()]);
  const stream = newStream();
  const producer = eventLog.producer();
  const at = Date.now() - 60_000;
  const send = (from: number, to: number) => {
    const ping = { id: uuidv7(), startedAt: at + from, endedAt: at + to, app: 'Code', host: null, state: 'active' };
    const { organizationId, userId, deviceId, source } = stream;
    const value = pings.encode({ organizationId, userId, receivedAt: at, pings: [{ ...ping, deviceId, source }] });
    return producer.send('pings', [{ key: userId, value }]);
  };
  const spans = async () => (await stored(database.admin, stream)).entries.map((e) => [e.start - at, e.end - at]);
  try {
    await send(0, 1000);
    const first = await start();
    await until('the entry is there', async () => (await spans()).length === 1);
    await until('all but auth is ready', async () => (await failing(first.service)).join() === 'auth');
    expect(await first.lifecycle.close()).toBe(true);

    await send(1000, 2000);
    const second = await start();
    await until('the entry has grown', async () => (await spans())[0]?.[1] === 2000);
    expect(await spans()).toEqual([[0, 2000]]);
    expect(await second.lifecycle.close()).toBe(true);

    const records = await Promise.all(
      [...Array(topics.usage.partitions).keys()].map((partition) =>
        eventLog.admin.read('usage', { partition, fromOffset: 0, limit: 100 }),
      ),
    );
    const events = records.flat().flatMap((r) => usageRecord.parse(usage.decode(r.value)).entries);
    expect(events.map((e) => e.endedAt - at)).toEqual([1000, 2000]);
    // A clean stop leaves a clean outbox.
    expect((await database.admin.query('SELECT count(*)::int AS n FROM tracking.outbox')).rows).toEqual([{ n: 0 }]);
  } finally {
    await eventLog.close();
  }
});
