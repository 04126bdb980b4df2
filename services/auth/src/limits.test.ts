import { afterAll, afterEach, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { openLimits } from '@worktide/key-value';
import { createMetrics, silentLogger } from '@worktide/runtime';
import { createAuthLimits } from './limits.ts';
import { authDatabase, newPerson, type Running, signUp, startAuth, type TestDatabase } from './testing.ts';

let database: TestDatabase;
let auth: Running;

beforeAll(async () => {
  database = await authDatabase();
});
afterEach(() => auth?.close());
afterAll(() => database.drop());

const right = 'correct horse battery';
const login = (email: string, ip: string, service = auth, password = 'wrong password', cookie = '') =>
  service.call('POST', '/api/v1/auth/login', {
    body: { email, password },
    headers: { 'x-forwarded-for': ip, cookie },
  });
const statusOf = async (answer: Promise<{ status: number }>): Promise<number> => (await answer).status;

describe('limits', () => {
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

  test('only failures count: of right passwords as many as there are, one after the other and at once', async () => {
    auth = await startAuth(database.url, { LOGIN_LIMIT_PER_MINUTE: '5', TRUSTED_PROXIES: '1' });
    const { email } = (await signUp(auth)).user;
    for (let i = 0; i < 4; i++) expect((await login(email, '10.2.0.1')).status).toBe(401);
    const one = await login(email, '10.2.0.1', auth, right);
    expect(one.status).toBe(200);
    expect(one.headers.get('ratelimit-remaining')).toBe('1');
    const many = Array.from({ length: 12 }, () => statusOf(login(email, '10.2.0.1', auth, right)));
    expect(new Set(await Promise.all(many))).toEqual(new Set([200]));
    expect((await login(email, '10.2.0.1')).status).toBe(401);
    expect((await login(email, '10.2.0.2')).status).toBe(429);
  });

  test('many guesses at once are no more than one after the other', async () => {
    auth = await startAuth(database.url, { LOGIN_LIMIT_PER_MINUTE: '5', TRUSTED_PROXIES: '1' });
    const guesses = Array.from({ length: 40 }, (_, i) => statusOf(login('guessed@example.com', `10.3.0.${i % 20}`)));
    const answers = await Promise.all(guesses);
    expect(answers.filter((status) => status === 401)).toHaveLength(5);
    expect(answers.filter((status) => status === 429)).toHaveLength(35);
  });

  test('strangers cannot keep the owner out: an address and a device that were there before have failures of their own', async () => {
    auth = await startAuth(database.url, { LOGIN_LIMIT_PER_MINUTE: '3', TRUSTED_PROXIES: '1' });
    const person = newPerson();
    const { email } = person;
    const home = '10.4.0.1';
    const registered = await auth.call('POST', '/api/v1/auth/register', {
      body: person,
      headers: { 'x-forwarded-for': home },
    });
    const cookie = registered.headers.get('set-cookie')!.split(';')[0]!;
    const useUp = async (ip: (i: number) => string, cookie?: string) => {
      const statuses = [];
      for (let i = 0; i < 5; i++) statuses.push((await login(email, ip(i), auth, 'wrong password', cookie)).status);
      return statuses;
    };
    expect(await useUp((i) => `10.5.0.${i}`)).toEqual([401, 401, 401, 429, 429]);
    // A stranger with the right password is one as well.
    expect((await login(email, '10.5.1.1', auth, right)).status).toBe(429);
    expect((await login(email, home, auth, right)).status).toBe(200);
    // Its own are as few.
    expect(await useUp(() => home)).toEqual([401, 401, 401, 429, 429]);
    expect((await login(email, home, auth, right)).status).toBe(429);
    // The device is somewhere else, or beside the one who used up what its address had.
    for (const ip of [home, '10.6.0.1']) expect((await login(email, ip, auth, right, cookie)).status).toBe(200);
    expect(await useUp(() => '10.6.0.9', cookie)).toEqual([401, 401, 401, 429, 429]);
  });

  test('a cookie of somebody else, or of a session that has ended, is a stranger’s', async () => {
    auth = await startAuth(database.url, { LOGIN_LIMIT_PER_MINUTE: '1', TRUSTED_PROXIES: '1' });
    const [owner, other] = [await signUp(auth), await signUp(auth)];
    const cookieOf = (refreshToken: string) => `worktide_refresh=${refreshToken}`;
    const { email } = owner.user;
    expect((await login(email, '10.7.0.1')).status).toBe(401);
    const ask = (token: string) => statusOf(login(email, '10.7.0.2', auth, right, cookieOf(token)));
    expect(await ask(other.refreshToken!)).toBe(429);
    expect(await ask(owner.refreshToken!)).toBe(200);
    await auth.call('POST', '/api/v1/auth/logout', { body: { refreshToken: owner.refreshToken } });
    // The address is known by now.
    expect(await statusOf(login(email, '10.7.0.3', auth, right, cookieOf(owner.refreshToken!)))).toBe(429);
  });

  test('a password is changed as often as one likes, and tried five times a minute', async () => {
    auth = await startAuth(database.url, { LOGIN_LIMIT_PER_MINUTE: '2' });
    const { accessToken: token } = await signUp(auth);
    const change = (currentPassword: string, newPassword: string) =>
      statusOf(auth.call('POST', '/api/v1/auth/password/change', { token, body: { currentPassword, newPassword } }));
    let password = right;
    for (let i = 0; i < 4; i++) {
      const next = `${right} ${i}`;
      expect(await change(password, next)).toBe(204);
      password = next;
    }
    expect(await change('wrong password', right)).toBe(400);
    expect(await change('wrong password', right)).toBe(400);
    expect(await change(password, right)).toBe(429);
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

  test('invitations use up nothing of what resets may send to a mailbox', async () => {
    auth = await startAuth(database.url, { MAIL_LIMIT_PER_MINUTE: '1' });
    const { accessToken: token, user } = await signUp(auth);
    const { accessToken: elsewhere } = await signUp(auth);
    const invite = (by: string, email: string) =>
      statusOf(auth.call('POST', '/api/v1/invitations', { token: by, body: { email, role: 'employee' } }));
    expect(await invite(elsewhere, 'wanted@example.com')).toBe(201);
    expect(await invite(token, 'wanted@example.com')).toBe(429);
    await invite(elsewhere, user.email);
    const forgot = await auth.call('POST', '/api/v1/auth/password/forgot', { body: { email: user.email } });
    expect(forgot.status).toBe(204);
    await auth.mailTo(user.email);
  });

  test('a mailbox gets four minutes’ worth an hour, and ten a day', async () => {
    jest.useFakeTimers();
    try {
      const limits = createAuthLimits(openLimits('memory:', { log: silentLogger(), metrics: createMetrics() }), {
        LOGIN_LIMIT_PER_MINUTE: 5,
        REGISTER_LIMIT_PER_MINUTE: 5,
        MAIL_LIMIT_PER_MINUTE: 5,
        INVITE_LIMIT_PER_MINUTE: 5,
      });
      for (const mailbox of [limits.resetMailbox, limits.inviteMailbox]) {
        const sent: number[] = [];
        for (let minute = 0; minute < 24 * 60; minute++) {
          for (let i = 0; i < 6; i++)
            await mailbox.take('subject').then(
              () => sent.push(minute),
              () => {},
            );
          jest.advanceTimersByTime(60_001);
        }
        const until = (minutes: number) => sent.filter((minute) => minute < minutes).length;
        expect([until(1), until(2), until(60), until(24 * 60)]).toEqual([5, 10, 20, 50]);
      }
    } finally {
      jest.useRealTimers();
    }
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
