import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { call, expectStatus } from '@worktide/testing';
import { makeAgentKey, passwordOfAll, ping, register } from './support/people.ts';
import { type Product, startProduct, temporaryFolder } from './support/product.ts';

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let product: Product;

beforeAll(async () => {
  folder = await temporaryFolder();
  product = await startProduct(folder.dir, { LOGIN_LIMIT_PER_MINUTE: '100000' });
}, 120_000);
afterAll(async () => {
  await product?.process.stop();
  await folder?.remove();
});

test('200 log-ins at once: each is answered, and pings go on beside them, in the very same process', async () => {
  const { url } = product;
  const person = await register(url);
  const { key } = await makeAgentKey(url, person);
  let loggingIn = true;
  const logins = Promise.all(
    Array.from({ length: 200 }, () =>
      call(url, 'post', '/api/v1/auth/login', {
        body: { email: person.email, password: passwordOfAll },
        timeoutMs: 60_000,
      }),
    ),
  ).finally(() => {
    loggingIn = false;
  });
  let pinged = 0;
  while (loggingIn) {
    expectStatus(await call(url, 'post', '/api/v1/pings', { bearer: key, body: ping('Busy') }), 202);
    pinged++;
  }
  // A ping that had to wait for the hashes would be one of a handful: 200 of them take seconds of both cores.
  expect(pinged).toBeGreaterThan(10);
  const statuses = Map.groupBy(await logins, ({ status }) => status);
  expect([...statuses.keys()].filter((status) => status !== 200 && status !== 503)).toEqual([]);
  expect(statuses.get(200)?.length).toBeGreaterThan(100);
  for (const { headers } of statuses.get(503) ?? []) expect(headers.get('retry-after')).toMatch(/^[1-9]\d*$/);
}, 120_000);
