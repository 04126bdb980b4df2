import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { freshClickHouseDatabase } from '@worktide/backends';
import { type ClickHouse, createClickHouse, migrateClickHouse } from '@worktide/clickhouse';
import { createMetrics, derivedUuid, silentLogger, uuidv7 } from '@worktide/runtime';
import type { InputMinuteEvent, PeopleRecord, TimeEntryState, UsageEntryState } from '@worktide/schemas';
import fc from 'fast-check';
import { migrationsFolder } from '../index.ts';
import { addPeople, addWorkspace, type Rows, storeStates } from '../ingest/states.ts';
import { inputMinutesTable, timeEntriesTable, usageTable } from '../ingest/tables.ts';
import { store } from '../ingest/testing.ts';
import { type Analysts, openAnalysts } from '../sql/open.ts';
import { createSummarize } from '../summaries/summarize.ts';
import { sweep } from '../summaries/sweep.ts';
import { dailyOracle, keyedSums, trackedOracle } from './oracle.ts';
import { createReports, type Reports } from './reports.ts';

const log = silentLogger();
let database: Awaited<ReturnType<typeof freshClickHouseDatabase>>;
let clickhouse: ClickHouse;
let reports: Reports;
let analysts: Analysts;
beforeAll(async () => {
  database = await freshClickHouseDatabase();
  await migrateClickHouse(database.url, migrationsFolder, { log });
  clickhouse = createClickHouse(database.url, { log });
  reports = createReports({ clickhouse });
  analysts = openAnalysts(database.url, { places: 1, log, metrics: createMetrics() });
});
afterAll(async () => {
  await analysts.close();
  await database.drop();
  await clickhouse.close();
});

const hour = 3_600_000;
const never = new AbortController().signal;

interface Person {
  userId: string;
  name: string;
  zone: string;
  usage: UsageEntryState[];
  minutes: InputMinuteEvent[];
  tracked: TimeEntryState[];
}

async function tell(organizationId: string, ...people: Person[]): Promise<void> {
  const rows: Rows = new Map();
  const rest = { role: 'employee', status: 'active', version: Date.now(), deleted: false } as const;
  const record: PeopleRecord = {
    organizationId,
    events: people.map(({ userId, name, zone }) => ({ type: 'person', id: userId, name, timezone: zone, ...rest })),
  };
  addPeople(rows, record);
  await storeStates(clickhouse, rows);
}

/** Sums up everything that is stale, as the sweep at a start does. */
const sumUp = (): Promise<void> => {
  const summarize = createSummarize({ clickhouse, log });
  return sweep(clickhouse, (days) => summarize(days), never);
};
/** Of Apia: there are no sums of a day that was not, and each sweep looks at its neighbours again. */
const skipped = Date.parse('2011-12-30') / (24 * hour);
const staleDays = async (organizationId: string): Promise<number> => {
  let found = 0;
  await sweep(
    clickhouse,
    async (days) => {
      if (days.organizationId !== organizationId) return;
      for (const of of days.users.values()) found += [...of].filter((day) => day !== skipped).length;
    },
    never,
  );
  return found;
};

/** Every report says what the plain count says, and they all add up. */
async function expectAgreement(
  organizationId: string,
  people: readonly Person[],
  range: { from: string; to: string },
  timezone?: string,
): Promise<void> {
  const now = Date.now();
  const { from, to } = range;
  const zoneOf = (person: Person): string => timezone ?? person.zone;
  const expected = people.map((person) => ({
    person,
    days: dailyOracle({ states: person.usage, minutes: person.minutes }, from, to, zoneOf(person)).items,
    tracked: trackedOracle(person.tracked, from, to, zoneOf(person), now),
  }));
  const sum = (values: Iterable<number>): number => [...values].reduce((a, b) => a + b, 0);
  for (const { person, days, tracked } of expected) {
    const subject = { organizationId, userId: person.userId, timezone: zoneOf(person) };
    const user = await reports.user(subject, range);
    expect(user.days).toEqual(days);
    expect((await reports.daily(subject, range)).items).toEqual(days);
    expect(user.totals.workSeconds).toBe(sum(days.map(({ workSeconds }) => workSeconds)));
    expect(new Map(user.apps.map(({ app, seconds }) => [app, seconds]))).toEqual(
      keyedSums(person.usage, 'app', from, to, subject.timezone),
    );
    expect(new Map(user.hosts.map(({ host, seconds }) => [host, seconds]))).toEqual(
      keyedSums(person.usage, 'host', from, to, subject.timezone),
    );
    expect(sum(user.projects.map(({ trackedSeconds }) => trackedSeconds))).toBe(sum(tracked.values()));
    const sheet = await reports.timesheet(subject, range);
    expect(
      new Map(
        sheet.projects.flatMap(({ projectId, byDay }) =>
          byDay.flatMap((cell, i) => (cell > 0 ? [[`${sheet.days[i]!.date} ${projectId}`, cell] as const] : [])),
        ),
      ),
    ).toEqual(tracked);
  }
  const rows = [];
  let after: string | undefined;
  do {
    const page = await reports.team({ organizationId, ...range, timezone, limit: 2, after });
    rows.push(...page.items);
    after = page.next ?? undefined;
  } while (after !== undefined);
  const byName = [...expected].sort((a, b) => (a.person.name < b.person.name ? -1 : 1));
  expect(
    rows.map(({ userId, workSeconds, activeSeconds, trackedSeconds }) => [
      userId,
      workSeconds,
      activeSeconds,
      trackedSeconds,
    ]),
  ).toEqual(
    byName.map(({ person, days, tracked }) => [
      person.userId,
      sum(days.map(({ workSeconds }) => workSeconds)),
      sum(days.map(({ activeSeconds }) => activeSeconds)),
      sum(tracked.values()),
    ]),
  );
  const whole = await reports.organization({ organizationId, timezone }, range);
  expect(
    whole.days.map(({ date, workSeconds, activeSeconds, idleSeconds, keyboardClicks }) => ({
      date,
      workSeconds,
      activeSeconds,
      idleSeconds,
      keyboardClicks,
    })),
  ).toEqual(
    expected[0]!.days.map(({ date }, i) => ({
      date,
      workSeconds: sum(expected.map(({ days }) => days[i]!.workSeconds)),
      activeSeconds: sum(expected.map(({ days }) => days[i]!.activeSeconds)),
      idleSeconds: sum(expected.map(({ days }) => days[i]!.idleSeconds)),
      keyboardClicks: sum(expected.map(({ days }) => days[i]!.keyboardClicks)),
    })),
  );
  expect(sum(whole.people.map(({ workSeconds }) => workSeconds))).toBe(whole.totals.workSeconds);
  expect(sum(whole.projects.map(({ trackedSeconds }) => trackedSeconds))).toBe(
    sum(expected.map(({ tracked }) => sum(tracked.values()))),
  );
  expect(sum(whole.apps.map(({ seconds }) => seconds))).toBe(
    sum(expected.flatMap(({ person }) => [...keyedSums(person.usage, 'app', from, to, zoneOf(person)).values()])),
  );
}

/** SQL over the views says it too, where all days are summed up: of each person in their own zone. */
async function expectSqlAgreement(
  organizationId: string,
  people: readonly Person[],
  { from, to }: { from: string; to: string },
): Promise<void> {
  async function ask(sql: string, person: Person): Promise<unknown[][]> {
    const parameters = { user: person.userId, from, to };
    const answer = await analysts.query(organizationId, { sql, parameters, format: 'json' });
    if (!('rows' in answer)) throw new Error('no rows');
    expect(answer.truncated).toBe(false);
    return answer.rows;
  }
  const ofPerson = 'user_id = {user:UUID} AND date BETWEEN {from:Date32} AND {to:Date32}';
  for (const person of people) {
    const { items } = dailyOracle({ states: person.usage, minutes: person.minutes }, from, to, person.zone);
    const days = await ask(
      `SELECT toString(date), work_seconds, active_seconds, idle_seconds, productivity_score, keyboard_clicks, mouse_movements,
         user_name, timezone
       FROM days WHERE ${ofPerson} ORDER BY date`,
      person,
    );
    expect(days).toEqual(
      items
        .filter((day) => day.workSeconds + day.keyboardClicks + day.mouseMovements > 0)
        .map((day) => [
          ...[day.date, day.workSeconds, day.activeSeconds, day.idleSeconds, day.productivityScore],
          ...[day.keyboardClicks, day.mouseMovements, person.name, person.zone],
        ]),
    );
    for (const kind of ['app', 'host'] as const) {
      const rows = await ask(
        `SELECT ${kind}, sum(active_seconds) FROM ${kind}_days WHERE ${ofPerson} GROUP BY ${kind}`,
        person,
      );
      expect(new Map(rows as [string, number][])).toEqual(keyedSums(person.usage, kind, from, to, person.zone));
    }
    const latest = new Map<string, UsageEntryState>();
    for (const state of person.usage)
      if (state.version > (latest.get(state.id)?.version ?? 0)) latest.set(state.id, state);
    const live = [...latest.values()].filter(({ deleted }) => !deleted);
    const [usage] = await ask('SELECT count(), sum(duration_ms) FROM usage WHERE user_id = {user:UUID}', person);
    const lengths = live.map(({ startedAt, endedAt }) => endedAt - startedAt);
    expect(usage).toEqual([live.length, lengths.reduce((a, b) => a + b, 0)]);
    const worked = await ask('SELECT id, worked_seconds FROM time_entries WHERE user_id = {user:UUID}', person);
    expect(new Map(worked as [string, number][])).toEqual(
      new Map(
        person.tracked
          .filter(({ deleted }) => !deleted)
          .map(({ id, startedAt, endedAt, pauses }) => {
            const paused = pauses.reduce((ms, pause) => ms + (pause.to! - pause.from), 0);
            return [id, Math.floor((endedAt! - startedAt - paused + 500) / 1_000)];
          }),
      ),
    );
  }
}

const places = fc.constantFrom<[string, string, string]>(
  ['UTC', 'Asia/Kathmandu', '2026-11-20'],
  ['Europe/Berlin', 'America/New_York', '2026-03-27'],
  ['Europe/Berlin', 'Australia/Lord_Howe', '2026-10-23'],
  ['America/Sao_Paulo', 'UTC', '2018-11-02'],
  ['Pacific/Apia', 'Pacific/Kiritimati', '2011-12-28'],
  ['Etc/GMT+12', 'Pacific/Auckland', '2026-10-30'],
);
const spans = fc.record({
  start: fc.oneof(
    fc.integer({ min: -40, max: 110 }).map((h) => h * hour),
    fc.integer({ min: -40 * hour, max: 110 * hour }),
  ),
  length: fc.oneof(fc.constantFrom(1, 1_500, hour, 30 * hour), fc.integer({ min: 1, max: 60 * hour })),
  deviceId: fc.constantFrom('laptop', 'desktop'),
  app: fc.constantFrom('editor', 'browser', 'ünï'),
  host: fc.constantFrom(null, 'github.com', 'example.org'),
  state: fc.constantFrom<UsageEntryState['state']>('active', 'idle'),
  version: fc.integer({ min: 1, max: 5 }),
  deleted: fc.boolean(),
});
const timers = fc.record({
  start: fc.integer({ min: -40 * hour, max: 110 * hour }),
  pieces: fc.array(fc.integer({ min: 1, max: 20 * hour }), { minLength: 1, maxLength: 5 }),
  project: fc.nat(2),
  deleted: fc.boolean(),
});
const presses = fc.record({
  offset: fc.integer({ min: -40 * 60, max: 110 * 60 }),
  deviceId: fc.constantFrom('laptop', 'desktop'),
  keyboardClicks: fc.integer({ min: 0, max: 1_000_000 }),
  mouseMovements: fc.integer({ min: 0, max: 1_000_000 }),
});

const projects = [randomUUID(), randomUUID(), null];

interface Given {
  spans: {
    start: number;
    length: number;
    deviceId: string;
    app: string;
    host: string | null;
    state: UsageEntryState['state'];
    version: number;
    deleted: boolean;
  }[];
  timers: { start: number; pieces: number[]; project: number; deleted: boolean }[];
  presses: { offset: number; deviceId: string; keyboardClicks: number; mouseMovements: number }[];
}
const press = { deviceId: 'laptop', keyboardClicks: 7, mouseMovements: 3 };
const span = { length: 1_500, deviceId: 'laptop', app: 'editor', host: null, state: 'idle' as const, version: 4 };
const nothing = { spans: [], timers: [], presses: [] };
const monthEdge = [
  ['Etc/GMT+12', 'Pacific/Auckland', '2026-10-30'],
  [
    nothing,
    {
      ...nothing,
      spans: [{ ...span, start: 65 * hour, deleted: true }],
      presses: [
        { ...press, offset: 1_682 },
        { ...press, offset: 4_506 },
      ],
    },
    {
      ...nothing,
      presses: [
        { ...press, offset: 1_300 },
        { ...press, offset: 2_800 },
      ],
    },
  ],
  3,
] as [[string, string, string], Given[], number];

test('every report is the plain count, summed up or not, before and after late data, a new zone and a replay', async () => {
  await fc.assert(
    fc.asyncProperty(
      places,
      fc.array(
        fc.record({
          spans: fc.array(spans, { maxLength: 10 }),
          timers: fc.array(timers, { maxLength: 3 }),
          presses: fc.array(presses, { maxLength: 4 }),
        }),
        { minLength: 3, maxLength: 3 },
      ),
      fc.integer({ min: 0, max: 4 }),
      async ([here, there, from], given, length) => {
        const base = Date.parse(from);
        const organizationId = uuidv7();
        const people = given.map((all, i): Person => {
          const states = new Map<string, UsageEntryState>();
          for (const { start, length: ms, ...rest } of all.spans) {
            const startedAt = base + start;
            const month = new Date(startedAt);
            const endOfMonth = Date.UTC(month.getUTCFullYear(), month.getUTCMonth() + 1);
            const endedAt = Math.min(startedAt + ms, endOfMonth);
            const id = derivedUuid(`${i}`, rest.deviceId, startedAt);
            states.set(`${id} ${rest.version}`, { id, source: 'window', startedAt, endedAt, ...rest });
          }
          return {
            userId: uuidv7(),
            name: ['Ada', 'Bo', 'Cy'][i]!,
            zone: i === 2 ? there : here,
            usage: [...states.values()],
            minutes: all.presses.map(({ offset, ...rest }) => ({ ...rest, minute: base + offset * 60_000 })),
            tracked: all.timers.map(({ start, pieces, project, deleted }): TimeEntryState => {
              const points = [base + start];
              for (const piece of pieces) points.push(points.at(-1)! + piece);
              const pauses: TimeEntryState['pauses'] = [];
              for (let at = 1; at + 2 < points.length; at += 2) pauses.push({ from: points[at]!, to: points[at + 1]! });
              return {
                id: uuidv7(),
                kind: 'timer',
                status: 'STOPPED',
                projectId: projects[project]!,
                taskId: null,
                description: null,
                tags: [],
                billable: false,
                timezone: 'UTC',
                startedAt: points[0]!,
                endedAt: points.at(-1)!,
                pauses,
                createdAt: base,
                updatedAt: base,
                version: 1,
                deleted,
              };
            }),
          };
        });
        const put = async ({ userId, usage, minutes, tracked }: Person): Promise<void> => {
          const who = { organizationId, userId };
          if (usage.length > 0) await store(clickhouse, usageTable, { ...who, entries: usage });
          if (minutes.length > 0) await store(clickhouse, inputMinutesTable, { ...who, receivedAt: 0, minutes });
          if (tracked.length > 0)
            await store(clickhouse, timeEntriesTable, { ...who, actorId: null, entries: tracked });
        };
        const to = new Date(base + length * 24 * hour).toISOString().slice(0, 10);
        const agree = (zone?: string) => expectAgreement(organizationId, people, { from, to }, zone);
        const sqlAgrees = () => expectSqlAgreement(organizationId, people, { from, to });

        const [ada, bo, cy] = people as [Person, Person, Person];
        await put(ada);
        await put(bo);
        await tell(organizationId, ...people);
        // Nothing is summed up yet, then what there is; what comes late is there at once all the same.
        await sumUp();
        expect(await staleDays(organizationId)).toBe(0);
        await put(cy);
        await agree();
        await sumUp();
        await agree();
        await sqlAgrees();
        await agree('America/St_Johns');
        // Everything is gone from a day that is summed up.
        const gone = bo.usage.map((state) => ({ ...state, version: 9, deleted: true }));
        if (gone.length > 0) await store(clickhouse, usageTable, { organizationId, userId: bo.userId, entries: gone });
        bo.usage.push(...gone);
        await agree();
        await sumUp();
        // Another zone, and all of it again.
        ada.zone = there;
        await tell(organizationId, ada);
        await agree();
        for (const person of people) await put(person);
        await sumUp();
        expect(await staleDays(organizationId)).toBe(0);
        await agree();
        await sqlAgrees();
      },
    ),
    {
      numRuns: 4,
      endOnFailure: true,
      // A local day that begins in one month of UTC and is summed up for the sake of the next one.
      examples: [monthEdge],
    },
  );
}, 300_000);

test('whoever is gone is there for the time they worked; teams and projects choose people', async () => {
  const organizationId = uuidv7();
  const at = Date.parse('2026-11-20T10:00:00Z');
  const entry = (userId: string): UsageEntryState => ({
    id: derivedUuid(userId, 'laptop', at),
    deviceId: 'laptop',
    source: 'window',
    app: 'editor',
    host: null,
    state: 'active',
    startedAt: at,
    endedAt: at + hour,
    version: 1,
    deleted: false,
  });
  const rows: Rows = new Map();
  const [ada, bo, cy, dan] = [uuidv7(), uuidv7(), uuidv7(), uuidv7()];
  const person = (id: string, name: string, deleted = false) =>
    ({ type: 'person', id, name, role: 'employee', status: 'active', timezone: 'UTC', version: 1, deleted }) as const;
  addPeople(rows, {
    organizationId,
    events: [person(ada, 'ada'), person(bo, 'Bo', true), person(cy, 'Cy', true), person(dan, 'Dan')],
  });
  const [project, team] = [uuidv7(), uuidv7()];
  const state = { version: 1, deleted: false };
  addWorkspace(rows, {
    organizationId,
    actorId: null,
    events: [
      { type: 'project', id: project, name: 'Tunnel', status: 'active', ...state },
      { type: 'team', id: team, name: 'Night', projectId: project, memberIds: [dan], ...state },
    ],
  });
  await storeStates(clickhouse, rows);
  for (const userId of [ada, bo])
    await store(clickhouse, usageTable, { organizationId, userId, entries: [entry(userId)] });
  const range = { from: '2026-11-20', to: '2026-11-20' };
  const names = async (more: { projectId?: string; teamId?: string } = {}) =>
    (await reports.team({ organizationId, ...range, limit: 10, ...more })).items.map(({ name }) => name);
  expect(await names()).toEqual(['ada', 'Bo', 'Dan']);
  expect(await names({ teamId: team })).toEqual(['Dan']);
  expect(await names({ projectId: project })).toEqual(['Dan']);
  expect(await names({ teamId: uuidv7() })).toEqual([]);
  const { people, totals } = await reports.organization({ organizationId }, range);
  expect([people.map(({ name }) => name).sort(), totals.workSeconds]).toEqual([['Bo', 'ada'], 7_200]);
});

test('weeks begin on the day that was chosen, and have the hours that they have', async () => {
  const organizationId = uuidv7();
  const userId = uuidv7();
  const whole = (from: string, to: string): UsageEntryState => ({
    id: derivedUuid(userId, from),
    deviceId: 'laptop',
    source: 'window',
    app: 'editor',
    host: null,
    state: 'active',
    startedAt: Date.parse(from),
    endedAt: Date.parse(to),
    version: 1,
    deleted: false,
  });
  const entries = [whole('2026-10-01', '2026-11-01'), whole('2026-11-01', '2026-12-01')];
  await store(clickhouse, usageTable, { organizationId, userId, entries });
  const subject = { organizationId, userId, timezone: 'Europe/London' };
  const weeks = async (from: string, to: string, weekStart: 'monday' | 'sunday' | 'saturday') =>
    (await reports.user(subject, { from, to, weekStart })).days.map(({ date, until, workSeconds }) => [
      date,
      until,
      workSeconds / 3600,
    ]);
  expect(await weeks('2026-11-01', '2026-11-01', 'sunday')).toEqual([['2026-11-01', '2026-11-07', 168]]);
  expect(await weeks('2026-11-01', '2026-11-01', 'monday')).toEqual([['2026-10-26', '2026-11-01', 168]]);
  expect(await weeks('2026-10-19', '2026-10-25', 'monday')).toEqual([['2026-10-19', '2026-10-25', 169]]);
  expect(await weeks('2026-10-30', '2026-11-07', 'saturday')).toEqual([
    ['2026-10-24', '2026-10-30', 169],
    ['2026-10-31', '2026-11-06', 168],
    ['2026-11-07', '2026-11-13', 168],
  ]);
});
