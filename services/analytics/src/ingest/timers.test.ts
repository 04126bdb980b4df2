import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { freshClickHouseDatabase } from '@worktide/backends';
import { type ClickHouse, createClickHouse, migrateClickHouse } from '@worktide/clickhouse';
import { createMetrics, silentLogger, uuidv7 } from '@worktide/runtime';
import {
  type AlertState,
  type Codec,
  createCodec,
  type InputMinuteEvent,
  openSchemaRegistry,
  type TimeEntryState,
  topics,
} from '@worktide/schemas';
import { until } from '@worktide/testing';
import fc from 'fast-check';
import { migrationsFolder } from '../index.ts';
import { startConsumers } from './consumers.ts';
import { caughtUp, deadLetters, openTestLog, send } from './testing.ts';

const log = silentLogger();
const registry = openSchemaRegistry('local:');
const names = ['input-minutes', 'time-entries', 'alerts'] as const;
type Name = (typeof names)[number];
const codecs = Object.fromEntries(names.map((name) => [name, createCodec(registry, topics[name])])) as Record<
  Name,
  Codec
>;
let database: Awaited<ReturnType<typeof freshClickHouseDatabase>>;
let clickhouse: ClickHouse;
let testLog: Awaited<ReturnType<typeof openTestLog>>;
const closers: (() => unknown)[] = [];

beforeAll(async () => {
  for (const codec of Object.values(codecs)) await codec.prepare();
  database = await freshClickHouseDatabase();
  await migrateClickHouse(database.url, migrationsFolder, { log });
  clickhouse = createClickHouse(database.url, { log });
});
afterAll(async () => {
  await database.drop();
  await clickhouse.close();
});
beforeEach(async () => {
  testLog = await openTestLog();
});
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
  await testLog.close();
});

const start = async (through: ClickHouse = clickhouse) => {
  const metrics = createMetrics();
  const consumers = await startConsumers({ eventLog: testLog.eventLog, registry, clickhouse: through, metrics });
  const close = async (): Promise<void> =>
    void (await Promise.all(Object.values(consumers).map((consumer) => consumer.close())));
  closers.push(close);
  return { consumers, metrics, close };
};
const put = (topic: Name, ...values: Buffer[]): Promise<void> => send(testLog.eventLog, topic, ...values);
const consumed = async (): Promise<void> => {
  for (const name of names) await caughtUp(testLog.eventLog, name);
};

interface Who {
  organizationId: string;
  userId: string;
}
const someone = (): Who => ({ organizationId: uuidv7(), userId: uuidv7() });
const minute = Math.floor(Date.now() / 60_000) * 60_000;
const counts = (more: Partial<InputMinuteEvent> = {}): InputMinuteEvent => ({
  deviceId: 'laptop',
  minute,
  keyboardClicks: 7,
  mouseMovements: 12,
  ...more,
});
const entry = (more: Partial<TimeEntryState> = {}): TimeEntryState => ({
  id: uuidv7(),
  kind: 'timer',
  status: 'PAUSED',
  projectId: uuidv7(),
  taskId: uuidv7(),
  description: 'Ünïcode ✓',
  tags: ['one', 'zwei ✓'],
  billable: true,
  timezone: 'Asia/Kathmandu',
  startedAt: minute,
  endedAt: null,
  pauses: [
    { from: minute + 1, to: minute + 2 },
    { from: minute + 3, to: null },
  ],
  createdAt: minute + 4,
  updatedAt: minute + 5,
  version: 2,
  deleted: false,
  ...more,
});
const alert = (more: Partial<AlertState> = {}): AlertState => ({
  id: uuidv7(),
  type: 'idle',
  date: '2026-11-26',
  timeEntryId: uuidv7(),
  message: 'Nothing was done.',
  createdAt: minute,
  resolvedAt: null,
  resolvedBy: null,
  version: 1,
  ...more,
});

/** How each topic's items travel, and how one looks that is bad. */
const kinds = {
  'input-minutes': {
    list: 'minutes',
    table: 'input_minutes',
    recordOf: (who: Who, items: unknown[]) =>
      codecs['input-minutes'].encode({ ...who, receivedAt: minute, minutes: items }),
    item: (poison = false) =>
      counts({ minute: minute + Math.ceil(Math.random() * 1e6) * 60_000, keyboardClicks: poison ? 666 : 1 }),
    harmless: 'keyboard_clicks != 666',
    bad: [
      [counts({ minute: minute + 1 }), /seconds/],
      [counts({ keyboardClicks: -1 }), /keyboardClicks/],
      [counts({ mouseMovements: 1.5 }), /mouseMovements/],
      [counts({ mouseMovements: 1e12 }), /mouseMovements/],
      [counts({ deviceId: '' }), /deviceId/],
      [counts({ minute: Date.UTC(2200, 0) }), /2199/],
      [null, /object/],
    ],
  },
  'time-entries': {
    list: 'entries',
    table: 'time_entries',
    recordOf: (who: Who, items: unknown[]) => codecs['time-entries'].encode({ ...who, actorId: null, entries: items }),
    item: (poison = false) => entry({ description: poison ? 'poison' : 'fine' }),
    harmless: "description != 'poison'",
    bad: [
      [entry({ id: 'x' }), /id/],
      [{ ...entry(), status: 'ASLEEP' }, /status/],
      [entry({ endedAt: minute - 1 }), /before it begins/],
      [entry({ pauses: [{ from: 2, to: 1 }] }), /before it begins/],
      [entry({ endedAt: Date.UTC(2200, 0) }), /2199/],
      [entry({ version: 0 }), /version/],
      [{ ...entry(), tags: 'x' }, /tags/],
      [null, /object/],
    ],
  },
  alerts: {
    list: 'alerts',
    table: 'alerts',
    recordOf: (who: Who, items: unknown[]) => codecs.alerts.encode({ ...who, alerts: items }),
    item: (poison = false) => alert({ message: poison ? 'poison' : 'fine' }),
    harmless: "message != 'poison'",
    bad: [
      [{ ...alert(), type: 'bored' }, /type/],
      [alert({ date: '2026-02-30' }), /date/],
      [alert({ date: '1969-12-31' }), /1970/],
      [alert({ resolvedAt: Date.UTC(2200, 0) }), /2199/],
      [null, /object/],
    ],
  },
} satisfies Record<
  Name,
  {
    list: string;
    table: string;
    recordOf(who: Who, items: unknown[]): Buffer;
    item(poison?: boolean): object;
    harmless: string;
    bad: [unknown, RegExp][];
  }
>;

const read = (sql: string, { userId }: Who) =>
  clickhouse.query<Record<string, unknown>>(sql, {
    params: { userId },
    settings: { output_format_json_quote_64bit_integers: 0, date_time_output_format: 'iso' },
  });
/** What a reader of the table sees. */
const stored = (topic: Name, who: Who) =>
  read(
    topic === 'input-minutes'
      ? `SELECT minute, device_id, max(keyboard_clicks) AS keyboard, max(mouse_movements) AS mouse FROM input_minutes
         WHERE user_id = {userId:UUID} GROUP BY organization_id, user_id, minute, device_id ORDER BY minute, device_id`
      : `SELECT * FROM ${kinds[topic].table} FINAL WHERE user_id = {userId:UUID} ORDER BY version`,
    who,
  );
const iso = (ms: number): string => new Date(ms).toISOString();

test('input counts, time entries and alerts arrive with every field', async () => {
  const who = someone();
  const { organizationId: organization_id, userId: user_id } = who;
  const full = entry();
  const bare = entry({
    kind: 'offline',
    status: 'STOPPED',
    projectId: null,
    taskId: null,
    description: null,
    tags: [],
    billable: false,
    endedAt: minute + 9,
    pauses: [],
    version: 3,
  });
  const open = alert();
  const done = alert({ type: 'overtime', timeEntryId: null, resolvedAt: minute + 1, resolvedBy: uuidv7(), version: 2 });
  await put('input-minutes', kinds['input-minutes'].recordOf(who, [counts({ timeEntryId: uuidv7() })]));
  await put('time-entries', kinds['time-entries'].recordOf(who, [full, bare]));
  await put('alerts', kinds.alerts.recordOf(who, [open, done]));
  const { metrics } = await start();
  await consumed();
  expect(await stored('input-minutes', who)).toEqual([
    { minute: iso(minute), device_id: 'laptop', keyboard: 7, mouse: 12 },
  ]);
  const common = {
    organization_id,
    user_id,
    timezone: 'Asia/Kathmandu',
    started_at: iso(minute),
    created_at: iso(minute + 4),
    updated_at: iso(minute + 5),
    is_deleted: 0,
  };
  expect(await stored('time-entries', who)).toEqual([
    {
      ...common,
      id: full.id,
      kind: 'timer',
      status: 'PAUSED',
      project_id: full.projectId,
      task_id: full.taskId,
      description: 'Ünïcode ✓',
      tags: ['one', 'zwei ✓'],
      billable: 1,
      ended_at: null,
      pause_starts: [iso(minute + 1), iso(minute + 3)],
      pause_ends: [iso(minute + 2), null],
      version: 2,
    },
    {
      ...common,
      id: bare.id,
      kind: 'offline',
      status: 'STOPPED',
      project_id: null,
      task_id: null,
      description: '',
      tags: [],
      billable: 0,
      ended_at: iso(minute + 9),
      pause_starts: [],
      pause_ends: [],
      version: 3,
    },
  ]);
  const told = { organization_id, user_id, date: '2026-11-26', message: 'Nothing was done.', created_at: iso(minute) };
  expect(await stored('alerts', who)).toEqual([
    {
      ...told,
      id: open.id,
      type: 'idle',
      time_entry_id: open.timeEntryId,
      resolved_at: null,
      resolved_by: null,
      version: 1,
    },
    {
      ...told,
      id: done.id,
      type: 'overtime',
      time_entry_id: null,
      resolved_at: iso(minute + 1),
      resolved_by: done.resolvedBy,
      version: 2,
    },
  ]);
  expect((await metrics.render()).text).toContain('worktide_analytics_rows_total{table="time_entries"} 2');
});

test('7 and 12 three times, then 5 and 20, are 7 and 20; other minutes and devices are their own', async () => {
  const who = someone();
  const { recordOf } = kinds['input-minutes'];
  const same = recordOf(who, [counts()]);
  await put(
    'input-minutes',
    same,
    same,
    same,
    recordOf(who, [
      counts({ keyboardClicks: 5, mouseMovements: 20 }),
      counts({ deviceId: 'phone', keyboardClicks: 1 }),
      counts({ minute: minute + 60_000, mouseMovements: 0 }),
    ]),
  );
  await start();
  await consumed();
  const expected = [
    { minute: iso(minute), device_id: 'laptop', keyboard: 7, mouse: 20 },
    { minute: iso(minute), device_id: 'phone', keyboard: 1, mouse: 12 },
    { minute: iso(minute + 60_000), device_id: 'laptop', keyboard: 7, mouse: 0 },
  ];
  expect(await stored('input-minutes', who)).toEqual(expected);
  await clickhouse.command('OPTIMIZE TABLE input_minutes FINAL');
  expect(await stored('input-minutes', who)).toEqual(expected);
  expect(await read('SELECT * FROM input_minutes WHERE user_id = {userId:UUID}', who)).toHaveLength(3);
});

test('states end alike in any order, also where start and end were edited, and a replay changes nothing', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.integer({ min: 1, max: 6 }), { minLength: 1, maxLength: 12 }), async (versions) => {
      const who = someone();
      const ids = [uuidv7(), uuidv7()] as const;
      // One state for each version, as the writer announces them; the edited start lies months away.
      const states = (version: number) => ({
        entry: entry({
          id: ids[0],
          version,
          startedAt: minute - version * 40 * 86_400_000,
          description: `${version}`,
          deleted: version === 5,
        }),
        alert: alert({ id: ids[1], version, resolvedAt: version > 2 ? minute + version : null }),
      });
      for (const version of versions) {
        await put('time-entries', kinds['time-entries'].recordOf(who, [states(version).entry]));
        await put('alerts', kinds.alerts.recordOf(who, [states(version).alert]));
      }
      const first = await start();
      await consumed();
      const last = Math.max(...versions);
      const entries = await stored('time-entries', who);
      expect(entries.map((row) => [row.version, row.description, row.started_at])).toEqual(
        last === 5 ? [] : [[last, `${last}`, iso(states(last).entry.startedAt)]],
      );
      const alerts = await stored('alerts', who);
      expect(alerts.map((row) => [row.version, row.resolved_at])).toEqual([
        [last, last > 2 ? iso(minute + last) : null],
      ]);
      await first.close();
      for (const name of names) await testLog.eventLog.admin.resetGroup(`analytics-${name}`, name, 'earliest');
      const again = await start();
      await consumed();
      expect(await stored('time-entries', who)).toEqual(entries);
      expect(await stored('alerts', who)).toEqual(alerts);
      await again.close();
    }),
    { numRuns: 4, examples: [[[6, 5]], [[5, 4]]] },
  );
});

test.each(names)('%s: what can never be stored is dead-lettered alone', async (topic) => {
  const who = someone();
  const { recordOf, item, list } = kinds[topic];
  const bad: [unknown, RegExp][] = kinds[topic].bad;
  await put(
    topic,
    Buffer.from('not in the wire format'),
    recordOf({ ...who, userId: 'nobody' }, [item()]),
    recordOf(who, []),
    recordOf(who, [item(), ...bad.map(([value]) => value), item()]),
    recordOf(who, [item()]),
  );
  const { consumers } = await start();
  await consumed();
  expect(await stored(topic, who)).toHaveLength(3);
  const letters = await deadLetters(testLog.eventLog, topic);
  expect(letters.map((l) => [l.headers['worktide-reason-code'], l.headers['worktide-group']])).toEqual([
    ['UNDECODABLE', `analytics-${topic}`],
    ...Array.from({ length: 2 + bad.length }, () => ['INVALID', `analytics-${topic}`]),
  ]);
  for (const [i, [value, message]] of bad.entries()) {
    const letter = letters[3 + i]!;
    expect(letter.headers['worktide-reason-message']).toMatch(message);
    expect(codecs[topic].decode(letter.value)).toMatchObject({ ...who, [list]: [value] });
  }
  expect(() => consumers[topic].check()).not.toThrow();
});

test.each(names)('%s: what ClickHouse itself refuses is found, and dead-lettered alone', async (topic) => {
  const { recordOf, item, list, table, harmless } = kinds[topic];
  await clickhouse.command(`ALTER TABLE ${table} ADD CONSTRAINT harmless CHECK ${harmless}`);
  closers.push(() => clickhouse.command(`ALTER TABLE ${table} DROP CONSTRAINT harmless`));
  const [who, other] = [someone(), someone()];
  const poison = item(true);
  await put(topic, recordOf(other, [item()]), recordOf(who, [item(), poison, item()]), recordOf(other, [item()]));
  await start();
  await consumed();
  expect(await stored(topic, who)).toHaveLength(2);
  expect(await stored(topic, other)).toHaveLength(2);
  const letters = await deadLetters(testLog.eventLog, topic);
  expect(letters.map(({ value }) => codecs[topic].decode(value))).toEqual([
    expect.objectContaining({ ...who, [list]: [poison] }),
  ]);
  expect(letters[0]!.headers).toMatchObject({ 'worktide-reason-code': 'HANDLER_FAILED', 'worktide-user': who.userId });
});

test('ClickHouse away: nothing is lost or dead-lettered, and readiness says so', async () => {
  const who = someone();
  for (const name of names) await put(name, kinds[name].recordOf(who, [kinds[name].item()]));
  const dead = createClickHouse('http://default:@127.0.0.1:9/none', { log });
  closers.push(() => dead.close());
  const first = await start(dead);
  for (const name of names) {
    await until('retrying', () => first.consumers[name].state === 'retrying');
    expect(() => first.consumers[name].check()).toThrow();
  }
  await first.close();
  await start();
  await consumed();
  for (const name of names) {
    expect(await stored(name, who)).toHaveLength(1);
    expect(await deadLetters(testLog.eventLog, name)).toEqual([]);
  }
});
