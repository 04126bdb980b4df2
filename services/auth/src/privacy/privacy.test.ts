import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { Revocation } from '@worktide/schemas';
import { authDatabase, internalToken, type Running, signUp, startAuth, type TestDatabase } from '../testing.ts';

let database: TestDatabase;
let auth: Running;
beforeAll(async () => {
  database = await authDatabase();
  auth = await startAuth(database.url);
});
afterAll(async () => {
  await auth?.close();
  await database?.drop();
});

const path = '/api/v1/organization/privacy';
const hours = {
  timezone: 'user',
  days: {
    mon: [
      ['09:00', '12:00'],
      ['13:00', '24:00'],
    ],
  },
};
const none = { rules: [], titles: 'keep', urls: 'keep', minimumBlurLevel: 0, trackingHours: null, version: 0 };

type SignedUp = Awaited<ReturnType<typeof signUp>>;
const known = async ({ organization }: SignedUp) =>
  (await auth.call('GET', `/internal/organizations/${organization.id}`, { token: internalToken })).body.organization;
async function fed({ user }: SignedUp): Promise<Revocation[]> {
  const { items } = (await auth.call('GET', '/internal/revocations', { token: internalToken })).body;
  return items.filter(({ id }: Revocation) => id === user.id);
}

describe('what an organisation decides', () => {
  test('is nothing at first, is put as a whole, and other services learn of it', async () => {
    const person = await signUp(auth);
    const token = person.accessToken;
    expect(await auth.call('GET', path, { token })).toMatchObject({ status: 200, body: none });
    const rules = [
      { id: 'bank', kind: 'drop', hosts: ['WWW.Bank.example'] },
      { kind: 'redact-title', apps: ['Mail*'] },
    ];
    const body = { rules, titles: 'keep', urls: 'host', minimumBlurLevel: 2, trackingHours: hours, version: 0 };
    const put = await auth.call('PUT', path, { token, body });
    expect(put).toMatchObject({ status: 200 });
    expect(put.body).toEqual({
      rules: [
        { id: 'bank', kind: 'drop', hosts: ['bank.example'] },
        { id: expect.any(String), kind: 'redact-title', apps: ['Mail*'] },
      ],
      titles: 'keep',
      urls: 'host',
      minimumBlurLevel: 2,
      trackingHours: hours,
      version: 1,
    });
    expect((await auth.call('GET', path, { token })).body).toEqual(put.body);
    // What was read can be sent back changed.
    expect((await auth.call('PUT', path, { token, body: put.body })).body.version).toBe(2);
    const { privacy, settings } = await known(person);
    expect(privacy).toMatchObject({ urls: 'host', trackingHours: hours });
    expect(settings.minimumBlurLevel).toBe(2);
  });

  test('was changed since: 409, also where it was the blur', async () => {
    const { accessToken: token } = await signUp(auth);
    const stale = { status: 409, body: { code: 'STALE_VERSION' } };
    expect(await auth.call('PUT', path, { token, body: { ...none, version: 1 } })).toMatchObject(stale);
    const settings = { minimumBlurLevel: 1 };
    await auth.call('PATCH', '/api/v1/organization', { token, body: { settings } });
    expect(await auth.call('PUT', path, { token, body: none })).toMatchObject(stale);
    const now = (await auth.call('GET', path, { token })).body;
    expect(now).toEqual({ ...none, minimumBlurLevel: 1, version: 1 });
    // A blur that is not said stays.
    const { minimumBlurLevel: _, ...rest } = now;
    expect((await auth.call('PUT', path, { token, body: rest })).body).toEqual({ ...now, version: 2 });
    await auth.call('PATCH', '/api/v1/organization', { token, body: { name: 'Other' } });
    expect((await auth.call('GET', path, { token })).body.version).toBe(2);
  });

  test.each([
    ['a kind that there is not', { rules: [{ kind: 'blur', apps: ['a'] }] }],
    ['hours that end before they begin', { trackingHours: { timezone: 'user', days: { mon: [['22:00', '06:00']] } } }],
    ['a zone that there is not', { trackingHours: { timezone: 'Mars/Base', days: {} } }],
    ['a time that there is not', { trackingHours: { timezone: 'user', days: { mon: [['9:00', '24:01']] } } }],
    ['no version', { version: undefined }],
  ])('%s: 400, and nothing is changed', async (_, change) => {
    const { accessToken: token } = await signUp(auth);
    expect((await auth.call('PUT', path, { token, body: { ...none, ...change } })).status).toBe(400);
    expect((await auth.call('GET', path, { token })).body).toEqual(none);
  });
});

describe('a pause', () => {
  const pausePath = '/api/v1/users/me/pause';
  const inAnHour = () => new Date(Date.now() + 3_600_000).toISOString();

  test('goes to whoever takes pings: by the feed, with new tokens and with keys; and everything else of the user goes with it', async () => {
    const person = await signUp(auth);
    const token = person.accessToken;
    const until = inAnHour();
    const put = await auth.call('PUT', pausePath, { token, body: { until } });
    expect(put).toMatchObject({ status: 200, body: { pausedUntil: until } });
    const from = Date.parse(put.body.pausedFrom);
    expect(Math.abs(from - Date.now())).toBeLessThan(60_000);
    const state = { pause: { from, until: Date.parse(until) }, role: 'admin', status: 'active' };
    expect((await fed(person)).at(-1)).toMatchObject(state);
    // Another end of the same pause.
    const later = new Date(Date.parse(until) + 1_000).toISOString();
    expect((await auth.call('PUT', pausePath, { token, body: { until: later } })).body).toEqual({
      pausedFrom: put.body.pausedFrom,
      pausedUntil: later,
    });
    // A change of something else does not end it.
    await auth.call('PATCH', '/api/v1/auth/me', { token, body: { timezone: 'Asia/Tokyo' } });
    expect((await fed(person)).at(-1)).toMatchObject({
      timezone: 'Asia/Tokyo',
      pause: { from, until: Date.parse(later) },
    });
    expect((await auth.call('GET', '/api/v1/privacy/me', { token })).body.pausedUntil).toBe(later);

    expect((await auth.call('DELETE', pausePath, { token })).status).toBe(204);
    const ended = (await fed(person)).at(-1) as Extract<Revocation, { kind: 'user' }>;
    expect(ended.pause!.from).toBe(from);
    expect(ended.pause!.until).toBeLessThanOrEqual(Date.now() + 1);
    expect((await auth.call('GET', '/api/v1/privacy/me', { token })).body.pausedUntil).toBeNull();
    // Harmless, and told to nobody.
    const before = (await fed(person)).length;
    expect((await auth.call('DELETE', pausePath, { token })).status).toBe(204);
    expect(await fed(person)).toHaveLength(before);
  });

  test.each([
    ['that has passed', () => new Date(Date.now() - 1).toISOString()],
    ['that is too far', () => new Date(Date.now() + 32 * 86_400_000).toISOString()],
    ['that is none', () => 'tomorrow'],
  ])('until an end %s: 400', async (_, until) => {
    const { accessToken: token } = await signUp(auth);
    expect((await auth.call('PUT', pausePath, { token, body: { until: until() } })).status).toBe(400);
  });
});

test('everybody is told what is collected of them, and by which rules', async () => {
  const { accessToken: token } = await signUp(auth);
  const rules = [{ id: 'bank', kind: 'drop', hosts: ['*.bank.example'] }];
  await auth.call('PUT', path, { token, body: { ...none, rules, titles: 'never', trackingHours: hours } });
  const { status, body } = await auth.call('GET', '/api/v1/privacy/me', { token });
  expect(status).toBe(200);
  const of = (kind: string) => body.collected.find((each: { kind: string }) => each.kind === kind);
  expect(of('titles')).toMatchObject({ collected: 'no', keptFor: 'not at all' });
  expect(of('usage')).toMatchObject({ collected: 'in-part' });
  expect(of('usage').rules.join('\n')).toMatch(/\*\.bank\.example[\s\S]*mon 09:00–12:00 and 13:00–24:00/);
  expect(of('screenshots').keptFor).toBe('90 days');
  expect(body.privacy.rules).toEqual(rules);
});
