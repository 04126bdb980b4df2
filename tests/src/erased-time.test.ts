import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { call, expectStatus, until } from '@worktide/testing';
import { makeAgentKey, register, yesterdayNoon } from './support/people.ts';
import { type Product, startProduct, temporaryFolder } from './support/product.ts';

/** Time that is to be forgotten, on the whole product. */

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let product: Product;
beforeAll(async () => {
  folder = await temporaryFolder();
  product = await startProduct(folder.dir);
}, 60_000);
afterAll(async () => {
  await product?.process.stop();
  await folder?.remove();
});

test('time and clicks of an erased hour are in no report, and do not come back when they are sent again', async () => {
  const { url } = product;
  const { accessToken: bearer } = await register(url);
  const { key } = await makeAgentKey(url, await register(url));
  const at = (minutes: number): string => new Date(yesterdayNoon() + minutes * 60_000).toISOString();
  const counts = (...minutes: number[]) =>
    minutes.map((n) => ({ minute: at(n), keyboardClicks: 7, mouseMovements: 12, deviceId: 'laptop' }));
  const post = async (path: string, body: unknown): Promise<void> =>
    void expectStatus(await call(url, 'post', path, { bearer, body }), 202);
  const day = at(0).slice(0, 10);
  const shown = async (): Promise<unknown[]> => {
    const path = `/api/v1/reports/daily?from=${day}&to=${day}&timezone=UTC`;
    const { items } = expectStatus(await call(url, 'get', path, { bearer }), 200);
    return [items[0].activeSeconds, items[0].keyboardClicks, items[0].mouseMovements];
  };
  const shows = (...expected: number[]): Promise<unknown> =>
    until(`${expected} shown`, async () => String(await shown()) === String(expected));
  const ping = { id: '01990000-0000-7000-8000-000000000001', app: 'editor', startedAt: at(0), endedAt: at(30) };
  await post('/api/v1/pings', ping);
  await post('/api/v1/activity', counts(1, 20, 70));
  await shows(1_800, 21, 36);

  const range = `from=${at(-10)}&to=${at(60)}`;
  const refused = await call(url, 'delete', `/api/v1/usage?${range}`, { bearer: key });
  expect(refused.status).toBe(403);
  expectStatus(await call(url, 'delete', `/api/v1/usage?${range}`, { bearer }), 202);
  await shows(0, 7, 12);

  await post('/api/v1/pings', ping);
  await post('/api/v1/activity', [...counts(1, 20, 30), ...counts(80)]);
  await shows(0, 14, 24);
});
