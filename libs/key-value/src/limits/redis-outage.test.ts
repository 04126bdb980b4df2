import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { type Engine, freePort, startRedis } from '@worktide/backends';
import { createLogger, createMetrics, type Metrics } from '@worktide/runtime';
import { metricOf, until } from '@worktide/testing';
import { type Limits, openLimits } from '../index.ts';

let dir: string;
let engine: Engine;
let metrics: Metrics;
let limits: Limits;
let lines: { level: string; msg: string }[];

beforeAll(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'worktide-limits-'));
  engine = await startRedis({ dir, port: await freePort() });
});
afterEach(() => limits.close());
afterAll(async () => {
  await engine.kill9();
  await rm(dir, { recursive: true, force: true });
});

function open(url: string): Limits {
  lines = [];
  metrics = createMetrics();
  const destination = { write: (line: string) => void lines.push(JSON.parse(line)) };
  limits = openLimits(url, { log: createLogger({ service: 'test', destination }), metrics });
  return limits;
}

const isLocal = async (): Promise<boolean> => (await metricOf(metrics, 'worktide_limits_local')) === 1;
const news = (): string[] => lines.map(({ level, msg }) => `${level} ${msg.replace(/:.*/, '')}`);
const outage = ['warn limits are local for now', 'info limits are shared again'];
const window = { name: 'w', points: 5, seconds: 60 };
const rate = { perSecond: 0.01, burst: 5 };

/** How many of eight calls pass. */
async function countPassed(take: () => Promise<unknown>): Promise<number> {
  let passed = 0;
  for (let i = 0; i < 8; i++) {
    await take().then(
      () => passed++,
      (error: unknown) => expect(error).toMatchObject({ statusCode: 429 }),
    );
  }
  return passed;
}

test('a server that dies: limits go on locally, and are shared again when it is back', async () => {
  const { take } = open(engine.url).window(window);
  const bucket = limits.bucket({ name: 'b' });
  await until('limits are shared', async () => !(await isLocal()));
  await take('before');
  await bucket.take('before', rate, 2);

  await engine.kill9();
  await until('limits are local', isLocal);
  expect(await countPassed(() => take('during'))).toBe(5);
  expect(await countPassed(() => bucket.take('during', rate, 1))).toBe(5);
  // What is known of a bucket still counts.
  expect(await countPassed(() => bucket.take('before', rate, 1))).toBe(3);
  expect(news()).toEqual(outage.slice(0, 1));

  await engine.restart();
  await until('limits are shared again', async () => !(await isLocal()));
  expect(await countPassed(() => take('during'))).toBe(5);
  expect(news()).toEqual(outage);
});

test('a server that hangs: no call fails, few wait, and it is taken again when it answers', async () => {
  const { take } = open(engine.url).window({ ...window, points: 10_000 });
  const bucket = limits.bucket({ name: 'b' });
  await until('ten are counted', async () => (await take('s')).remaining < 9_990);
  process.kill(engine.pid, 'SIGSTOP');
  try {
    // Some hundred calls would take a minute if each had to find out.
    const deadline = Date.now() + 15_000;
    for (let i = 0; i < 400; i++) {
      await take('s');
      await bucket.take('s', { perSecond: 1, burst: 1_000 }, 1);
      expect(Date.now()).toBeLessThan(deadline);
    }
    expect(await isLocal()).toBe(true);
  } finally {
    process.kill(engine.pid, 'SIGCONT');
  }
  await until('limits are shared', async () => !(await isLocal()));
  expect(news()).toEqual(outage);
});

test('a server that was never there is told once', async () => {
  const { take } = open(`redis://127.0.0.1:${await freePort()}`).window(window);
  expect(await countPassed(() => take('s'))).toBe(5);
  await until('limits are local', isLocal);
  expect(news()).toEqual(outage.slice(0, 1));
});
