import { createHmac, createPublicKey, generateKeyPairSync, randomUUID, sign } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type Answer, call, expectStatus } from './support/http.ts';
import {
  type AgentKey,
  appsReport,
  makeAgentKey,
  type Person,
  ping,
  post,
  register,
  usageOf,
  yesterdayNoon,
} from './support/people.ts';
import { type Product, startProduct, temporaryFolder } from './support/product.ts';
import { until } from './support/until.ts';

interface Parameter {
  name: string;
  in: 'path' | 'query';
  required: boolean;
  schema: { format?: string };
}

interface Operation {
  id: string;
  method: string;
  route: string;
  secured: boolean;
  hasBody: boolean;
  parameters: Parameter[];
}

/** Stands in everything that Ada's organisation stores; an answer to anybody else that holds it is a leak. */
const marker = 'ada7b1d';
const device = `device-${marker}`;
let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let product: Product;
let operations: Operation[];
let ada: Person;
let adasKey: AgentKey;
let adasSession: string;
let adasUsage: string[];
let before: unknown;

beforeAll(async () => {
  folder = await temporaryFolder();
  product = await startProduct(folder.dir);
  operations = await readOperations();
  ada = await register(product.url, marker);
  adasKey = await makeAgentKey(product.url, ada, device);
  adasSession = claimsOf(ada.accessToken).sid as string;
  await post(product.url, adasKey.key, [
    ping(`App ${marker}`, { seconds: 60, url: `https://${marker}.example.com/`, title: `Title ${marker}` }),
    ping(`Other ${marker}`, { at: yesterdayNoon() + 600_000, seconds: 60 }),
  ]);
  await until(
    'the report has both',
    async () => Object.keys(await appsReport(product.url, ada.accessToken)).length === 2,
  );
  before = await stateOfAda();
  adasUsage = (await usageOf(product.url, ada.accessToken)).map(({ id }) => id);
}, 120_000);

afterAll(async () => {
  await product?.process.stop();
  await folder?.remove();
});

async function readOperations(): Promise<Operation[]> {
  const document = expectStatus(await call(product.url, 'get', '/api/docs/openapi.json'), 200);
  return Object.entries(document.paths as Record<string, Record<string, OperationObject>>).flatMap(([route, methods]) =>
    Object.entries(methods).map(([method, { operationId, security, requestBody, parameters }]) => ({
      id: operationId,
      method,
      route,
      secured: security.length > 0,
      hasBody: requestBody !== undefined,
      parameters,
    })),
  );
}

interface OperationObject {
  operationId: string;
  security: object[];
  requestBody?: object;
  parameters: Parameter[];
}

/** What Ada sees of her organisation, without the marks that her own looking leaves. */
async function stateOfAda(): Promise<unknown> {
  const { url } = product;
  const get = async (path: string) => expectStatus(await call(url, 'get', path, { bearer: ada.accessToken }), 200);
  const { user, organization } = await get('/api/v1/auth/me');
  const keys = await get('/api/v1/auth/agent-keys');
  return {
    user: { ...user, lastSeenAt: null },
    organization,
    keys: keys.items.map((key: object) => ({ ...key, lastUsedAt: null })),
    usage: await usageOf(url, ada.accessToken),
    apps: await appsReport(url, ada.accessToken),
  };
}

const claimsOf = (token: string): Record<string, unknown> =>
  JSON.parse(Buffer.from(token.split('.')[1]!, 'base64url').toString());
const base64 = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');

/** The path parameter of a route as one of Ada's. A new route needs a line here. */
function adasId(route: string): string {
  if (route.startsWith('/api/v1/auth/agent-keys/')) return adasKey.id;
  if (route.startsWith('/api/v1/auth/sessions/')) return adasSession;
  throw new Error(`isolation.test.ts knows no object of another organisation for ${route}: make one`);
}

/** A body that would do something to Ada, were the ids in it believed. A new operation with a body needs a line here. */
function bodyOf(operation: Operation): unknown {
  const hers = { userId: ada.userId, organizationId: ada.organizationId, user: ada.userId, org: ada.organizationId };
  const bodies: Record<string, object> = {
    'post /api/v1/auth/register': {
      ...hers,
      email: ada.email,
      password: 'x'.repeat(12),
      name: 'B',
      organizationName: 'B',
    },
    'post /api/v1/auth/login': { ...hers, email: ada.email, password: 'not the password' },
    'post /api/v1/auth/refresh': { ...hers, refreshToken: adasSession },
    'post /api/v1/auth/logout': { ...hers, refreshToken: adasSession, sessionId: adasSession },
    'post /api/v1/auth/logout-all': hers,
    'patch /api/v1/auth/me': { ...hers, id: ada.userId, name: 'B' },
    'post /api/v1/auth/agent-keys': { ...hers, name: 'B', deviceId: device },
    'post /api/v1/pings': ping('B', { ...hers, deviceId: device, seconds: 3_600 }),
  };
  const body = bodies[`${operation.method} ${operation.route}`];
  if (!body && operation.hasBody)
    throw new Error(`isolation.test.ts knows no body for ${operation.method} ${operation.route}: write one`);
  return operation.hasBody ? body : undefined;
}

/** The path with Ada's ids in every place that takes one, and something valid in every other that is required. */
function pathOf(operation: Operation, query: Record<string, string>): string {
  const date = new Date(yesterdayNoon()).toISOString().slice(0, 10);
  const filled = new URLSearchParams(query);
  for (const { name, in: where, required, schema } of operation.parameters) {
    if (where === 'path' || !required || filled.has(name)) continue;
    if (schema.format === 'date') filled.set(name, date);
    else filled.set(name, name === 'to' ? `${date}T23:59:59.000Z` : `${date}T00:00:00.000Z`);
  }
  const path = operation.route.replaceAll(/\{\w+\}/g, () => adasId(operation.route));
  return filled.size > 0 ? `${path}?${filled}` : path;
}

/** Nothing of Ada's stands in the answer, but for what the question itself had. */
function expectNoLeak(answer: Answer, question: string): void {
  const secrets = [marker, ada.userId, ada.organizationId, adasKey.id, adasSession, ...adasUsage];
  const leaked = secrets.filter((secret) => answer.text.includes(secret) && !question.includes(secret));
  expect({ question, status: answer.status, leaked, text: leaked.length > 0 ? answer.text : '' }).toMatchObject({
    leaked: [],
  });
}

describe('a credential that is none', () => {
  const forged: Record<string, () => Promise<string | undefined> | string | undefined> = {
    nobody: () => undefined,
    'no token at all': () => 'token',
    'a key that was never made': () => `waka_${randomUUID()}`,
    'an unsigned token (alg none)': () => `${base64({ alg: 'none', typ: 'JWT' })}.${ada.accessToken.split('.')[1]}.`,
    'a token signed by somebody else under the same key id': async () => {
      const { keys } = expectStatus(await call(product.url, 'get', '/.well-known/jwks.json'), 200);
      const unsigned = `${base64({ alg: 'EdDSA', kid: keys[0].kid })}.${ada.accessToken.split('.')[1]}`;
      const signature = sign(null, Buffer.from(unsigned), generateKeyPairSync('ed25519').privateKey);
      return `${unsigned}.${signature.toString('base64url')}`;
    },
    'a token signed with the public key as a shared secret (HS256)': async () => {
      const { keys } = expectStatus(await call(product.url, 'get', '/.well-known/jwks.json'), 200);
      const secret = createPublicKey({ key: keys[0], format: 'jwk' }).export({ type: 'spki', format: 'pem' });
      const unsigned = `${base64({ alg: 'HS256', kid: keys[0].kid })}.${ada.accessToken.split('.')[1]}`;
      return `${unsigned}.${createHmac('sha256', secret).update(unsigned).digest('base64url')}`;
    },
    'a token whose organisation was changed': async () => {
      const eve = await register(product.url);
      const [header, , signature] = eve.accessToken.split('.');
      return `${header}.${base64({ ...claimsOf(eve.accessToken), org: ada.organizationId })}.${signature}`;
    },
  };

  test.each(Object.keys(forged))('%s: 401 on every operation', async (name) => {
    const bearer = await forged[name]!();
    const secured = operations.filter((operation) => operation.secured);
    expect(secured.length).toBeGreaterThan(5);
    for (const operation of secured) {
      const path = pathOf(operation, {});
      const answer = await call(product.url, operation.method, path, { bearer, body: bodyOf(operation) });
      expect({ operation: operation.id, status: answer.status, text: answer.text }).toMatchObject({ status: 401 });
      expectNoLeak(answer, path);
    }
  });

  test('internal routes take no credential but their own', async () => {
    const internal = [
      ['post', '/internal/credentials/resolve', { key: adasKey.key }],
      ['get', '/internal/revocations', undefined],
      ['get', `/internal/users/${ada.organizationId}/${ada.userId}`, undefined],
    ] as const;
    for (const [method, path, body] of internal) {
      for (const bearer of [undefined, 'token', adasKey.key, ada.accessToken]) {
        const answer = await call(product.url, method, path, { bearer, body });
        expect({ path, status: answer.status }).toEqual({ path, status: 401 });
        expectNoLeak(answer, path);
      }
    }
  });
});

describe('the admin of another organisation', () => {
  /** Somebody new for each operation, since some of them end the session that calls. */
  async function askAs(operation: Operation, query: Record<string, string>): Promise<void> {
    const eve = await register(product.url);
    const evesKey = await makeAgentKey(product.url, eve);
    const path = pathOf(operation, query);
    const body = bodyOf(operation);
    const question = `${operation.method} ${path} ${JSON.stringify(body)}`;
    const takesHerId = path.includes(ada.userId) || operation.route.includes('{');
    for (const bearer of [evesKey.key, eve.accessToken]) {
      const answer = await call(product.url, operation.method, path, { bearer, body });
      expectNoLeak(answer, question);
      // An object elsewhere does not exist; an agent key is not allowed everywhere.
      const allowed = takesHerId
        ? [404, ...(bearer === evesKey.key ? [403] : [])]
        : [200, 201, 202, 204, 401, 403, 409];
      expect({
        question,
        status: answer.status,
        allowed: allowed.includes(answer.status),
        text: answer.text,
      }).toMatchObject({
        allowed: true,
      });
    }
  }

  test('reads and changes nothing by any operation with ids of this one', async () => {
    for (const operation of operations) await askAs(operation, {});
    const takes = (name: string) => operations.filter(({ parameters }) => parameters.some((p) => p.name === name));
    expect(takes('userId').length).toBeGreaterThanOrEqual(4);
    for (const operation of takes('userId')) await askAs(operation, { userId: ada.userId });
    for (const operation of takes('deviceId')) await askAs(operation, { deviceId: device });
    // Whatever was posted with her ids in it belongs to who posted it.
    expect(await stateOfAda()).toEqual(before);
  });

  test("gets nothing by a cursor out of this organisation's list", async () => {
    const eve = await register(product.url);
    const noon = yesterdayNoon();
    const iso = (ms: number): string => new Date(ms).toISOString();
    const range = new URLSearchParams({ from: iso(noon - 3_600_000), to: iso(noon + 3_600_000), limit: '1' });
    const first = await call(product.url, 'get', `/api/v1/usage?${range}`, { bearer: ada.accessToken });
    const { nextCursor } = expectStatus(first, 200);
    expect(nextCursor).toEqual(expect.any(String));
    range.set('cursor', nextCursor);
    const answer = await call(product.url, 'get', `/api/v1/usage?${range}`, { bearer: eve.accessToken });
    expectNoLeak(answer, '');
    expect([200, 400]).toContain(answer.status);
    if (answer.status === 200) expect(answer.body.items).toEqual([]);
  });

  test('sees their own of what they did with ids of this one', async () => {
    const eve = await register(product.url);
    const { key } = await makeAgentKey(product.url, eve, device);
    await post(product.url, key, ping('Mine', { userId: ada.userId, organizationId: ada.organizationId }));
    const items = await until('the entry', async () => {
      const found = await usageOf(product.url, eve.accessToken);
      return found.length > 0 && found;
    });
    expect(items.map(({ userId, deviceId, app }) => ({ userId, deviceId, app }))).toEqual([
      { userId: eve.userId, deviceId: device, app: 'Mine' },
    ]);
    expect(await stateOfAda()).toEqual(before);
  });
});
