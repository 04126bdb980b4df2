import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { authDatabase, newPerson, type Running, signUp, startAuth, type TestDatabase } from './testing.ts';

let database: TestDatabase;
let auth: Running;

beforeAll(async () => {
  database = await authDatabase();
});
afterEach(() => auth.close());
afterAll(() => database.drop());

const login = (email: string, ip: string, service = auth) =>
  service.call('POST', '/api/v1/auth/login', {
    body: { email, password: 'wrong password' },
    headers: { 'x-forwarded-for': ip },
  });

describe('limits (U8)', () => {
  // Redis refusing connections counts locally: the limit holds all the same.
  test.each(['memory:', 'redis://127.0.0.1:9'])('five log-ins a minute per account with %s', async (store) => {
    auth = await startAuth(database.url, { LOGIN_LIMIT_PER_MINUTE: '5', TRUSTED_PROXIES: '1', KEY_VALUE_URL: store });
    const answers = [];
    for (let i = 0; i < 7; i++) answers.push(await login('ONE@example.com', `10.0.0.${i}`));
    expect(answers.map(({ status }) => status)).toEqual([401, 401, 401, 401, 401, 429, 429]);
    expect(answers[5]!.body.code).toBe('RATE_LIMITED');
    const wait = Number(answers[5]!.headers.get('retry-after'));
    expect(wait).toBeGreaterThanOrEqual(1);
    expect(wait).toBeLessThanOrEqual(60);
    expect((await login('two@example.com', '10.0.0.1')).status).toBe(401);
    // The tightest of those that apply is shown, also on what was refused for another reason.
    expect(answers[1]!.headers.get('ratelimit-policy')).toBe('"login-account";q=5;w=60');
    expect(answers[1]!.headers.get('ratelimit-remaining')).toBe('3');
    expect(answers[5]!.headers.get('ratelimit')).toBe(`"login-account";r=0;t=${wait}`);
  });

  test('five log-ins a minute per address, IPv6 by its /64', async () => {
    auth = await startAuth(database.url, { LOGIN_LIMIT_PER_MINUTE: '5', TRUSTED_PROXIES: '1' });
    const statuses = [];
    for (let i = 0; i < 6; i++) statuses.push((await login(`p${i}@example.com`, `2001:db8::${i}:0:0:1`)).status);
    expect(statuses).toEqual([401, 401, 401, 401, 401, 429]);
    expect((await login('q@example.com', '2001:db8:0:1::1')).status).toBe(401);
  });

  test('replicas count together', async () => {
    const env = { LOGIN_LIMIT_PER_MINUTE: '3', KEY_VALUE_URL: 'memory:auth-limits-test' };
    auth = await startAuth(database.url, env);
    const other = await startAuth(database.url, env);
    const statuses = [];
    for (const service of [auth, other, auth, other]) {
      statuses.push((await login('shared@example.com', '10.0.0.1', service)).status);
    }
    await other.close();
    expect(statuses).toEqual([401, 401, 401, 429]);
  });

  test('a forwarded address counts only behind a trusted proxy', async () => {
    auth = await startAuth(database.url, { LOGIN_LIMIT_PER_MINUTE: '2' });
    const statuses = [];
    for (let i = 0; i < 3; i++) statuses.push((await login(`r${i}@example.com`, `10.1.0.${i}`)).status);
    expect(statuses).toEqual([401, 401, 429]);
  });

  test('registrations are limited per address', async () => {
    auth = await startAuth(database.url, { REGISTER_LIMIT_PER_MINUTE: '2' });
    const statuses = [];
    for (let i = 0; i < 3; i++)
      statuses.push((await auth.call('POST', '/api/v1/auth/register', { body: newPerson() })).status);
    expect(statuses).toEqual([201, 201, 429]);
  });

  test('invitations are limited per mailbox, whoever sends them', async () => {
    auth = await startAuth(database.url, { MAIL_LIMIT_PER_MINUTE: '2' });
    const tokens = [(await signUp(auth)).accessToken, (await signUp(auth)).accessToken];
    const invite = async (token: string | undefined, email: string): Promise<number> =>
      (await auth.call('POST', '/api/v1/invitations', { token, body: { email, role: 'employee' } })).status;
    const statuses = [];
    for (let i = 0; i < 4; i++)
      statuses.push(await invite(tokens[i % 2], i < 2 ? 'bombed@example.com' : 'BOMBED@example.com'));
    expect(statuses).toEqual([201, 201, 429, 429]);
    expect(await invite(tokens[0], 'other@example.com')).toBe(201);
  });

  test('everything that people call is limited per address, health and internal routes are not', async () => {
    auth = await startAuth(database.url, { IP_LIMIT_PER_MINUTE: '2' });
    const calls = [];
    for (let i = 0; i < 3; i++) calls.push((await auth.call('GET', '/api/v1/auth/me')).status);
    expect(calls).toEqual([401, 401, 429]);
    expect((await auth.call('GET', '/health/live')).status).toBe(200);
    expect((await auth.call('GET', '/.well-known/jwks.json')).status).toBe(200);
    expect((await auth.call('GET', '/internal/revocations')).status).toBe(401);
  });
});
