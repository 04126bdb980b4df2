import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { freshClickHouseDatabase } from '@worktide/backends';
import { type ClickHouse, createClickHouse, migrateClickHouse } from '@worktide/clickhouse';
import { viewsOf } from '@worktide/clickhouse/gate';
import {
  createLifecycle,
  createMetrics,
  derivedUuid,
  type Lifecycle,
  silentLogger,
  sleep,
  unavailable,
  uuidv7,
} from '@worktide/runtime';
import type { UsageEntryState } from '@worktide/schemas';
import { until } from '@worktide/testing';
import { migrationsFolder } from '../index.ts';
import { addDays, collectChanges } from '../ingest/changes.ts';
import { addPeople, type Rows, storeStates } from '../ingest/states.ts';
import { usageTable } from '../ingest/tables.ts';
import { store } from '../ingest/testing.ts';
import { createReports } from '../reports/reports.ts';
import { createDirtyDays } from './dirty.ts';
import { startSummaries } from './start.ts';
import { createSummarize, type PeopleDays } from './summarize.ts';
import { createSweep } from './sweep.ts';

const log = silentLogger();
let database: Awaited<ReturnType<typeof freshClickHouseDatabase>>;
let clickhouse: ClickHouse;
const lifecycles: Lifecycle[] = [];
beforeAll(async () => {
  database = await freshClickHouseDatabase();
  await migrateClickHouse(database.url, migrationsFolder, { log });
  clickhouse = createClickHouse(database.url, { log });
});
afterEach(async () => {
  for (const lifecycle of lifecycles.splice(0)) await lifecycle.close();
});
afterAll(async () => {
  await database.drop();
  await clickhouse.close();
});

function start(through: ClickHouse = clickhouse) {
  const lifecycle = createLifecycle({ log, pause: (_ms, signal) => sleep(20, signal) });
  lifecycles.push(lifecycle);
  const metrics = createMetrics();
  return { summaries: startSummaries({ clickhouse: through, lifecycle, log, metrics, passEveryMs: 10 }), metrics };
}
const at = Date.parse('2026-11-20T23:30:00Z');
const entry = (version: number, minutes: number): UsageEntryState => ({
  id: derivedUuid('laptop', at),
  deviceId: 'laptop',
  source: 'window',
  app: 'editor',
  host: null,
  state: 'active',
  startedAt: at,
  endedAt: at + minutes * 60_000,
  version,
  deleted: false,
});
const someone = async (timezone: string, organizationId = uuidv7()) => {
  const who = { organizationId, userId: uuidv7() };
  const rows: Rows = new Map();
  const person = { type: 'person', id: who.userId, name: 'Ada', role: 'employee', status: 'active' } as const;
  addPeople(rows, {
    organizationId: who.organizationId,
    events: [{ ...person, timezone, version: 1, deleted: false }],
  });
  await storeStates(clickhouse, rows);
  return who;
};
const put = async (who: { organizationId: string; userId: string }, ...entries: UsageEntryState[]) => {
  await store(clickhouse, usageTable, { ...who, entries });
  const changes = collectChanges();
  for (const { startedAt, endedAt } of entries) addDays(changes.of(who), startedAt, endedAt);
  return changes;
};
const daysOf = ({ organizationId }: { organizationId: string }) =>
  clickhouse.query<{ date: string; work: number }>(
    `SELECT date, work_seconds AS work FROM days FINAL
     WHERE organization_id = {organizationId:UUID} AND work_seconds > 0 ORDER BY date`,
    { params: { organizationId } },
  );

test('analysts are told the score that reports tell: half up', async () => {
  const { summaries } = start();
  const who = await someone('UTC');
  const active = { ...entry(1, 0), endedAt: at + 5_000 };
  const idle = { ...active, id: uuidv7(), state: 'idle' as const, startedAt: at + 5_000, endedAt: at + 16_000 };
  summaries.changed(await put(who, active, idle));
  await until('it is there', async () => (await daysOf(who)).length === 1);
  const views = viewsOf(new URL(database.url).pathname.slice(1));
  const params = { user: who.userId };
  const told = await clickhouse.query(
    `SELECT toString(productivity_score) AS score FROM ${views}.days WHERE user_id = {user:UUID}`,
    { params },
  );
  expect(told).toEqual([{ score: '31.3' }]);
  const { items } = await createReports({ clickhouse }).daily(
    { ...who, timezone: 'UTC' },
    { from: '2026-11-20', to: '2026-11-20' },
  );
  expect(items[0]!.productivityScore).toBe(31.3);
});

test('what a consumer stored is summed up, in the person’s own zone, and again when it changes', async () => {
  const { summaries } = start();
  const who = await someone('Europe/Berlin');
  summaries.changed(await put(who, entry(1, 20)));
  await until('it is there', async () => (await daysOf(who)).length === 1);
  expect(await daysOf(who)).toEqual([{ date: '2026-11-21', work: 1_200 }]);
  summaries.changed(await put(who, entry(2, 5)));
  await until('it is less', async () => (await daysOf(who))[0]?.work === 300);
});

test('what another process stored and died is found at the start', async () => {
  const who = await someone('Asia/Kathmandu');
  await put(who, entry(1, 20));
  start();
  await until('it is there', async () => (await daysOf(who)).length === 1);
  expect(await daysOf(who)).toEqual([{ date: '2026-11-21', work: 1_200 }]);
});

test('ClickHouse away: nothing is forgotten, and the metric tells how many wait', async () => {
  const who = await someone('UTC');
  let away = true;
  const { summaries, metrics } = start({
    ...clickhouse,
    command: (...args) => (away ? Promise.reject(unavailable('clickhouse')) : clickhouse.command(...args)),
  });
  summaries.changed(await put(who, entry(1, 20)));
  expect((await metrics.render()).text).toContain('worktide_analytics_days_waiting 1');
  away = false;
  await until('it is there', async () => (await daysOf(who)).length === 1);
  await until('nobody waits', async () => (await metrics.render()).text.includes('worktide_analytics_days_waiting 0'));
});

test('a sweep that never succeeds holds up no days that are known to have changed', async () => {
  const who = await someone('UTC');
  let sweeps = 0;
  const { summaries } = start({
    ...clickhouse,
    query: (sql, options) => {
      if (!sql.includes('FROM day_changes')) return clickhouse.query(sql, options);
      sweeps++;
      return Promise.reject(unavailable('clickhouse'));
    },
  });
  await until('it has failed twice', async () => sweeps > 1);
  summaries.changed(await put(who, entry(1, 20)));
  await until('it is there', async () => (await daysOf(who)).length === 1);
});

test('dirty days: whole people, organisations by turns, and no more than were asked for', () => {
  const dirty = createDirtyDays(5);
  const [large, small] = [uuidv7(), uuidv7()];
  const changes = collectChanges();
  for (let i = 0; i < 4; i++) changes.of({ organizationId: large, userId: `large ${i}` }).add(i);
  changes.of({ organizationId: small, userId: 'small' }).add(7);
  dirty.add(changes);
  const past = collectChanges();
  past.of({ organizationId: small, userId: 'past the bound' }).add(1);
  past.of({ organizationId: large, userId: 'large 3' }).add(9);
  dirty.add(past);
  expect(dirty.users).toBe(5);
  expect(dirty.take(2)).toEqual([
    {
      organizationId: large,
      users: new Map([
        ['large 0', new Set([0])],
        ['large 1', new Set([1])],
      ]),
    },
  ]);
  expect(dirty.take(2)).toEqual([
    { organizationId: small, users: new Map([['small', new Set([7])]]) },
    { organizationId: large, users: new Map([['large 2', new Set([2])]]) },
  ]);
  expect(dirty.take(10)).toEqual([{ organizationId: large, users: new Map([['large 3', new Set([3, 9])]]) }]);
  expect([dirty.users, dirty.take(10)]).toEqual([0, []]);
});

describe('a sweep', () => {
  const signal = new AbortController().signal;

  test('passes by whose days stay stale: everybody comes to their turn, so many people in a step', async () => {
    const organizationId = uuidv7();
    const people = await Promise.all(Array.from({ length: 5 }, () => someone('UTC', organizationId)));
    people.push(await someone('UTC'), await someone('UTC'));
    const lastMonth = { ...entry(1, 20), startedAt: at - 31 * 86_400_000, endedAt: at - 31 * 86_400_000 + 1 };
    for (const who of people) await put(who, entry(1, 20), { ...lastMonth, id: uuidv7() });
    let each: string[] = [];
    const all: string[] = [];
    const step = createSweep(
      clickhouse,
      async ({ users }) => {
        each.push(...users.keys());
      },
      2,
    );
    // Begun anew it is the same again, for nothing was summed up.
    for (let time = 0; time < 2; time++) {
      all.length = 0;
      for (let isMore = true; isMore; all.push(...each)) {
        each = [];
        isMore = await step(signal);
        expect(each.length).toBeLessThanOrEqual(2);
      }
      const ours = all.filter((id) => people.some(({ userId }) => userId === id)).sort();
      expect(ours).toEqual(people.flatMap(({ userId }) => [userId, userId]).sort());
    }
  });

  test('a step that failed is done again', async () => {
    const who = await someone('UTC');
    await put(who, entry(1, 20));
    const told: string[] = [];
    let away = true;
    const step = createSweep(clickhouse, async ({ users }) => {
      if (users.has(who.userId) && away) throw unavailable('clickhouse');
      told.push(...users.keys());
    });
    await expect(step(signal)).rejects.toMatchObject({ statusCode: 503 });
    away = false;
    while (await step(signal));
    expect(told.filter((id) => id === who.userId)).toHaveLength(1);
  });

  test('finds nothing more where a zone skipped a day', async () => {
    const who = await someone('Pacific/Apia');
    // There the 29th ends as it begins, and the 31st follows.
    const startedAt = Date.parse('2011-12-30T09:50:00Z');
    await put(who, { ...entry(1, 20), startedAt, endedAt: startedAt + 20 * 60_000 });
    const summarize = createSummarize({ clickhouse, log });
    const found: number[][] = [];
    const step = createSweep(clickhouse, async (days: PeopleDays) => {
      const theirs = days.users.get(who.userId);
      if (theirs) found.push([...theirs]);
      await summarize(days);
    });
    while (await step(signal));
    expect(await daysOf(who)).toEqual([
      { date: '2011-12-29', work: 600 },
      { date: '2011-12-31', work: 600 },
    ]);
    while (await step(signal));
    expect(found).toEqual([[15_338]]);
  });
});
