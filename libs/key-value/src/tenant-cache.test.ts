import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { backend } from '@worktide/backends';
import { createMetrics, type Metrics, silentLogger, unavailable } from '@worktide/runtime';
import { until } from '@worktide/testing';
import { z } from 'zod';
import { openKeyValue } from './open.ts';
import { createTenantCache, type TenantCache } from './tenant-cache.ts';
import type { KeyValue } from './types.ts';

const log = silentLogger();

describe.each(['memory', 'redis'] as const)('a tenant cache on %s', (kind) => {
  let keyValue: KeyValue;
  let metrics: Metrics;
  let cache: TenantCache<number>;
  let organizationId: string;
  let away = false;
  const later = () => {
    if (away) throw unavailable('key-value');
  };

  beforeAll(async () => {
    const url = kind === 'memory' ? 'memory:' : await backend('redis');
    keyValue = openKeyValue(url, { log, metrics: createMetrics() });
  });
  afterAll(() => keyValue.close());
  beforeEach(() => {
    away = false;
    metrics = createMetrics();
    organizationId = randomUUID();
    const store = {
      get: async (key: string) => {
        later();
        return keyValue.get(key);
      },
      set: keyValue.set,
      increment: keyValue.increment,
    };
    cache = createTenantCache({ name: 'test', schema: z.number(), keyValue: store, log, metrics });
  });
  const counts = async () => {
    const { text } = await metrics.render();
    return Object.fromEntries(
      ['hit', 'miss', 'away'].map((outcome) => [
        outcome,
        Number(new RegExp(`outcome="${outcome}"} (\\d+)`).exec(text)?.[1]),
      ]),
    );
  };
  let loads = 0;
  const load = (value: number) => async () => {
    loads++;
    return value;
  };
  const remembered = (value: number) =>
    until('it is remembered', async () => (await cache.get(organizationId, 'a', load(-1))) === value);

  test('loads once, and again after an invalidation', async () => {
    expect(await cache.get(organizationId, 'a', load(1))).toBe(1);
    await remembered(1);
    expect(await cache.get(organizationId, 'b', load(2))).toBe(2);
    await cache.invalidate(organizationId);
    expect(await cache.get(organizationId, 'a', load(3))).toBe(3);
    expect(await cache.get(organizationId, 'b', load(4))).toBe(4);
    expect(await counts()).toMatchObject({ miss: expect.any(Number), hit: expect.any(Number), away: 0 });
    expect((await counts()).hit).toBeGreaterThanOrEqual(1);
  });

  test('never gives one organisation the answer of another', async () => {
    const other = randomUUID();
    await cache.get(organizationId, 'a', load(1));
    await remembered(1);
    expect(await cache.get(other, 'a', load(2))).toBe(2);
    await cache.invalidate(other);
    expect(await cache.get(organizationId, 'a', load(3))).toBe(1);
  });

  test('what was read before an invalidation and arrives after it is not what others get', async () => {
    let finish: ((value: number) => void) | undefined;
    const slow = cache.get(
      organizationId,
      'a',
      () =>
        new Promise<number>((resolve) => {
          finish = resolve;
        }),
    );
    await until('it reads', () => finish !== undefined);
    await cache.invalidate(organizationId);
    finish!(1);
    expect(await slow).toBe(1);
    expect(await cache.get(organizationId, 'a', load(2))).toBe(2);
  });

  test('of many who miss at once one loads; its failure is everyone’s, and nobody’s later', async () => {
    loads = 0;
    const answers = await Promise.all(Array.from({ length: 50 }, () => cache.get(organizationId, 'a', load(7))));
    expect(new Set(answers)).toEqual(new Set([7]));
    expect(loads).toBeLessThan(50);
    const failing = cache.get(organizationId, 'b', () => Promise.reject(new Error('no')));
    await expect(failing).rejects.toThrow('no');
    expect(await cache.get(organizationId, 'b', load(8))).toBe(8);
  });

  test('what does not fit the schema any more is not there', async () => {
    await keyValue.set(`${organizationId}:test:0:a`, '"text"', 10_000);
    expect(await cache.get(organizationId, 'a', load(1))).toBe(1);
    await keyValue.set(`${organizationId}:test:0:c`, 'not JSON', 10_000);
    expect(await cache.get(organizationId, 'c', load(2))).toBe(2);
  });

  test('away, every answer is loaded, and operators see it', async () => {
    away = true;
    expect(await cache.get(organizationId, 'a', load(1))).toBe(1);
    expect(await cache.get(organizationId, 'a', load(2))).toBe(2);
    expect(await counts()).toEqual({ hit: 0, miss: 0, away: 2 });
  });
});
