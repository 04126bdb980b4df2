import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals';
import type { Consumer } from '@worktide/event-log';
import { uuidv7 } from '@worktide/runtime';
import {
  createCodec,
  type ImportOutcome,
  type ImportRecord,
  importOutcome,
  openSchemaRegistry,
  type PingEvent,
  type SyncEntryEvent,
  topics,
} from '@worktide/schemas';
import { until } from '@worktide/testing';
import { createEraser } from '../store/eraser.ts';
import { recordErasure } from '../store/erasures.ts';
import { newStream, openWriter, stored, type TestDatabase, type TestWriter, trackingDatabase } from '../testing.ts';
import { consumeImports, importsGroup } from './consume.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await trackingDatabase();
});
afterAll(() => database?.drop());

const registry = openSchemaRegistry('local:');
const codec = createCodec(registry, topics.imports);
const outcomeCodec = createCodec(registry, topics['import-outcomes']);
const entriesCodec = createCodec(registry, topics['time-entries']);
let writer: TestWriter;
let consumer: Consumer | undefined;
beforeEach(async () => {
  writer = await openWriter(database.url);
  await Promise.all([codec.prepare(), outcomeCodec.prepare(), entriesCodec.prepare()]);
});
afterEach(async () => {
  await stop();
  await writer.close();
});
async function start(): Promise<void> {
  consumer = await consumeImports({
    ...writer,
    codec,
    outcomeCodec,
    entriesCodec,
    // What is brought is never made one with what is there, whatever its organisation does with offline entries.
    identity: { organization: async () => ({ settings: { overlapPolicy: 'merge' } }) as never },
    placesOf: async (_, asked) => asked.map(({ projectId }) => ({ projectId, problem: undefined })),
    onErasure: () => {},
  });
}
async function stop(): Promise<void> {
  await consumer?.close();
  consumer = undefined;
}

type Whose = { organizationId: string; userId: string; importId: string };
const newImport = (more: Partial<Whose> = {}): Whose => ({
  organizationId: randomUUID(),
  userId: randomUUID(),
  importId: uuidv7(),
  ...more,
});
const recordOf = (whose: Whose, what: ImportRecord['what']): ImportRecord => ({
  ...whose,
  actorId: whose.userId,
  receivedAt: Date.now(),
  what,
});
async function send(...records: ImportRecord[]): Promise<void> {
  const producer = writer.eventLog.producer();
  await producer.send(
    'imports',
    records.map((record) => ({ key: record.userId, value: codec.encode(record) })),
  );
  await producer.close();
}
const caughtUp = () =>
  until(
    'everything is consumed',
    async () => (await writer.eventLog.admin.lag(importsGroup, ['imports'])).imports === 0,
  );
async function again(): Promise<void> {
  await stop();
  await writer.eventLog.admin.resetGroup(importsGroup, 'imports', 'earliest');
  await start();
  await caughtUp();
}
async function outcomes(): Promise<ImportOutcome[]> {
  const all: ImportOutcome[] = [];
  for (let partition = 0; partition < topics['import-outcomes'].partitions; partition++) {
    const records = await writer.eventLog.admin.read('import-outcomes', { partition, fromOffset: 0, limit: 1_000 });
    all.push(...records.map(({ value }) => importOutcome.parse(outcomeCodec.decode(value))));
  }
  return all;
}

const hour = 3_600_000;
/** A UTC day long before what the gateway takes. */
const base = Math.floor(Date.now() / (24 * hour)) * 24 * hour - 300 * 24 * hour;
const entry = (index: number, from: number, to: number, more: Partial<SyncEntryEvent> = {}): SyncEntryEvent => ({
  index,
  idempotencyKey: `import:${index}:${from}`,
  projectId: null,
  taskId: null,
  startedAt: base + from * hour,
  endedAt: base + to * hour,
  pausedAt: null,
  status: 'STOPPED',
  timezone: 'UTC',
  description: `E ${index}`,
  tags: [],
  billable: false,
  ...more,
});
const entriesOf = async ({ organizationId, userId }: Whose): Promise<string[]> =>
  (
    await database.admin.query(
      `SELECT description FROM tracking.time_entries
       WHERE organization_id = $1 AND user_id = $2 AND kind = 'imported' AND deleted_at IS NULL ORDER BY starts_at`,
      [organizationId, userId],
    )
  ).rows.map(({ description }) => description);
const ping = (deviceId: string, at: number, app = 'A'): PingEvent => ({
  id: uuidv7(),
  startedAt: at,
  endedAt: at + 60_000,
  app,
  host: null,
  state: 'active',
  deviceId,
  source: 'window',
});
const removed = (whose: Whose, more: object = {}): ImportRecord =>
  recordOf(whose, { type: 'removed', actorId: whose.userId, requestId: 'r', devices: [], from: 0, to: 0, ...more });

test('entries are there once, conflicts are told, and all of it goes again; replaying any of it changes nothing', async () => {
  const [mine, colleague, stranger] = [newImport(), newImport(), newImport()];
  const other = newImport({ organizationId: mine.organizationId, userId: mine.userId });
  Object.assign(colleague, { organizationId: mine.organizationId, importId: mine.importId });
  await send(
    recordOf(mine, { type: 'entries', part: 0, entries: [entry(1, 9, 10), entry(2, 10, 11), entry(3, 9.5, 9.75)] }),
    recordOf(mine, { type: 'entries', part: 2, entries: [entry(4, 12, 13)] }),
    recordOf(colleague, { type: 'entries', part: 1, entries: [entry(1, 9, 10)] }),
    recordOf(stranger, { type: 'entries', part: 0, entries: [entry(1, 9, 10)] }),
  );
  await start();
  await caughtUp();
  expect(await entriesOf(mine)).toEqual(['E 1', 'E 2', 'E 4']);
  const told = await until('outcomes', async () => {
    const all = await outcomes();
    return all.length === 4 && all;
  });
  const [first] = told.filter(({ userId, part }) => userId === mine.userId && part === 0);
  expect(first).toMatchObject({
    importId: mine.importId,
    created: 2,
    skipped: 0,
    conflicts: [{ index: 3, idempotencyKey: 'import:3:9.5', reason: 'overlap', conflictsWith: expect.any(String) }],
  });
  await again();
  expect(await entriesOf(mine)).toEqual(['E 1', 'E 2', 'E 4']);
  expect(await outcomes()).toHaveLength(4);

  await send(recordOf(other, { type: 'entries', part: 0, entries: [entry(9, 14, 15)] }), removed(mine));
  await caughtUp();
  expect(await entriesOf(mine)).toEqual(['E 9']);
  expect([await entriesOf(colleague), await entriesOf(stranger)]).toEqual([['E 1'], ['E 1']]);
  const { rows } = await database.admin.query(
    `SELECT action, reason, request_id FROM tracking.time_entry_changes WHERE organization_id = $1 AND user_id = $2 AND action = 'deleted'`,
    [mine.organizationId, mine.userId],
  );
  expect(rows).toHaveLength(3);
  expect(rows[0]).toEqual({ action: 'deleted', reason: 'The import was taken out.', request_id: 'r' });
  await again();
  expect(await entriesOf(mine)).toEqual(['E 9']);
});

test('a piece that comes after the import was taken out is let go of', async () => {
  const whose = newImport();
  await send(removed(whose), recordOf(whose, { type: 'entries', part: 0, entries: [entry(1, 9, 10)] }));
  await start();
  await caughtUp();
  expect(await entriesOf(whose)).toEqual([]);
  expect(await outcomes()).toEqual([]);
});

test('what was made one with others since stays: it has their time, too', async () => {
  const whose = newImport();
  await send(recordOf(whose, { type: 'entries', part: 0, entries: [entry(1, 9, 10), entry(2, 11, 12)] }));
  await start();
  await caughtUp();
  const { organizationId, userId } = whose;
  const { rows } = await database.admin.query(
    `SELECT id FROM tracking.time_entries WHERE organization_id = $1 AND description = 'E 1'`,
    [organizationId],
  );
  await database.admin.query(
    `INSERT INTO tracking.time_entry_changes (organization_id, user_id, entry_id, at, action) VALUES ($1, $2, $3, now(), 'merged')`,
    [organizationId, userId, rows[0].id],
  );
  await send(removed(whose));
  await caughtUp();
  expect(await entriesOf(whose)).toEqual(['E 1']);
});

test('pings of years ago are folded like any other, and go with the devices of their import', async () => {
  const whose = newImport();
  const { organizationId, userId } = whose;
  const device = `import:${whose.importId}:desk`;
  const pings = [0, 1, 2].map((n) => ping(device, base + n * 60_000, n === 2 ? 'B' : 'A'));
  const live = newStream({ organizationId, userId });
  await send(
    recordOf(whose, { type: 'pings', pings: pings.slice(0, 2) }),
    recordOf(whose, { type: 'pings', pings: [pings[2]!, ping('laptop', base, 'Live')] }),
  );
  await start();
  await caughtUp();
  const stream = { ...live, deviceId: device };
  const spans = async (of = stream) =>
    (await stored(database.admin, of)).entries.map(({ start, end, key }) => [start - base, end - base, key.app]);
  expect(await spans()).toEqual([
    [0, 120_000, 'A'],
    [120_000, 180_000, 'B'],
  ]);
  await again();
  expect(await spans()).toHaveLength(2);

  await send(removed(whose, { devices: [device], from: base, to: base + hour }));
  await caughtUp();
  const eraser = createEraser(writer);
  await eraser.workOff();
  expect(await spans()).toEqual([]);
  expect(await spans(live)).toEqual([[0, 60_000, 'Live']]);
  await again();
  await eraser.workOff();
  expect([await spans(), await spans(live)]).toEqual([[], [[0, 60_000, 'Live']]]);
});

test('time that was erased before does not come back by an import', async () => {
  const whose = newImport();
  const { organizationId, userId } = whose;
  const range = { deviceId: null, from: base, to: base + 60_000, requestedBy: userId };
  await recordErasure(writer, { organizationId, userId, ...range });
  const device = `import:${whose.importId}:desk`;
  await send(recordOf(whose, { type: 'pings', pings: [ping(device, base), ping(device, base + 60_000)] }));
  await start();
  await caughtUp();
  const { entries } = await stored(database.admin, newStream({ organizationId, userId, deviceId: device }));
  expect(entries).toMatchObject([{ start: base + 60_000, end: base + 120_000 }]);
});

test('a part that cannot be booked has an outcome all the same: each of its entries was refused', async () => {
  const whose = newImport();
  await database.admin.query(
    `ALTER TABLE tracking.time_entries ADD CONSTRAINT no_poison CHECK (description <> 'E 666') NOT VALID`,
  );
  try {
    await send(
      recordOf(whose, { type: 'entries', part: 0, entries: [entry(1, 9, 10), entry(666, 11, 12)] }),
      recordOf(whose, { type: 'entries', part: 1, entries: [entry(2, 13, 14)] }),
    );
    await start();
    await caughtUp();
    expect(await entriesOf(whose)).toEqual(['E 2']);
    const told = await until('both outcomes', async () => {
      const all = await outcomes();
      return all.length === 2 && all.sort((a, b) => a.part - b.part);
    });
    expect(told).toMatchObject([
      {
        part: 0,
        created: 0,
        conflicts: [
          { index: 1, reason: 'invalid' },
          { index: 666, reason: 'invalid' },
        ],
      },
      { part: 1, created: 1, conflicts: [] },
    ]);
  } finally {
    await database.admin.query('ALTER TABLE tracking.time_entries DROP CONSTRAINT no_poison');
  }
});

test('a record that is none is put aside, and those behind it are read', async () => {
  const whose = newImport();
  const producer = writer.eventLog.producer();
  const bad = recordOf(whose, { type: 'pings', pings: [{ ...ping('d', base), endedAt: base - 1 }] });
  await producer.send('imports', [{ key: whose.userId, value: codec.encode(bad) }]);
  await producer.close();
  await send(recordOf(whose, { type: 'entries', part: 0, entries: [entry(1, 9, 10)] }));
  await start();
  await caughtUp();
  expect(await entriesOf(whose)).toEqual(['E 1']);
  const dead = await writer.eventLog.admin.read('imports.dead', { partition: 0, fromOffset: 0, limit: 10 });
  expect(dead.map(({ headers }) => headers['worktide-reason-code'])).toEqual(['END_BEFORE_START']);
});
