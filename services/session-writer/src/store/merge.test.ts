import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { until } from '@worktide/testing';
import fc from 'fast-check';
import { type KeySpan, monthOf, monthStart } from '../merge/index.ts';
import { paintedEntries } from '../merge/oracle.ts';
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
import { entryId, mergePieces, mergeStreams } from './merge.ts';
import { createStreams, type StreamIdentity } from './streams.ts';

let database: TestDatabase;
let writer: TestWriter;
let other: TestWriter;
beforeAll(async () => {
  database = await trackingDatabase();
  [writer, other] = await Promise.all([openWriter(database.url), openWriter(database.url)]);
  await writer.partitions.maintain();
});
afterAll(async () => {
  await Promise.all([writer?.close(), other?.close()]);
  await database?.drop();
});

// The first instant of this month: pings around it fall into two.
const boundary = monthStart(monthOf(Date.now()));
const reach = 120;
const keys = [key('A'), key('\uff5e'), key('\u{1f600}', 'a.example'), key('A', null, 'idle')];
/** Around the boundary in units of some milliseconds; a length of 0 is an instant. */
const anyPing = (unit: number) =>
  fc
    .tuple(fc.integer({ min: -reach, max: reach }), fc.integer({ min: 0, max: 40 }), fc.constantFrom(...keys))
    .map(([start, length, k]) => seen(boundary + start * unit, boundary + (start + length) * unit, k));

/** Entries and gaps as the painter sees them, each month on its own. */
function expected(pings: KeySpan[], bridge: number) {
  const ends = pings.flatMap(({ start, end }) => [start, end]);
  const before = paintedEntries(Math.min(boundary, ...ends), boundary, pings, [], bridge);
  const after = paintedEntries(boundary, Math.max(boundary, ...ends), pings, [], bridge);
  return { entries: [...before.entries, ...after.entries], gaps: [...before.gaps, ...after.gaps] };
}

/** What a consumer of the topic believes: the highest version of each id. */
async function believed(from: TestWriter[], stream: StreamIdentity) {
  const latest = new Map<
    string,
    { version: number; deleted: boolean; startedAt: number; endedAt: number; app: string }
  >();
  for (const record of (await Promise.all(from.map((w) => w.published()))).flat()) {
    if (record.userId !== stream.userId) continue;
    expect(record.organizationId).toBe(stream.organizationId);
    for (const entry of record.entries) {
      const known = latest.get(entry.id);
      expect(known?.version).not.toBe(entry.version);
      if (!known || known.version < entry.version) latest.set(entry.id, entry);
    }
  }
  return [...latest.values()]
    .filter((entry) => !entry.deleted)
    .sort((a, b) => a.startedAt - b.startedAt)
    .map(({ startedAt, endedAt, app, version }) => ({ startedAt, endedAt, app, version }));
}

async function expectExact(stream: StreamIdentity, pings: KeySpan[], bridge: number, from = [writer]): Promise<void> {
  const { entries, gaps } = await stored(database.admin, stream);
  const want = expected(pings, bridge);
  expect(entries.map(({ start, end, key: k }) => ({ start, end, key: k }))).toEqual(want.entries);
  expect(gaps).toEqual(want.gaps);
  for (const entry of entries) expect(entry.id).toBe(entryId(stream, entry.start));
  expect(await believed(from, stream)).toEqual(
    entries.map(({ start, end, key: k, version }) => ({ startedAt: start, endedAt: end, app: k.app, version })),
  );
}

const merge = async (w: TestWriter, stream: StreamIdentity, pings: KeySpan[]) => {
  const outcome = await mergeStreams(w, [{ stream, pings }]);
  await outcome.published;
  return outcome;
};

/** Batches of a shuffle in which everything comes once and some of it again. */
const delivery = (pings: KeySpan[]) =>
  fc
    .tuple(
      fc.shuffledSubarray(pings, { minLength: pings.length }),
      fc.subarray(pings),
      fc.array(fc.integer({ min: 1, max: 6 }), { minLength: 60, maxLength: 60 }),
    )
    .map(([once, again, sizes]) => {
      const all = [...once, ...again];
      return sizes.map((size) => all.splice(0, size)).filter((batch) => batch.length > 0);
    });
const anyDelivery = (unit: number) =>
  fc
    .array(anyPing(unit), { minLength: 1, maxLength: 20 })
    .chain((pings) => fc.record({ pings: fc.constant(pings), first: delivery(pings), second: delivery(pings) }));

/** Identifies row versions: any write, also one that changes nothing, gives a row another place. */
const places = async () =>
  (
    await database.admin.query(
      `SELECT 'entry' AS what, tableoid, ctid::text, xmin::text FROM tracking.usage_entries
       UNION ALL SELECT 'gap', tableoid, ctid::text, xmin::text FROM tracking.usage_gaps
       UNION ALL SELECT 'stream', tableoid, ctid::text, xmin::text FROM tracking.streams
       UNION ALL SELECT 'outbox', tableoid, ctid::text, xmin::text FROM tracking.outbox ORDER BY 1, 2, 3`,
    )
  ).rows;

describe('merging into the database', () => {
  test.each([
    ['afk', 0, 1],
    // 30 s are 10 units: gaps of exactly as much, of more and of less.
    ['window', 30_000, 3_000],
  ])('any batches of any pings give what the painter sees, entries and events: %s', async (source, bridge, unit) => {
    await fc.assert(
      fc.asyncProperty(anyDelivery(unit), async ({ pings, first }) => {
        const stream = newStream({ source });
        for (const batch of first) await merge(writer, stream, batch);
        await expectExact(stream, pings, bridge);
      }),
      { numRuns: 25 },
    );
  });

  test('in however many transactions: cut by streams and by time it comes to the same', async () => {
    await fc.assert(
      fc.asyncProperty(anyDelivery(3_000), fc.integer({ min: 3, max: 9 }), async ({ pings, first }, maxRows) => {
        const stream = newStream();
        const neighbour = newStream();
        for (const batch of first) {
          const work = [stream, neighbour].map((s) => ({ stream: s, pings: batch }));
          const { published } = await mergeStreams({ ...writer, maxRows }, work);
          await published;
        }
        await expectExact(stream, pings, 30_000);
        await expectExact(neighbour, pings, 30_000);
      }),
      { numRuns: 15 },
    );
  });

  test('one ping over a day of short entries of long names: merged in pieces, told in bounded records', async () => {
    const stream = newStream();
    const bystander = newStream();
    const day = boundary - 2 * 86_400_000;
    const count = 36_000;
    // As that many lawful pings would have made them.
    await writer.partitions.ensure([monthOf(day), monthOf(day + 86_400_000)]);
    await createStreams(writer.pool, [stream]);
    await writer.pool.query(
      `INSERT INTO usage_entries (month, id, stream_id, started_at, ended_at, version, state, app)
       SELECT $1, gen_random_uuid(), s.id, $2::int8 + i * 2400, $2::int8 + i * 2400 + 2400, 1, 'active', repeat('😀', 255) || (i % 2)
       FROM streams s, generate_series(0, $3::int - 1) i WHERE s.user_id = $4`,
      [monthOf(day), day, count, stream.userId],
    );
    const whole = { stream, pings: [seen(day, day + 86_400_000, key('A'))] };
    let largest = 0;
    const outbox: typeof writer.outbox = {
      ...writer.outbox,
      async write(client, events, ...rest) {
        largest = Math.max(
          largest,
          events.reduce((sum, event) => sum + event.value.length, 0),
        );
        return writer.outbox.write(client, events, ...rest);
      },
    };
    const outcomes = [];
    for await (const { published, ...counts } of mergePieces({ ...writer, outbox }, [
      whole,
      { stream: bystander, pings: [seen(day, day + 1_000, key('B'))] },
    ])) {
      await published;
      outcomes.push(counts);
    }
    expect(outcomes.length).toBeGreaterThan(4);
    expect(largest).toBeLessThan(20 * 1024 * 1024);
    expect(outcomes.reduce((sum, { removed, changed }) => sum + removed + changed, 0)).toBeGreaterThanOrEqual(count);
    const { entries } = await stored(database.admin, stream);
    expect(entries).toMatchObject([{ start: day, end: day + 86_400_000, key: { app: 'A' } }]);
    expect((await stored(database.admin, bystander)).entries).toHaveLength(1);
    const told = (await writer.published()).filter((record) => record.userId === stream.userId);
    const last = new Map(told.flatMap((record) => record.entries).map((entry) => [entry.id, entry]));
    expect(last.size).toBeGreaterThanOrEqual(count);
    expect([...last.values()].filter((entry) => !entry.deleted)).toMatchObject([
      { startedAt: day, endedAt: day + 86_400_000, app: 'A' },
    ]);
  });

  test('two writers on the same streams at once, each with all the pings, do no harm', async () => {
    await fc.assert(
      fc.asyncProperty(anyDelivery(1), async ({ pings, first, second }) => {
        const streams = [newStream({ source: 'afk' }), newStream({ source: 'afk' }), newStream({ source: 'afk' })];
        const send = async (w: TestWriter, batches: KeySpan[][], order: StreamIdentity[]): Promise<void> => {
          for (const batch of batches) {
            const { published } = await mergeStreams(
              w,
              order.map((stream) => ({ stream, pings: batch })),
            );
            await published;
          }
        };
        await Promise.all([send(writer, first, streams), send(other, second, [...streams].reverse())]);
        for (const stream of streams) await expectExact(stream, pings, 0, [writer, other]);
      }),
      { numRuns: 12 },
    );
  });

  test('everything again changes nothing: no row touched, no event', async () => {
    const stream = newStream({ source: 'afk' });
    const pings = [...Array(300).keys()].map((i) =>
      seen(boundary + ((i * 37) % 400) - 200, boundary + ((i * 37) % 400) - 190 + (i % 7), keys[i % keys.length]!),
    );
    await merge(writer, stream, pings);
    // A commit with nothing to say still tidies the outbox: once more, so that it is tidy.
    await merge(writer, stream, pings);
    const before = await places();
    const events = await writer.published();
    expect(await merge(writer, stream, [...pings].reverse())).toMatchObject({ added: 0, changed: 0, removed: 0 });
    expect(await places()).toEqual(before);
    expect(await writer.published()).toEqual(events);
  });

  test('an unchanged neighbour is neither written nor announced', async () => {
    const stream = newStream();
    const at = boundary + 10_000_000;
    await merge(writer, stream, [seen(at, at + 1000, key('A')), seen(at + 1000, at + 2000, key('B'))]);
    const [first] = (await stored(database.admin, stream)).entries;
    expect(await merge(writer, stream, [seen(at + 2000, at + 3000, key('B'))])).toMatchObject({
      added: 0,
      changed: 1,
      removed: 0,
    });
    const after = await stored(database.admin, stream);
    expect(after.entries[0]).toEqual(first);
    expect(after.entries[1]).toMatchObject({ start: at + 1000, end: at + 3000 });
    const events = (await writer.published()).filter((record) => record.userId === stream.userId);
    expect(events.map((record) => record.entries.length)).toEqual([2, 1]);
  });

  test('a new start is a tombstone and a new entry; versions rise, also with a clock that stands still', async () => {
    const stream = newStream();
    const at = boundary + 20_000_000;
    const stopped = { ...writer, now: () => 1_000_000 };
    await merge(stopped, stream, [seen(at, at + 1000, key('A'))]);
    expect(await merge(stopped, stream, [seen(at - 500, at, key('A'))])).toMatchObject({
      added: 1,
      changed: 0,
      removed: 1,
    });
    const { entries } = await stored(database.admin, stream);
    expect(entries).toMatchObject([
      { start: at - 500, end: at + 1000, id: entryId(stream, at - 500), version: 1_000_000_001 },
    ]);
    const [, second] = (await writer.published()).filter((record) => record.userId === stream.userId);
    expect(second!.entries).toMatchObject([
      { id: entryId(stream, at), deleted: true, version: 1_000_000_001, startedAt: at, endedAt: at + 1000, app: 'A' },
      { id: entryId(stream, at - 500), deleted: false, version: 1_000_000_001 },
    ]);
    // An id that comes back after its tombstone outranks it, though no row remembers it.
    await merge(stopped, stream, [seen(at - 100, at, key('1'))]);
    expect((await stored(database.admin, stream)).entries).toMatchObject([
      { start: at - 500, end: at - 100 },
      { start: at - 100, end: at, key: { app: '1' } },
      { start: at, end: at + 1000, id: entryId(stream, at), version: 1_000_000_002 },
    ]);
  });

  test('streams of one user are apart: device and source', async () => {
    const stream = newStream();
    const at = boundary + 30_000_000;
    const others = [
      { ...stream, deviceId: 'phone' },
      { ...stream, source: 'web' },
    ];
    await mergeStreams(writer, [
      { stream, pings: [seen(at, at + 5, key('A'))] },
      ...others.map((s) => ({ stream: s, pings: [seen(at, at + 5, key('B'))] })),
    ]);
    expect((await stored(database.admin, stream)).entries).toHaveLength(1);
    for (const s of others) expect((await stored(database.admin, s)).entries).toMatchObject([{ key: { app: 'B' } }]);
  });

  test('any text is stored as it is', async () => {
    const stream = newStream({ deviceId: '{"\\,NULL}', source: "it's" });
    const apps = ['NULL', '"', '\\', '{a,b}', ' ', "';--", '\u{1f600}\uffff', 'a\nb', 'null'];
    const at = boundary + 35_000_000;
    await merge(
      writer,
      stream,
      apps.map((app, i) => seen(at + i, at + i, key(app, i % 2 ? app : null))),
    );
    const { entries } = await stored(database.admin, stream);
    expect(entries.map((e) => [e.key.app, e.key.host])).toEqual(apps.map((app, i) => [app, i % 2 ? app : null]));
    expect(await believed([writer], stream)).toMatchObject(apps.map((app) => ({ app })));
  });

  test('a transaction that fails leaves nothing behind, and the same pings succeed later', async () => {
    const stream = newStream();
    const at = boundary + 40_000_000;
    const pings = [seen(at, at + 5, key('A'))];
    const failing = {
      ...writer,
      usageCodec: {
        ...writer.usageCodec,
        encode: () => {
          throw new Error('killed here');
        },
      },
    };
    const before = (await database.admin.query('SELECT count(*) FROM tracking.outbox')).rows;
    await expect(mergeStreams(failing, [{ stream, pings }])).rejects.toThrow('killed here');
    expect(await stored(database.admin, stream)).toEqual({ entries: [], gaps: [] });
    expect((await database.admin.query('SELECT count(*) FROM tracking.outbox')).rows).toEqual(before);
    expect(await merge(writer, stream, pings)).toMatchObject({ added: 1 });
  });

  test('a writer that dies after its commit: another one publishes what it had promised', async () => {
    const stream = newStream();
    const at = boundary + 50_000_000;
    const heir = await openWriter(database.url, { graceMs: 50 });
    try {
      const dead = await openWriter(database.url, { graceMs: 50 });
      await dead.eventLog.close();
      const { published } = await mergeStreams(dead, [{ stream, pings: [seen(at, at + 5, key('A'))] }]);
      published.catch(() => {});
      await dead.close();
      await until('what was promised is published', async () => {
        await heir.outbox.sweep();
        return (await believed([heir], stream)).length > 0;
      });
      expect(await believed([heir], stream)).toMatchObject([{ startedAt: at, endedAt: at + 5 }]);
    } finally {
      await heir.close();
    }
  });
});

describe('the database itself', () => {
  test('refuses two entries of a stream that overlap, takes neighbours, and a boundary that moves', async () => {
    const stream = newStream();
    const at = boundary + 60_000_000;
    await merge(writer, stream, [seen(at, at + 10, key('A')), seen(at + 10, at + 20, key('B'))]);
    const insert = (start: number, end: number) =>
      writer.pool.query(
        `INSERT INTO usage_entries (month, id, stream_id, started_at, ended_at, version, state, app)
         SELECT $1, gen_random_uuid(), id, $2, $3, 1, 'active', 'X' FROM streams WHERE user_id = $4`,
        [monthOf(at), start, end, stream.userId],
      );
    await expect(insert(at + 19, at + 30)).rejects.toMatchObject({ code: '23P01' });
    await expect(insert(at - 5, at + 1)).rejects.toMatchObject({ code: '23P01' });
    await insert(at + 20, at + 30);
    // Beyond the month of its partition.
    await expect(insert(boundary - 1, boundary + 1)).rejects.toMatchObject({ code: '23514' });
    const move = (by: number) =>
      writer.pool.query(
        `UPDATE usage_entries e SET started_at = started_at + CASE app WHEN 'B' THEN $2::int ELSE 0 END,
           ended_at = ended_at + CASE app WHEN 'A' THEN $2::int ELSE 0 END
         FROM streams s WHERE s.id = e.stream_id AND s.user_id = $1 AND app IN ('A', 'B')`,
        [stream.userId, by],
      );
    await move(3);
    await move(-6);
    expect((await stored(database.admin, stream)).entries).toMatchObject([
      { start: at, end: at + 7 },
      { start: at + 7, end: at + 20 },
      { start: at + 20, end: at + 30 },
    ]);
  });
});
