import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { freshClickHouseDatabase } from '@worktide/backends';
import type { BatchContext, StoredRecord } from '@worktide/event-log';
import { createMetrics, silentLogger } from '@worktide/runtime';
import {
  type Codec,
  checkPing,
  createCodec,
  defaultPingLimits,
  isPingEvent,
  isProblem,
  openSchemaRegistry,
  type PingEvent,
  type PingLimits,
  pingEventBounds,
  topics,
} from '@worktide/schemas';
import fc from 'fast-check';
import { type ClickHouse, createClickHouse, migrateClickHouse } from '../../libs/clickhouse/src/index.ts';
import { migrationsFolder } from '../../services/analytics/src/index.ts';
import { tableHandler } from '../../services/analytics/src/ingest/handler.ts';
import { pingsTable, usageTable } from '../../services/analytics/src/ingest/tables.ts';
import { encodeRecords, maxRecordBytes } from '../../services/ingest-gateway/src/items/records.ts';
import { createHandler } from '../../services/session-writer/src/pings/consume.ts';
import { decodeRecords } from '../../services/session-writer/src/pings/decode.ts';
import { createPartitions } from '../../services/session-writer/src/store/partitions.ts';
import {
  openWriter,
  type TestDatabase,
  type TestWriter,
  trackingDatabase,
} from '../../services/session-writer/src/testing.ts';

/** What the gateway accepts, the log's own schema and both consumers take, whatever it is and however it is configured. */

const day = 86_400_000;
let codec: Codec;
let database: TestDatabase;
let writer: TestWriter;
let clickhouseDatabase: Awaited<ReturnType<typeof freshClickHouseDatabase>>;
let clickhouse: ClickHouse;

beforeAll(async () => {
  codec = createCodec(openSchemaRegistry('local:'), topics.pings);
  await codec.prepare();
  database = await trackingDatabase();
  writer = await openWriter(database.url);
  clickhouseDatabase = await freshClickHouseDatabase();
  await migrateClickHouse(clickhouseDatabase.url, migrationsFolder, { log: silentLogger() });
  clickhouse = createClickHouse(clickhouseDatabase.url, { log: silentLogger() });
});
afterAll(async () => {
  await clickhouse?.close();
  await clickhouseDatabase?.drop();
  await writer?.close();
  await database?.drop();
});

// The configurable limits, each from tiny up to what the gateway's configuration allows.
const upTo = (bound: number, usual: number) =>
  fc.oneof(fc.constant(usual), fc.constant(bound), fc.integer({ min: 1, max: bound }));
const anyLimits: fc.Arbitrary<PingLimits> = fc.record({
  maxAppLength: upTo(pingEventBounds.app / 2, defaultPingLimits.maxAppLength),
  maxTitleLength: upTo(pingEventBounds.title / 2, defaultPingLimits.maxTitleLength),
  maxUrlLength: upTo(pingEventBounds.url / 2, defaultPingLimits.maxUrlLength),
  maxDurationMs: upTo(pingEventBounds.durationMs, defaultPingLimits.maxDurationMs),
  maxAgeMs: upTo(pingEventBounds.ageMs, defaultPingLimits.maxAgeMs),
  maxFutureMs: upTo(pingEventBounds.futureMs, defaultPingLimits.maxFutureMs),
});

const pieces = [
  'a',
  'A',
  '😀',
  'ü',
  '\u0001',
  '\u0000',
  '\ud800',
  '\udc00',
  '%',
  '%zz',
  '%41',
  '\\',
  '"',
  '\n',
  '\u2028',
  ' ',
  '@',
  ':',
  '/',
  '؜',
];
const piece = fc.oneof(fc.constantFrom(...pieces), fc.string({ unit: 'binary', maxLength: 8 }));
const letter = fc.constantFrom('a', '😀', 'ü', '\u0001', '"');
/** Texts of every kind, most of them storable, many as long as is allowed and in the longest of characters. */
const textNear = (max: number) =>
  fc.oneof(
    { arbitrary: fc.array(piece, { maxLength: 6 }).map((list) => list.join('')), weight: 1 },
    { arbitrary: fc.string({ unit: 'grapheme', minLength: 1, maxLength: Math.max(1, Math.min(max, 9)) }), weight: 6 },
    {
      arbitrary: fc
        .tuple(letter, fc.integer({ min: -20, max: 1 }))
        .map(([text, off]) => text.repeat(Math.max(1, max + Math.min(off, 1)))),
      weight: 3,
    },
  );
const host = fc.oneof(
  fc.constantFrom(
    'e.example',
    'WWW.Example.com',
    'bücher.example',
    '[::1]',
    '127.1',
    '0x7f.1',
    'xn--a',
    'e.example.',
    '😀.example',
    `${'a'.repeat(63)}.example`,
  ),
  fc
    .array(fc.constantFrom('a', '-', 'b1', 'x'.repeat(60)), { minLength: 1, maxLength: 5 })
    .map((labels) => labels.join('.')),
  piece,
);
const urlNear = (max: number) =>
  fc
    .record({
      scheme: fc.constantFrom('http:', 'https:', 'HTTP:', 'ftp:', 'about:', 'data:', 'javascript:', 'x+y:', ''),
      slashes: fc.constantFrom('//', '', '/', '\\\\'),
      user: fc.constantFrom('', 'u@', 'u:p@', '@', 'a@b@', '😀@', '%40@', '\tu@'),
      host,
      port: fc.constantFrom('', ':', ':80', ':65535', ':65536'),
      rest: fc
        .tuple(fc.constantFrom('', '/', '?', '#', '\\'), fc.oneof(textNear(max - 40), textNear(20)))
        .map(([a, b]) => a + b),
    })
    .map(({ scheme, slashes, user, host: h, port, rest }) => scheme + slashes + user + h + port + rest);

const junk = fc.jsonValue({ stringUnit: 'binary', maxDepth: 3 });
/** A ping near the edges of everything, with now and then something else in a field. */
const anyPing = (limits: PingLimits, nowMs: number) => {
  const within = (least: number, most: number) =>
    fc.oneof(fc.constantFrom(least - 1, least, most, most + 1), fc.integer({ min: least, max: Math.max(least, most) }));
  const span = within(nowMs - limits.maxAgeMs, nowMs + limits.maxFutureMs).chain((startedAt) =>
    within(0, Math.min(limits.maxDurationMs, Math.max(0, nowMs + limits.maxFutureMs - startedAt))).map((ms) => ({
      startedAt: new Date(startedAt).toISOString(),
      endedAt: new Date(startedAt + ms).toISOString(),
    })),
  );
  const id = fc.oneof(
    fc.uuid(),
    fc.uuid().map((text) => text.toUpperCase()),
  );
  const lawful = fc.record(
    {
      id,
      app: textNear(limits.maxAppLength),
      title: textNear(limits.maxTitleLength),
      url: urlNear(limits.maxUrlLength),
      state: fc.constantFrom('active', 'idle'),
      deviceId: textNear(128),
      source: textNear(64),
      projectId: id,
      timeEntryId: id,
      extra: junk,
    },
    { requiredKeys: ['id', 'app'] },
  );
  const ping = fc.tuple(lawful, span).map(([what, when]) => ({ ...what, ...when }));
  const time = fc.constantFrom('2026-03-10T13:30:00+23:59', '0000-01-01T00:00:00Z', '1969-12-31T23:59:59.999Z');
  const broken = fc
    .tuple(
      ping,
      fc.constantFrom('id', 'startedAt', 'app', 'url', 'state', 'deviceId', '__proto__'),
      fc.oneof(junk, time),
    )
    .map(([sound, field, value]) =>
      JSON.parse(`${JSON.stringify(sound).slice(0, -1)},${JSON.stringify(field)}:${JSON.stringify(value)}}`),
    );
  return fc.oneof({ arbitrary: ping, weight: 8 }, { arbitrary: broken, weight: 1 }, { arbitrary: junk, weight: 1 });
};

const envelope = () => ({ organizationId: randomUUID(), userId: randomUUID(), receivedAt: Date.now() });
const stored = (value: Buffer, offset: number): StoredRecord => ({
  topic: 'pings',
  partition: 0,
  offset,
  timestamp: 0,
  headers: {},
  key: randomUUID(),
  value,
});
const refusing = (): { context: BatchContext; letters: string[] } => {
  const letters: string[] = [];
  const deadLetter: BatchContext['deadLetter'] = (_, { code, message }) => void letters.push(`${code}: ${message}`);
  return { context: { deadLetter, signal: new AbortController().signal }, letters };
};

test('accepted ⇒ an event of the topic ⇒ the writer takes it ⇒ analytics takes it', async () => {
  const insert = async (): Promise<void> => {};
  const intoTable = tableHandler(pingsTable, { clickhouse: { insert }, codec, metrics: createMetrics() });
  const kept: PingEvent[] = [];
  let accepted = 0;
  const now = fc.integer({ min: Date.UTC(2000, 0, 1), max: Date.UTC(2150, 0, 1) });
  const input = fc
    .tuple(anyLimits, fc.oneof(now, fc.constant(Date.now())))
    .chain(([limits, nowMs]) =>
      fc.record({ limits: fc.constant(limits), nowMs: fc.constant(nowMs), ping: anyPing(limits, nowMs) }),
    );
  await fc.assert(
    fc.asyncProperty(input, async ({ limits, nowMs, ping }) => {
      // As it comes in: through JSON.
      const value: unknown = JSON.parse(JSON.stringify(ping));
      const event = checkPing(value, { nowMs, deviceId: randomUUID(), limits });
      if (isProblem(event)) return;
      accepted++;
      const [bytes, ...more] = encodeRecords([event], (pings) => codec.encode({ ...envelope(), pings }));
      expect(more).toEqual([]);
      expect(bytes!.length).toBeLessThanOrEqual(maxRecordBytes);
      const { pings } = codec.decode(bytes!) as { pings: unknown[] };
      expect(pings).toEqual([event]);
      expect(isPingEvent(pings[0])).toBe(true);
      const partitions = createPartitions({
        pool: writer.pool,
        retentionMonths: 25,
        log: silentLogger(),
        now: () => nowMs,
      });
      const decoded = decodeRecords([stored(bytes!, 0)], { codec, horizon: partitions.horizon });
      expect(decoded.bad).toEqual([]);
      const { context, letters } = refusing();
      await intoTable([stored(bytes!, 0)], context);
      expect(letters).toEqual([]);
      // Within what both databases keep, and have tables for.
      if (event.startedAt > Date.now() - 89 * day && event.endedAt < Date.now() + 32 * day) kept.push(event);
    }),
    { numRuns: 1_000 },
  );
  // Not shown by refusing everything.
  expect(accepted).toBeGreaterThan(100);

  // And the databases themselves take all of them.
  expect(kept.length).toBeGreaterThan(10);
  const records = kept.map((event, i) => stored(codec.encode({ ...envelope(), pings: [event] }), i));
  const { context, letters } = refusing();
  const { lifecycle, metrics } = writer;
  await createHandler({ ...writer, pingsCodec: codec, parallel: 2, lifecycle, metrics, log: silentLogger() })(
    records,
    context,
  );
  await tableHandler(pingsTable, { clickhouse, codec, metrics: createMetrics() })(records, context);
  expect(letters).toEqual([]);
  // What the writer tells of them is taken as well.
  const told = await Promise.all(
    Array.from({ length: topics.usage.partitions }, (_, partition) =>
      writer.eventLog.admin.read('usage', { partition, fromOffset: 0, limit: 10_000 }),
    ),
  );
  expect(told.flat().length).toBeGreaterThan(10);
  await tableHandler(usageTable, { clickhouse, codec: writer.usageCodec, metrics: createMetrics() })(
    told.flat(),
    context,
  );
  expect(letters).toEqual([]);
  const [counted] = await clickhouse.query<{ n: string }>('SELECT count() AS n FROM pings FINAL');
  expect(Number(counted!.n)).toBe(kept.length);
});

test('an address that names a user, in characters that are long once encoded', () => {
  const ping = {
    id: randomUUID(),
    startedAt: new Date().toISOString(),
    endedAt: new Date().toISOString(),
    app: 'Browser',
    url: `http://u@e.example/${'😀'.repeat(1_400)}`,
  };
  const event = checkPing(ping, { nowMs: Date.now(), deviceId: 'd', limits: defaultPingLimits });
  expect(event).toMatchObject({ host: 'e.example', url: `http://e.example/${'😀'.repeat(1_400)}` });
  expect(isPingEvent(event)).toBe(true);
});

test('tables are made further ahead than any gateway accepts, on every day of the year', () => {
  for (let now = Date.UTC(2026, 0, 1); now < Date.UTC(2029, 0, 1); now += day / 3) {
    const { horizon } = createPartitions({
      pool: writer.pool,
      retentionMonths: 3,
      log: silentLogger(),
      now: () => now,
    });
    // Whatever the two clocks differ by, within a month.
    expect(horizon() - now).toBeGreaterThan(pingEventBounds.futureMs + 28 * day);
  }
});
