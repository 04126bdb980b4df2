import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { backend } from '@worktide/backends';
import { createIdentity, type Identity } from '@worktide/identity';
import { openKeyValue } from '@worktide/key-value';
import { createLifecycle, createMetrics, type Lifecycle, silentLogger, uuidv7 } from '@worktide/runtime';
import { until } from '@worktide/testing';
import {
  addColleague,
  authDatabase,
  internalToken,
  type Running,
  signUp,
  startAuth,
  type TestDatabase,
} from './testing.ts';

/** libs/identity against the real auth service, as every other service uses it. */

let database: TestDatabase;
let auth: Running;
let identity: Identity;
let lifecycle: Lifecycle;

const follow = (url = auth.url, token = internalToken): Identity =>
  createIdentity({
    authUrl: url,
    internalToken: token,
    log: silentLogger(),
    metrics: createMetrics(),
    lifecycle,
    pollMs: 100,
  });

beforeAll(async () => {
  database = await authDatabase();
});
beforeEach(async () => {
  auth = await startAuth(database.url);
  lifecycle = createLifecycle({ log: silentLogger() });
  identity = follow();
});
afterEach(async () => {
  await lifecycle.close();
  await auth.close();
});
afterAll(() => database.drop());

const sender = () => '192.0.2.1';
const bearer = (token: string): string => `Bearer ${token}`;
const refused = { statusCode: 401, code: 'UNAUTHORIZED' };
const unchecked = { statusCode: 503, code: 'DEPENDENCY_UNAVAILABLE' };

const newKey = async (token: string) =>
  (await auth.call('POST', '/api/v1/auth/agent-keys', { token, body: { name: 'k', deviceId: 'd1' } })).body;

/** Requests that auth answered on a route. */
async function asked(route: string): Promise<number> {
  const { text } = await auth.metrics.render();
  const lines = text
    .split('\n')
    .filter((line) => line.startsWith('worktide_http_requests_total') && line.includes(route));
  return lines.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
}

async function restartAt(url: string): Promise<Running> {
  return startAuth(database.url, { PORT: new URL(url).port });
}

describe('identity', () => {
  test('an access token is its user, with zone, role, session and device', async () => {
    const { accessToken, user } = await signUp(auth, { timezone: 'Asia/Kathmandu', deviceName: 'desk' });
    expect(await identity.authenticate(bearer(accessToken), sender)).toEqual({
      organizationId: user.organizationId,
      userId: user.id,
      role: 'admin',
      timezone: 'Asia/Kathmandu',
      sessionId: expect.any(String),
      deviceId: 'desk',
    });
  });

  test('an agent key is its user and device; a hundred at once ask auth once', async () => {
    const { accessToken, user } = await signUp(auth);
    const { key, id } = await newKey(accessToken);
    const callers = await Promise.all(Array.from({ length: 100 }, () => identity.authenticate(bearer(key), sender)));
    expect(callers[99]).toEqual({
      organizationId: user.organizationId,
      userId: user.id,
      role: 'admin',
      timezone: 'UTC',
      agentKeyId: id,
      deviceId: 'd1',
    });
    expect(await asked('/internal/credentials/resolve')).toBe(1);
    await identity.authenticate(bearer(key.toUpperCase().replace('WAKA', 'waka')), sender);
    expect(await asked('/internal/credentials/resolve')).toBe(1);
  });

  test('people are found by their address, in their own organisation only', async () => {
    const [one, two] = [await signUp(auth), await signUp(auth)];
    const find = async (organizationId: string, emails: string[]) =>
      (
        await auth.call('POST', '/internal/users/by-address', {
          token: internalToken,
          body: { organizationId, emails },
        })
      ).body;
    const { organizationId, id, email, name } = one.user;
    const shouted = email.toUpperCase();
    expect(await find(organizationId, [shouted, two.user.email, 'nobody', ''])).toEqual({
      people: [{ id, email: shouted, name, timezone: 'UTC' }],
    });
  });

  test('an unknown key is 401, and asked about once', async () => {
    const wrong = bearer('waka_00000000-0000-4000-8000-000000000000');
    for (let i = 0; i < 20; i++) await expect(identity.authenticate(wrong, sender)).rejects.toMatchObject(refused);
    expect(await asked('/internal/credentials/resolve')).toBe(1);
  });

  test('a session that was logged out is refused within seconds, one that was not goes on', async () => {
    const one = await signUp(auth);
    const two = await signUp(auth);
    await identity.authenticate(bearer(one.accessToken), sender);
    await auth.call('POST', '/api/v1/auth/logout', { token: one.accessToken });
    await until('the token is refused', () =>
      identity.authenticate(bearer(one.accessToken), sender).then(
        () => false,
        (error) => error.statusCode === 401,
      ),
    );
    await identity.authenticate(bearer(two.accessToken), sender);
    // A service that starts now knows it from its first answer on.
    await expect(follow().authenticate(bearer(one.accessToken), sender)).rejects.toMatchObject(refused);
  });

  test('a revoked key is refused within seconds', async () => {
    const { accessToken } = await signUp(auth);
    const { key, id } = await newKey(accessToken);
    await identity.authenticate(bearer(key), sender);
    await auth.call('DELETE', `/api/v1/auth/agent-keys/${id}`, { token: accessToken });
    await until('the key is refused', () =>
      identity.authenticate(bearer(key), sender).then(
        () => false,
        (error) => error.statusCode === 401,
      ),
    );
  });

  test('with key-value a log-out is pushed: it is known although the feed cannot be read', async () => {
    const redis = await backend('redis');
    const replica = await startAuth(database.url, { KEY_VALUE_URL: redis });
    const log = silentLogger();
    const metrics = createMetrics();
    const keyValue = openKeyValue(redis, { log, metrics });
    lifecycle.onClose('key-value', () => keyValue.close());
    const pushed = createIdentity({ authUrl: auth.url, internalToken, log, metrics, lifecycle, keyValue });
    const { accessToken } = await signUp(auth);
    await pushed.authenticate(bearer(accessToken), sender);
    const { url } = auth;
    await auth.close();
    await replica.call('POST', '/api/v1/auth/logout', { token: accessToken });
    await until('the token is refused', () =>
      pushed.authenticate(bearer(accessToken), sender).then(
        () => false,
        (error) => error.statusCode === 401,
      ),
    );
    await replica.close();
    auth = await restartAt(url);
  });

  test('a new timezone reaches tokens and keys in use within seconds', async () => {
    const { accessToken } = await signUp(auth);
    const { key } = await newKey(accessToken);
    await identity.authenticate(bearer(key), sender);
    await identity.authenticate(bearer(accessToken), sender);
    await auth.call('PATCH', '/api/v1/auth/me', { token: accessToken, body: { timezone: 'Asia/Tokyo' } });
    for (const credential of [accessToken, key]) {
      await until(
        'the zone is new',
        async () => (await identity.authenticate(bearer(credential), sender)).timezone === 'Asia/Tokyo',
      );
    }
  });

  test('a role, a suspension and its end, and a deletion reach tokens and keys in use within seconds', async () => {
    const admin = await signUp(auth);
    const { id, token } = await addColleague(auth, database, admin.organization.id, 'employee');
    const { key } = await newKey(token);
    for (const credential of [token, key]) await identity.authenticate(bearer(credential), sender);
    const patch = (body: unknown) => auth.call('PATCH', `/api/v1/users/${id}`, { token: admin.accessToken, body });
    const is = (credential: string) =>
      identity.authenticate(bearer(credential), sender).then(
        ({ role }) => role as string,
        (error) => String(error.statusCode),
      );
    await patch({ role: 'manager' });
    for (const credential of [token, key]) {
      await until('the role is new', async () => (await is(credential)) === 'manager');
    }
    await patch({ status: 'suspended' });
    for (const credential of [token, key]) await until('refused', async () => (await is(credential)) === '401');
    await patch({ status: 'active' });
    await until('the key is good again', async () => (await is(key)) === 'manager');
    expect(await is(token)).toBe('401');
    await auth.call('DELETE', `/api/v1/users/${id}`, { token: admin.accessToken });
    await until('the key is refused for good', async () => (await is(key)) === '401');
    expect(await identity.findUser(admin.organization.id, id)).toMatchObject({ id, status: 'inactive' });
  });

  test('settings of an organisation are known within seconds of their change', async () => {
    const { accessToken: token, organization } = await signUp(auth);
    expect(await identity.organization(organization.id)).toMatchObject({ subscriptionStatus: 'trial' });
    await auth.call('PATCH', '/api/v1/organization', { token, body: { settings: { idleAfterSeconds: 77 } } });
    await until(
      'the setting is new',
      async () => (await identity.organization(organization.id))?.settings.idleAfterSeconds === 77,
    );
    expect(await identity.organization(uuidv7())).toBeUndefined();
  });

  test('users are found within their organisation only', async () => {
    const { user } = await signUp(auth, { timezone: 'Asia/Tokyo' });
    const other = await signUp(auth);
    const { id, organizationId, name } = user;
    expect(await identity.findUser(organizationId, id)).toEqual({
      id,
      organizationId,
      name,
      role: 'admin',
      timezone: 'Asia/Tokyo',
      status: 'active',
    });
    expect(await identity.findUser(other.user.organizationId, id)).toBeUndefined();
    expect(await identity.findUser(organizationId, uuidv7())).toBeUndefined();
  });

  test('auth away: whom it knows goes on, whom it does not is 503, and all is well when auth is back', async () => {
    const person = await signUp(auth);
    const { key } = await newKey(person.accessToken);
    const { key: unknownKey } = await newKey(person.accessToken);
    await identity.authenticate(bearer(key), sender);
    await identity.authenticate(bearer(person.accessToken), sender);
    const unseen = await signUp(auth);
    await auth.close();
    await identity.authenticate(bearer(key), sender);
    await identity.authenticate(bearer(person.accessToken), sender);
    // Its signature can be checked with the keys that are here already.
    await identity.authenticate(bearer(unseen.accessToken), sender);
    await identity.check();
    await expect(identity.authenticate(bearer(unknownKey), sender)).rejects.toMatchObject(unchecked);
    await expect(identity.findUser(person.user.organizationId, person.user.id)).rejects.toMatchObject(unchecked);
    auth = await restartAt(auth.url);
    await identity.authenticate(bearer(unknownKey), sender);
    expect(await identity.findUser(person.user.organizationId, person.user.id)).toMatchObject({ status: 'active' });
    await auth.call('POST', '/api/v1/auth/logout', { token: person.accessToken });
    await until('the feed is followed again', () =>
      identity.authenticate(bearer(person.accessToken), sender).then(
        () => false,
        (error) => error.statusCode === 401,
      ),
    );
  });

  test('started while auth is away: 503 and not ready, until auth is there', async () => {
    const { accessToken } = await signUp(auth);
    const { url } = auth;
    await auth.close();
    const late = follow(url);
    await expect(late.authenticate(bearer(accessToken), sender)).rejects.toMatchObject(unchecked);
    await expect(late.check()).rejects.toMatchObject(unchecked);
    auth = await restartAt(url);
    await until('ready', () =>
      Promise.resolve(late.check()).then(
        () => true,
        () => false,
      ),
    );
    await late.authenticate(bearer(accessToken), sender);
  });

  test('a wrong internal token, or a URL that is not auth’s, is 503, never 401 or 404', async () => {
    const { accessToken } = await signUp(auth);
    const { key } = await newKey(accessToken);
    const wrong = [follow(auth.url, 'wrong'.repeat(10)), follow(`${auth.url}/elsewhere`)];
    await Promise.all(
      wrong.flatMap(({ authenticate }) => [
        expect(authenticate(bearer(key), sender)).rejects.toMatchObject(unchecked),
        expect(authenticate(bearer(accessToken), sender)).rejects.toMatchObject(unchecked),
      ]),
    );
  });

  test('what it remembers is bounded', async () => {
    const small = createIdentity({
      authUrl: auth.url,
      internalToken,
      log: silentLogger(),
      metrics: createMetrics(),
      lifecycle,
      maxEntries: 4,
    });
    const tokens: string[] = [];
    const { accessToken } = await signUp(auth);
    for (let i = 0; i < 10; i++) tokens.push((await newKey(accessToken)).key);
    for (let round = 0; round < 2; round++) for (const token of tokens) await small.authenticate(bearer(token), sender);
    // Forgotten ones are asked about again: nothing else could have answered the second round.
    expect(await asked('/internal/credentials/resolve')).toBe(20);
  });
});
