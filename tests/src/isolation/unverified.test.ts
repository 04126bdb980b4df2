import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { call, expectStatus, until } from '@worktide/testing';
import { tokenTo } from '../support/mail.ts';
import { makeAgentKey, type Person, ping, post, register } from '../support/people.ts';
import { type Product, startProduct, temporaryFolder } from '../support/product.ts';
import { type Operation, readOperations } from './operations.ts';
import { pathOf } from './world.ts';

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let product: Product;
let ada: Person;
let operations: Operation[];

beforeAll(async () => {
  folder = await temporaryFolder();
  product = await startProduct(folder.dir, { VERIFY_ADDRESSES: 'true', MAIL_LIMIT_PER_MINUTE: '1000' });
  ada = await register(product.url);
  operations = (await readOperations(product.url)).filter(({ access }) => access !== 'public');
}, 120_000);
afterAll(async () => {
  await product?.process.stop();
  await folder?.remove();
});

/** What somebody may change of their own account alone. */
const own = [
  'delete /api/v1/auth/sessions/{id}',
  'patch /api/v1/auth/me',
  'post /api/auth/logout',
  'post /api/v1/auth/logout-all',
  'post /api/v1/auth/password/change',
  'post /api/v1/auth/verify/resend',
];

async function ask(operation: Operation, bearer: string) {
  const ids = Object.fromEntries(operation.parameters.map(({ name }) => [name, randomUUID()]));
  const body = operation.hasBody ? {} : undefined;
  return call(product.url, operation.method, pathOf(operation, ids), { bearer, body });
}

test('whose address is not proven changes and sends nothing, by any operation', async () => {
  const changing = operations.filter(({ method }) => method !== 'get');
  expect(
    changing
      .filter(({ unverified }) => unverified)
      .map(({ name }) => name)
      .sort(),
  ).toEqual(own);
  const refused = changing.filter(({ unverified }) => !unverified);
  expect(refused.length).toBeGreaterThan(25);
  for (const operation of refused) {
    const { status, body } = await ask(operation, ada.accessToken);
    expect({ operation: operation.name, status, code: body?.code }).toEqual({
      operation: operation.name,
      status: 403,
      code: 'ADDRESS_NOT_VERIFIED',
    });
  }
  for (const operation of operations.filter(({ method }) => method === 'get')) {
    const { status, body } = await ask(operation, ada.accessToken);
    expect({ operation: operation.name, status, code: body?.code }).not.toMatchObject({ status: 403 });
  }
});

test('with the link, the token that was refused is good in every service within seconds', async () => {
  const token = await tokenTo(product, ada.email);
  expectStatus(await call(product.url, 'post', '/api/v1/auth/verify', { body: { token } }), 204);
  const project = { bearer: ada.accessToken, body: { name: 'First' } };
  await until('a project', async () => (await call(product.url, 'post', '/api/v1/projects', project)).status === 201);
  const sent = { bearer: ada.accessToken, body: ping('Editor', { seconds: 5 }) };
  await until('a ping', async () => (await call(product.url, 'post', '/api/v1/pings', sent)).status === 202);
  const { key } = await makeAgentKey(product.url, ada);
  await post(product.url, key, ping('Editor'));
});
