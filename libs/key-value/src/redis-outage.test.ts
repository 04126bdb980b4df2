import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { type Engine, freePort, startRedis } from '@worktide/backends';
import { createLogger, createMetrics, type Metrics } from '@worktide/runtime';
import { metricOf, until } from '@worktide/testing';
import { type KeyValue, openKeyValue } from './index.ts';

const minute = 60_000;
const unavailable = { code: 'DEPENDENCY_UNAVAILABLE', statusCode: 503 };

let dir: string;
let engine: Engine;
let store: KeyValue;
let metrics: Metrics;
let lines: { level: string; msg: string }[];
const open: KeyValue[] = [];

beforeAll(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'worktide-redis-'));
  engine = await startRedis({ dir, port: await freePort() });
});
afterAll(async () => {
  for (const one of open) await one.close();
  await engine.kill9();
  await rm(dir, { recursive: true, force: true });
});
beforeEach(() => {
  store = openOne(engine.url);
});

function openOne(url: string): KeyValue {
  lines = [];
  metrics = createMetrics();
  const destination = { write: (line: string) => void lines.push(JSON.parse(line)) };
  const log = createLogger({ service: 'test', destination });
  const one = openKeyValue(url, { log, metrics, timeoutMs: 100 });
  open.push(one);
  return one;
}

const isReady = (): Promise<boolean> =>
  store.check().then(
    () => true,
    () => false,
  );
const metric = (name: string): Promise<number> => metricOf(metrics, name);

test('a server that dies: every call fails at once, listeners and values are there again when it is back', async () => {
  const heard: string[] = [];
  await store.subscribe('channel', (message) => heard.push(message));
  await store.set('key', 'kept', minute);
  expect(await metric('worktide_key_value_up')).toBe(1);

  await engine.kill9();
  await until('the outage is noticed', async () => !(await isReady()));
  for (let i = 0; i < 100; i++) await expect(store.increment('counter', 1, minute)).rejects.toMatchObject(unavailable);
  await expect(store.publish('channel', 'lost')).rejects.toMatchObject(unavailable);
  // Listening that begins in an outage.
  await store.subscribe('second', (message) => heard.push(`second:${message}`));
  await until('the metric says so', async () => (await metric('worktide_key_value_up')) === 0);
  expect(await metric('worktide_key_value_failures_total')).toBeGreaterThanOrEqual(101);

  await engine.restart();
  await until('the server is back', isReady);
  expect(await store.get('key')).toBe('kept');
  // Nothing was queued up meanwhile.
  expect(await store.increment('counter', 0, minute)).toBe(0);
  await until('both listeners hear', async () => {
    await store.publish('channel', 'back').catch(() => {});
    await store.publish('second', 'back').catch(() => {});
    return heard.includes('back') && heard.includes('second:back');
  });
  expect(heard).not.toContain('lost');
  expect(await metric('worktide_key_value_up')).toBe(1);
  // An operator sees the outage, not every call of it.
  const news = lines.map(({ level, msg }) => `${level} ${msg.replace(/:.*/, '')}`);
  expect(news.filter((line) => line === 'warn key-value is away')).toHaveLength(2);
  expect(news.filter((line) => line === 'info key-value is back')).toHaveLength(2);
});

test('a server that hangs: calls end by their time limit, soon without waiting, and it is taken again when it answers', async () => {
  await store.set('key', 'kept', minute);
  process.kill(engine.pid, 'SIGSTOP');
  try {
    await expect(store.get('key')).rejects.toMatchObject(unavailable);
    // Some hundred calls would take a quarter of a minute if each waited for its limit.
    const deadline = Date.now() + 10_000;
    let calls = 0;
    for (; calls < 200 && Date.now() < deadline; calls++) {
      await expect(store.increment('hung', 1, minute)).rejects.toMatchObject(unavailable);
    }
    expect(calls).toBe(200);
  } finally {
    process.kill(engine.pid, 'SIGCONT');
  }
  await until('the server is back', isReady);
  expect(await store.get('key')).toBe('kept');
});

test('a server that was never there: calls fail, and nothing is left running after close', async () => {
  const away = openOne(`redis://127.0.0.1:${await freePort()}`);
  await expect(away.get('key')).rejects.toMatchObject(unavailable);
  await expect(away.check()).rejects.toMatchObject(unavailable);
  await away.subscribe('channel', () => {});
  await away.close();
});
