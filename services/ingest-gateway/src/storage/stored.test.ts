import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { type KeyValue, openKeyValue } from '@worktide/key-value';
import { createLifecycle, createMetrics, type Lifecycle, silentLogger, unavailable } from '@worktide/runtime';
import { type SubscriptionStatus, storedScreenshotsKey } from '@worktide/schemas';
import { until } from '@worktide/testing';
import { caller } from '../testing.ts';
import { fileOf, form, picture, startGateway } from '../uploads/testing.ts';
import { storageQuotaOf } from './quota.ts';
import { createStored } from './stored.ts';

const organization = 'o-1';
const exceeded = { code: 'STORAGE_QUOTA_EXCEEDED', statusCode: 409 };
const thrownBy = (act: () => void): unknown => {
  try {
    act();
  } catch (error) {
    return error;
  }
};

let lifecycle: Lifecycle;
let keyValue: KeyValue;
let plan: SubscriptionStatus | undefined;
let now: number;
let away: boolean;

beforeEach(() => {
  lifecycle = createLifecycle({ log: silentLogger() });
  keyValue = openKeyValue('memory:', { log: silentLogger(), metrics: createMetrics() });
  plan = 'free';
  now = Date.parse('2026-11-30T23:00:00Z');
  away = false;
});
afterEach(async () => {
  await lifecycle.close();
  await keyValue.close();
});

/** One gateway of several. */
const replica = () =>
  createStored({
    keyValue: {
      get: async (key) => {
        if (away) throw unavailable('key-value');
        return keyValue.get(key);
      },
      increment: async (...args) => {
        if (away) throw unavailable('key-value');
        return keyValue.increment(...args);
      },
    },
    quotas: {
      free: { screenshots: 1_000, pings: 1_000 },
      trial: { screenshots: 5_000, pings: 5_000 },
      pro: { screenshots: 5_000, pings: 5_000 },
      enterprise: { screenshots: null, pings: null },
    },
    planOf: () => plan,
    metrics: createMetrics(),
    lifecycle,
    log: silentLogger(),
    now: () => now,
  });

describe('pings', () => {
  test('are added up over replicas, within a month, against the present plan', async () => {
    const [one, two] = [replica(), replica()];
    one.addPings(organization, 600);
    two.addPings(organization, 600);
    one.addPings('o-2', 10);
    for (const each of [one, two]) expect(thrownBy(() => each.requirePings(organization))).toBeUndefined();
    await one.addUp();
    await two.addUp();
    expect(thrownBy(() => two.requirePings(organization))).toMatchObject(exceeded);
    expect(thrownBy(() => two.requirePings('o-2'))).toBeUndefined();
    expect((await one.usage(organization)).pings).toEqual({ bytes: 1_200, limitBytes: 1_000 });
    plan = undefined;
    expect(thrownBy(() => two.requirePings(organization))).toBeUndefined();
    plan = 'enterprise';
    expect((await one.usage(organization)).pings).toEqual({ bytes: 1_200, limitBytes: null });
    expect(thrownBy(() => two.requirePings(organization))).toBeUndefined();
    plan = 'free';
    now = Date.parse('2026-12-01T00:00:00Z');
    expect(thrownBy(() => two.requirePings(organization))).toBeUndefined();
    expect((await two.usage(organization)).pings.bytes).toBe(0);
  });

  test('what could not be added up is, later, and refuses nobody meanwhile', async () => {
    const one = replica();
    away = true;
    one.addPings(organization, 600);
    await one.addUp();
    expect(thrownBy(() => one.requirePings(organization))).toBeUndefined();
    await expect(one.usage(organization)).rejects.toMatchObject({ statusCode: 503 });
    away = false;
    await one.addUp();
    await one.addUp();
    expect((await one.usage(organization)).pings.bytes).toBe(600);
  });
});

describe('screenshots', () => {
  test('are as their processor told; unknown and away refuse nobody', async () => {
    const one = replica();
    await one.requireScreenshots(organization);
    await keyValue.set(storedScreenshotsKey(organization), '1000', 60_000);
    now += 60_000;
    await expect(one.requireScreenshots(organization)).rejects.toMatchObject(exceeded);
    expect((await one.usage(organization)).screenshots).toEqual({ bytes: 1_000, limitBytes: 1_000 });
    now += 60_000;
    away = true;
    await one.requireScreenshots(organization);
    away = false;
    plan = 'pro';
    await one.requireScreenshots(organization);
  });

  test('over the quota no way of uploading is open, and nothing is stored; what was agreed on before is taken', async () => {
    const gateway = await startGateway({ STORAGE_FREE: '1000/1000' });
    try {
      const agreed = await gateway.json('presign', { contentType: 'image/png', size: 500 });
      expect(agreed.status).toBe(201);
      await gateway.keyValue.set(storedScreenshotsKey(caller.organizationId), '1000', 60_000);
      // Known as 0 for some seconds.
      await until(
        'it is known',
        async () => (await gateway.json('presign', { contentType: 'image/png', size: 500 })).status === 409,
        { everyMs: 200 },
      );
      const before = await gateway.keys();
      const refused = await gateway.post(form(fileOf(picture(500))));
      expect(refused).toMatchObject({ status: 409, body: { code: 'STORAGE_QUOTA_EXCEEDED' } });
      expect(await gateway.keys()).toEqual(before);
      expect(await gateway.events()).toEqual([]);
      const { uploadUrl, headers, screenshotId } = agreed.body;
      const put = await fetch(new URL(uploadUrl, gateway.url), {
        method: 'PUT',
        headers,
        body: new Uint8Array(picture(500)),
      });
      expect(put.status).toBe(200);
      expect((await gateway.json('confirm', { screenshotId })).status).toBe(202);
    } finally {
      await gateway.close();
    }
  }, 30_000);
});

test('a quota is two numbers or unlimited', () => {
  expect(storageQuotaOf('free').parse(undefined)).toEqual({ screenshots: 1e9, pings: 2e9 });
  expect(storageQuotaOf('free').parse('5/0')).toEqual({ screenshots: 5, pings: 0 });
  expect(storageQuotaOf('enterprise').parse(undefined)).toEqual({ screenshots: null, pings: null });
  for (const wrong of ['5', '1GB/2GB', '-1/2', '']) expect(storageQuotaOf('free').safeParse(wrong).success).toBe(false);
});
