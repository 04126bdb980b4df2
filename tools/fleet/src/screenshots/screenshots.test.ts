import { afterEach, describe, expect, test } from '@jest/globals';
import { registerAccounts } from '../accounts.ts';
import { createHttpClient } from '../client.ts';
import { type FakeProduct, startFakeProduct } from '../fake-product.ts';
import type { ShotTreatment } from '../fake-screenshots.ts';
import { type FleetResult, runFleet } from '../fleet.ts';
import type { FleetOptions } from '../options.ts';
import { sumOf } from '../progress.ts';
import { createRandom } from '../random.ts';
import { summaryOf, verdictLines } from '../verdict.ts';
import { createReader } from '../verify/read.ts';
import { attacks } from './attacks.ts';
import { distanceOf, sharpnessOf } from './likeness.ts';
import { startShots } from './run.ts';
import { drawShot, planShots } from './shots.ts';

let product: FakeProduct | undefined;
let result: FleetResult | undefined;

afterEach(async () => {
  result?.close();
  await product?.close();
  result = undefined;
  product = undefined;
});

async function run(
  treatmentOf: (request: number) => ShotTreatment,
  options: Partial<FleetOptions> = {},
): Promise<FleetResult> {
  product = await startFakeProduct(() => 'take', treatmentOf);
  const bounds = { agents: 4, users: 2, seconds: 60, pingsPerAgent: 3, settle: 60, screenshots: 3 };
  result = await runFleet({ url: product.url, runId: 'test', ...bounds, ...options });
  return result;
}

describe('the verdict on screenshots', () => {
  test('is equal for a product that does all right', async () => {
    const r = await run(() => 'take', { agents: 2, screenshots: 5 });
    expect(verdictLines(r).at(-1)).toBe('verdict: equal');
    expect(r.screenshots).toMatchObject({ acknowledged: 10, unknown: 0 });
    expect(r.screenshots!.verification).toMatchObject({ equal: true, ready: 10, failed: 0, differences: [] });
    expect(r.screenshots!.stats.again).toBeGreaterThan(0);
    expect(verdictLines(r).join('\n')).toContain('screenshots ready and right');
    expect(summaryOf(r)).toMatchObject({ verdict: 'equal', screenshots: { verification: { ready: 10 } } });
  });

  test('is equal where uploads are refused for now or taken without an answer, each sent until it is', async () => {
    const r = await run((n) => (n === 1 ? 'refuse' : n % 4 === 2 ? 'take and break' : 'take'));
    expect(verdictLines(r).at(-1)).toBe('verdict: equal');
    expect(r.screenshots!.stats.retried.get('429 TOO_MANY_REQUESTS')).toBe(1);
    expect(r.screenshots!.stats.retried.get('lost')).toBeGreaterThan(1);
  });

  test.each<[ShotTreatment, RegExp]>([
    ['lose', /screenshot [0-9a-f-]+: missing/],
    ['double', /screenshot [0-9a-f-]+: comes twice/],
    ['leave sharp', /% of its detail is left at level [23]/],
    ['mix up', /the picture shows something else/],
  ])('is different where the product does this: %s', async (treatment, says) => {
    const r = await run(() => treatment, { agents: 2, settle: 1 });
    expect(r.verification.equal).toBe(true);
    expect(r.equal).toBe(false);
    const lines = verdictLines(r);
    expect(lines.at(-1)).toBe('verdict: DIFFERENT');
    expect(lines.join('\n')).toMatch(says);
  });

  test('is different where the fate of one stays unknown', async () => {
    const r = await run(() => 'take and break', { settle: 1 });
    expect(r.equal).toBe(false);
    expect(r.screenshots!.unknown).toBeGreaterThan(0);
    expect(r.screenshots!.verification.equal).toBe(true);
  });

  test('wants a verdict on each broken file', async () => {
    product = await startFakeProduct(() => 'take');
    const origin = product.url;
    const client = createHttpClient();
    const wanted = { email: 'e', password: 'p', name: 'n', organizationName: 'o', timezone: 'UTC', devices: ['d'] };
    const [account] = await registerAccounts({ client, origin, deadline: Date.now() + 5_000 }, [wanted]);
    const complaints: string[] = [];
    const { deviceId, agentKey } = account!.devices[0]!;
    const shots = startShots({
      client,
      origins: [origin],
      agents: [{ account: account!, deviceId, agentKey, hostile: true }],
      ...{ perAgent: attacks.length, seconds: 0, now: Date.now(), seed: 3, runId: 'test' },
      complain: (what) => complaints.push(what),
    });
    await shots.finish({ settleSeconds: 20, rest: true });
    const reader = createReader(client, {
      ...{
        auth: origin,
        ingest: [origin],
        usage: origin,
        reports: origin,
        screenshots: origin,
        realtime: origin,
        protocols: origin,
      },
    });
    const r = await shots.verify({ reader, accounts: [account!], settleSeconds: 2 });
    client.close();
    expect(complaints).toEqual([]);
    const later = attacks.filter((attack) => attack.failed).length;
    expect(r).toMatchObject({ equal: true, unknown: 0, verification: { differences: [], ready: 0, failed: later } });
    expect(sumOf(r.stats.refused)).toBe(attacks.length - later);
  });

  test('says nothing where none are sent', async () => {
    const r = await run(() => 'lose', { screenshots: 0 });
    expect(r).toMatchObject({ equal: true, screenshots: undefined });
    expect(verdictLines(r).join('\n')).not.toContain('screenshots');
  });
});

describe('the plan of an agent', () => {
  const plan = (seed: number) =>
    planShots({
      count: 40,
      now: Date.parse('2026-03-02T12:00:00Z'),
      deviceId: 'laptop',
      hostile: false,
      random: createRandom(seed),
      ids: createRandom('ids', seed),
    });

  test('is the same for the same seed, with all levels, repeats and late ones', () => {
    expect(plan(1)).toEqual(plan(1));
    expect(plan(2)).not.toEqual(plan(1));
    const ids = new Set(plan(1).map(({ shot }) => shot.screenshotId));
    expect(ids.size).toBe(40);
    expect(plan(1).length).toBeGreaterThan(42);
    expect(plan(1).filter(({ due }) => due === 1).length).toBeGreaterThan(2);
    expect(new Set(plan(1).map(({ shot }) => shot.blurLevel))).toEqual(new Set([0, 1, 2, 3, undefined]));
  });

  test('has desktops that differ by far more than a blur changes them', async () => {
    const small = plan(1).slice(0, 8);
    const drawn = await Promise.all(small.map(({ shot }) => drawShot({ ...shot, width: 640, height: 400 })));
    const ids = small.map(({ shot }) => shot.screenshotId);
    for (const [i, one] of drawn.entries()) {
      expect(await sharpnessOf(one)).toBeGreaterThan(10);
      for (const [j, other] of drawn.entries()) {
        if (ids[i] !== ids[j]) expect(await distanceOf(one, other)).toBeGreaterThan(14);
      }
    }
  });
});
