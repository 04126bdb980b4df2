import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { unavailable } from '@worktide/runtime';
import { until } from '@worktide/testing';
import { monthOf, monthStart } from '../merge/index.ts';
import {
  key,
  newStream,
  openWriter,
  seen,
  stored,
  type TestDatabase,
  type TestWriter,
  trackingDatabase,
} from '../testing.ts';
import { createEraser } from './eraser.ts';
import { type Erasure, recordErasure } from './erasures.ts';
import { mergeStreams } from './merge.ts';
import { createStreams, type StreamIdentity } from './streams.ts';

let database: TestDatabase;
let writer: TestWriter;
beforeAll(async () => {
  database = await trackingDatabase();
  writer = await openWriter(database.url);
  await writer.partitions.maintain();
});
afterEach(async () => {
  await database.admin.query('TRUNCATE tracking.erased_ranges');
});
afterAll(async () => {
  await writer?.close();
  await database?.drop();
});

const month = monthOf(Date.now());
const boundary = monthStart(month);
const at = boundary + 3_600_000;
const erasureOf = ({ organizationId, userId }: StreamIdentity, more: Partial<Erasure> = {}): Erasure => ({
  organizationId,
  userId,
  deviceId: null,
  from: at,
  to: at + 10,
  requestedBy: userId,
  ...more,
});
const record = (stream: StreamIdentity, from: number, to: number, more: Partial<Erasure> = {}) =>
  recordErasure(writer, erasureOf(stream, { from: at + from, to: at + to, ...more }));
const merge = async (stream: StreamIdentity, ...spans: [number, number][]) => {
  const pings = spans.map(([start, end], i) => seen(at + start, at + end, key(`app ${i}`)));
  await (await mergeStreams(writer, [{ stream, pings }])).published;
};
const spans = async (stream: StreamIdentity) =>
  (await stored(database.admin, stream)).entries.map((e) => [e.start - at, e.end - at]);
const ranges = async ({ userId }: StreamIdentity) => {
  const { rows } = await database.admin.query<{ started_at: number; ended_at: number; applied: boolean }>(
    `SELECT started_at, ended_at, applied_at IS NOT NULL AS applied FROM tracking.erased_ranges WHERE user_id = $1
     ORDER BY started_at, ended_at`,
    [userId],
  );
  return rows.map((row) => [row.started_at - at, row.ended_at - at, row.applied]);
};

/** Many devices of a user, each with some entries of a second each. */
async function manyDevices(count: number, entriesEach: number): Promise<StreamIdentity> {
  const owner = newStream();
  const streams = Array.from({ length: count }, (_, i) => ({ ...owner, deviceId: `device ${i}` }));
  await createStreams(writer.pool, streams);
  await writer.pool.query(
    `INSERT INTO usage_entries (month, id, stream_id, started_at, ended_at, version, state, app)
     SELECT $1, gen_random_uuid(), s.id, $2::int8 + i * 2000, $2::int8 + i * 2000 + 1000, 1, 'active', 'A'
     FROM streams s, generate_series(0, $4::int - 1) i WHERE user_id = $3`,
    [month, at, owner.userId, entriesEach],
  );
  return owner;
}
const entriesOf = async ({ userId }: StreamIdentity): Promise<number> => {
  const { rows } = await database.admin.query(
    `SELECT count(*) AS n FROM tracking.usage_entries e JOIN tracking.streams s ON s.id = e.stream_id WHERE s.user_id = $1`,
    [userId],
  );
  return rows[0].n;
};

describe('what is recorded', () => {
  test('ranges that overlap or touch are one while nobody has begun with them, of one device or of all alike', async () => {
    const stream = newStream();
    await record(stream, 0, 10);
    await record(stream, 20, 30);
    await record(stream, 40, 50);
    await record(stream, 10, 20);
    await record(stream, 25, 35, { deviceId: 'phone' });
    await record(newStream({ organizationId: stream.organizationId }), 30, 40);
    expect(await ranges(stream)).toEqual([
      [0, 30, false],
      [25, 35, false],
      [40, 50, false],
    ]);
    await record(stream, 29, 41);
    expect(await ranges(stream)).toEqual([
      [0, 50, false],
      [25, 35, false],
    ]);
  });

  test('one within another adds nothing, before that one is worked off and after; then neighbours are one', async () => {
    const stream = newStream();
    expect(await record(stream, 0, 10)).toBe('pending');
    expect(await record(stream, 2, 8)).toBe('pending');
    expect(await record(stream, 0, 10, { deviceId: 'phone' })).toBe('pending');
    expect(await ranges(stream)).toHaveLength(1);
    await createEraser(writer).workOff();
    expect(await record(stream, 2, 8)).toBe('applied');
    expect(await ranges(stream)).toEqual([[0, 10, true]]);
    await record(stream, 10, 20);
    await createEraser(writer).workOff();
    expect(await ranges(stream)).toEqual([[0, 20, true]]);
  });

  test('what has begun is not extended: it would begin again, for ever', async () => {
    const stream = await manyDevices(250, 1);
    await record(stream, 0, 5_000);
    const eraser = createEraser(writer);
    expect(await eraser.step()).toBe(true);
    await record(stream, 5_000, 9_000);
    expect(await ranges(stream)).toEqual([
      [0, 5_000, false],
      [5_000, 9_000, false],
    ]);
    await eraser.workOff();
    expect(await ranges(stream)).toEqual([[0, 9_000, true]]);
  });

  test('of one user only so many may wait; others are not kept out', async () => {
    const stream = newStream();
    await database.admin.query(
      `INSERT INTO tracking.erased_ranges (id, organization_id, user_id, started_at, ended_at, requested_by)
       SELECT gen_random_uuid(), $1, $2, $3::int8 + i * 100, $3::int8 + i * 100 + 1, $2 FROM generate_series(1, 1000) i`,
      [stream.organizationId, stream.userId, at],
    );
    await expect(record(stream, 50, 60)).rejects.toMatchObject({ code: 'TOO_MANY_ERASURES', statusCode: 429 });
    // Makes two of them one.
    expect(await record(stream, 100, 201)).toBe('pending');
    expect(await ranges(stream)).toHaveLength(999);
    expect(await record(newStream({ organizationId: stream.organizationId }), 50, 60)).toBe('pending');
  });

  test('asked by somebody who goes away it is recorded or not: here it waits for another of the user, and is not', async () => {
    const stream = newStream();
    const holder = await writer.pool.connect();
    await holder.query('BEGIN');
    await holder.query(`SELECT pg_advisory_xact_lock(hashtextextended('worktide erasures of ' || $1, 0))`, [
      stream.userId,
    ]);
    const gone = new AbortController();
    const asked = recordErasure(writer, erasureOf(stream), [], gone.signal);
    const waits = async () => {
      const { rows } = await database.admin.query(
        `SELECT FROM pg_stat_activity WHERE wait_event = 'advisory' AND query LIKE '%erasures of%'`,
      );
      return rows.length > 0;
    };
    await until('it waits for the lock', waits);
    gone.abort();
    await expect(asked).rejects.toMatchObject({ code: 'REQUEST_ABORTED' });
    await holder.query('ROLLBACK');
    holder.release();
    expect(await ranges(stream)).toEqual([]);
  });
});

describe('working it off', () => {
  test('cut short it goes on in another process, from where it was', async () => {
    const stream = await manyDevices(450, 3);
    await record(stream, 0, 1_000_000);
    const first = createEraser(writer);
    const removed: number[] = [];
    for (let before = await entriesOf(stream), i = 0; i < 3; i++) {
      await first.step();
      const left = await entriesOf(stream);
      removed.push(before - left);
      before = left;
    }
    // A hundred streams each.
    expect(removed).toEqual([300, 300, 300]);
    const dying = createEraser({
      ...writer,
      usageCodec: {
        ...writer.usageCodec,
        encode: () => {
          throw new Error('killed here');
        },
      },
    });
    await expect(dying.step()).rejects.toThrow('killed here');
    expect(await entriesOf(stream)).toBe(450);
    const second = createEraser(writer);
    let steps = 0;
    while (await second.step()) steps++;
    expect(steps).toBe(2);
    expect(await entriesOf(stream)).toBe(0);
    expect(await ranges(stream)).toEqual([[0, 1_000_000, true]]);
    expect(await second.step()).toBe(false);
  });

  test('many devices, most without anything there, and one with thousands of entries: each slice is bounded', async () => {
    const stream = await manyDevices(2_000, 0);
    const busy = { ...stream, deviceId: 'device 1234' };
    await merge({ ...stream, deviceId: 'device 7' }, [0, 10]);
    await merge(busy, ...Array.from({ length: 1_900 }, (_, i): [number, number] => [i * 1_000, i * 1_000 + 10]));
    await record(stream, 0, 10_000_000);
    const eraser = createEraser(writer);
    let steps = 0;
    for (let before = await entriesOf(stream); await eraser.step(); steps++) {
      const left = await entriesOf(stream);
      // What one transaction takes away, and what lies within a bridge behind it.
      expect(before - left).toBeLessThanOrEqual(1_001 + 30);
      before = left;
    }
    expect(await entriesOf(stream)).toBe(0);
    // Two hundred streams each, and one more for the thousands.
    expect(steps).toBeLessThanOrEqual(13);
  });

  test('by turns between organisations, and in one between its people', async () => {
    const greedy = await manyDevices(1_000, 1);
    const colleague = newStream({ organizationId: greedy.organizationId });
    const elsewhere = newStream();
    for (const stream of [greedy, colleague, elsewhere]) {
      if (stream !== greedy) await merge(stream, [0, 10]);
      await record(stream, 0, 10_000);
    }
    const eraser = createEraser(writer);
    const isDone = async (stream: StreamIdentity) => (await ranges(stream)).every(([, , applied]) => applied);
    await eraser.step();
    await eraser.step();
    expect(await isDone(elsewhere)).toBe(true);
    await eraser.step();
    expect([await isDone(colleague), await isDone(greedy)]).toEqual([true, false]);
    await eraser.workOff();
    expect([await entriesOf(greedy), await isDone(greedy)]).toEqual([0, true]);
  });

  test('by one process at a time; pings of others, and of the user, are merged meanwhile', async () => {
    const stream = newStream();
    await merge(stream, [0, 10]);
    await record(stream, 0, 5);
    const { promise: go, resolve } = Promise.withResolvers<void>();
    const { promise: begun, resolve: begin } = Promise.withResolvers<void>();
    const slow: TestWriter = {
      ...writer,
      partitions: {
        ...writer.partitions,
        async existing() {
          begin();
          await go;
          return writer.partitions.existing();
        },
      },
    };
    const working = createEraser(slow).step();
    await begun;
    expect(await createEraser(writer).step()).toBe(false);
    const others = newStream();
    await merge(others, [0, 10]);
    await merge(stream, [0, 10], [20, 30]);
    expect([await spans(others), await spans(stream)]).toEqual([
      [[0, 10]],
      [
        [5, 10],
        [20, 30],
      ],
    ]);
    resolve();
    expect(await working).toBe(true);
    expect(await ranges(stream)).toEqual([[0, 5, true]]);
  });

  test('what cannot be done now keeps nobody else’s from being done', async () => {
    const [failing, fine] = [newStream(), newStream()];
    for (const stream of [failing, fine]) {
      await merge(stream, [0, 10]);
      await record(stream, 0, 5);
    }
    const { usageCodec } = writer;
    const encode: typeof usageCodec.encode = (value) => {
      if ((value as { userId: string }).userId === failing.userId) throw unavailable('event-log');
      return usageCodec.encode(value);
    };
    const eraser = createEraser({ ...writer, usageCodec: { ...usageCodec, encode } });
    const outcomes = [];
    for (let i = 0; i < 2; i++) outcomes.push(await eraser.step().catch(() => 'failed'));
    expect(outcomes.sort()).toEqual(['failed', true]);
    expect([await spans(failing), await spans(fine)]).toEqual([[[0, 10]], [[5, 10]]]);
    await createEraser(writer).workOff();
    expect(await spans(failing)).toEqual([[5, 10]]);
  });
});
