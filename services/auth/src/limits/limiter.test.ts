import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { authDatabase, newPerson, type Running, startAuth, type TestDatabase } from '../testing.ts';
import { addressGroup, secondsToWait } from './limiter.ts';

let database: TestDatabase;
let auth: Running;

beforeAll(async () => {
  database = await authDatabase();
});
afterEach(() => auth.close());
afterAll(() => database.drop());

const login = (email: string, ip: string) =>
  auth.call('POST', '/api/v1/auth/login', {
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
    expect(wait).toBeLessThanOrEqual(72);
    expect((await login('two@example.com', '10.0.0.1')).status).toBe(401);
  });

  test('five log-ins a minute per address, IPv6 by its /64', async () => {
    auth = await startAuth(database.url, { LOGIN_LIMIT_PER_MINUTE: '5', TRUSTED_PROXIES: '1' });
    const statuses = [];
    for (let i = 0; i < 6; i++) statuses.push((await login(`p${i}@example.com`, `2001:db8::${i}:0:0:1`)).status);
    expect(statuses).toEqual([401, 401, 401, 401, 401, 429]);
    expect((await login('q@example.com', '2001:db8:0:1::1')).status).toBe(401);
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

  test('the window slides: never more than the limit within 60 s by the estimate, and the wait is long enough', async () => {
    auth = await startAuth(database.url);
    expect(secondsToWait(0, 4, 0.5, 5)).toBe(0);
    expect(secondsToWait(5, 0, 0.01, 5)).toBeGreaterThan(0);
    for (const before of [0, 1, 5]) {
      for (const current of [0, 1, 4, 5]) {
        for (const elapsed of [0, 0.3, 0.999]) {
          const wait = secondsToWait(before, current, elapsed, 5);
          const at = elapsed + wait / 60;
          const [b, c, e] = at < 1 ? [before, current, at] : at < 2 ? [current, 0, at - 1] : [0, 0, 0];
          expect(secondsToWait(b, c, e, 5)).toBe(0);
        }
      }
    }
  });

  test('addresses are grouped', async () => {
    auth = await startAuth(database.url);
    expect(addressGroup('::ffff:10.0.0.1')).toBe('10.0.0.1');
    expect(addressGroup('10.0.0.1')).toBe('10.0.0.1');
    expect(addressGroup('2001:db8::1')).toBe('2001:db8:0:0::/64');
    expect(addressGroup('2001:db8:1:2:3:4:5:6')).toBe('2001:db8:1:2::/64');
    expect(addressGroup('fe80::1%eth0')).toBe('fe80:0:0:0::/64');
    expect(addressGroup('::1')).toBe('0:0:0:0::/64');
    expect(addressGroup(undefined)).toBe('unknown');
  });
});
