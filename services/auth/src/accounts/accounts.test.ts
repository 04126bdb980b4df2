import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { until } from '@worktide/testing';
import { decodeJwt, decodeProtectedHeader } from 'jose';
import {
  auditEventsOf,
  auditedActions,
  authDatabase,
  feedOf,
  newPerson,
  type Running,
  signUp,
  startAuth,
  type TestDatabase,
} from '../testing.ts';

let database: TestDatabase;
let auth: Running;

beforeAll(async () => {
  database = await authDatabase();
  auth = await startAuth(database.url);
});
afterAll(async () => {
  await auth.close();
  await database.drop();
});

const register = (body: unknown) => auth.call('POST', '/api/v1/auth/register', { body });
const login = (body: unknown) => auth.call('POST', '/api/v1/auth/login', { body });

describe('POST /auth/register', () => {
  test('makes an organisation on trial with its first admin, logged in', async () => {
    const person = newPerson({ email: '  Ada.LOVELACE@Example.com ', timezone: 'Asia/Kathmandu' });
    const { status, body, headers } = await register(person);
    expect(status).toBe(201);
    expect(body.user).toMatchObject({
      email: 'ada.lovelace@example.com',
      name: person.name,
      role: 'admin',
      status: 'active',
      timezone: 'Asia/Kathmandu',
      organizationId: body.organization.id,
    });
    expect(body.organization).toMatchObject({
      name: person.organizationName,
      timezone: 'Asia/Kathmandu',
      subscriptionStatus: 'trial',
      settings: { idleAfterSeconds: 300, overtimeAfterSeconds: 32_400, overlapPolicy: 'reject', minimumBlurLevel: 0 },
    });
    expect(body.expiresIn).toBe(900);
    expect(body).not.toHaveProperty('refreshToken');
    expect(JSON.stringify(body)).not.toMatch(/password|argon2/);
    expect(headers.get('cache-control')).toBe('no-store');
    const cookie = headers.get('set-cookie')!;
    expect(cookie).toMatch(
      /^worktide_refresh=[\w-]{43}; Max-Age=604800; Path=\/api\/v1\/auth; HttpOnly; SameSite=Strict$/,
    );
  });

  test('the access token says who, where and for how long, and is signed with a published key', async () => {
    const { accessToken, user, organization } = await signUp(auth, { deviceName: 'laptop', timezone: 'Europe/Berlin' });
    const header = decodeProtectedHeader(accessToken);
    const claims = decodeJwt(accessToken);
    expect(header).toMatchObject({ alg: 'EdDSA' });
    expect(claims).toMatchObject({
      iss: 'worktide',
      sub: user.id,
      org: organization.id,
      role: 'admin',
      tz: 'Europe/Berlin',
      dev: 'laptop',
    });
    expect(claims.exp! - Math.floor(claims.iat!)).toBe(900);
    const { body } = await auth.call('GET', '/.well-known/jwks.json');
    const key = body.keys.find((k: { kid: string }) => k.kid === header.kid);
    expect(key).toMatchObject({ kty: 'OKP', crv: 'Ed25519', alg: 'EdDSA', use: 'sig' });
    expect(key).not.toHaveProperty('d');
  });

  test('an address is one account in the whole system, however it is written', async () => {
    const person = newPerson({ email: 'zo\u00eb@example.com' });
    expect((await register(person)).status).toBe(201);
    const again = await register(newPerson({ email: 'ZOE\u0308@EXAMPLE.com' }));
    expect(again).toMatchObject({ status: 409, body: { code: 'EMAIL_TAKEN' } });
    const { rows } = await database.admin.query('SELECT count(*) AS n FROM auth.users WHERE email LIKE $1', ['zo%']);
    expect(rows[0].n).toBe(1);
    // The refused one left no organisation without people behind.
    const orphans = await database.admin.query(
      'SELECT 1 FROM auth.organizations o WHERE NOT EXISTS (SELECT 1 FROM auth.users u WHERE u.organization_id = o.id)',
    );
    expect(orphans.rowCount).toBe(0);
  });

  test('an open invitation to another organisation is no hindrance', async () => {
    const { accessToken: token, organization } = await signUp(auth);
    const person = newPerson();
    const invited = await auth.call('POST', '/api/v1/invitations', {
      token,
      body: { email: person.email, role: 'employee' },
    });
    expect(invited.status).toBe(201);
    const { status, body } = await register(person);
    expect(status).toBe(201);
    expect(body.user.role).toBe('admin');
    expect(body.organization.id).not.toBe(organization.id);
  });

  test('the new organisation and its admin are in the audit trail, without the password', async () => {
    const person = newPerson();
    const { body } = await register(person);
    const id = body.organization.id;
    const events = await auditedActions(auth, id, 'user.created', 'organization.created');
    expect(events).toMatchObject([
      { action: 'organization.created', entityId: id, actorId: body.user.id, after: { name: person.organizationName } },
      { action: 'user.created', entityId: body.user.id, after: { email: person.email, role: 'admin' } },
    ]);
    expect(JSON.stringify(events)).not.toContain(person.password);
  });

  test('of twenty registrations of one address at once one succeeds', async () => {
    const email = 'race@example.com';
    const answers = await Promise.all(Array.from({ length: 20 }, () => register(newPerson({ email }))));
    expect(answers.map(({ status }) => status).sort()).toEqual([201, ...Array(19).fill(409)]);
  });

  test.each([
    ['no address', { email: undefined }, 'body.email'],
    ['not an address', { email: 'nobody' }, 'body.email'],
    ['an address with a NUL', { email: 'a\u0000b@example.com' }, 'body.email'],
    [
      'an address of 255 characters',
      { email: `${'a'.repeat(60)}@${'b'.repeat(60)}.${'c'.repeat(60)}.${'d'.repeat(60)}.example.com` },
      'body.email',
    ],
    ['a password of 7 characters', { password: '1234567' }, 'body.password'],
    ['a password of 257 characters', { password: 'x'.repeat(257) }, 'body.password'],
    ['half a surrogate pair in the password', { password: 'abcdefgh\ud800' }, 'body.password'],
    ['a name of spaces', { name: '   ' }, 'body.name'],
    ['a name of 101 characters', { name: 'x'.repeat(101) }, 'body.name'],
    ['a NUL in a name', { name: 'a\u0000b' }, 'body.name'],
    ['half a surrogate pair in a name', { organizationName: 'a\udfff' }, 'body.organizationName'],
    ['a number for a name', { name: 7 }, 'body.name'],
    ['a timezone that is none', { timezone: 'Mars/Olympus' }, 'body.timezone'],
  ])('%s is 400 VALIDATION_FAILED naming the field', async (_name, change, path) => {
    const { status, body } = await register(newPerson(change as Record<string, unknown>));
    expect(status).toBe(400);
    expect(body).toMatchObject({ code: 'VALIDATION_FAILED', statusCode: 400, path: '/api/v1/auth/register' });
    expect(body.details[0].path).toBe(path);
  });

  test('passwords of 8 and of 256 characters outside the basic plane are taken and work', async () => {
    for (const password of ['12345678', '\u{1F511}'.repeat(256)]) {
      const person = newPerson({ password });
      expect((await register(person)).status).toBe(201);
      expect((await login({ email: person.email, password })).status).toBe(200);
    }
  });
});

test('an organisation begins on trial, or free where that is chosen, and on nothing else', async () => {
  expect((await signUp(auth)).organization.subscriptionStatus).toBe('trial');
  expect((await signUp(auth, { plan: 'free' })).organization.subscriptionStatus).toBe('free');
  expect((await signUp(auth, { plan: 'trial' })).organization.subscriptionStatus).toBe('trial');
  const { status, body } = await auth.call('POST', '/api/v1/auth/register', { body: newPerson({ plan: 'pro' }) });
  expect([status, body.code]).toEqual([400, 'VALIDATION_FAILED']);
});

describe('POST /auth/login', () => {
  test('gives tokens in a cookie, or in the body where that is asked for', async () => {
    const person = newPerson();
    await register(person);
    const inCookie = await login({ email: person.email.toUpperCase(), password: person.password });
    expect(inCookie.status).toBe(200);
    expect(inCookie.body).not.toHaveProperty('refreshToken');
    expect(inCookie.headers.get('set-cookie')).toContain('worktide_refresh=');
    const inBody = await login({ email: person.email, password: person.password, refreshTokenIn: 'body' });
    expect(inBody.body.refreshToken).toMatch(/^[\w-]{43}$/);
    expect(inBody.headers.get('set-cookie')).toBeNull();
    expect(inBody.body.user.id).toBe(inCookie.body.user.id);
  });

  test('a wrong password and an unknown address are answered alike', async () => {
    const person = newPerson();
    await register(person);
    const wrong = await login({ email: person.email, password: 'wrong' });
    const unknown = await login({ email: 'nobody@example.com', password: 'wrong' });
    expect(wrong).toMatchObject({ status: 401, body: { code: 'INVALID_CREDENTIALS' } });
    expect(unknown.status).toBe(401);
    expect({ ...unknown.body, timestamp: 0, requestId: 0 }).toEqual({ ...wrong.body, timestamp: 0, requestId: 0 });
  });

  test('a suspended user does not get in, and only the right password learns that', async () => {
    const person = newPerson();
    await register(person);
    await database.admin.query("UPDATE auth.users SET status = 'suspended' WHERE email = $1", [person.email]);
    expect(await login({ email: person.email, password: person.password })).toMatchObject({
      status: 401,
      body: { code: 'ACCOUNT_NOT_ACTIVE' },
    });
    expect((await login({ email: person.email, password: 'wrong' })).body.code).toBe('INVALID_CREDENTIALS');
  });

  test('a hash with older parameters is renewed by logging in', async () => {
    const person = newPerson({ password: 'password' });
    await register(person);
    const old = '$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc';
    await database.admin.query('UPDATE auth.users SET password_hash = $2 WHERE email = $1', [person.email, old]);
    expect((await login({ email: person.email, password: 'password' })).status).toBe(200);
    const { rows } = await database.admin.query('SELECT password_hash FROM auth.users WHERE email = $1', [
      person.email,
    ]);
    expect(rows[0].password_hash).toMatch(/\$m=19456,t=2,p=1\$/);
    expect((await login({ email: person.email, password: 'password' })).status).toBe(200);
  });

  test('log-ins are told, and so are refused ones of addresses that have an account', async () => {
    const person = newPerson();
    const { user } = (await register(person)).body;
    await login({ email: person.email, password: 'wrong' });
    const { body } = await login({ email: person.email, password: person.password, deviceName: 'laptop' });
    await database.admin.query("UPDATE auth.users SET status = 'suspended' WHERE id = $1", [user.id]);
    await login({ email: person.email, password: person.password });
    await until('both refusals are told', async () => {
      const events = await auditEventsOf(auth.eventLogUrl, user.organizationId);
      return events.filter(({ action }) => action === 'user.login-refused').length === 2;
    });
    const events = await auditedActions(auth, user.organizationId, 'user.logged-in');
    expect(events.filter(({ action }) => action === 'user.logged-in')).toMatchObject([
      {
        actorId: user.id,
        entityId: user.id,
        after: { deviceName: 'laptop', sessionId: decodeJwt(body.accessToken).sid },
      },
    ]);
    const refused = events.filter(({ action }) => action === 'user.login-refused');
    // Nobody knows who it was.
    expect(refused).toMatchObject([
      { actorId: null, entityType: 'user', entityId: user.id, ipAddress: expect.any(String) },
      { actorId: null, entityType: 'user', entityId: user.id },
    ]);
    expect(refused.map(({ after }) => after!.reason).sort()).toEqual(['not-active', 'password']);
    expect(JSON.stringify(events)).not.toMatch(/wrong|correct horse/);
  });

  test('twenty log-ins of one person at once all get in', async () => {
    const person = newPerson();
    await register(person);
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => login({ email: person.email, password: person.password })),
    );
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]));
  });
});

describe('GET and PATCH /auth/me, GET /organization', () => {
  test('show and change the caller', async () => {
    const { accessToken: token, user, organization } = await signUp(auth);
    expect(await auth.call('GET', '/api/v1/auth/me', { token })).toMatchObject({
      status: 200,
      body: { user: { id: user.id }, organization: { id: organization.id } },
    });
    const changed = await auth.call('PATCH', '/api/v1/auth/me', {
      token,
      body: { name: ' New ', timezone: 'Asia/Tokyo' },
    });
    expect(changed).toMatchObject({ status: 200, body: { user: { name: 'New', timezone: 'Asia/Tokyo' } } });
    expect((await auth.call('PATCH', '/api/v1/auth/me', { token, body: {} })).body.user.name).toBe('New');
    expect(await feedOf(auth, organization.id)).toEqual([
      expect.objectContaining({ kind: 'user', id: user.id, timezone: 'Asia/Tokyo' }),
    ]);
    const events = await auditedActions(auth, organization.id, 'user.changed');
    expect(events.filter(({ action }) => action === 'user.changed')).toMatchObject([
      {
        actorId: user.id,
        entityId: user.id,
        before: { name: user.name, timezone: user.timezone },
        after: { name: 'New', timezone: 'Asia/Tokyo' },
      },
    ]);
    expect((await auth.call('GET', '/api/v1/organization', { token })).body).toEqual(organization);
  });

  test('a profile is merged field by field, and null takes a field away', async () => {
    const { accessToken: token, user, organization } = await signUp(auth);
    const patch = async (profile: unknown) => {
      const { status, body } = await auth.call('PATCH', '/api/v1/auth/me', { token, body: { profile } });
      return { status, profile: body.user?.profile, code: body.code };
    };
    expect(user.profile).toEqual({});
    expect(await patch({ firstName: ' Ada ', avatarUrl: 'https://example.com/ada.png' })).toMatchObject({
      status: 200,
      profile: { firstName: 'Ada', avatarUrl: 'https://example.com/ada.png' },
    });
    const now = { firstName: 'Ada', lastName: 'Lovelace' };
    expect(await patch({ lastName: 'Lovelace', avatarUrl: null })).toMatchObject({ status: 200, profile: now });
    for (const bad of [
      { firstName: '' },
      { lastName: 'x'.repeat(201) },
      { avatarUrl: 'javascript:alert(1)' },
      { avatarUrl: `https://example.com/${'x'.repeat(2_048)}` },
      {
        firstName: '😀'.repeat(200),
        lastName: '😀'.repeat(200),
        avatarUrl: `https://example.com/${'😀'.repeat(1_000)}`,
      },
      { nickname: 'A' },
      'text',
    ]) {
      expect(await patch(bad)).toMatchObject({ status: 400, code: 'VALIDATION_FAILED' });
    }
    const { body } = await auth.call('GET', `/api/v1/users/${user.id}`, { token });
    expect(body.profile).toEqual(now);
    const events = await auditedActions(auth, organization.id, 'user.changed');
    expect(events.filter(({ action }) => action === 'user.changed').at(-1)).toMatchObject({
      before: { 'profile.lastName': null, 'profile.avatarUrl': 'https://example.com/ada.png' },
      after: { 'profile.lastName': 'Lovelace', 'profile.avatarUrl': null },
    });
  });

  test('a change of role or status by PATCH is ignored: it is an unknown field here', async () => {
    const { accessToken: token } = await signUp(auth);
    await database.admin.query("UPDATE auth.users SET role = 'employee'");
    const { body } = await auth.call('PATCH', '/api/v1/auth/me', {
      token,
      body: { role: 'admin', status: 'inactive' },
    });
    expect(body.user).toMatchObject({ role: 'employee', status: 'active' });
  });

  test.each([
    ['no credential', undefined],
    ['no token', ''],
    ['text', 'hello'],
    ['an unknown agent key', 'waka_00000000-0000-4000-8000-000000000000'],
    ['a token without signature', `${btoa('{"alg":"none"}')}.${btoa('{"sub":"x"}')}.`],
  ])('%s is 401', async (_name, token) => {
    const answer = await auth.call('GET', '/api/v1/auth/me', { token });
    expect(answer).toMatchObject({ status: 401, body: { code: 'UNAUTHORIZED' } });
    expect(answer.headers.get('www-authenticate')).toBe('Bearer');
  });
});
