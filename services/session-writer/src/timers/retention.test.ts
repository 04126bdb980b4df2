import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { type Caller, createMetrics, unavailable } from '@worktide/runtime';
import { createCodec, openSchemaRegistry, type TimeEntryState, topics } from '@worktide/schemas';
import { until } from '@worktide/testing';
import { type TestDatabase, trackingDatabase } from '../testing.ts';
import { createRetention } from './retention.ts';
import { openTimers, type Timers } from './testing.ts';

let database: TestDatabase;
let timers: Timers;
let ada: Caller;
const codec = createCodec(openSchemaRegistry('local:'), topics['time-entries']);
const metrics = createMetrics();
/** By organisation; null and undefined: for ever, and no such organisation. */
let kept: Map<string, number | null>;
let isAway = false;

beforeAll(async () => {
  database = await trackingDatabase();
  timers = await openTimers(database.url);
});
beforeEach(() => {
  ada = timers.person();
  kept = new Map([[ada.organizationId, 30]]);
  isAway = false;
});
afterAll(async () => {
  await timers?.close();
  await database?.drop();
});

const day = 86_400_000;
const ago = (days: number, more = 0): string => new Date(Date.now() - days * day + more).toISOString();
const pass = (): Promise<void> => {
  const identity = {
    organization: async (id: string) => {
      if (isAway) throw unavailable('auth');
      const timeEntryRetentionDays = kept.get(id);
      return timeEntryRetentionDays === undefined ? undefined : ({ settings: { timeEntryRetentionDays } } as never);
    },
  };
  const { pool, outbox } = timers.writer;
  return createRetention({ pool, outbox, codec, identity, metrics })(new AbortController().signal);
};
const add = async (days: number, who = ada, headers: Record<string, string> = {}): Promise<string> => {
  const body = { startTime: ago(days), endTime: ago(days, 3_600_000), description: 'Invoices', tags: ['billing'] };
  const answer = await timers.call(who, 'post', '/manual', { body, headers });
  expect(answer.status).toBe(201);
  return answer.body.id;
};
const statusOf = async (id: string, who = ada): Promise<number[]> => [
  (await timers.call(who, 'get', `/${id}`)).status,
  (await timers.call(who, 'get', `/${id}/history`)).status,
];
const rowsOf = async ({ organizationId }: Caller): Promise<Record<string, number>> => {
  const counts: Record<string, number> = {};
  for (const table of ['time_entries', 'time_entry_changes', 'timer_requests', 'outbox']) {
    const where = table === 'outbox' ? '' : `WHERE organization_id = '${organizationId}'`;
    const { rows } = await database.admin.query(`SELECT count(*)::int AS n FROM tracking.${table} ${where}`);
    counts[table] = rows[0].n;
  }
  return counts;
};
const tombstoneOf = async (id: string): Promise<TimeEntryState | undefined> =>
  (await timers.told(ada)).flatMap(({ entries }) => entries).find((entry) => entry.id === id && entry.deleted);

test('what ended before goes with its history, and others learn of it without what was said', async () => {
  const old = await add(31.5);
  const young = await add(29);
  const colleague = timers.person({ organizationId: ada.organizationId });
  const theirs = await add(40, colleague);
  const { id: open } = (await timers.call(ada, 'post', '', { body: {} })).body;
  await pass();
  expect(await statusOf(old)).toEqual([404, 404]);
  expect(await statusOf(theirs, colleague)).toEqual([404, 404]);
  for (const id of [young, open]) expect(await statusOf(id)).toEqual([200, 200]);
  expect(await rowsOf(ada)).toMatchObject({ time_entries: 2, time_entry_changes: 2 });
  const told = await until('the tombstone', () => tombstoneOf(old));
  expect(told).toMatchObject({ version: 2, description: null, tags: [] });
  expect((await metrics.render()).text).toContain('worktide_writer_time_entries_forgotten_total 2');
});

test('a second pass changes nothing, and says nothing', async () => {
  await add(40);
  await add(10);
  await pass();
  await until('all is told', async () => (await timers.told(ada)).length === 3);
  const before = await rowsOf(ada);
  await pass();
  expect(await rowsOf(ada)).toEqual(before);
  expect(await timers.told(ada)).toHaveLength(3);
});

test('deleted ones go, too; those of organisations that keep theirs, or that are not there, stay', async () => {
  const gone = await add(40);
  expect((await timers.call(ada, 'delete', `/${gone}`)).status).toBe(204);
  const [keeper, nobody] = [timers.person(), timers.person()];
  kept.set(keeper.organizationId, null);
  for (const who of [keeper, nobody]) await add(4_000, who);
  await pass();
  expect(await rowsOf(ada)).toMatchObject({ time_entries: 0, time_entry_changes: 0 });
  for (const who of [keeper, nobody])
    expect(await rowsOf(who)).toMatchObject({ time_entries: 1, time_entry_changes: 1 });
});

test('more than go at once; and a request sent again after that is a new one', async () => {
  const key = { 'idempotency-key': 'once' };
  await add(40, ada, key);
  await timers.writer.pool.query(
    `INSERT INTO tracking.time_entries (organization_id, id, user_id, kind, span, pauses, tags, billable, timezone, created_at, updated_at, version)
     SELECT $1, gen_random_uuid(), $2, 'offline', tstzrange(t, t + interval '1 minute'), '{}', '{}', false, 'UTC', t, t, 1
     FROM generate_series(1, 450) i, LATERAL (SELECT now() - interval '50 days' - i * interval '1 hour' AS t) AS start`,
    [ada.organizationId, ada.userId],
  );
  await pass();
  expect(await rowsOf(ada)).toMatchObject({ time_entries: 0, timer_requests: 0 });
  await add(40, ada, key);
});

test('while nobody can be asked how long, nothing goes, and the next pass does it', async () => {
  const old = await add(40);
  isAway = true;
  await expect(pass()).rejects.toMatchObject({ statusCode: 503 });
  expect(await statusOf(old)).toEqual([200, 200]);
  isAway = false;
  await pass();
  expect(await statusOf(old)).toEqual([404, 404]);
});
