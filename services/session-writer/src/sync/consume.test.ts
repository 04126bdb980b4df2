import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { Consumer, StoredRecord } from '@worktide/event-log';
import { unavailable, uuidv7 } from '@worktide/runtime';
import {
  createCodec,
  openSchemaRegistry,
  type SyncEntryEvent,
  type SyncOutcome,
  type TimeEntryState,
  timeEntriesRecord,
  timeEntrySyncEnvelope,
  topics,
} from '@worktide/schemas';
import { metricOf, until } from '@worktide/testing';
import fc from 'fast-check';
import { openWriter, type TestDatabase, type TestWriter, trackingDatabase } from '../testing.ts';
import { createRetention } from '../timers/retention.ts';
import { lockOf } from '../timers/store.ts';
import { createArrivals } from './arrivals.ts';
import { consumeSyncs, createSyncHandler, type SyncOptions } from './consume.ts';
import { outcomeOf, readParts } from './outcomes.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await trackingDatabase();
});
afterAll(() => database?.drop());

const registry = openSchemaRegistry('local:');
const codec = createCodec(registry, topics['time-entry-syncs']);
const entriesCodec = createCodec(registry, topics['time-entries']);

let writer: TestWriter;
let consumers: Consumer[];
let policy: 'reject' | 'merge';
beforeEach(async () => {
  policy = 'reject';
  consumers = [];
  await Promise.all([codec.prepare(), entriesCodec.prepare()]);
  writer = await openWriter(database.url);
});
afterEach(async () => {
  await Promise.all(consumers.map((consumer) => consumer.close()));
  await writer.close();
});

const identity = {
  organization: async () => ({ settings: { overlapPolicy: policy } }) as never,
};
const options = (more: Partial<SyncOptions> = {}): SyncOptions => ({
  ...writer,
  codec,
  entriesCodec,
  identity,
  arrivals: createArrivals(),
  placesOf: async (_, asked) => asked.map(({ projectId }) => ({ projectId, problem: undefined })),
  parallel: 2,
  ...more,
});
async function start(more: Partial<SyncOptions> = {}): Promise<void> {
  consumers = await consumeSyncs(options(more));
}

interface User {
  organizationId: string;
  userId: string;
}
const newUser = (): User => ({ organizationId: randomUUID(), userId: randomUUID() });

const hour = 3_600_000;
const base = Date.UTC(2026, 10, 2);
function event(key: string, from: number, to: number | null, more: Partial<SyncEntryEvent> = {}): SyncEntryEvent {
  return {
    index: 0,
    idempotencyKey: key,
    projectId: null,
    taskId: null,
    startedAt: base + from * hour,
    endedAt: to === null ? null : base + to * hour,
    pausedAt: null,
    status: to === null ? 'RUNNING' : 'STOPPED',
    timezone: 'UTC',
    description: null,
    tags: [],
    billable: false,
    ...more,
  };
}

const partOf = (user: User, entries: unknown[], more: Record<string, unknown> = {}) => ({
  ...user,
  batchId: uuidv7(),
  part: 0,
  parts: 1,
  receivedAt: Date.now(),
  requestId: 'r-1',
  refused: [],
  entries: entries.map((entry, index) => (typeof entry === 'object' && entry ? { ...entry, index } : entry)),
  ...more,
});
async function send(...parts: ReturnType<typeof partOf>[]): Promise<void> {
  const producer = writer.eventLog.producer();
  const records = parts.map((part) => ({ key: part.userId, value: codec.encode(part) }));
  await producer.send('time-entry-syncs', records);
  await producer.close();
}

async function outcome(user: User, batchId: string): Promise<SyncOutcome> {
  return await until('the outcome', async () => {
    const parts = await readParts(writer.pool, user, batchId, new AbortController().signal);
    return parts.length > 0 && parts.length === parts[0]!.parts && outcomeOf(batchId, parts);
  });
}
/** Sends a batch and tells what became of it. */
async function sync(user: User, entries: SyncEntryEvent[]): Promise<SyncOutcome> {
  const part = partOf(user, entries);
  await send(part);
  return outcome(user, part.batchId);
}

/** What there is of a user's entries that are not deleted, in hours, with worked seconds. */
async function stored({ organizationId, userId }: User) {
  const { rows } = await writer.pool.query(
    `SELECT id, kind, version, lower(span) AS start, upper(span) AS end, project_id,
       (SELECT extract(epoch FROM sum(upper(r) - lower(r)))::int FROM unnest(tstzmultirange(span) - pauses) r) AS worked
     FROM tracking.time_entries WHERE organization_id = $1 AND user_id = $2 AND deleted_at IS NULL ORDER BY span`,
    [organizationId, userId],
  );
  const hours = (at: Date | null): number | null => at && (at.getTime() - base) / hour;
  return rows.map((row) => ({ ...row, start: hours(row.start), end: hours(row.end) }));
}

/** Every row that syncs write, with the transaction that wrote it. */
async function fingerprint(): Promise<unknown> {
  const tables = ['time_entries', 'time_entry_changes', 'sync_keys', 'sync_taken', 'sync_batch_parts'];
  return Promise.all(
    tables.map(async (table) => {
      const { rows } = await writer.pool.query(
        `SELECT coalesce(md5(string_agg(line, '|' ORDER BY line)), '') AS all FROM
         (SELECT xmin::text || ' ' || t::text AS line FROM tracking.${table} t) lines`,
      );
      return rows[0].all;
    }),
  );
}

const metric = (outcome: string): Promise<number> =>
  metricOf(writer.metrics, 'worktide_writer_sync_entries_total', { outcome });

async function published(): Promise<{ actorId: string | null; entries: TimeEntryState[] }[]> {
  const records: StoredRecord[] = [];
  for (let partition = 0; partition < topics['time-entries'].partitions; partition++) {
    records.push(...(await writer.eventLog.admin.read('time-entries', { partition, fromOffset: 0, limit: 10_000 })));
  }
  return records.map(({ value }) => timeEntriesRecord.parse(entriesCodec.decode(value)));
}

describe('offline entries', () => {
  test('RUNNING from 08:00, later STOPPED at 09:30: 5,400 s, told as it is; RUNNING again does not reopen it', async () => {
    await start();
    const user = newUser();
    const first = await sync(user, [event('a', 8, null)]);
    expect(first).toMatchObject({ processed: 1, skipped: 0, conflicts: [] });
    const id = first.results[0]!.id!;
    expect(first.results).toEqual([{ index: 0, idempotencyKey: 'a', outcome: 'created', id }]);
    expect((await sync(user, [event('a', 8, 9.5)])).results).toMatchObject([{ outcome: 'updated', id }]);
    expect((await sync(user, [event('a', 8, null)])).results).toMatchObject([{ outcome: 'skipped', id }]);
    expect(await stored(user)).toMatchObject([{ id, kind: 'offline', start: 8, end: 9.5, worked: 5_400, version: 2 }]);

    const { rows } = await writer.pool.query(
      `SELECT action, actor_id, request_id, before->>'status' AS before, after->>'status' AS after
       FROM tracking.time_entry_changes WHERE user_id = $1 ORDER BY id`,
      [user.userId],
    );
    const common = { action: 'synced', actor_id: user.userId, request_id: 'r-1' };
    expect(rows).toEqual([
      { ...common, before: null, after: 'RUNNING' },
      { ...common, before: 'RUNNING', after: 'STOPPED' },
    ]);
    const told = await published();
    expect(told.map(({ entries }) => entries.map(({ status, version }) => [status, version]))).toEqual([
      [['RUNNING', 1]],
      [['STOPPED', 2]],
    ]);
    expect(told[0]).toMatchObject({ ...user, actorId: user.userId });
    expect(await metric('created')).toBe(1);
  });

  test('keys a, b and a bad c three times: processed 2, then skipped 2, c named each time', async () => {
    await start();
    const user = newUser();
    const c = { index: 2, idempotencyKey: 'c', reason: 'invalid', code: 'END_BEFORE_START', message: 'x' };
    for (const expected of [
      { processed: 2, skipped: 0 },
      { processed: 0, skipped: 2 },
      { processed: 0, skipped: 2 },
    ]) {
      const part = partOf(user, [event('a', 9, 10), event('b', 10, 11)], { refused: [c] });
      await send(part);
      expect(await outcome(user, part.batchId)).toMatchObject({ ...expected, conflicts: [c] });
    }
    expect(await stored(user)).toHaveLength(2);
  });

  test('merge: 09:00–11:00 meets 10:00–12:00 → one entry of 10,800 s', async () => {
    policy = 'merge';
    await start();
    const user = newUser();
    const { results } = await sync(user, [event('a', 9, 11)]);
    const id = results[0]!.id;
    expect(await sync(user, [event('b', 10, 12)])).toMatchObject({ processed: 1, conflicts: [], results: [{ id }] });
    expect(await stored(user)).toMatchObject([{ id, start: 9, end: 12, worked: 10_800 }]);
    // A third one makes it one with a fourth that lay apart.
    await sync(user, [event('c', 13, 14)]);
    await sync(user, [event('d', 11.5, 13.5)]);
    expect(await stored(user)).toMatchObject([{ id, start: 9, end: 14, worked: 18_000 }]);
    const again = await sync(
      user,
      ['a', 'b', 'c', 'd'].map((key) => event(key, 1, 2)),
    );
    expect(again).toMatchObject({ skipped: 4, results: Array(4).fill({ id }) });
    const last = (await published()).at(-1)!;
    expect(last.entries.map(({ deleted }) => deleted).sort()).toEqual([false, true]);
  });

  test('reject: overlap names the entry that it meets, the others of the batch are taken', async () => {
    await start();
    const user = newUser();
    const { results } = await sync(user, [event('a', 9, 11)]);
    expect(
      await sync(user, [
        event('b', 11, 12),
        event('c', 10, 12),
        event('d', 8, 9),
        event('e', 20, null),
        event('f', 19, null),
      ]),
    ).toMatchObject({
      processed: 3,
      conflicts: [
        { index: 1, idempotencyKey: 'c', reason: 'overlap', conflictsWith: results[0]!.id },
        { index: 4, idempotencyKey: 'f', reason: 'overlap' },
      ],
    });
    expect((await stored(user)).map(({ start: from, end }) => [from, end])).toEqual([
      [8, 9],
      [9, 11],
      [11, 12],
      [20, null],
    ]);
  });

  test('of a project that is none is a conflict; what was taken before is skipped whatever has become of it', async () => {
    let known = true;
    const [projectId, taskId] = [randomUUID(), randomUUID()];
    await start({
      placesOf: async (_, asked) =>
        asked.map((one) => ({
          projectId: one.taskId ? projectId : one.projectId,
          problem: one.projectId === null || known ? undefined : 'project_unknown',
        })),
    });
    const user = newUser();
    expect(await sync(user, [event('a', 9, 10, { projectId })])).toMatchObject({ processed: 1 });
    known = false;
    expect(
      await sync(user, [
        event('a', 9, 10, { projectId }),
        event('b', 11, 12, { projectId }),
        event('c', 12, 13, { taskId }),
      ]),
    ).toMatchObject({
      processed: 1,
      skipped: 1,
      conflicts: [{ index: 1, reason: 'project_unknown' }],
    });
    expect(await stored(user)).toMatchObject([{ project_id: projectId }, { project_id: projectId }]);
  });

  test('of a user do not meet those of another, nor of another organisation', async () => {
    await start();
    const user = newUser();
    for (const other of [user, { ...user, userId: randomUUID() }, { ...user, organizationId: randomUUID() }]) {
      expect(await sync(other, [event('a', 9, 11)])).toMatchObject({ processed: 1, conflicts: [] });
    }
  });

  test('5,000 of one batch, over many records, some lying over thousands', async () => {
    await start();
    const user = newUser();
    const batchId = uuidv7();
    const all = Array.from({ length: 5_000 }, (_, i) => ({ ...event(`key-${i}`, i / 60, (i + 1) / 60), index: i }));
    const parts = Array.from({ length: 8 }, (_, part) => ({
      ...partOf(user, [], { batchId, part, parts: 8 }),
      entries: all.slice(part * 625, (part + 1) * 625),
    }));
    await send(...parts);
    expect(await outcome(user, batchId)).toMatchObject({ processed: 5_000, skipped: 0 });
    expect(await sync(user, [event('wide', 0, 80), event('free', 100, 101)])).toMatchObject({
      processed: 1,
      conflicts: [{ index: 0 }],
    });
    expect(await stored(user)).toHaveLength(5_001);
  });
});

test('who brings much at once keeps nobody else waiting, and loses nothing', async () => {
  const [many, colleague, other] = [newUser(), newUser(), newUser()];
  colleague.organizationId = many.organizationId;
  const lag = async (topic: 'time-entry-syncs' | 'time-entry-syncs-slow') =>
    (await writer.eventLog.admin.lag(topic.replace('time-entry-syncs', 'session-writer-sync'), [topic]))[topic];
  const handed = () => metricOf(writer.metrics, 'worktide_writer_sync_slow_records_total');
  const minute = 1 / 60;
  const batch = (n: number) =>
    partOf(
      many,
      Array.from({ length: 500 }, (_, i) => event(`${n}/${i}`, (n * 500 + i) * minute, (n * 500 + i + 1) * minute)),
    );
  await start({ allowed: { atOnce: 1_400, perSecond: 0.001 } });
  // What it may at once would be more than used up by the third of them: that one goes apart itself.
  for (const [n, part] of [batch(0), batch(1), batch(2)].entries()) {
    await send(part);
    expect((await outcome(many, part.batchId)).processed).toBe(500);
    expect(await handed()).toBe(n === 2 ? 1 : 0);
  }
  const client = await database.admin.connect();
  const held = partOf(many, [event('held', 1_000, 1_001), { ...event('bad', 9, 10), startedAt: 'yesterday' }]);
  const besides = partOf(colleague, [event('besides', 9, 10)]);
  try {
    await client.query('SELECT pg_advisory_lock(hashtextextended($1, 0))', [lockOf(many)]);
    await send(held, besides, partOf(other, [event('a', 9, 10)]));
    await until('the others’ is there', async () => (await stored(other)).length === 1);
    await until('the rest has gone apart', async () => (await lag('time-entry-syncs')) === 0);
    expect(await lag('time-entry-syncs-slow')).toBeGreaterThan(0);
    expect(await handed()).toBe(3);
    const dead = await writer.eventLog.admin.read('time-entry-syncs.dead', { partition: 0, fromOffset: 0, limit: 10 });
    expect(dead).toEqual([]);
  } finally {
    await client.query('SELECT pg_advisory_unlock_all()');
    client.release();
  }
  expect(await outcome(many, held.batchId)).toMatchObject({ processed: 1, conflicts: [{ index: 1 }] });
  expect((await outcome(colleague, besides.batchId)).processed).toBe(1);
  expect(await stored(many)).toHaveLength(1_501);
  await until('nothing waits', async () => (await lag('time-entry-syncs-slow')) === 0);
});

describe('what can never succeed', () => {
  test('is put aside by itself, and is told in the outcome; what is behind it goes on', async () => {
    await start();
    const user = newUser();
    const mixed = partOf(user, [
      event('a', 9, 10),
      { ...event('b', 10, 11), status: 'ASLEEP' },
      event('c', 11, 12, { description: 'a\u0000' }),
      event('d', 11, 12, { endedAt: 1e15 }),
    ]);
    const producer = writer.eventLog.producer();
    await producer.send('time-entry-syncs', [
      { key: user.userId, value: Buffer.from('no wire format at all') },
      { key: user.userId, value: codec.encode({ ...partOf(user, []), parts: 0 }) },
    ]);
    await producer.close();
    await send(mixed);
    expect(await outcome(user, mixed.batchId)).toMatchObject({
      processed: 1,
      conflicts: [
        { index: 1, reason: 'invalid', code: 'BAD_ENTRY' },
        { index: 2, reason: 'invalid', code: 'INVALID_TEXT' },
        { index: 3, reason: 'invalid', code: 'IN_FUTURE' },
      ],
    });
    const letters = await until('the dead letters', async () => {
      const found = await writer.eventLog.admin.read('time-entry-syncs.dead', {
        partition: 0,
        fromOffset: 0,
        limit: 10,
      });
      return found.length === 5 && found;
    });
    expect(letters.map(({ headers }) => headers['worktide-reason-code'])).toEqual([
      'UNDECODABLE',
      'BAD_RECORD',
      'BAD_ENTRY',
      'INVALID_TEXT',
      'IN_FUTURE',
    ]);
    expect(timeEntrySyncEnvelope.parse(codec.decode(letters[2]!.value)).entries).toEqual([mixed.entries[1]]);
  });

  test('a record that is put aside whole has an outcome; put back it is applied, once, and that is its outcome then', async () => {
    const user = newUser();
    let broken = true;
    await start({
      placesOf: async (_, asked) => {
        if (broken && asked.some(({ projectId }) => projectId !== null))
          throw new Error('of this one nobody had thought');
        return asked.map(({ projectId }) => ({ projectId, problem: undefined }));
      },
    });
    const batchId = uuidv7();
    const refused = [{ index: 0, idempotencyKey: null, reason: 'missing_idempotency_key', code: 'X', message: 'm' }];
    const bad = {
      ...partOf(user, [], { batchId, part: 1, parts: 2, refused }),
      entries: [
        { ...event('a', 9, 10, { projectId: randomUUID() }), index: 1 },
        { ...event('b\u0000', 10, 11), index: 2 },
        null,
      ],
    };
    const good = { ...partOf(user, [], { batchId, parts: 2 }), entries: [{ ...event('c', 12, 13), index: 3 }] };
    await send(bad, good);
    const put = { reason: 'invalid', code: 'HANDLER_FAILED' };
    const told = await outcome(user, batchId);
    expect(told).toMatchObject({
      processed: 1,
      skipped: 0,
      conflicts: [refused[0], { index: 1, idempotencyKey: 'a', ...put }, { index: 2, idempotencyKey: null, ...put }],
    });
    expect(told.conflicts[1]!.message).not.toContain('nobody');
    expect(await stored(user)).toHaveLength(1);
    // Heard of once more, it changes nothing.
    const dead = () => writer.eventLog.admin.read('time-entry-syncs.dead', { partition: 0, fromOffset: 0, limit: 10 });
    const letter = (await dead()).find(({ headers }) => headers['worktide-reason-code'] === 'HANDLER_FAILED')!;
    const putBack = async (): Promise<void> => {
      const producer = writer.eventLog.producer();
      await producer.send('time-entry-syncs', [{ key: letter.key, value: letter.value }]);
      await producer.close();
    };
    const before = (await dead()).length;
    await putBack();
    await until('it is put aside again', async () => (await dead()).length > before);
    expect(await outcome(user, batchId)).toEqual(told);

    broken = false;
    for (let time = 0; time < 2; time++) {
      await putBack();
      expect(await sync(user, [event('c', 12, 13)])).toMatchObject({ skipped: 1 });
      expect(await outcome(user, batchId)).toMatchObject({
        processed: 2,
        conflicts: [refused[0], { index: 2, reason: 'invalid', code: 'INVALID_TEXT' }],
      });
      expect(await stored(user)).toHaveLength(2);
    }
  });

  test('one entry that was put aside is applied where it is put back and can be', async () => {
    await start();
    const user = newUser();
    const entry = { ...event('b', 10, 11), status: 'ASLEEP' };
    const part = partOf(user, [event('a', 9, 10), entry]);
    await send(part);
    const [letter] = await until('the letter', async () => {
      const found = await writer.eventLog.admin.read('time-entry-syncs.dead', {
        partition: 0,
        fromOffset: 0,
        limit: 9,
      });
      return found.length > 0 && found;
    });
    // As if a later version knew what this is.
    const again = timeEntrySyncEnvelope.parse(codec.decode(letter!.value));
    const { batchId, parts } = again;
    await send({ ...partOf(user, [{ ...entry, status: 'STOPPED' }]), batchId, part: again.part, parts });
    await until('it is there', async () => (await stored(user)).length === 2);
    expect(await outcome(user, part.batchId)).toMatchObject({ conflicts: [{ index: 1, code: 'BAD_ENTRY' }] });
  });

  test('is not that settings cannot be known: the consumer waits', async () => {
    let away = true;
    const organization = async () => {
      if (away) throw unavailable('auth');
      return identity.organization();
    };
    await start({ identity: { organization } });
    const user = newUser();
    const part = partOf(user, [event('a', 9, 10)]);
    await send(part);
    await until('it tries again', () => consumers[0]!.state === 'retrying');
    expect(await stored(user)).toEqual([]);
    away = false;
    expect(await outcome(user, part.batchId)).toMatchObject({ processed: 1 });
  });
});

test('all of the topic once more, shuffled or not, changes no row and tells nothing', async () => {
  const events = fc
    .tuple(fc.constantFrom('a', 'b', 'c', 'd'), fc.nat(20), fc.integer({ min: 1, max: 8 }), fc.nat(2))
    .map(([key, from, hours, kind]) => {
      if (kind === 0) return event(key, from, null);
      if (kind === 1) return event(key, from, null, { status: 'PAUSED', pausedAt: base + (from + hours) * hour });
      return event(key, from, from + hours);
    });
  const handler = createSyncHandler(options());
  const context = { deadLetter: () => {}, signal: new AbortController().signal } as never;
  const records = (parts: object[]): StoredRecord[] =>
    parts.map((part, offset) => ({
      topic: 'time-entry-syncs',
      partition: 0,
      offset,
      timestamp: 0,
      headers: {},
      key: (part as User).userId,
      value: codec.encode(part),
    }));
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.array(events, { maxLength: 5 }), { minLength: 1, maxLength: 4 }),
      fc.constantFrom('reject' as const, 'merge' as const),
      fc.infiniteStream(fc.nat()),
      async (batches, given, random) => {
        policy = given;
        const user = newUser();
        const parts = batches.map((entries) => partOf(user, entries));
        await handler(records(parts), context);
        const before = await fingerprint();
        const told = (await published()).length;
        const shuffled = [...parts, ...parts]
          .map((part) => ({ part, by: random.next().value as number }))
          .sort((a, b) => a.by - b.by);
        await handler(records(parts), context);
        await handler(records(shuffled.map(({ part }) => part)), context);
        expect(await fingerprint()).toEqual(before);
        expect((await published()).length).toBe(told);
        // Sent anew, as an agent does that heard nothing: nothing more either, but conflicts may be none any more.
        const agreed = (await Promise.all(parts.map(({ batchId }) => outcome(user, batchId)))).flatMap(
          ({ results }) => results,
        );
        if (agreed.some(({ outcome: what }) => what === 'conflict')) return;
        const entries = await stored(user);
        await handler(records(batches.map((batch) => partOf(user, batch))), context);
        expect(await stored(user)).toEqual(entries);
      },
    ),
    { numRuns: 40 },
  );
});

test('keys go when their organisation keeps neither entry nor time; what is sent again then is skipped, and brings nothing back', async () => {
  const day = 24 * hour;
  let clock = base + 10 * day;
  let days: number | null = null;
  const identity = {
    organization: async () => ({ settings: { overlapPolicy: 'reject', timeEntryRetentionDays: days } }) as never,
  };
  await start({ identity, now: () => clock });
  const { pool, outbox, metrics } = writer;
  const retention = createRetention({ pool, outbox, codec: entriesCodec, identity, metrics, now: () => clock });
  const pass = () => retention(new AbortController().signal);
  const user = newUser();
  const keys = async (): Promise<string> => {
    const { rows } = await pool.query('SELECT key FROM tracking.sync_keys WHERE user_id = $1 ORDER BY key', [
      user.userId,
    ]);
    return rows.map(({ key }) => key).join(' ');
  };
  const events = [
    event('long ago', 0, 2),
    event('lately', 34, 36),
    event('moved', 4, 5),
    event('open', 40, null),
    event('taken', 7, 8),
  ];
  const sent = await sync(user, events.slice(0, 4));
  expect(sent.results.map(({ outcome }) => outcome)).toEqual(Array(4).fill('created'));
  const idOf = (n: number): string => sent.results[n]!.id!;
  // Somebody deletes what runs, and says of another that it was later.
  await pool.query(`UPDATE tracking.time_entries SET deleted_at = '2026-11-02' WHERE id = $1`, [idOf(3)]);
  await pool.query(
    `UPDATE tracking.time_entries SET span = tstzrange(lower(span) + interval '9 days', upper(span) + interval '9 days')
     WHERE id = $1`,
    [idOf(2)],
  );

  clock = base + 32 * day;
  await pass();
  expect(await keys()).toBe('lately long ago moved open');
  days = 30;
  await pass();
  expect((await stored(user)).map(({ id }) => id)).toEqual([idOf(2)]);
  expect(await keys()).toBe('lately moved open');
  const again = await sync(user, [...events, event('open', 40, 41)]);
  expect(again).toMatchObject({ processed: 0, skipped: 6 });
  expect(again.results.map(({ id }) => id)).toEqual([undefined, idOf(1), idOf(2), idOf(3), undefined, idOf(3)]);
  expect(await stored(user)).toHaveLength(1);

  clock = base + 60 * day;
  await pass();
  expect(await stored(user)).toEqual([]);
  // It may still be said how that went on.
  expect(await keys()).toBe('open');
  expect((await sync(user, events)).processed).toBe(0);
});
