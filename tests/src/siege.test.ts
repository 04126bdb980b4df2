import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { type FleetResult, runFleet } from '@worktide/fleet';
import { until } from '@worktide/testing';
import { exactly, shortRun, verdictOf } from './support/fleet.ts';
import { notReady } from './support/http.ts';
import { type Product, startProduct, temporaryFolder } from './support/product.ts';

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let product: Product;
let result: FleetResult | undefined;

beforeAll(async () => {
  folder = await temporaryFolder();
  product = await startProduct(folder.dir);
}, 120_000);
afterAll(async () => {
  result?.close();
  await product?.process.stop();
  await folder?.remove();
});

test('besieged, it is exact, stays up, and is ready again without anybody having done anything', async () => {
  const options = shortRun(product.url, { pingsPerAgent: 1_000_000, rate: 200, seconds: 40, siege: true, settle: 120 });
  result = await runFleet(options);
  expect(verdictOf(result)).toEqual(exactly);
  // Each of them was there, and was answered: else this would have shown nothing.
  const answered = [...result.siege!.outcomes].map(([name, answers]) => [name, answers.size > 0]);
  expect(answered).toEqual(answered.map(([name]) => [name, true]));
  expect(result.siege!.outcomes.get('bodies that stall')!.has('408 REQUEST_TOO_SLOW')).toBe(true);
  expect(product.ending()).toBeUndefined();
  await until('it is ready', async () => (await notReady(product.url))?.length === 0, { seconds: 60 });
}, 300_000);
