import { randomUUID } from 'node:crypto';
import { setTimeout as wait } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { backend } from '@worktide/backends';
import { AppError, addressGroup, createMetrics, type LimitState, silentLogger } from '@worktide/runtime';
import { until } from '@worktide/testing';
import { addressWindow, type BucketLimit, type Limits, openLimits, type Rate } from '../index.ts';
import { bucketLimit } from './bucket.ts';
import { windowLimit } from './window.ts';

const options = { log: silentLogger(), metrics: createMetrics() };
const newSubject = (): string => `organization/${randomUUID()}`;
const outcome = (taking: Promise<LimitState>): Promise<LimitState | AppError> =>
  taking.catch((error: unknown) => {
    if (error instanceof AppError) return error;
    throw error;
  });
const passed = async (takings: Promise<LimitState>[]): Promise<number> =>
  (await Promise.all(takings.map(outcome))).filter((answer) => !(answer instanceof AppError)).length;

describe.each(['memory', 'named memory', 'redis'])('limits: %s', (kind) => {
  let url: string;
  /** Two replicas where the store has any. */
  let limits: Limits;
  let others: Limits;
  beforeAll(async () => {
    url = { memory: 'memory:', 'named memory': `memory:${randomUUID()}` }[kind] ?? (await backend('redis'));
    limits = openLimits(url, options);
    others = kind === 'memory' ? limits : openLimits(url, options);
    // A busy machine may take longer to connect than a call has patience.
    if (kind !== 'redis') return;
    await until('both count in one window', async () => {
      const window = { name: 'shared', points: 100, seconds: 60 };
      const subject = newSubject();
      await limits.window(window).take(subject);
      return (await others.window(window).take(subject)).remaining === 98;
    });
  });
  afterAll(async () => {
    await limits.close();
    await limits.close();
    await others.close();
  });

  test('a window: so many, over all replicas, then 429 that says when and which', async () => {
    const window = { name: 'login', points: 5, seconds: 60 };
    const [one, two] = [limits.window(window), others.window(window)];
    const subject = newSubject();
    expect(await one.take(subject)).toEqual({
      name: 'login',
      limit: 5,
      remaining: 4,
      resetSeconds: expect.any(Number),
      policySeconds: 60,
    });
    expect(await two.take(subject, 2)).toMatchObject({ remaining: 2 });
    await one.take(subject, 2);
    for (const limit of [one, two, one]) {
      const refused = (await outcome(limit.take(subject))) as AppError;
      expect(refused).toMatchObject({ code: 'RATE_LIMITED', statusCode: 429 });
      const { retryAfterSeconds } = refused;
      expect(retryAfterSeconds).toBeGreaterThanOrEqual(1);
      expect(retryAfterSeconds).toBeLessThanOrEqual(60);
      expect(refused.headers).toEqual({
        RateLimit: `"login";r=0;t=${retryAfterSeconds}`,
        'RateLimit-Policy': '"login";q=5;w=60',
        'RateLimit-Limit': '5',
        'RateLimit-Remaining': '0',
        'RateLimit-Reset': String(retryAfterSeconds),
      });
    }
    expect(await one.take(newSubject())).toMatchObject({ remaining: 4 });
    expect(await limits.window({ ...window, name: 'other' }).take(subject)).toMatchObject({ remaining: 4 });
  });

  test('what turned out not to count is given back, on any replica, also by who had just used up all', async () => {
    const window = { name: 'failures', points: 3, seconds: 60 };
    const [one, two] = [limits.window(window), others.window(window)];
    const subject = newSubject();
    for (let i = 0; i < 12; i++) {
      expect(await one.take(subject)).toMatchObject({ remaining: 2 });
      await two.giveBack(subject);
    }
    await one.take(subject, 3);
    await one.giveBack(subject);
    expect(await one.take(subject)).toMatchObject({ remaining: 0 });
    expect(await passed([one.take(subject), two.take(subject)])).toBe(0);
  });

  test('addresses: IPv6 by /64, and sixteen times as much by /48', async () => {
    const window = addressWindow(limits, { name: `address-${randomUUID()}`, points: 2, seconds: 60 });
    const takings = (site: string) =>
      Array.from({ length: 60 }, (_, i) => window.take(addressGroup(`2001:db8:${site}:${Math.floor(i / 3)}::1`)));
    expect(await passed(takings('1'))).toBe(32);
    expect(await passed([window.take(addressGroup('2001:db8:1:ffff::1'))])).toBe(0);
    expect(await passed([window.take(addressGroup('2001:db8:2:0::1')), window.take('192.0.2.1')])).toBe(2);
    const group = (n: number): string => addressGroup(`2001:db8:3:${n}::1`);
    for (let n = 0; n < 16; n++) await window.take(group(n), 2);
    await window.giveBack(group(15), 2);
    expect(await window.take(group(15))).toMatchObject({ remaining: 1 });
    expect(await passed([window.take(group(16)), window.take(group(17))])).toBe(1);
  });

  test('parallel calls are all counted', async () => {
    const window = { name: 'parallel', points: 10, seconds: 60 };
    const subject = newSubject();
    const takings = Array.from({ length: 40 }, (_, i) => [limits, others][i % 2]!.window(window).take(subject));
    expect(await passed(takings)).toBe(10);
  });

  test('a window ends, whoever asked in between', async () => {
    const limit = limits.window({ name: 'short', points: 1, seconds: 1 });
    const subject = newSubject();
    await limit.take(subject);
    await until('a place in the window', async () => !((await outcome(limit.take(subject))) instanceof AppError));
  });

  test('a bucket: the burst over all replicas at once, then 429 that says when', async () => {
    // Too slow to gain one during the test.
    const rate: Rate = { perSecond: 0.01, burst: 50 };
    const [one, two] = [limits.bucket({ name: 'pings' }), others.bucket({ name: 'pings' })];
    const subject = newSubject();
    expect(await one.take(subject, rate, 20)).toMatchObject({
      name: 'pings',
      limit: 50,
      policySeconds: 5_000,
    });
    await two.take(subject, rate, 20);
    const refused = (await outcome(two.take(subject, rate, 20))) as AppError;
    expect(refused).toMatchObject({ code: 'RATE_LIMITED', statusCode: 429 });
    // All or nothing: what was refused has taken none.
    const takings = Array.from({ length: 30 }, (_, i) => [one, two][i % 2]!.take(subject, rate, 1));
    expect(await passed(takings)).toBe(10);
    expect(await passed([one.take(subject, rate, 1), two.take(subject, rate, 1)])).toBe(0);
    expect(await passed([one.take(newSubject(), rate, 50)])).toBe(1);
  });

  test('replicas that take ahead let pass no more than the rate, the burst and their leases', async () => {
    const rate: Rate = { perSecond: 100, burst: 200 };
    const buckets = [limits.bucket({ name: 'ahead' }), others.bucket({ name: 'ahead' })];
    const subject = newSubject();
    const startedAt = performance.now();
    const counts = await Promise.all(
      buckets.map(async (bucket) => {
        let count = 0;
        for (let i = 0; i < 60; i++) {
          count += await passed(Array.from({ length: 5 }, () => bucket.take(subject, rate, 1)));
          await wait(1);
        }
        return count;
      }),
    );
    const all = counts[0]! + counts[1]!;
    const seconds = (performance.now() - startedAt) / 1000;
    expect(all).toBeGreaterThanOrEqual(180);
    expect(all).toBeLessThanOrEqual(200 + seconds * 100 + 20);
  });

  test('after the burst the rate goes on', async () => {
    const bucket = limits.bucket({ name: 'steady', code: 'TOO_MUCH', message: 'Too much.' });
    const rate: Rate = { perSecond: 50, burst: 10 };
    const subject = newSubject();
    const startedAt = performance.now();
    let taken = 0;
    let refusals = 0;
    while (taken < 40) {
      const answer = await outcome(bucket.take(subject, rate, 1));
      if (!(answer instanceof AppError)) taken++;
      else {
        refusals++;
        expect(answer).toMatchObject({ code: 'TOO_MUCH', message: 'Too much.', retryAfterSeconds: 1 });
        await wait(1);
      }
    }
    expect(refusals).toBeGreaterThan(0);
    // Never faster than the rate, the lease of a tenth of a second aside.
    expect(performance.now() - startedAt).toBeGreaterThanOrEqual(((40 - 10 - 5) / 50) * 1000 - 50);
  });

  test('what is larger than the burst never fits; a larger plan counts at once', async () => {
    const bucket = limits.bucket({ name: 'plans' });
    const subject = newSubject();
    expect(await passed([bucket.take(subject, { perSecond: 1, burst: 10 }, 11)])).toBe(0);
    await bucket.take(subject, { perSecond: 1, burst: 10 }, 10);
    await until(
      'the larger plan counts',
      async () => (await passed([bucket.take(subject, { perSecond: 10_000, burst: 100 }, 100)])) === 1,
    );
  });

  test('after close calls are answered all the same', async () => {
    const own = openLimits(url, options);
    const [window, bucket] = [own.window({ name: 'w', points: 1, seconds: 60 }), own.bucket({ name: 'b' })];
    await own.close();
    expect(await window.take(newSubject())).toMatchObject({ remaining: 0 });
    await bucket.take(newSubject(), { perSecond: 1, burst: 1 }, 1);
  });
});

test('in Redis keys begin with the subject, and none stays for ever', async () => {
  const { Redis } = await import('ioredis');
  const url = await backend('redis');
  const redis = new Redis(url);
  const limits = openLimits(url, options);
  const subject = newSubject();
  const window = limits.window({ name: 'w', points: 5, seconds: 60 });
  const bucket = limits.bucket({ name: 'b' });
  await until('both are in Redis', async () => {
    await window.take(subject);
    await bucket.take(subject, { perSecond: 10, burst: 100 }, 50);
    return (await redis.keys(`${subject}*`)).length === 2;
  });
  expect((await redis.keys(`${subject}*`)).sort()).toEqual([`${subject}:limit:b`, `${subject}:limit:w`]);
  for (const key of await redis.keys(`${subject}*`)) {
    const ttl = await redis.pttl(key);
    expect(ttl).toBeGreaterThan(0);
    expect(ttl).toBeLessThanOrEqual(60_000);
  }
  redis.disconnect();
  await limits.close();
});

describe('leases', () => {
  /** Counts round trips; a lease of 10 is given with whatever is asked. */
  function counting() {
    const asked: string[][] = [];
    const redis = {
      defineCommand: () => {},
      worktideTakeTokens: async (_key: string, _rate: number, _burst: number, lease: number, ...demands: number[]) => {
        asked.push(demands.map(String));
        await wait(1);
        return [lease, '1000', ...demands.map(() => 1)];
      },
    };
    const shared = {
      redis: redis as never,
      there: () => true,
      call: <T>(ask: () => Promise<T>) => ask(),
      end: () => {},
    };
    return { asked, bucket: bucketLimit({ name: 'b' }, shared) };
  }
  const rate: Rate = { perSecond: 100, burst: 1_000 };

  test('a lease spares the next calls the round trip', async () => {
    const { asked, bucket } = counting();
    for (let i = 0; i < 11; i++) await bucket.take('s', rate, 1);
    expect(asked).toEqual([['1']]);
    await bucket.take('s', rate, 1);
    expect(asked).toEqual([['1'], ['1']]);
  });

  test('what comes while a question is on its way waits for it, and goes into one more', async () => {
    const { asked, bucket } = counting();
    const all = [20, 20, 20, 20].map((n) => bucket.take('s', rate, n));
    await Promise.all([...all, bucket.take('other', rate, 1)]);
    expect(asked).toEqual([['20'], ['1'], ['20', '20', '20']]);
  });
});

test('memory holds so many subjects at most, and forgets the first', async () => {
  const window = windowLimit({ name: 'w', points: 1, seconds: 60, maxSubjects: 2 });
  const bucket: BucketLimit = bucketLimit({ name: 'b', maxSubjects: 2 });
  const rate: Rate = { perSecond: 0.01, burst: 1 };
  for (const take of [window.take, (subject: string) => bucket.take(subject, rate, 1)]) {
    expect(await passed(['a', 'b', 'a', 'b'].map((subject) => take(subject)))).toBe(2);
    await take('c');
    expect(await passed([take('b')])).toBe(0);
    expect(await passed([take('a')])).toBe(1);
  }
});

test('limits of one name begin anew when the last has closed', async () => {
  const url = `memory:${randomUUID()}`;
  const window = { name: 'w', points: 1, seconds: 60 };
  const [one, two] = [openLimits(url, options), openLimits(url, options)];
  await one.window(window).take('s');
  await one.close();
  expect(await passed([two.window(window).take('s')])).toBe(0);
  await two.close();
  expect(await passed([openLimits(url, options).window(window).take('s')])).toBe(1);
});
