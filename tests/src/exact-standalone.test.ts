import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { type FleetResult, runFleet } from '@worktide/fleet';
import { accepted, exactly, fleetDuring, retried, shortRun, stillEqual, verdictOf } from './support/fleet.ts';
import { type Product, postgresUrlOf, startProduct, temporaryFolder } from './support/product.ts';
import { replayAll } from './support/replay.ts';
import { syncRows, usageRows } from './support/rows.ts';

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let product: Product;
/** Every run so far: whatever happens later must leave them as they were. */
const runs: FleetResult[] = [];

beforeAll(async () => {
  folder = await temporaryFolder();
  product = await startProduct(folder.dir);
}, 120_000);

afterAll(async () => {
  for (const run of runs) run.close();
  await product?.process.stop();
  await folder?.remove();
});

test('duplicates, shuffles, late uploads and hostile agents: usage and reports are what the ledger says', async () => {
  const result = await runFleet(shortRun(product.url, { seed: 1 }));
  runs.push(result);
  expect(verdictOf(result)).toEqual(exactly);
  // The ledger itself has seen something of everything.
  expect(result.verification.entries).toBeGreaterThan(250);
  expect(result.stats.rejected.size).toBeGreaterThan(5);
  expect(result.times!.verification).toMatchObject({ longDays: expect.any(Number) });
  expect(result.times!.verification.entries).toBeGreaterThan(30);
}, 120_000);

test('kill -9 of the whole, twice in the middle of a run', async () => {
  const result = await fleetDuring(shortRun(product.url, { seed: 2, hostile: 0, rate: 200 }), async () => {
    for (let kill = 0; kill < 2; kill++) {
      await accepted([product.url], 250);
      await product.process.kill9();
      await product.process.restart();
    }
    await accepted([product.url], 100);
  });
  runs.push(result);
  expect(verdictOf(result)).toEqual(exactly);
  // The kills were felt, or this was no test.
  expect(retried(result, 'lost')).toBeGreaterThan(0);
}, 120_000);

test('every record from the first one on once more, into the same stores: equal, and no row is written', async () => {
  const before = await usageRows(await postgresUrlOf(product));
  expect(before.rows).toBeGreaterThan(250);
  const beforeOfSyncs = await syncRows(await postgresUrlOf(product));
  await product.process.stop();
  const readAgain = await replayAll(`lmdb:${product.data}/log`);
  await product.process.restart();
  await readAgain(() => [product.url]);
  expect(await usageRows(await postgresUrlOf(product))).toEqual(before);
  expect(await syncRows(await postgresUrlOf(product))).toEqual(beforeOfSyncs);
  for (const run of runs) expect(await stillEqual(run)).toEqual(exactly);
}, 120_000);
