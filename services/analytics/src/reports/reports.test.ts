import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { freshClickHouseDatabase } from '@worktide/backends';
import { type ClickHouse, createClickHouse, migrateClickHouse } from '@worktide/clickhouse';
import { derivedUuid, silentLogger } from '@worktide/runtime';
import type { InputMinuteEvent, UsageEntryState } from '@worktide/schemas';
import fc from 'fast-check';
import { migrationsFolder } from '../index.ts';
import { inputMinutesTable, usageTable } from '../ingest/tables.ts';
import { store as storeItems } from '../ingest/testing.ts';
import { dailyOracle, keyedOracle } from './oracle.ts';
import { createReports, type Reports } from './reports.ts';

const log = silentLogger();
let database: Awaited<ReturnType<typeof freshClickHouseDatabase>>;
let clickhouse: ClickHouse;
let reports: Reports;
beforeAll(async () => {
  database = await freshClickHouseDatabase();
  await migrateClickHouse(database.url, migrationsFolder, { log });
  clickhouse = createClickHouse(database.url, { log });
  reports = createReports({ clickhouse });
});
afterAll(async () => {
  await database.drop();
  await clickhouse.close();
});

const store = (organizationId: string, userId: string, entries: UsageEntryState[]): Promise<void> =>
  storeItems(clickhouse, usageTable, { organizationId, userId, entries });
const count = (organizationId: string, userId: string, minutes: InputMinuteEvent[]): Promise<void> =>
  storeItems(clickhouse, inputMinutesTable, { organizationId, userId, receivedAt: 0, minutes });

const counts = (minute: string, keyboardClicks: number, mouseMovements: number, deviceId = 'laptop') => ({
  minute: at(minute),
  deviceId,
  keyboardClicks,
  mouseMovements,
});

const at = (text: string): number => Date.parse(text);

/** An entry as the writer makes them: its id is derived, and it does not cross a UTC month. */
function entry(from: string | number, to: string | number, more: Partial<UsageEntryState> = {}): UsageEntryState {
  const startedAt = typeof from === 'number' ? from : at(from);
  const { deviceId = 'laptop', source = 'window', app = 'editor', host = null, state = 'active' } = more;
  const start = new Date(startedAt);
  const endOfMonth = Date.UTC(start.getUTCFullYear(), start.getUTCMonth() + 1);
  const endedAt = Math.min(typeof to === 'number' ? to : at(to), endOfMonth);
  const id = derivedUuid(deviceId, source, startedAt);
  return { id, deviceId, source, app, host, state, startedAt, endedAt, version: 1, deleted: false, ...more };
}

async function someone(...entries: UsageEntryState[]) {
  const who = { organizationId: randomUUID(), userId: randomUUID() };
  if (entries.length > 0) await store(who.organizationId, who.userId, entries);
  return (timezone: string) => ({ ...who, timezone });
}

describe('daily', () => {
  test('cuts an entry at local midnight', async () => {
    const user = await someone(entry('2026-11-20T17:00:00Z', '2026-11-20T19:00:00.600Z'));
    const { items } = await reports.daily(user('Asia/Kathmandu'), { from: '2026-11-20', to: '2026-11-21' });
    expect(items).toEqual([
      expect.objectContaining({ date: '2026-11-20', workSeconds: 75 * 60, productivityScore: 100 }),
      expect.objectContaining({ date: '2026-11-21', workSeconds: 45 * 60 + 1, productivityScore: 100 }),
    ]);
  });

  test('days of 23 and 25 hours are as long as they are', async () => {
    const always = [
      entry('2026-03-01T00:00:00Z', '2026-04-01T00:00:00Z'),
      entry('2026-10-01T00:00:00Z', '2026-11-01T00:00:00Z'),
    ];
    const user = await someone(...always);
    const hours = async (date: string) =>
      (await reports.daily(user('Europe/Berlin'), { from: date, to: date })).items[0]!.workSeconds / 3600;
    expect(await hours('2026-03-28')).toBe(24);
    expect(await hours('2026-03-29')).toBe(23);
    expect(await hours('2026-10-25')).toBe(25);
  });

  test('an entry of several days, and a day that was skipped', async () => {
    const user = await someone(entry('2011-12-28T12:00:00Z', '2012-01-01T00:00:00Z'));
    const { items } = await reports.daily(user('Pacific/Apia'), { from: '2011-12-28', to: '2012-01-01' });
    expect(items.map((i) => [i.date, i.workSeconds / 3600])).toEqual([
      ['2011-12-28', 22],
      ['2011-12-29', 24],
      ['2011-12-30', 0],
      ['2011-12-31', 24],
      ['2012-01-01', 14],
    ]);
    expect((await reports.daily(user('Pacific/Apia'), { from: '2011-12-30', to: '2011-12-30' })).items).toEqual([
      expect.objectContaining({ workSeconds: 0, productivityScore: null }),
    ]);
  });

  test('two devices at once count once, and active wins', async () => {
    const user = await someone(
      entry('2026-11-21T09:00:00Z', '2026-11-21T11:00:00Z', { state: 'idle' }),
      entry('2026-11-21T10:00:00Z', '2026-11-21T12:00:00Z', { deviceId: 'desktop' }),
    );
    const { items } = await reports.daily(user('UTC'), { from: '2026-11-21', to: '2026-11-21' });
    expect(items).toEqual([
      {
        date: '2026-11-21',
        workSeconds: 3 * 3600,
        activeSeconds: 2 * 3600,
        idleSeconds: 3600,
        productivityScore: 66.7,
        keyboardClicks: 0,
        mouseMovements: 0,
      },
    ]);
  });

  test('seconds are rounded once, at the end', async () => {
    const pieces = Array.from({ length: 1000 }, (_, i) =>
      entry(at('2026-11-21T09:00:00Z') + i * 60_000, at('2026-11-21T09:00:00Z') + i * 60_000 + 1),
    );
    const user = await someone(...pieces);
    expect((await reports.daily(user('UTC'), { from: '2026-11-21', to: '2026-11-21' })).items[0]!.workSeconds).toBe(1);
  });

  test.each([
    ['half a second idle, half a second active', 500, 500, { workSeconds: 1, activeSeconds: 1, idleSeconds: 0 }],
    ['1.4 s idle, 1.4 s active', 1_400, 1_400, { workSeconds: 3, activeSeconds: 1, idleSeconds: 2 }],
    ['0.4 s idle, 0.4 s active', 400, 400, { workSeconds: 1, activeSeconds: 0, idleSeconds: 1 }],
    ['half a second idle', 500, 0, { workSeconds: 1, activeSeconds: 0, idleSeconds: 1 }],
  ])('%s: active and idle are work, as shown', async (_what, idleMs, activeMs, shown) => {
    const start = at('2026-11-21T09:00:00Z');
    const user = await someone(
      entry(start, start + idleMs, { state: 'idle' }),
      entry(start + idleMs, start + idleMs + activeMs),
    );
    expect((await reports.daily(user('UTC'), { from: '2026-11-21', to: '2026-11-21' })).items[0]).toMatchObject(shown);
  });

  test('clicks and movements: of each minute and device the greatest, on the day on which the minute begins', async () => {
    const user = await someone(entry('2026-11-21T18:00:00Z', '2026-11-21T18:10:00Z'));
    const { organizationId, userId } = user('UTC');
    const same = counts('2026-11-21T10:00:00Z', 7, 12);
    for (const upload of [[same], [same, same], [counts('2026-11-21T10:00:00Z', 5, 20)]]) {
      await count(organizationId, userId, upload);
    }
    const days = async (zone: string, from = '2026-11-21', to = from) =>
      (await reports.daily(user(zone), { from: from, to: to })).items.map((i) => [
        i.date,
        i.workSeconds,
        i.keyboardClicks,
        i.mouseMovements,
      ]);
    expect(await days('UTC')).toEqual([['2026-11-21', 600, 7, 20]]);
    // Local midnight in Kathmandu is 18:15 UTC. The last minute is of nobody's work, and counts all the same.
    await count(organizationId, userId, [
      counts('2026-11-21T18:14:00Z', 100, 1_000),
      counts('2026-11-21T18:14:00Z', 200, 0, 'desktop'),
      counts('2026-11-21T18:15:00Z', 1_000_000, 1_000_000),
    ]);
    await count(organizationId, randomUUID(), [counts('2026-11-21T10:00:00Z', 9, 9)]);
    await count(randomUUID(), userId, [counts('2026-11-21T10:00:00Z', 9, 9)]);
    expect(await days('Asia/Kathmandu', '2026-11-20', '2026-11-23')).toEqual([
      ['2026-11-20', 0, 0, 0],
      ['2026-11-21', 600, 307, 1_020],
      ['2026-11-22', 0, 1_000_000, 1_000_000],
      ['2026-11-23', 0, 0, 0],
    ]);
  });

  test('every day of the range is there, also when nothing is', async () => {
    const user = await someone();
    const { items } = await reports.daily(user('UTC'), { from: '2024-01-01', to: '2024-12-31' });
    expect(items).toHaveLength(366);
    expect(new Set(items.map((i) => i.workSeconds))).toEqual(new Set([0]));
    expect(items.at(-1)).toMatchObject({ date: '2024-12-31', productivityScore: null });
  });
});

describe('apps and domains', () => {
  test('of three applications of 1.5 s the seconds make the total', async () => {
    const start = at('2026-11-21T09:00:00Z');
    const user = await someone(
      ...['a', 'b', 'c'].map((app, i) => entry(start + i * 1_500, start + (i + 1) * 1_500, { app })),
    );
    const { totalSeconds, items } = await reports.apps(user('UTC'), '2026-11-21');
    expect([totalSeconds, items.map(({ seconds }) => seconds)]).toEqual([5, [2, 2, 1]]);
  });

  test('each is the union of its own active entries, longest first, total the union of all', async () => {
    const user = await someone(
      entry('2026-11-21T09:00:00Z', '2026-11-21T10:00:00Z', { app: 'b', host: 'github.com' }),
      entry('2026-11-21T09:00:00Z', '2026-11-21T10:00:00Z', { app: 'b', host: 'github.com', deviceId: 'desktop' }),
      entry('2026-11-21T09:30:00Z', '2026-11-21T10:30:00Z', { app: 'a', deviceId: 'phone' }),
      entry('2026-11-21T11:00:00Z', '2026-11-21T15:00:00Z', { app: 'c', state: 'idle' }),
    );
    expect(await reports.apps(user('UTC'), '2026-11-21')).toEqual({
      date: '2026-11-21',
      timezone: 'UTC',
      totalSeconds: 5400,
      items: [
        { app: 'a', seconds: 3600 },
        { app: 'b', seconds: 3600 },
      ],
    });
    expect(await reports.domains(user('UTC'), '2026-11-21')).toEqual({
      date: '2026-11-21',
      timezone: 'UTC',
      totalSeconds: 3600,
      items: [{ host: 'github.com', seconds: 3600 }],
    });
    expect(await reports.apps(user('UTC'), '2026-11-22')).toMatchObject({ totalSeconds: 0, items: [] });
  });

  test('the 500 longest, and a total over all', async () => {
    const start = at('2026-11-21T00:00:00Z');
    const many = Array.from({ length: 600 }, (_, i) =>
      entry(start + i * 100_000, start + i * 100_000 + (i + 1) * 100, { app: `app ${i}` }),
    );
    const user = await someone(...many);
    const report = await reports.apps(user('UTC'), '2026-11-21');
    expect(report.items).toHaveLength(500);
    expect(report.items[0]).toEqual({ app: 'app 599', seconds: 60 });
    expect(report.totalSeconds).toBe(Math.round((600 * 601 * 100) / 2 / 1000));
  });
});

test('nothing of another organisation, another user, or beside the range', async () => {
  const mine = await someone(entry('2026-11-21T09:00:00Z', '2026-11-21T10:00:00Z'));
  const { organizationId, userId } = mine('UTC');
  const day = [entry('2026-11-21T00:00:00Z', '2026-11-22T00:00:00Z', { deviceId: 'other' })];
  await store(randomUUID(), userId, day);
  await store(organizationId, randomUUID(), day);
  await store(organizationId, userId, [
    entry('2026-11-19T00:00:00Z', '2026-11-21T00:00:00Z'),
    entry('2026-11-22T00:00:00Z', '2026-11-23T00:00:00Z'),
  ]);
  expect((await reports.daily(mine('UTC'), { from: '2026-11-21', to: '2026-11-21' })).items[0]!.workSeconds).toBe(3600);
  expect((await reports.apps(mine('UTC'), '2026-11-21')).totalSeconds).toBe(3600);
});

test('many users at once: the same as one by one', async () => {
  const organizationId = randomUUID();
  const users = Array.from({ length: 20 }, () => randomUUID());
  const range = { from: '2026-10-24', to: '2026-10-26' };
  for (const [i, userId] of users.entries()) {
    await store(organizationId, userId, [
      entry(at('2026-10-24T20:00:00Z') + i * 60_000, '2026-10-25T09:00:00Z'),
      entry('2026-10-25T10:00:00Z', at('2026-10-25T10:00:00Z') + i * 1000, { state: 'idle' }),
    ]);
  }
  const timezone = 'Europe/Berlin';
  const expected = await Promise.all(
    users.map(async (userId) =>
      (await reports.daily({ organizationId, userId, timezone }, range)).items
        .filter((i) => i.workSeconds > 0)
        .map((i) => `${userId} ${i.date} ${i.workSeconds} ${i.activeSeconds}`),
    ),
  );
  const rows = async (userIds?: string[]) =>
    (await reports.userDays({ organizationId, timezone, ...(userIds ? { userIds } : {}) }, range))
      .map((r) => `${r.userId} ${r.date} ${r.workSeconds} ${r.activeSeconds}`)
      .sort();
  expect(await rows()).toEqual(expected.flat().sort());
  expect(await rows(users.slice(0, 3))).toEqual(expected.slice(0, 3).flat().sort());
});

describe('random entries, zones and days', () => {
  const places = fc.constantFrom<[string, string]>(
    ['UTC', '2026-11-20'],
    ['Europe/Berlin', '2026-03-28'],
    ['Europe/Berlin', '2026-10-24'],
    ['America/Sao_Paulo', '2018-11-03'],
    ['America/Sao_Paulo', '2018-02-16'],
    ['America/St_Johns', '2010-11-06'],
    ['Pacific/Apia', '2011-12-29'],
    ['Australia/Lord_Howe', '2026-04-04'],
    ['Asia/Kathmandu', '2026-10-31'],
    ['Pacific/Kiritimati', '2026-10-31'],
    ['Etc/GMT+12', '2026-10-31'],
  );
  const hour = 3_600_000;
  // Few starts, so that devices overlap, entries touch midnights, and the same id gets many versions.
  const spans = fc.record({
    start: fc.oneof(
      fc.integer({ min: -40, max: 110 }).map((h) => h * hour),
      fc.integer({ min: -40 * hour, max: 110 * hour }),
    ),
    length: fc.oneof(fc.constantFrom(1, hour, 30 * hour), fc.integer({ min: 1, max: 60 * hour })),
    more: fc.record({
      deviceId: fc.constantFrom('laptop', 'desktop'),
      source: fc.constantFrom('window', 'web', 'afk'),
      app: fc.constantFrom('editor', 'browser', 'ünï'),
      host: fc.constantFrom(null, 'github.com', 'example.org'),
      state: fc.constantFrom<UsageEntryState['state']>('active', 'idle'),
      version: fc.integer({ min: 1, max: 5 }),
      deleted: fc.boolean(),
    }),
  });

  const presses = fc.record({
    offset: fc.oneof(fc.constantFrom(0, 1, 60, 1440), fc.integer({ min: -40 * 60, max: 110 * 60 })),
    deviceId: fc.constantFrom('laptop', 'desktop'),
    keyboardClicks: fc.integer({ min: 0, max: 1_000_000 }),
    mouseMovements: fc.integer({ min: 0, max: 1_000_000 }),
  });

  test('agree with the plain count, whatever is replayed in whatever order', async () => {
    await fc.assert(
      fc.asyncProperty(
        places,
        fc.array(spans, { maxLength: 25 }),
        fc.array(presses, { maxLength: 25 }),
        fc.infiniteStream(fc.nat()),
        fc.integer({ min: 0, max: 4 }),
        async ([zone, from], given, pressed, random, days) => {
          // One state for a version of an id, as the writer announces them.
          const states = new Map<string, UsageEntryState>();
          for (const { start, length, more } of given) {
            const state = entry(at(from) + start, at(from) + start + length, more);
            states.set(`${state.id} ${state.version}`, state);
          }
          const all = [...states.values()];
          const user = await someone();
          const { organizationId, userId } = user(zone);
          const shuffled = <T>(list: T[]): T[] =>
            list
              .map((item) => ({ item, by: random.next().value as number }))
              .sort((a, b) => a.by - b.by)
              .map(({ item }) => item);
          const minutes = pressed.map(({ offset, ...rest }) => ({ ...rest, minute: at(from) + offset * 60_000 }));
          // All of it in two batches, then some of it again: a replay.
          const first = shuffled(all);
          const half = Math.floor(first.length / 2);
          for (const batch of [first.slice(0, half), first.slice(half), shuffled(all).slice(0, half)]) {
            if (batch.length > 0) await store(organizationId, userId, batch);
          }
          for (const batch of [shuffled(minutes), shuffled(minutes).slice(0, 5)]) {
            if (batch.length > 0) await count(organizationId, userId, batch);
          }
          const to = new Date(at(from) + days * 24 * hour).toISOString().slice(0, 10);
          const [daily, apps, domains] = await Promise.all([
            reports.daily(user(zone), { from: from, to: to }),
            reports.apps(user(zone), to),
            reports.domains(user(zone), to),
          ]);
          expect(daily).toEqual(dailyOracle({ states: all, minutes }, from, to, zone));
          expect(apps).toEqual(keyedOracle(all, 'app', to, zone));
          expect(domains).toEqual(keyedOracle(all, 'host', to, zone));
        },
      ),
      { numRuns: 30 },
    );
  });
});
