import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { uuidv7 } from '@worktide/runtime';
import type { ExportFormat, ExportReport, InputMinuteEvent, TimeEntryState } from '@worktide/schemas';
import { listAudit } from '../audit/list.ts';
import { addPeople, type Rows, storeStates } from '../ingest/states.ts';
import { auditTable, inputMinutesTable, timeEntriesTable, usageTable } from '../ingest/tables.ts';
import { store } from '../ingest/testing.ts';
import { createReports, type Reports } from '../reports/reports.ts';
import type { Asked } from './asked.ts';
import { type ColumnType, columnsOf, type Row } from './columns.ts';
import { createLines } from './lines.ts';
import { type RowsDeps, writeRows } from './rows.ts';
import {
  type Name,
  organizationId,
  people,
  type Running,
  readCsv,
  readParquet,
  readSheets,
  startWorld,
  teamId,
  usageEntry,
  type World,
} from './testing.ts';

let world: World;
let running: Running;
let reports: Reports;
const range = { from: '2026-11-19', to: '2026-11-22' };
const project = randomUUID();
const archive = randomUUID();
const names: Record<Name, string> = {
  admin: 'Ada',
  manager: '=Mallory',
  employee: 'Émile "E", jr.',
  colleague: 'חנה',
  lead: 'lea',
  stranger: 'Eve',
};
const members: Name[] = ['admin', 'manager', 'employee', 'colleague', 'lead'];
const day = Date.parse('2026-11-20T00:00:00Z');
const hour = 3_600_000;

beforeAll(async () => {
  world = await startWorld();
  const rows: Rows = new Map();
  const rest = { status: 'active', version: 1, deleted: false } as const;
  addPeople(rows, {
    organizationId,
    events: members.map((name) => {
      const { userId: id, role, timezone } = people[name];
      return { type: 'person', id, name: names[name], role, timezone, ...rest };
    }),
  });
  await storeStates(world.clickhouse, rows);
  const state = (table: string, row: object) =>
    world.clickhouse.insert({
      table,
      columns: ['organization_id', ...Object.keys(row)],
      format: 'JSONEachRow',
      data: [Buffer.from(JSON.stringify({ organization_id: organizationId, ...row }))],
    });
  await state('projects', { id: project, name: '-Tide', status: 'active', version: 1 });
  await state('projects', { id: archive, name: 'Archive', status: 'archived', version: 1 });
  await state('teams', {
    id: teamId,
    name: 'Night',
    member_ids: [people.lead.userId, people.employee.userId],
    version: 1,
  });

  let n = 0;
  for (const name of members) {
    const { userId } = people[name];
    const entries = Array.from({ length: 40 }, (_, i) => {
      const startedAt = day - 30 * hour + i * 2 * hour + (n++ % 7) * 333;
      const more = {
        // Some idle time that another device's active time lies over.
        endedAt: startedAt + (i % 8 === 3 ? 3 * hour : 3_333_333) + i * 77,
        app: ['editor', '=cmd|x', '+1', 'терминал', '@x'][i % 5],
        host: i % 3 === 0 ? null : `host-${i % 4}.example.com`,
        state: i % 4 === 3 ? 'idle' : 'active',
        deviceId: i % 5 === 0 ? 'desk' : 'laptop',
      };
      return usageEntry(startedAt, more);
    });
    await store(world.clickhouse, usageTable, { organizationId, userId, entries: entries as never });
    const minutes: InputMinuteEvent[] = [1, 2].map((i) => ({
      minute: day + i * 60_000,
      deviceId: 'laptop',
      keyboardClicks: 10 * i,
      mouseMovements: 7 * i,
    })) as never;
    await store(world.clickhouse, inputMinutesTable, { organizationId, userId, minutes } as never);
    const tracked = Array.from({ length: 6 }, (_, i): TimeEntryState => {
      const startedAt = day - 20 * hour + i * 9 * hour + 123;
      return {
        id: uuidv7(),
        kind: i % 2 ? 'manual' : 'timer',
        status: 'STOPPED',
        projectId: [project, archive, null][i % 3]!,
        taskId: null,
        description: [null, '=1+1', 'line\nbreak', 'x, "y"'][i % 4]!,
        tags: i % 2 ? [] : ['=a', 'b, c'],
        billable: i % 2 === 0,
        timezone: 'UTC',
        startedAt,
        endedAt: startedAt + 8 * hour + 456,
        pauses: i % 2 ? [] : [{ from: startedAt + hour, to: startedAt + hour + 1_234_567 }],
        createdAt: startedAt,
        updatedAt: startedAt + 1,
        version: 1,
        deleted: false,
      };
    });
    await store(world.clickhouse, timeEntriesTable, {
      organizationId,
      userId,
      actorId: null,
      entries: tracked,
    } as never);
  }
  const events = Array.from({ length: 30 }, (_, i) => ({
    id: uuidv7(),
    at: day + i * 1_000 + (i % 3),
    action: i % 2 ? 'user.changed' : 'report.read',
    actorType: 'user',
    actorId: i % 5 ? people.admin.userId : null,
    entityType: 'user',
    entityId: people.employee.userId,
    before: i % 3 ? null : { name: '=1' },
    after: { name: 'a "b"\n', i },
    ipAddress: '127.0.0.1',
    userAgent: i % 2 ? '@agent' : null,
    requestId: `r${i}`,
    sessionId: null,
    service: 'auth',
  }));
  await store(world.clickhouse, auditTable, { organizationId, events } as never);
  reports = createReports({ clickhouse: world.clickhouse });
  running = await world.start();
});
afterAll(() => world?.close());

type Item = Record<string, unknown>;
const formats: ExportFormat[] = ['json', 'csv', 'xlsx', 'parquet'];
const ms1899 = Date.UTC(1899, 11, 30);
const isoOf = (ms: number): string => new Date(ms).toISOString();

/** A cell as a JSON export has it, so far as the format can tell. */
const fromCsv: Record<ColumnType, (text: string) => unknown> = {
  // The apostrophe that keeps it from being run.
  text: (text) => text.replace(/^'(?=[=+\-@\t\r])/, ''),
  date: (text) => text,
  instant: (text) => text,
  seconds: Number,
  count: Number,
  score: Number,
  flag: (text) => text === 'true',
  list: (text) => text.replace(/^'(?=[=+\-@\t\r])/, ''),
  fields: (text) => JSON.parse(text),
};
const fromSheet: Record<ColumnType, (cell: never) => unknown> = {
  text: (cell) => cell,
  date: (cell: Date) => cell.toISOString().slice(0, 10),
  instant: (cell: Date) => cell.toISOString(),
  seconds: (cell: Date) => Math.round((cell.getTime() - ms1899) / 1_000),
  count: (cell) => cell,
  score: (cell) => cell,
  flag: (cell) => cell,
  list: (cell) => cell,
  fields: (cell) => JSON.parse(cell),
};
const fromParquet: Record<ColumnType, (value: never) => unknown> = {
  text: (value) => value,
  date: (value) => value,
  instant: (value: number) => isoOf(value),
  seconds: (value) => value,
  count: (value) => value,
  score: (value) => value,
  flag: (value) => value,
  list: (value) => JSON.parse(value),
  fields: (value) => JSON.parse(value),
};

async function itemsOf(report: ExportReport, format: ExportFormat, bytes: Buffer): Promise<Item[]> {
  const columns = columnsOf[report];
  const of = (values: readonly unknown[], read: Record<ColumnType, (value: never) => unknown>): Item =>
    Object.fromEntries(
      columns.map(({ name, type }, i) => {
        const value = values[i];
        return [name, value === null || value === undefined || value === '' ? null : read[type](value as never)];
      }),
    );
  if (format === 'json') return JSON.parse(bytes.toString());
  if (format === 'csv')
    return readCsv(bytes.toString())
      .slice(1)
      .map((row) => of(row, fromCsv));
  if (format === 'xlsx') return (await readSheets(bytes))[0]!.rows.slice(1).map((row) => of(row, fromSheet));
  const rows = await readParquet(world.clickhouse, bytes, columns);
  return rows.map((row) =>
    of(
      columns.map(({ name }) => row[name]),
      fromParquet,
    ),
  );
}

/** What is exported, after each of the formats was found to say the same. */
async function exported(
  as: Name,
  body: { report: ExportReport; [filter: string]: unknown },
  some = formats,
): Promise<Item[]> {
  let first: Item[] | undefined;
  for (const format of some) {
    const id = await running.make(as, { ...body, format });
    const job = await running.untilIs(as, id, 'ready');
    const items = await itemsOf(body.report, format, (await running.file(job)).bytes);
    expect(job).toMatchObject({ rows: items.length, progress: 1, attempts: 1 });
    first ??= items;
    expect([format, items]).toEqual([format, first.map((item) => asIn(format, item))]);
    await running.ask(as, 'delete', `/${id}`);
  }
  return first!;
}

/** What of a JSON's item another format can tell: tags are one text in a cell, and a sheet counts days. */
function asIn(format: ExportFormat, item: Item): Item {
  const isCell = format === 'csv' || format === 'xlsx';
  const tags = isCell && Array.isArray(item.tags) ? { tags: item.tags.length > 0 ? item.tags.join(', ') : null } : {};
  const instants = Object.entries(item)
    .filter(
      ([name]) =>
        format === 'xlsx' &&
        ['startedAt', 'endedAt', 'startTime', 'endTime', 'createdAt', 'updatedAt', 'at'].includes(name),
    )
    .map(([name, value]) => [
      name,
      { asymmetricMatch: (other: string) => Math.abs(Date.parse(other) - Date.parse(value as string)) <= 1 },
    ]);
  return { ...item, ...tags, ...Object.fromEntries(instants) };
}

interface Span {
  start: number;
  end: number;
}
/** What of a span, its pauses left out, was active, idle and neither: looked at between any two instants where something changes. */
function secondsWithin(entry: Span, paused: readonly Span[], usage: readonly (Span & { state: string })[]): Item {
  const instants = [entry, ...paused, ...usage].flatMap(({ start, end }) => [start, end]).toSorted((a, b) => a - b);
  const sums = { active: 0, covered: 0, worked: 0 };
  for (const [i, at] of instants.slice(0, -1).entries()) {
    const [length, middle] = [instants[i + 1]! - at, (at + instants[i + 1]!) / 2];
    const within = <T extends Span>(spans: readonly T[]): T[] =>
      spans.filter(({ start, end }) => start < middle && middle < end);
    if (within([entry]).length === 0 || within(paused).length > 0) continue;
    const found = within(usage);
    sums.worked += length;
    if (found.length > 0) sums.covered += length;
    if (found.some(({ state }) => state === 'active')) sums.active += length;
  }
  const [active, covered, worked] = [sums.active, sums.covered, sums.worked].map((ms) => Math.round(ms / 1_000)) as [
    number,
    number,
    number,
  ];
  return {
    workedSeconds: worked,
    activeSeconds: active,
    idleSeconds: covered - active,
    untrackedSeconds: worked - covered,
  };
}

const json: ExportFormat[] = ['json'];

describe('every export says what its report says', () => {
  test.each(['employee', 'colleague'] as Name[])('daily of %s', async (name) => {
    const items = await exported(name, { report: 'daily', ...range }, name === 'employee' ? formats : json);
    const { userId, timezone } = people[name];
    const report = await reports.daily({ organizationId, userId, timezone }, range);
    expect(items).toEqual(report.items.map((item) => ({ userId, name: names[name], ...item })));
    expect(items).toHaveLength(4);
  });

  test('daily of everybody is the daily of each one, on their own days', async () => {
    const items = await exported('manager', { report: 'daily', people: 'all', ...range }, json);
    const expected = [];
    for (const name of ['manager', 'admin', 'lead', 'employee', 'colleague'] as Name[]) {
      const { userId, timezone } = people[name];
      const report = await reports.daily({ organizationId, userId, timezone }, range);
      expected.push(...report.items.map((item) => ({ userId, name: names[name], ...item })));
    }
    expect(items).toEqual(expected);
  });

  test('apps and domains', async () => {
    const { userId, timezone } = people.employee;
    const subject = { organizationId, userId, timezone };
    const who = { userId, name: names.employee, date: '2026-11-20' };
    const apps = await reports.apps(subject, '2026-11-20');
    const asked = { date: '2026-11-20', userId };
    expect(await exported('lead', { report: 'apps', ...asked })).toEqual(
      apps.items.map((item) => ({ ...who, ...item })),
    );
    const hosts = await reports.domains(subject, '2026-11-20');
    expect(await exported('admin', { report: 'domains', ...asked })).toEqual(
      hosts.items.map((item) => ({ ...who, ...item })),
    );
    expect(apps.items.length).toBeGreaterThan(3);
  });

  test('team, and the team of a project', async () => {
    for (const [filter, some] of [
      [{ projectId: project, timezone: 'UTC' }, formats],
      [{ teamId }, json],
      [{}, json],
    ] as const) {
      const { items } = await reports.team({ organizationId, ...range, ...filter, limit: 500 });
      expect(await exported('manager', { report: 'team', ...range, ...filter }, [...some])).toEqual(items);
    }
  });

  test.each(['day', 'week'] as const)('timesheet by %s', async (group) => {
    const { userId, timezone } = people.employee;
    const items = await exported(
      'employee',
      { report: 'timesheet', ...range, group },
      group === 'day' ? formats : json,
    );
    const weekStart = group === 'week' ? ('sunday' as const) : undefined;
    const sheet = await reports.timesheet({ organizationId, userId, timezone }, { ...range, weekStart });
    const cells = sheet.projects.flatMap(({ projectId, name, byDay }) =>
      byDay.flatMap((trackedSeconds, i) => {
        const { date, until = date } = sheet.days[i]!;
        return trackedSeconds > 0
          ? [{ userId, name: names.employee, date, until, projectId, project: name, trackedSeconds }]
          : [];
      }),
    );
    expect(items).toHaveLength(cells.length);
    expect(items).toEqual(expect.arrayContaining(cells));
    expect(items.map(({ date }) => date)).toEqual(items.map(({ date }) => date).toSorted());
  });

  test('timesheet of a team', async () => {
    const items = await exported('lead', { report: 'timesheet', teamId, ...range }, json);
    const seconds = (userId: string) =>
      items.filter((item) => item.userId === userId).reduce((sum, item) => sum + (item.trackedSeconds as number), 0);
    for (const name of ['lead', 'employee'] as const) {
      const { userId, timezone } = people[name];
      expect(seconds(userId)).toBe(
        (await reports.timesheet({ organizationId, userId, timezone }, range)).trackedSeconds,
      );
    }
    expect(new Set(items.map(({ name }) => name))).toEqual(new Set([names.lead, names.employee]));
  });

  const instants = { from: '2026-11-19T00:00:00.000Z', to: '2026-11-22T00:00:00.000Z' };

  test('usage and time entries, of one and of all, with their filters', async () => {
    const usage = await exported('manager', { report: 'usage', people: 'all', ...instants });
    const stored = await world.clickhouse.query<{ n: number; seconds: number }>(
      `SELECT count() AS n, sum(intDiv(toUnixTimestamp64Milli(ended_at) - toUnixTimestamp64Milli(started_at) + 500, 1000)) AS seconds
       FROM usage FINAL WHERE started_at < '2026-11-22' AND ended_at > '2026-11-19' SETTINGS output_format_json_quote_64bit_integers = 0`,
    );
    expect({ n: usage.length, seconds: usage.reduce((sum, { seconds }) => sum + (seconds as number), 0) }).toEqual(
      stored[0],
    );
    const own = await exported('employee', { report: 'usage', ...instants, deviceId: 'desk' }, json);
    expect(own).toEqual(usage.filter((item) => item.userId === people.employee.userId && item.deviceId === 'desk'));
    expect(own.length).toBeGreaterThan(3);

    const entries = await exported('manager', { report: 'time-entries', people: 'all', ...instants });
    expect(entries).toHaveLength(30);
    expect(entries.find(({ kind }) => kind === 'timer')).toMatchObject({ workedSeconds: 8 * 3_600 - 1_234 });
    expect(entries.find(({ kind }) => kind === 'manual')).toMatchObject({ workedSeconds: 8 * 3_600 });
    const spans = await world.clickhouse.query<{ user_id: string; state: string; start: number; end: number }>(
      `SELECT user_id, state, toUnixTimestamp64Milli(started_at) AS start, toUnixTimestamp64Milli(ended_at) AS end
       FROM usage FINAL SETTINGS output_format_json_quote_64bit_integers = 0`,
    );
    for (const entry of entries) {
      const from = Date.parse(entry.startTime as string);
      const paused = entry.kind === 'timer' ? [{ start: from + hour, end: from + hour + 1_234_567 }] : [];
      const mine = spans.filter(({ user_id }) => user_id === entry.userId);
      expect(entry).toMatchObject(
        secondsWithin({ start: from, end: Date.parse(entry.endTime as string) }, paused, mine),
      );
    }
    const of = (name: string) => entries.reduce((sum, entry) => sum + (entry[name] as number), 0);
    for (const name of ['activeSeconds', 'idleSeconds', 'untrackedSeconds']) expect(of(name)).toBeGreaterThan(3_600);
    const some = await exported('employee', {
      report: 'time-entries',
      ...instants,
      projectId: project,
      status: 'STOPPED',
    });
    expect(some).toEqual(
      entries.filter((item) => item.userId === people.employee.userId && item.projectId === project),
    );
    expect(some[0]).toMatchObject({ project: '-Tide', tags: ['=a', 'b, c'] });
  });

  test('audit', async () => {
    const { items } = await listAudit(world.clickhouse, { organizationId }, { limit: 500 });
    const expected = items.map((item) => ({ ...item, actor: item.actorId === null ? null : names.admin }));
    expect(await exported('admin', { report: 'audit' })).toEqual(expected);
    const filtered = await exported('admin', { report: 'audit', action: 'user.changed', from: '2026-11-20' }, json);
    expect(filtered).toEqual(expected.filter(({ action }) => action === 'user.changed'));
  });

  test('nothing is a file too', async () => {
    const empty = { from: '1990-01-01T00:00:00Z', to: '1990-01-02T00:00:00Z' };
    expect(await exported('employee', { report: 'usage', ...empty })).toEqual([]);
  });

  describe('part by part', () => {
    const whose = { all: true } as const;
    const [since, until] = [Date.parse(instants.from), Date.parse(instants.to)];
    const lists: Asked[] = [
      { report: 'usage', whose, since, until },
      { report: 'time-entries', whose, since, until },
      { report: 'audit' },
    ];
    async function rowsOf(asked: Asked, deps: Partial<RowsDeps>): Promise<{ rows: Row[]; done: number[] }> {
      const lines = createLines();
      const rows: Row[] = [];
      const done: number[] = [];
      const sink = {
        async add(chunk: Uint8Array) {
          rows.push(...lines.add(chunk));
        },
        expect: () => {},
        progress: (share: number) => void done.push(share),
      };
      const never = new AbortController().signal;
      await writeRows(
        { clickhouse: world.clickhouse, reports, ...deps },
        { organizationId, asked, now: until },
        sink,
        never,
      );
      return { rows, done };
    }

    test.each(lists)('$report is the same as at once, each row once and in order', async (asked) => {
      const whole = await rowsOf(asked, {});
      expect(whole.rows.length).toBeGreaterThan(25);
      const parts = await rowsOf(asked, { partRows: 7 });
      expect(parts.rows).toEqual(whole.rows);
      expect(parts.done.length).toBeGreaterThan(4);
      expect(parts.done).toEqual(parts.done.toSorted((a, b) => a - b));
      expect(parts.done.at(-1)).toBe(1);
    });

    test('a part that is more than the server gives at once is asked for in smaller ones', async () => {
      const asked = lists[0]!;
      const limits: number[] = [];
      const clickhouse: RowsDeps['clickhouse'] = {
        query: world.clickhouse.query,
        stream(sql, format, options) {
          const limit = options!.params!.limit as number;
          limits.push(limit);
          // As an embedded server answers; a real one has no such bound unless it is given one.
          const settings = limit > 200 ? { max_result_bytes: '100', result_overflow_mode: 'throw' as const } : {};
          return world.clickhouse.stream(sql, format, { ...options, settings: { ...options!.settings, ...settings } });
        },
      };
      const whole = await rowsOf(asked, {});
      expect((await rowsOf(asked, { clickhouse, partRows: 1_600 })).rows).toEqual(whole.rows);
      expect(limits.slice(0, 3)).toEqual([1_600, 400, 100]);
    });
  });
});
