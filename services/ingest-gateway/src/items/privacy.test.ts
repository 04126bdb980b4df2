import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { privacyRules } from '@worktide/schemas';
import { ping, startGateway } from '../pings/testing.ts';
import type { PrivacyOfAll } from '../testing.ts';

const privacy: PrivacyOfAll = {};
let gateway: Awaited<ReturnType<typeof startGateway>>;
beforeAll(async () => {
  gateway = await startGateway({}, { privacy });
});
afterAll(() => gateway?.close());
beforeEach(() => {
  Object.assign(privacy, { rules: undefined, pause: undefined, away: false });
});

const rules = (given: object) => privacyRules.parse(given);
const count = async (kind: string): Promise<number> =>
  Number(new RegExp(`worktide_privacy_taken_total\\{kind="${kind}"\\} (\\d+)`).exec(await gateway.metrics())?.[1] ?? 0);
/** Apps of pings that came onto the log since the last time, with their titles and addresses. */
let seen = 0;
async function logged() {
  const records = (await gateway.stored()).flatMap(({ record }) => record.pings);
  const fresh = records.slice(seen);
  seen = records.length;
  return fresh.map(({ app, title, url }) => ({ app, ...(title ? { title } : {}), ...(url ? { url } : {}) }));
}

test('what a rule takes away is accepted, counted, and not on the log', async () => {
  privacy.rules = rules({
    rules: [
      { id: '1', kind: 'drop', apps: ['Diary'] },
      { id: '2', kind: 'redact-title', apps: ['mail*'] },
      { id: '3', kind: 'host-only', hosts: ['*.example.com'] },
    ],
  });
  const answer = await gateway.post([
    ping({ app: 'diary', title: 'Dear diary' }),
    ping({ app: 'Mailer', title: 'Your results' }),
    ping({ app: 'Browser', title: 'T', url: 'https://www.example.com/results?of=me' }),
    ping({ app: 'Browser', title: 'Private', incognito: true }),
    ping({ app: '' }),
  ]);
  expect(answer).toMatchObject({ status: 202, body: { accepted: 4, rejected: [{ index: 4, code: 'APP_EMPTY' }] } });
  expect(await logged()).toEqual([{ app: 'Mailer' }, { app: 'Browser', title: 'T', url: 'https://www.example.com/' }]);
  expect([await count('drop'), await count('redact-title'), await count('host-only')]).toEqual([1, 1, 1]);
  expect(await count('private-window')).toBe(1);
});

test('a request of which nothing may be kept is answered 202, in a large body, too', async () => {
  privacy.rules = rules({ rules: [{ id: '1', kind: 'drop', apps: ['*'] }] });
  const title = 'x'.repeat(900);
  expect((await gateway.post([ping({ title })])).body).toEqual({ accepted: 1, rejected: [] });
  const many = Array.from({ length: 500 }, () => ping({ title }));
  expect((await gateway.post(many)).body).toEqual({ accepted: 500, rejected: [] });
  expect(await logged()).toEqual([]);
});

test('outside the hours nothing is kept, and a ping that crosses them comes in pieces', async () => {
  privacy.rules = rules({ trackingHours: { timezone: 'UTC', days: {} } });
  expect((await gateway.post(ping())).body.accepted).toBe(1);
  const minute = new Date(Math.floor(Date.now() / 60_000) * 60_000 - 120_000).toISOString();
  const counts = { minute, keyboardClicks: 1, mouseMovements: 1 };
  expect((await gateway.post(counts, {}, '/api/v1/activity')).body.accepted).toBe(1);
  expect(await logged()).toEqual([]);
  expect(await gateway.storedMinutes()).toEqual([]);

  const days = Object.fromEntries(
    ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'].map((day) => [
      day,
      [
        ['00:00', '12:00'],
        ['12:01', '24:00'],
      ],
    ]),
  );
  privacy.rules = rules({ trackingHours: { timezone: 'UTC', days } });
  const noon = Math.floor(Date.now() / 86_400_000) * 86_400_000 - 43_200_000;
  const across = ping({
    startedAt: new Date(noon - 60_000).toISOString(),
    endedAt: new Date(noon + 120_000).toISOString(),
  });
  expect((await gateway.post(across)).body).toEqual({ accepted: 1, rejected: [] });
  const pieces = (await gateway.stored()).flatMap(({ record }) => record.pings);
  expect(pieces.map(({ startedAt, endedAt }) => [startedAt - noon, endedAt - noon])).toEqual(
    expect.arrayContaining([
      [-60_000, 0],
      [60_000, 120_000],
    ]),
  );
  seen = pieces.length;
});

test('while somebody pauses nothing of theirs is kept; later nothing of that time', async () => {
  privacy.pause = { from: Date.now() - 8_000, until: Date.now() + 60_000 };
  const minute = new Date(Math.floor(Date.now() / 60_000) * 60_000 - 3_600_000).toISOString();
  expect((await gateway.post(ping())).body.accepted).toBe(1);
  const counts = { minute, keyboardClicks: 1, mouseMovements: 1 };
  expect((await gateway.post(counts, {}, '/api/v1/activity')).body.accepted).toBe(1);
  expect(await logged()).toEqual([]);
  expect(await gateway.storedMinutes()).toEqual([]);
  expect(await count('pause')).toBeGreaterThanOrEqual(2);

  privacy.pause = { from: Date.now() - 3_600_000, until: Date.now() - 20_000 };
  await gateway.post(ping({ app: 'After' }));
  await gateway.post(
    ping({ app: 'Within', startedAt: new Date(Date.now() - 60_000), endedAt: new Date(Date.now() - 30_000) }),
  );
  expect(await logged()).toEqual([{ app: 'After' }]);
});

test('where the rules are not known nothing is taken', async () => {
  privacy.away = true;
  const answer = await gateway.post(ping({ app: 'Unknown' }));
  expect(answer).toMatchObject({ status: 503, body: { code: 'DEPENDENCY_UNAVAILABLE' } });
  expect(answer.headers.get('retry-after')).not.toBeNull();
  expect(await logged()).toEqual([]);
});
