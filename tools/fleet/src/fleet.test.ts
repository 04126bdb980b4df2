import { afterEach, describe, expect, test } from '@jest/globals';
import { type FakeProduct, type Fate, startFakeProduct } from './fake-product.ts';
import { type FleetResult, runFleet } from './fleet.ts';
import type { FleetOptions } from './options.ts';
import { sumOf } from './progress.ts';
import { summaryOf, verdictLines } from './verdict.ts';

let product: FakeProduct;
let result: FleetResult | undefined;

afterEach(async () => {
  result?.close();
  result = undefined;
  await product.close();
});

async function run(fateOf: (request: number) => Fate, options: Partial<FleetOptions> = {}): Promise<FleetResult> {
  product = await startFakeProduct(fateOf);
  const bounds = { agents: 10, users: 4, seconds: 60, pingsPerAgent: 100, rate: Number.POSITIVE_INFINITY, settle: 20 };
  result = await runFleet({ url: product.url, runId: 'test', ...bounds, ...options });
  return result;
}

describe('the verdict', () => {
  test('is equal for a product that does all right', async () => {
    const lines: string[] = [];
    const r = await run(() => 'take', { print: (line) => lines.push(line) });
    expect(verdictLines(r).at(-1)).toBe('verdict: equal');
    expect(r).toMatchObject({ equal: true, verification: { users: 4, differences: [] } });
    expect(r.stats.sent).toBe(r.stats.acknowledged);
    expect(r.ledger.pings).toBe(r.stats.acknowledged);
    expect(r.stats.acknowledged).toBeGreaterThanOrEqual(1000);
    expect(r.verification.entries).toBeGreaterThan(100);
    expect(lines.some((line) => line.includes('requests/s'))).toBe(true);
    expect(summaryOf(r)).toMatchObject({ verdict: 'equal', pings: { acknowledged: r.stats.acknowledged } });
  });

  test('is equal where requests are refused, broken off, or stored without an answer, each asked until it is', async () => {
    const fates: Fate[] = ['break', 'take and break', 'take and cut', 'take and refuse'];
    const r = await run((n) => (n % 100 === 50 ? 'refuse' : n % 7 === 0 ? fates[(n / 7) % fates.length]! : 'take'));
    expect(verdictLines(r).at(-1)).toBe('verdict: equal');
    expect(r.stats.retried.get('lost')).toBeGreaterThan(5);
    expect(r.stats.retried.get('503 DEPENDENCY_UNAVAILABLE')).toBeGreaterThan(1);
    expect(r.stats.retried.get('429 TOO_MANY_REQUESTS')).toBeGreaterThan(0);
    expect(r.stats.requests).toBe(product.requests);
    expect(r.stats.sent).toBeGreaterThan(r.stats.acknowledged);
    expect(r.unknown.size).toBe(0);
  });

  test('is different where acknowledged pings are lost, and says whose', async () => {
    const r = await run((n) => (n >= 40 && n < 140 ? 'lose' : 'take'), { settle: 1 });
    expect(r.equal).toBe(false);
    const lines = verdictLines(r);
    expect(lines.at(-1)).toBe('verdict: DIFFERENT');
    const { differences } = r.verification;
    expect(differences.length).toBeGreaterThan(0);
    for (const { userId } of differences) expect(lines.join('\n')).toContain(`user ${userId} (`);
    expect(lines.join('\n')).toMatch(/usage: (missing|must not be there): /);
  });

  test('is different where a lawful request is refused for good', async () => {
    const r = await run((n) => (n === 40 ? 'reject' : 'take'), { settle: 1 });
    expect(r.verification.equal).toBe(true);
    expect(r.equal).toBe(false);
    expect([...r.complaints.keys()]).toEqual(['a lawful request: expected 202, got 400 INVALID_URL: INVALID_URL']);
  });

  test('is different where the fate of pings stays unknown', async () => {
    const r = await run((n) => (n < 200 ? 'take' : 'take and break'), { seconds: 2, settle: 1 });
    expect(r.equal).toBe(false);
    expect(sumOf(r.unknown)).toBeGreaterThan(0);
    expect(verdictLines(r).join('\n')).toContain('never answered for good');
  });
});

describe('a run', () => {
  test('can be stopped, settles what was sent and can be verified again', async () => {
    const stop = new AbortController();
    const r = await run(
      (n) => {
        if (n === 30) stop.abort();
        return 'take';
      },
      { signal: stop.signal, pingsPerAgent: 1_000_000 },
    );
    expect(r.equal).toBe(true);
    expect(r.stats.sent).toBe(r.stats.acknowledged);
    expect(await r.verify()).toMatchObject({ equal: true, users: 4 });
  });

  test('makes the same agents for the same seed', async () => {
    const options = { seed: 9, now: Date.now() - 86_400_000, agents: 4, users: 2 };
    const entries = async (): Promise<unknown> => {
      const r = await run(() => 'take', options);
      const all = r.accounts.map(({ userId }) => r.ledger.entries(userId));
      r.close();
      await product.close();
      return all;
    };
    expect(await entries()).toEqual(await entries());
  });

  test('ends with an error where accounts cannot be made', async () => {
    product = await startFakeProduct(() => 'take');
    const options = { url: product.url, agents: 1, seconds: 1, keys: ['waka_x'] };
    await expect(runFleet(options)).rejects.toThrow('GET /api/v1/auth/me was answered 401');
  });
});
