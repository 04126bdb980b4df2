import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { type SmallDisk, smallDisk } from '@worktide/backends';
import { type Answer, call, expectStatus, until } from '@worktide/testing';
import { accepted, exactly, fleetDuring, retried, shortRun, stillEqual, verdictOf } from './support/fleet.ts';
import { notReady } from './support/http.ts';
import {
  appsReport,
  makeAgentKey,
  passwordOfAll,
  ping,
  post,
  register,
  usageOf,
  yesterdayNoon,
} from './support/people.ts';
import { type Product, startProduct } from './support/product.ts';
import { formOf, pictureOf, settled, uploadScreenshot } from './support/screenshots.ts';

let disk: SmallDisk;
let product: Product | undefined;
beforeEach(async () => {
  disk = await smallDisk(700);
});
afterEach(async () => {
  // Also where a test failed in the middle: what cannot write cannot stop in order.
  await disk.free();
  await product?.process.stop();
  await disk.remove();
}, 60_000);

async function start(env: Record<string, string>): Promise<Product> {
  product = await startProduct(disk.dir, env);
  return product;
}

const full = (answer: Answer): boolean => answer.body?.code === 'STORAGE_FULL';

test('below the reserve writes are refused and readiness says so; reads, log-ins and deletes go on; it recovers by itself', async () => {
  const { url, process: engine } = await start({ WORKTIDE_MIN_FREE_BYTES: '300000000' });
  const { pid } = engine;
  const ada = await register(url);
  const bearer = ada.accessToken;
  const [agent, another] = [await makeAgentKey(url, ada), await makeAgentKey(url, ada, 'other')];
  await post(url, agent.key, ping('Before'));
  const screenshot = await uploadScreenshot(url, agent.key, 'before');
  await until('the screenshot', () => settled(url, bearer, screenshot), { seconds: 60 });

  // Between the reserve and half of it.
  await disk.fill({ butBytes: 220_000_000 });
  await until('readiness names the disk', async () => (await notReady(url))?.join() === 'disk');
  const refusals = await Promise.all([
    call(url, 'post', '/api/v1/pings', { bearer: agent.key, body: ping('Refused') }),
    call(url, 'post', '/api/v1/sync/screenshots', { bearer: agent.key, ...formOf(await pictureOf(2)) }),
    call(url, 'post', '/api/v1/sync/screenshots/presign', { bearer, body: { contentType: 'image/png', size: 5 } }),
    call(url, 'patch', '/api/v1/auth/me', { bearer, body: { name: 'Refused' } }),
    call(url, 'post', '/api/v1/tasks', { bearer, body: { title: 'Refused' } }),
    call(url, 'post', '/api/v1/auth/register', { body: { email: 'refused@example.com', password: passwordOfAll } }),
  ]);
  for (const { status, headers, body } of refusals.slice(0, 4)) {
    expect([status, body.code, headers.get('retry-after')]).toEqual([503, 'STORAGE_FULL', '30']);
  }
  // Whatever else is wrong with a request, it is not taken.
  for (const { status } of refusals) expect(status).toBeGreaterThanOrEqual(400);

  // What was taken before is worked off and shown.
  await until('the report', async () => (await appsReport(url, bearer)).Before === 60);
  expect(await usageOf(url, agent.key)).toMatchObject([{ app: 'Before', seconds: 60 }]);
  expect(expectStatus(await call(url, 'get', '/api/v1/screenshots', { bearer }), 200).items).toHaveLength(1);
  const picture = expectStatus(await call(url, 'get', `/api/v1/screenshots/${screenshot}`, { bearer }), 200);
  expect((await fetch(picture.url)).status).toBe(200);
  const credentials = { email: ada.email, password: passwordOfAll };
  const login = expectStatus(await call(url, 'post', '/api/v1/auth/login', { body: credentials }), 200);
  expectStatus(await call(url, 'post', '/api/v1/auth/logout', { bearer: login.accessToken, body: {} }), 204);
  // Who deletes makes room.
  expectStatus(await call(url, 'delete', `/api/v1/screenshots/${screenshot}`, { bearer }), 204);
  expectStatus(await call(url, 'delete', `/api/v1/auth/agent-keys/${another.id}`, { bearer }), 204);

  await disk.free();
  await until('it is ready', async () => (await notReady(url))?.length === 0);
  await post(url, agent.key, ping('After', { at: yesterdayNoon() + 60_000 }));
  await until('the report', async () => (await appsReport(url, bearer)).After === 60);
  expect(await appsReport(url, bearer)).toEqual({ Before: 60, After: 60 });
  expect([product!.ending(), product!.process.pid]).toEqual([undefined, pid]);
}, 180_000);

test('an engine that ends on a full disk is started when there is room, and everything lives on', async () => {
  const { url, data } = await start({ WORKTIDE_MIN_FREE_BYTES: '100000000' });
  const ada = await register(url);
  const { key } = await makeAgentKey(url, ada);
  await post(url, key, ping('Before'));
  await until('the report', async () => (await appsReport(url, ada.accessToken)).Before === 60);
  await disk.fill();
  await until('it is full', async () => (await notReady(url))?.includes('disk') === true);
  const pid = Number((await readFile(path.join(data, 'postgres/data/postmaster.pid'), 'utf8')).split('\n')[0]);
  process.kill(pid, 'SIGKILL');
  await until('readiness names both', async () => {
    const down = await notReady(url);
    return down?.includes('disk') && down.includes('postgres');
  });
  // What PostgreSQL does not hold is answered all the while.
  for (let n = 0; n < 5; n++) expect((await appsReport(url, ada.accessToken)).Before).toBe(60);
  expect(product!.ending()).toBeUndefined();
  await disk.free();
  await until('it is ready', async () => (await notReady(url))?.length === 0, { seconds: 60 });
  expect(await usageOf(url, key)).toMatchObject([{ app: 'Before', seconds: 60 }]);
  expect(product!.ending()).toBeUndefined();
}, 180_000);

test.each([
  ['with a reserve, at one blow', '100000000'],
  ['without a reserve', '0'],
])(
  'filled to the last byte under load, %s: nothing acknowledged is lost and it goes on by itself',
  async (_, reserve) => {
    const { url, process: engine } = await start({ WORKTIDE_MIN_FREE_BYTES: reserve });
    const { pid } = engine;
    const ada = await register(url);
    const { key } = await makeAgentKey(url, ada);
    await post(url, key, ping('Before'));
    const tryOne = () => call(url, 'post', '/api/v1/pings', { bearer: key, body: ping('Before') });
    const result = await fleetDuring(shortRun(url, { timers: 0, maxWaitMs: 1_000 }), async () => {
      await accepted([url], 500);
      await disk.fill();
      await until('it is full', async () => full(await tryOne()), { seconds: 60 });
      // So that what is already taken meets the end of the disk as well; the log may have old pages for a ping or two.
      for (let refused = 0; refused < 200; ) {
        const { status } = await tryOne();
        if (status !== 202) expect(status).toBe(503);
        if (status === 503) refused++;
      }
      expectStatus(await call(url, 'get', '/health/live'), 200);
      expectStatus(await call(url, 'get', '/api/v1/auth/me', { bearer: ada.accessToken }), 200);
      await disk.free();
      await until('it takes pings again', async () => (await tryOne()).status === 202, { seconds: 60 });
      await accepted([url], 500);
    });
    expect(retried(result, '503')).toBeGreaterThan(0);
    expect(verdictOf(result)).toEqual(exactly);
    await until('it is ready', async () => (await notReady(url))?.length === 0, { seconds: 60 });
    expect(await stillEqual(result)).toEqual(exactly);
    expect([product!.ending(), product!.process.pid]).toEqual([undefined, pid]);
  },
  300_000,
);
