import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { freshClickHouseDatabase } from '@worktide/backends';
import { type ClickHouse, createClickHouse, migrateClickHouse } from '@worktide/clickhouse';
import { createMetrics, silentLogger, uuidv7 } from '@worktide/runtime';
import { createCodec, openSchemaRegistry, topics } from '@worktide/schemas';
import { migrationsFolder } from '../index.ts';
import { createReports, type Reports } from '../reports/reports.ts';
import { createSummarize } from '../summaries/summarize.ts';
import type { Stored } from './changes.ts';
import { startConsumers } from './consumers.ts';
import { addPeople, type Rows, storeStates } from './states.ts';
import { caughtUp, deadLetters, openTestLog, send } from './testing.ts';

const log = silentLogger();
const registry = openSchemaRegistry('local:');
const minutesCodec = createCodec(registry, topics['input-minutes']);
const erasuresCodec = createCodec(registry, topics.erasures);
let database: Awaited<ReturnType<typeof freshClickHouseDatabase>>;
let clickhouse: ClickHouse;
let reports: Reports;
let testLog: Awaited<ReturnType<typeof openTestLog>>;
let told: Stored[];
let close: () => Promise<unknown>;

beforeAll(async () => {
  await minutesCodec.prepare();
  await erasuresCodec.prepare();
  database = await freshClickHouseDatabase();
  await migrateClickHouse(database.url, migrationsFolder, { log });
  clickhouse = createClickHouse(database.url, { log });
  reports = createReports({ clickhouse });
});
afterAll(async () => {
  await database.drop();
  await clickhouse.close();
});
const start = async (): Promise<void> => {
  const onStored = (stored: Stored): void => void told.push(stored);
  const metrics = createMetrics();
  const consumers = await startConsumers({ eventLog: testLog.eventLog, registry, clickhouse, metrics, onStored });
  close = () => Promise.all(Object.values(consumers).map((consumer) => consumer.close()));
};
beforeEach(async () => {
  testLog = await openTestLog();
  told = [];
  await start();
});
afterEach(async () => {
  await close();
  await testLog.close();
});

const minute = 60_000;
const noon = Date.parse('2026-11-20T12:00:00Z');
const day = Math.floor(noon / 86_400_000);
const someone = () => ({ organizationId: uuidv7(), userId: uuidv7() });
type Who = ReturnType<typeof someone>;
const counts = async (who: Who, ...minutes: [n: number, clicks: number, deviceId?: string][]): Promise<void> => {
  const events = minutes.map(([n, keyboardClicks, deviceId = 'laptop']) => ({
    deviceId,
    minute: noon + n * minute,
    keyboardClicks,
    mouseMovements: 1,
  }));
  const record = minutesCodec.encode({ ...who, receivedAt: noon, minutes: events });
  await send(testLog.eventLog, 'input-minutes', record);
  await caughtUp(testLog.eventLog, 'input-minutes');
};
const erased = async (who: Who, from: number, to: number, deviceId: string | null = null): Promise<void> => {
  const ranges = [{ deviceId, from: noon + from * minute, to: noon + to * minute }];
  await send(testLog.eventLog, 'erasures', erasuresCodec.encode({ ...who, ranges }));
  await caughtUp(testLog.eventLog, 'erasures');
};
const clicks = async (who: Who): Promise<number[]> => {
  const { items } = await reports.daily({ ...who, timezone: 'UTC' }, { from: '2026-11-19', to: '2026-11-20' });
  return items.map(({ keyboardClicks }) => keyboardClicks);
};
const rows = async ({ userId }: Who): Promise<unknown[]> =>
  clickhouse.query('SELECT DISTINCT minute, device_id FROM input_minutes WHERE user_id = {userId:UUID}', {
    params: { userId },
  });

test('counts of erased minutes are in no report, nor in the store, and neither a replay of all nor a late count brings them back', async () => {
  const who = someone();
  const colleague = { ...who, userId: uuidv7() };
  await counts(who, [0, 1], [1, 10], [2, 100], [3, 1_000], [2, 10_000, 'phone'], [-24 * 60, 5]);
  await counts(colleague, [2, 3]);
  expect(await clicks(who)).toEqual([5, 11_111]);
  await erased(who, 1.5, 3);
  const expected = [5, 1_001];
  expect(await clicks(who)).toEqual(expected);
  expect(await rows(who)).toHaveLength(3);
  expect(await clicks(colleague)).toEqual([0, 3]);

  await close();
  for (const topic of ['input-minutes', 'erasures']) {
    await testLog.eventLog.admin.resetGroup(`analytics-${topic}`, topic, 'earliest');
  }
  await start();
  for (const topic of ['input-minutes', 'erasures']) await caughtUp(testLog.eventLog, topic);
  expect(await clicks(who)).toEqual(expected);
  expect(await rows(who)).toHaveLength(3);

  await counts(who, [2, 7], [2, 8, 'seen later'], [4, 20_000]);
  expect(await clicks(who)).toEqual([5, 21_001]);
  expect(await rows(who)).toHaveLength(4);
});

test('of one device where one is named; ranges that come before all counts hold as well', async () => {
  const who = someone();
  await erased(who, 0, 2, 'phone');
  await counts(who, [1, 1], [1, 10, 'phone'], [2, 100, 'phone']);
  expect(await clicks(who)).toEqual([0, 101]);
});

test('sums that were made before are made anew, and who keeps answers is told', async () => {
  const who = someone();
  const people: Rows = new Map();
  const person = { type: 'person', id: who.userId, name: 'Ada', role: 'employee', status: 'active' } as const;
  addPeople(people, {
    organizationId: who.organizationId,
    events: [{ ...person, timezone: 'UTC', version: 1, deleted: false }],
  });
  await storeStates(clickhouse, people);
  await counts(who, [1, 7]);
  const summarize = createSummarize({ clickhouse, log });
  await summarize({
    organizationId: who.organizationId,
    users: new Map([[who.userId, new Set([day])]]),
  });
  expect(await clicks(who)).toEqual([0, 7]);
  told = [];
  await erased(who, 0, 10);
  expect(await clicks(who)).toEqual([0, 0]);
  expect(told.map(({ organizations }) => [...organizations])).toEqual([[who.organizationId]]);
  expect(told[0]!.changes.found.get(who.organizationId)).toEqual(new Map([[who.userId, new Set([day])]]));
});

test('what is bad is put aside by itself', async () => {
  const who = someone();
  await counts(who, [1, 7]);
  const range = { deviceId: null, from: noon, to: noon + 10 * minute };
  await send(
    testLog.eventLog,
    'erasures',
    Buffer.from('nonsense'),
    erasuresCodec.encode({ ...who, ranges: [{ ...range, from: 'once' }] }),
    erasuresCodec.encode({ ...who, ranges: [range] }),
  );
  await caughtUp(testLog.eventLog, 'erasures');
  expect(await clicks(who)).toEqual([0, 0]);
  expect(await deadLetters(testLog.eventLog, 'erasures')).toHaveLength(2);
});
