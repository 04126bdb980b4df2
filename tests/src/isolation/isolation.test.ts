import { createHmac, createPublicKey, generateKeyPairSync, type KeyObject, randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { AccessTokenClaims } from '@worktide/schemas';
import { type Answer, call, expectStatus, inLanes, signToken, until } from '@worktide/testing';
import { invite, makeAgentKey, type Person, ping, post, register, usageOf, yesterdayNoon } from '../support/people.ts';
import { type Operation, readOperations } from './operations.ts';
import { bodyOf, claimsOf, device, hers, marker, pathOf, startWorld, takesPath, type World } from './world.ts';

let world: World;
let operations: Operation[];
let before: unknown;

beforeAll(async () => {
  world = await startWorld();
  operations = await readOperations(world.product.url);
  before = await world.state();
}, 120_000);
afterAll(() => world?.close());

const base64 = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');

/** A token of these claims, signed by a key under the product's key id. */
async function signed(claims: Record<string, unknown>, key: KeyObject): Promise<string> {
  const { keys } = expectStatus(await call(world.product.url, 'get', '/.well-known/jwks.json'), 200);
  return signToken({ key, kid: keys[0].kid }, claims as AccessTokenClaims);
}

/** An operation with Ada's ids in its path and body; the answer may hold what the question had, and no more. */
async function ask(
  operation: Operation,
  bearer: string | undefined,
  query: Record<string, string> = {},
): Promise<Answer & { question: string }> {
  const path = pathOf(operation, takesPath(operation) ? hers(world, operation) : {}, query);
  const body = bodyOf(world, operation);
  const answer = await call(world.product.url, operation.method, path, { bearer, body });
  return { ...answer, question: `${operation.method} ${path} ${JSON.stringify(body)}` };
}

/** Nothing of Ada's stands in the answer, but for what the question itself had. */
function expectNoLeak(answer: Answer, question: string): void {
  const { ada, manager, employee, key, session, ids, usage } = world;
  const people = [ada, manager, employee].flatMap(({ userId, email }) => [userId, email]);
  const secrets = [marker, ada.organizationId, ...people, key.id, session, ...Object.values(ids), ...usage];
  const leaked = secrets.filter((secret) => answer.text.includes(secret) && !question.includes(secret));
  expect({ question, status: answer.status, leaked, text: leaked.length > 0 ? answer.text : '' }).toMatchObject({
    leaked: [],
  });
}

const secured = (): Operation[] => operations.filter(({ access }) => access !== 'public');

/** Every operation that wants a credential says 401 to this one, and says nothing else. */
async function expectRefusedEverywhere(bearer: string | undefined, code?: string): Promise<void> {
  expect(secured().length).toBeGreaterThan(40);
  for (const operation of secured()) {
    const answer = await ask(operation, bearer);
    expect({ operation: operation.name, status: answer.status, text: answer.text }).toMatchObject({ status: 401 });
    if (code) expect({ operation: operation.name, code: answer.body.code }).toMatchObject({ code });
    expectNoLeak(answer, answer.question);
  }
}

describe('a credential that is none', () => {
  const forged: Record<string, () => Promise<string | undefined> | string | undefined> = {
    nobody: () => undefined,
    'no token at all': () => 'token',
    'a key that was never made': () => `waka_${randomUUID()}`,
    'an unsigned token (alg none)': () =>
      `${base64({ alg: 'none', typ: 'JWT' })}.${world.ada.accessToken.split('.')[1]}.`,
    'a token signed by somebody else under the same key id': () =>
      signed(claimsOf(world.ada.accessToken), generateKeyPairSync('ed25519').privateKey),
    'a token signed with the public key as a shared secret (HS256)': async () => {
      const { keys } = expectStatus(await call(world.product.url, 'get', '/.well-known/jwks.json'), 200);
      const secret = createPublicKey({ key: keys[0], format: 'jwk' }).export({ type: 'spki', format: 'pem' });
      const unsigned = `${base64({ alg: 'HS256', kid: keys[0].kid })}.${world.ada.accessToken.split('.')[1]}`;
      return `${unsigned}.${createHmac('sha256', secret).update(unsigned).digest('base64url')}`;
    },
    'a token whose organisation was changed': async () => {
      const eve = await register(world.product.url);
      const [header, , signature] = eve.accessToken.split('.');
      const claims = { ...claimsOf(eve.accessToken), org: world.ada.organizationId };
      return `${header}.${base64(claims)}.${signature}`;
    },
  };

  test.each(Object.keys(forged))('%s: 401 on every operation', async (name) => {
    await expectRefusedEverywhere(await forged[name]!());
  });

  test('an expired token, signed by the right key: 401 TOKEN_EXPIRED on every operation', async () => {
    const claims = claimsOf(world.ada.accessToken);
    const now = Math.floor(Date.now() / 1000);
    await expectRefusedEverywhere(await signed({ ...claims, exp: now - 1 }, world.signingKey), 'TOKEN_EXPIRED');
    // The same but for its end is good, so it was the end that was refused.
    const good = await signed({ ...claims, exp: now + 60 }, world.signingKey);
    expectStatus(await call(world.product.url, 'get', '/api/v1/auth/me', { bearer: good }), 200);
  });

  test('internal routes take no credential but their own', async () => {
    const { ada, key, product } = world;
    const internal = [
      ['post', '/internal/credentials/resolve', { key: key.key }],
      ['get', '/internal/revocations', undefined],
      ['get', `/internal/users/${ada.organizationId}/${ada.userId}`, undefined],
      ['get', `/internal/organizations/${ada.organizationId}`, undefined],
      ['post', '/internal/mails/digest', { ...ada, items: [{ title: 'B', body: '', link: '/' }], more: 0 }],
      ['post', '/internal/users/seen', { people: [{ ...ada, at: 1 }] }],
      ['post', '/internal/users/by-address', { organizationId: ada.organizationId, emails: [ada.email] }],
      ['post', '/internal/workspace/project-names', { organizationId: ada.organizationId, names: ['P'] }],
      ['post', '/internal/workspace/team', { organizationId: ada.organizationId, teamId: world.ids.team }],
      ['post', '/internal/workspace/sees-task', { organizationId: ada.organizationId, taskId: world.ids.task }],
    ] as const;
    for (const [method, path, body] of internal) {
      for (const bearer of [undefined, 'token', key.key, ada.accessToken]) {
        const answer = await call(product.url, method, path, { bearer, body });
        expect({ path, status: answer.status }).toEqual({ path, status: 401 });
        expectNoLeak(answer, path);
      }
    }
  });
});

describe('a credential that was good a moment ago: 401 on every operation of every service within seconds', () => {
  /** Services learn of it on their own: the gateway, reports, entries and tasks each answer for themselves. */
  async function untilRefused(bearer: string): Promise<void> {
    const { url } = world.product;
    const date = new Date(yesterdayNoon()).toISOString().slice(0, 10);
    for (const path of [`/api/v1/reports/apps?date=${date}`, '/api/v1/tasks', '/api/v1/organization']) {
      await until(`401 at ${path}`, async () => (await call(url, 'get', path, { bearer })).status === 401);
    }
    for (const path of ['/api/v1/pings']) {
      const body = ping('Late');
      await until(`401 at ${path}`, async () => (await call(url, 'post', path, { bearer, body })).status === 401);
    }
    const range = `from=${date}T00:00:00.000Z&to=${date}T23:00:00.000Z`;
    const usage = `/api/v1/usage?${range}`;
    await until('401 at /usage', async () => (await call(url, 'get', usage, { bearer })).status === 401);
  }

  /** Used once everywhere, so that what refuses it is not that nobody knew it. */
  async function guest(): Promise<{ admin: Person; person: Person; key: string; keyId: string }> {
    const admin = await register(world.product.url);
    const person = await invite(world.product, admin, 'manager');
    const { key, id } = await makeAgentKey(world.product.url, person);
    await post(world.product.url, key, ping('Used'));
    await usageOf(world.product.url, person.accessToken);
    return { admin, person, key, keyId: id };
  }

  test('a suspended user, token and key; and in again when active, by a new log-in', async () => {
    const { admin, person, key } = await guest();
    const path = `/api/v1/users/${person.userId}`;
    const patch = (status: string) =>
      call(world.product.url, 'patch', path, { bearer: admin.accessToken, body: { status } });
    expectStatus(await patch('suspended'), 200);
    await untilRefused(person.accessToken);
    await until(
      'the key is out',
      async () =>
        (await call(world.product.url, 'post', '/api/v1/pings', { bearer: key, body: ping('Late') })).status === 401,
    );
    await expectRefusedEverywhere(person.accessToken);
    await expectRefusedEverywhere(key);
    const login = { body: { email: person.email, password: person.password } };
    expect((await call(world.product.url, 'post', '/api/v1/auth/login', login)).status).toBe(401);

    expectStatus(await patch('active'), 200);
    const again = expectStatus(await call(world.product.url, 'post', '/api/v1/auth/login', login), 200);
    expectStatus(await call(world.product.url, 'get', '/api/v1/tasks', { bearer: again.accessToken }), 200);
    await until(
      'the key is in',
      async () =>
        (await call(world.product.url, 'post', '/api/v1/pings', { bearer: key, body: ping('Again') })).status === 202,
      { seconds: 20 },
    );
  });

  test('a session that was logged out', async () => {
    const { person } = await guest();
    expectStatus(await call(world.product.url, 'post', '/api/v1/auth/logout', { bearer: person.accessToken }), 204);
    await untilRefused(person.accessToken);
    await expectRefusedEverywhere(person.accessToken);
  });

  test('a revoked key', async () => {
    const { person, key, keyId } = await guest();
    const path = `/api/v1/auth/agent-keys/${keyId}`;
    expectStatus(await call(world.product.url, 'delete', path, { bearer: person.accessToken }), 204);
    await untilRefused(key);
    await expectRefusedEverywhere(key);
  });

  test('a deleted user', async () => {
    const { admin, person } = await guest();
    const path = `/api/v1/users/${person.userId}`;
    expectStatus(await call(world.product.url, 'delete', path, { bearer: admin.accessToken }), 204);
    await untilRefused(person.accessToken);
    await expectRefusedEverywhere(person.accessToken);
  });

  test('a role that was taken away: what it allowed is 403 everywhere, with the same token', async () => {
    const { admin, person } = await guest();
    const { url } = world.product;
    const colleague = `userId=${admin.userId}`;
    const date = new Date(yesterdayNoon()).toISOString().slice(0, 10);
    const paths = [
      '/api/v1/users',
      `/api/v1/reports/apps?date=${date}&${colleague}`,
      `/api/v1/usage?from=${date}T00:00:00.000Z&to=${date}T23:00:00.000Z&${colleague}`,
    ];
    const statusOf = async (path: string): Promise<number> =>
      (await call(url, 'get', path, { bearer: person.accessToken })).status;
    for (const path of paths) expect([path, await statusOf(path)]).toEqual([path, 200]);
    const demotion = { bearer: admin.accessToken, body: { role: 'employee' } };
    expectStatus(await call(url, 'patch', `/api/v1/users/${person.userId}`, demotion), 200);
    for (const path of paths) await until(`403 at ${path}`, async () => (await statusOf(path)) === 403);
  });
});

describe('the admin of another organisation', () => {
  test('reads and changes nothing by any operation with ids of this one', async () => {
    // Some at once, each by somebody new.
    await inLanes(operations, 3, (operation) => askAsStranger(operation, {}));
    const takes = (name: string) => operations.filter(({ parameters }) => parameters.some((p) => p.name === name));
    expect(takes('userId').length).toBeGreaterThanOrEqual(4);
    const { ada, ids } = world;
    const foreign = { userId: ada.userId, deviceId: device, assigneeId: ada.userId, creatorId: ada.userId };
    for (const [name, value] of Object.entries({ ...foreign, projectId: ids.project })) {
      for (const operation of takes(name).filter((o) =>
        o.parameters.some((p) => p.name === name && p.in === 'query'),
      )) {
        await askAsStranger(operation, { [name]: value });
      }
    }
    // Whatever was posted with her ids in it belongs to who posted it.
    expect(await world.state()).toEqual(before);
  }, 120_000);

  /** Somebody new for each operation, since some of them end the session that calls. */
  async function askAsStranger(operation: Operation, query: Record<string, string>): Promise<void> {
    const eve = await register(world.product.url);
    const evesKey = await makeAgentKey(world.product.url, eve);
    // Names that each device gives for itself: there is one of hers, and it is not meant.
    const isOwnName = operation.route.startsWith('/api/0/');
    const takesHerId = (takesPath(operation) && !isOwnName) || query.userId !== undefined;
    const ids = takesPath(operation) ? hers(world, operation) : {};
    const body = bodyOf(world, operation);
    for (const bearer of [evesKey.key, eve.accessToken]) {
      const path = pathOf(operation, ids, query);
      const question = `${operation.method} ${path} ${JSON.stringify(body)}`;
      const answer = await call(world.product.url, operation.method, path, { bearer, body });
      expectNoLeak(answer, question);
      // An object elsewhere does not exist; an agent key is not allowed everywhere; a link is its own credential.
      const allowed = operation.route.startsWith('/objects/')
        ? [400, 403]
        : takesHerId
          ? [404, ...(bearer === evesKey.key && operation.access === 'session' ? [403] : [])]
          : [200, 201, 202, 204, 304, 400, 401, 403, 404, 409, 415];
      expect({
        question,
        status: answer.status,
        allowed: allowed.includes(answer.status),
        text: answer.text,
      }).toEqual({ question, status: answer.status, allowed: true, text: answer.text });
      if (answer.status !== 404) continue;
      // What does not exist anywhere is answered in the same words.
      const nowhere = Object.fromEntries(Object.keys(ids).map((name) => [name, randomUUID()]));
      const other = pathOf(operation, nowhere, query.userId ? { ...query, userId: randomUUID() } : query);
      const absent = await call(world.product.url, operation.method, other, { bearer, body });
      const words = ({ status, body: { code, message, details } }: Answer) => ({ status, code, message, details });
      expect({ question, ...words(absent) }).toEqual({ question, ...words(answer) });
    }
  }

  test('gets nothing by a cursor out of a list of this organisation', async () => {
    const eve = await register(world.product.url);
    const { url } = world.product;
    const noon = yesterdayNoon();
    const iso = (ms: number): string => new Date(ms).toISOString();
    const range = `from=${iso(noon - 3_600_000)}&to=${iso(noon + 3_600_000)}`;
    await makeAgentKey(url, world.ada, 'second');
    const lists = [
      `/api/v1/usage?${range}`,
      `/api/v1/time-entries?${range}`,
      '/api/v1/users?',
      '/api/v1/auth/agent-keys?',
    ];
    for (const list of lists) {
      const first = await call(url, 'get', `${list}&limit=1`, { bearer: world.ada.accessToken });
      const { nextCursor } = expectStatus(first, 200);
      expect([list, nextCursor]).toEqual([list, expect.any(String)]);
      const cursor = encodeURIComponent(nextCursor);
      const answer = await call(url, 'get', `${list}&limit=500&cursor=${cursor}`, { bearer: eve.accessToken });
      expectNoLeak(answer, '');
      expect([200, 400]).toContain(answer.status);
    }
  });

  test('sees their own of what they did with ids of this one', async () => {
    const eve = await register(world.product.url);
    const { url } = world.product;
    const { ada } = world;
    const { key } = await makeAgentKey(url, eve, device);
    await post(url, key, ping('Mine', { userId: ada.userId, organizationId: ada.organizationId }));
    const items = await until('the entry', async () => {
      const found = await usageOf(url, eve.accessToken);
      return found.length > 0 && found;
    });
    expect(items.map(({ userId, deviceId, app }) => ({ userId, deviceId, app }))).toEqual([
      { userId: eve.userId, deviceId: device, app: 'Mine' },
    ]);
  });
});

describe('roles within an organisation', () => {
  const people = { employee: () => world.employee, manager: () => world.manager, admin: () => world.ada };
  const names = Object.keys(people) as (keyof typeof people)[];

  test.each(names)('%s: what the role may not is 403, whatever the ids', async (role) => {
    for (const operation of secured().filter(({ roles }) => roles && !roles.includes(role))) {
      const answer = await ask(operation, people[role]().accessToken);
      expect({ operation: operation.name, status: answer.status, text: answer.text }).toMatchObject({ status: 403 });
      expectNoLeak(answer, answer.question);
    }
  });

  test.each(names)('%s: reads what the role may', async (role) => {
    for (const operation of secured().filter(
      ({ method, roles }) => method === 'get' && (roles?.includes(role) ?? true),
    )) {
      const answer = await ask(operation, people[role]().accessToken);
      const { status, text } = answer;
      const operationStatus = { operation: operation.name, status: expectedOf(operation.route, role) };
      expect({ operation: operation.name, status, text }).toEqual({ ...operationStatus, text });
    }
  });

  /** A bucket is of the device whose key made it, and a session is none. */
  const expectedOf = (route: string, role: string): number =>
    route.startsWith('/api/0/buckets/{') ? 404 : (hiddenFrom(role)[route] ?? 200);

  /** What is the admin's own: an employee sees no pictures or time of theirs, and what they recorded offline concerns nobody else. */
  const hiddenFrom = (role: string): Record<string, number> => ({
    ...(role === 'employee'
      ? {
          '/api/v1/screenshots/{id}': 403,
          '/api/v1/time-entries/{id}': 403,
          '/api/v1/time-entries/{id}/history': 403,
          '/api/time-entries/{id}': 403,
          '/api/screenshots/time-entry/{id}': 403,
          // For who leads a team.
          '/api/v1/reports/team': 403,
        }
      : {}),
    // An export is its maker's alone.
    ...(role === 'admin'
      ? {}
      : {
          '/api/v1/sync/batches/{id}': 404,
          '/api/v1/reports/exports/{id}': 404,
          '/api/v1/imports/{id}': 404,
        }),
    // A range of days that there is not.
    '/api/v1/users/current/stats/{range}': 404,
  });

  test('an employee reads no colleague', async () => {
    const { employee, ada, product } = world;
    for (const operation of secured()) {
      if (operation.method !== 'get' || !operation.parameters.some(({ name }) => name === 'userId')) continue;
      if (takesPath(operation)) continue;
      const answer = await ask(operation, employee.accessToken, { userId: ada.userId });
      expect({ operation: operation.name, status: answer.status }).toEqual({ operation: operation.name, status: 403 });
    }
    const other = await call(product.url, 'get', `/api/v1/users/${ada.userId}`, { bearer: employee.accessToken });
    expect(other.status).toBe(403);
  });

  test('a lead reads reports, alerts, screenshots and presence of the members of their teams, and nothing else of anybody', async () => {
    const { ada, employee, manager, product } = world;
    const { url } = product;
    const lead = await invite(product, ada, 'employee');
    const plain = await invite(product, ada, 'employee');
    const bearer = ada.accessToken;
    const { id: team } = expectStatus(
      await call(url, 'post', '/api/v1/teams', { bearer, body: { name: 'Night' } }),
      201,
    );
    const add = async (userId: string, role: string): Promise<void> => {
      const answer = await call(url, 'post', `/api/v1/teams/${team}/members`, { bearer, body: { userId, role } });
      expectStatus(answer, 201);
    };
    await add(lead.userId, 'lead');
    await add(employee.userId, 'member');
    const forLeads = (route: string): boolean =>
      ['/api/v1/reports/', '/api/v1/alerts', '/api/v1/screenshots', '/api/v1/presence'].some((prefix) =>
        route.startsWith(prefix),
      );
    const statusOf = async (operation: Operation, who: Person, userId: string): Promise<number> => {
      const path = pathOf(
        operation,
        takesPath(operation) ? { id: userId } : {},
        takesPath(operation) ? {} : { userId },
      );
      return (await call(url, operation.method, path, { bearer: who.accessToken })).status;
    };
    const ofPeople = secured().filter(
      (o) =>
        o.method === 'get' &&
        (o.route === '/api/v1/reports/user/{id}' ||
          o.route === '/api/v1/users/{id}' ||
          (!takesPath(o) && o.parameters.some(({ name }) => name === 'userId'))),
    );
    expect(ofPeople.length).toBeGreaterThanOrEqual(9);
    for (const operation of ofPeople) {
      const statuses = [
        await statusOf(operation, lead, employee.userId),
        await statusOf(operation, lead, manager.userId),
        await statusOf(operation, lead, ada.userId),
        await statusOf(operation, plain, employee.userId),
      ];
      expect({ operation: operation.name, statuses }).toEqual({
        operation: operation.name,
        statuses: [forLeads(operation.route) ? 200 : 403, 403, 403, 403],
      });
    }
    const report = (query: string) =>
      call(url, 'get', `/api/v1/reports/team?date=2026-11-01${query}`, { bearer: lead.accessToken });
    // Reports know of the team a moment later than workspace.
    await until('the member is in the report', async () =>
      (await report(`&teamId=${team}`)).body.items.some((row: { userId: string }) => row.userId === employee.userId),
    );
    expect((await report('')).status).toBe(403);
    expect((await report(`&teamId=${world.ids.team}`)).status).toBe(403);
    // Where anybody else is refused, a lead is, too: nothing is theirs to change.
    for (const operation of secured().filter((o) => o.method !== 'get' && takesPath(o))) {
      const { status } = await ask(operation, plain.accessToken);
      if (status !== 403 && status !== 404) continue;
      const answer = await ask(operation, lead.accessToken);
      expect({ operation: operation.name, status: answer.status }).toEqual({ operation: operation.name, status });
    }
    // A key of theirs leads nobody.
    const key = await makeAgentKey(url, lead);
    const path = `/api/v1/reports/apps?date=2026-11-01&userId=${employee.userId}`;
    expect((await call(url, 'get', path, { bearer: key.key })).status).toBe(403);
    // And no longer once they do not.
    const member = { bearer, body: { userId: lead.userId, role: 'member' } };
    expectStatus(await call(url, 'post', `/api/v1/teams/${team}/members`, member), 200);
    await until('403', async () => (await call(url, 'get', path, { bearer: lead.accessToken })).status === 403);
  });

  const ingest = ['/api/v1/pings', '/api/v1/activity', '/api/v1/sync/', '/api/v1/users/current/', '/api/0/'];
  /** What agents do besides ingest: they run the timer of their own person. */
  const timer = [
    'post /api/v1/time-entries',
    ...['pause', 'resume', 'stop'].map((step) => `put /api/v1/time-entries/{id}/${step}`),
  ];

  test.each(names)("an agent's key of a %s is for agents: what needs a log-in is 403", async (role) => {
    const forbidden = secured().filter(({ name, access, method, route, roles }) => {
      const ofAgents = ingest.some((prefix) => route.startsWith(prefix)) || timer.includes(name);
      const writes = method !== 'get' && !ofAgents;
      // Whatever the document says of it: nothing but ingest and timers writes, and nothing is a role's.
      return access === 'session' || writes || roles !== undefined;
    });
    expect(forbidden.map(({ name }) => name)).toEqual(
      expect.arrayContaining([
        'delete /api/v1/usage',
        'delete /api/v1/screenshots/{id}',
        'patch /api/v1/time-entries/{id}',
        'get /api/v1/users',
      ]),
    );
    const found = await world.state();
    for (const operation of forbidden) {
      const answer = await ask(operation, world.keys[role].key);
      expect({ operation: operation.name, status: answer.status, code: answer.body?.code }).toEqual({
        operation: operation.name,
        status: 403,
        code: 'FORBIDDEN',
      });
    }
    // Not a picture fewer, nor a minute.
    expect(await world.state()).toEqual(found);
  });

  test.each(names)("an agent's key of a %s reads its own person, and no colleague", async (role) => {
    const own = people[role]().userId;
    const colleague = role === 'employee' ? world.ada.userId : world.employee.userId;
    const reads = secured().filter(
      (o) => o.method === 'get' && o.access === 'user' && o.parameters.some(({ name }) => name === 'userId'),
    );
    expect(reads.length).toBeGreaterThanOrEqual(5);
    for (const operation of reads) {
      for (const [userId, status] of [
        [own, 200],
        [colleague, 403],
      ] as const) {
        const answer = await ask(operation, world.keys[role].key, { userId });
        expect({ operation: operation.name, userId, status: answer.status }).toEqual({
          operation: operation.name,
          userId,
          status,
        });
      }
    }
    const { status } = await call(world.product.url, 'get', `/api/v1/screenshots/${world.ids.screenshot}`, {
      bearer: world.keys[role].key,
    });
    expect(status).toBe(role === 'admin' ? 200 : 403);
  });

  test("a colleague's devices and keys are not there, whatever the role", async () => {
    const { ada, manager, key, session, product } = world;
    const boss = await invite(product, ada, 'admin');
    for (const { accessToken: bearer } of [manager, boss]) {
      for (const path of [`/api/v1/auth/agent-keys/${key.id}`, `/api/v1/auth/sessions/${session}`]) {
        expect((await call(product.url, 'delete', path, { bearer })).status).toBe(404);
      }
    }
  });
});
