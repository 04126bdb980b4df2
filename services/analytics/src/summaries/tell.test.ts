import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { freshClickHouseDatabase } from '@worktide/backends';
import { type ClickHouse, createClickHouse, migrateClickHouse } from '@worktide/clickhouse';
import { derivedUuid, silentLogger, unavailable, uuidv7 } from '@worktide/runtime';
import { createCodec, type DaysRecord, openSchemaRegistry, topics, type UsageEntryState } from '@worktide/schemas';
import { migrationsFolder } from '../index.ts';
import { addPeople, type Rows, storeStates } from '../ingest/states.ts';
import { usageTable } from '../ingest/tables.ts';
import { store } from '../ingest/testing.ts';
import { createSummarize } from './summarize.ts';
import { sweep } from './sweep.ts';
import { createDayTeller } from './tell.ts';

const log = silentLogger();
const codec = createCodec(openSchemaRegistry('local:'), topics.days);
const signal = new AbortController().signal;
let database: Awaited<ReturnType<typeof freshClickHouseDatabase>>;
let clickhouse: ClickHouse;
beforeAll(async () => {
  await codec.prepare();
  database = await freshClickHouseDatabase();
  await migrateClickHouse(database.url, migrationsFolder, { log });
  clickhouse = createClickHouse(database.url, { log });
});
afterAll(async () => {
  await database.drop();
  await clickhouse.close();
});

const hour = 3_600_000;
/** The last full day of Kathmandu begins here; it is over 24 hours later. */
const midnight = Math.floor((Date.now() + 5.75 * hour) / (24 * hour)) * 24 * hour - 5.75 * hour - 24 * hour;
const over = midnight + 24 * hour;
const dateOf = (at: number): string => new Date(at + 5.75 * hour).toISOString().slice(0, 10);

function entry(userId: string, from: number, minutes: number, version = 1): UsageEntryState {
  const id = derivedUuid(userId, from);
  const more = { deviceId: 'laptop', source: 'window', app: 'editor', host: null, state: 'active' as const };
  return { id, startedAt: from, endedAt: from + minutes * 60_000, version, deleted: false, ...more };
}

test('a day is told when it is over and the log was read beyond it; once, and again when its sums change', async () => {
  const [organizationId, userId] = [uuidv7(), uuidv7()];
  const rows: Rows = new Map();
  const person = { type: 'person', id: userId, name: 'Ada', role: 'employee', status: 'active' } as const;
  const state = { timezone: 'Asia/Kathmandu', version: 1, deleted: false };
  addPeople(rows, { organizationId, events: [{ ...person, ...state }] });
  await storeStates(clickhouse, rows);
  const put = async (...entries: UsageEntryState[]): Promise<void> => {
    await store(clickhouse, usageTable, { organizationId, userId, entries });
    const summarize = createSummarize({ clickhouse, log });
    await sweep(clickhouse, (days) => summarize(days), signal);
  };
  let away = false;
  const told: DaysRecord[] = [];
  const producer = {
    async send(topic: string, records: { value: Buffer }[]) {
      if (away) throw unavailable('event log');
      expect(topic).toBe('days');
      told.push(...records.map(({ value }) => codec.decode(value) as DaysRecord));
    },
  };
  const teller = () => createDayTeller({ clickhouse, producer, codec });
  const tellDays = teller();
  const days = () => told.splice(0).flatMap((record) => record.days);

  await put(entry(userId, midnight + hour, 20), entry(userId, over + 60_000, 1));
  expect([await tellDays(over - 1, signal), days()]).toEqual([false, []]);
  // The log away: nothing is lost.
  away = true;
  await expect(tellDays(over, signal)).rejects.toMatchObject({ statusCode: 503 });
  away = false;
  await tellDays(over, signal);
  const [first] = days();
  expect(first).toEqual({
    date: dateOf(midnight),
    timezone: 'Asia/Kathmandu',
    workSeconds: 1_200,
    activeSeconds: 1_200,
    keyboardClicks: 0,
    mouseMovements: 0,
    version: expect.any(Number),
  });
  await tellDays(over, signal);
  // Also by another process, and summed up again to the same.
  await put(entry(userId, midnight + hour, 20));
  await teller()(over, signal);
  expect(days()).toEqual([]);

  await put(entry(userId, midnight + hour, 5, 2));
  await tellDays(over, signal);
  const [second] = days();
  expect(second).toMatchObject({ date: first!.date, workSeconds: 300 });
  expect(second!.version).toBeGreaterThan(first!.version);

  // All of it is erased.
  await put({ ...entry(userId, midnight + hour, 5, 3), deleted: true });
  await tellDays(over, signal);
  expect(days()).toEqual([expect.objectContaining({ date: first!.date, workSeconds: 0 })]);
  await tellDays(over, signal);
  expect(days()).toEqual([]);
});
