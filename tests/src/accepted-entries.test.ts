import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { BatchContext, StoredRecord } from '@worktide/event-log';
import { uuidv7 } from '@worktide/runtime';
import {
  checkInputMinute,
  checkSyncEntry,
  createCodec,
  type InputMinuteEvent,
  isInputMinuteProblem,
  isSyncProblem,
  openSchemaRegistry,
  type SyncEntryEvent,
  timeEntriesRecord,
  topics,
} from '@worktide/schemas';
import fc from 'fast-check';
import { createParts } from '../../services/ingest-gateway/src/sync/parts.ts';
import { createInputHandler } from '../../services/session-writer/src/input/consume.ts';
import { createArrivals } from '../../services/session-writer/src/sync/arrivals.ts';
import { createSyncHandler } from '../../services/session-writer/src/sync/consume.ts';
import { readEntry } from '../../services/session-writer/src/sync/decode.ts';
import {
  openWriter,
  type TestDatabase,
  type TestWriter,
  trackingDatabase,
} from '../../services/session-writer/src/testing.ts';

/** What the gateway accepts of offline entries and input counts, the writer takes, and what it tells is as its topic says. */

const registry = openSchemaRegistry('local:');
const syncCodec = createCodec(registry, topics['time-entry-syncs']);
const entriesCodec = createCodec(registry, topics['time-entries']);
const minutesCodec = createCodec(registry, topics['input-minutes']);
let database: TestDatabase;
let writer: TestWriter;
beforeAll(async () => {
  await Promise.all([syncCodec, entriesCodec, minutesCodec].map((codec) => codec.prepare()));
  database = await trackingDatabase();
  writer = await openWriter(database.url);
});
afterAll(async () => {
  await writer?.close();
  await database?.drop();
});

const nowMs = Date.now();
const day = 86_400_000;
const user = { organizationId: randomUUID(), userId: randomUUID() };
const refusing = () => {
  const letters: string[] = [];
  const deadLetter: BatchContext['deadLetter'] = (_, { code, message }) => void letters.push(`${code}: ${message}`);
  return { context: { deadLetter, signal: new AbortController().signal }, letters };
};
const stored = (topic: string, value: Buffer): StoredRecord => ({
  ...{ topic, partition: 0, offset: 0, timestamp: 0, headers: {}, key: user.userId },
  value,
});

const awkward = fc.constantFrom(
  '',
  ' ',
  'ü',
  '🌊',
  'a\nb',
  '\u0000',
  '\ud800',
  '"',
  '\\',
  '{',
  '}',
  '\u0001',
  'ﬀ',
  '\u0344',
);
const text = (max: number) =>
  fc.oneof(
    fc.string({ unit: 'grapheme', maxLength: 20 }),
    fc.array(awkward, { maxLength: 5 }).map((parts) => parts.join('')),
    fc.tuple(awkward, fc.constantFrom(max, max + 1)).map(([one, times]) => one.repeat(times)),
  );
const at = fc
  .oneof(fc.integer({ min: nowMs - 40 * day, max: nowMs + 10 * 60_000 }), fc.integer({ min: -day, max: nowMs }))
  .map((ms) => new Date(ms).toISOString());
const sometimes = <T>(some: fc.Arbitrary<T>) =>
  fc.option(fc.oneof({ weight: 9, arbitrary: some }, fc.constant(17 as never)), { nil: undefined, freq: 3 });

const anyEntry = fc
  .record({
    idempotencyKey: fc.oneof(fc.uuid(), text(128)),
    projectId: sometimes(fc.uuid().map((id) => id.toUpperCase())),
    taskId: sometimes(fc.constant(null)),
    startTime: at,
    length: fc.oneof(fc.integer({ min: -5, max: 10_000_000 }), fc.constant(31 * day), fc.constant(31 * day + 1)),
    hasEnd: fc.boolean(),
    duration: sometimes(fc.oneof(fc.double({ noNaN: true }), fc.integer({ min: -10, max: 100_000 }))),
    status: fc.constantFrom('RUNNING', 'PAUSED', 'STOPPED', 'STOPPED', 'STOPPED'),
    timezone: sometimes(fc.constantFrom('Europe/Berlin', 'utc', 'EST')),
    description: sometimes(text(2_000)),
    tags: sometimes(fc.array(text(64), { maxLength: 21 })),
    billable: sometimes(fc.boolean()),
  })
  .map(({ hasEnd, length, ...entry }) => ({
    ...entry,
    ...(hasEnd ? { endTime: new Date(Date.parse(entry.startTime) + length).toISOString() } : {}),
  }));

test('an offline entry that is accepted is taken by the writer and its database, under both policies', async () => {
  const accepted: SyncEntryEvent[] = [];
  fc.assert(
    fc.property(anyEntry, (entry) => {
      const event = checkSyncEntry(JSON.parse(JSON.stringify(entry)), accepted.length, { nowMs, timezone: 'UTC' });
      if (isSyncProblem(event)) return;
      accepted.push(event);
      expect(readEntry(JSON.parse(JSON.stringify(event)))).toEqual(event);
    }),
    { numRuns: 4_000 },
  );
  expect(accepted.length).toBeGreaterThan(100);

  for (const overlapPolicy of ['reject', 'merge'] as const) {
    const { context, letters } = refusing();
    const parts = createParts();
    for (const event of accepted) parts.add(event);
    const whole = parts.finish();
    const envelope = { ...user, batchId: uuidv7(), parts: whole.length, receivedAt: nowMs, requestId: null };
    const records = whole.map((part, i) =>
      stored('time-entry-syncs', syncCodec.encode({ ...envelope, part: i, ...JSON.parse(part.toString()) })),
    );
    await createSyncHandler({
      ...writer,
      codec: syncCodec,
      entriesCodec,
      identity: { organization: async () => ({ settings: { overlapPolicy } }) as never },
      arrivals: createArrivals(),
      placesOf: async (_, asked) => asked.map(({ projectId }) => ({ projectId, problem: undefined })),
      parallel: 1,
    })(records, context);
    expect(letters).toEqual([]);
  }
  let told = 0;
  for (let partition = 0; partition < topics['time-entries'].partitions; partition++) {
    const records = await writer.eventLog.admin.read('time-entries', { partition, fromOffset: 0, limit: 10_000 });
    for (const { value } of records) told += timeEntriesRecord.parse(entriesCodec.decode(value)).entries.length;
  }
  expect(told).toBeGreaterThan(10);
}, 60_000);

test('counts of a minute that are accepted are taken by the writer and its database', async () => {
  const accepted: InputMinuteEvent[] = [];
  const count = fc.oneof(fc.integer({ min: -1, max: 1_000_001 }), fc.double());
  const anyMinute = fc.record({
    minute: fc.integer({ min: -1_000, max: 200_000 }).map((ago) => new Date(Math.floor(nowMs / 60_000 - ago) * 60_000)),
    keyboardClicks: count,
    mouseMovements: count,
    deviceId: sometimes(text(128)),
    timeEntryId: sometimes(fc.uuid()),
  });
  const context = { nowMs, deviceId: 'laptop', maxAgeMs: 90 * day, maxFutureMs: 300_000 };
  fc.assert(
    fc.property(anyMinute, (minute) => {
      const event = checkInputMinute(JSON.parse(JSON.stringify(minute)), context);
      if (!isInputMinuteProblem(event)) accepted.push(event);
    }),
    { numRuns: 4_000 },
  );
  expect(accepted.length).toBeGreaterThan(100);
  const { context: batch, letters } = refusing();
  const record = minutesCodec.encode({ ...user, receivedAt: nowMs, minutes: accepted });
  await createInputHandler({ ...writer, codec: minutesCodec })([stored('input-minutes', record)], batch);
  expect(letters).toEqual([]);
});
