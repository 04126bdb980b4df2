import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { createOutbox, transaction } from '@worktide/postgres';
import { createLifecycle, createMetrics, silentLogger, unavailable } from '@worktide/runtime';
import { topics } from '@worktide/schemas';
import { monthOf, monthStart } from '../merge/index.ts';
import {
  erase as eraseNow,
  key,
  newStream,
  openWriter,
  seen,
  stored,
  type TestDatabase,
  type TestWriter,
  trackingDatabase,
} from '../testing.ts';
import { type Erasure, recordErasure } from './erasures.ts';
import { mergeStreams } from './merge.ts';
import type { StreamIdentity } from './streams.ts';

let database: TestDatabase;
let writer: TestWriter;
beforeAll(async () => {
  database = await trackingDatabase();
  writer = await openWriter(database.url);
});
afterAll(async () => {
  await writer?.close();
  await database?.drop();
});

const boundary = monthStart(monthOf(Date.now()));
const second = 1000;
const merge = async (...work: Parameters<typeof mergeStreams>[1]) => {
  await (await mergeStreams(writer, work)).published;
};
const erase = (stream: StreamIdentity, from: number, to: number, more: Partial<Erasure> = {}) => {
  const { organizationId, userId } = stream;
  return eraseNow(writer, { organizationId, userId, deviceId: null, from, to, requestedBy: userId, ...more });
};
const spans = async (stream: StreamIdentity) =>
  (await stored(database.admin, stream)).entries.map((e) => [e.start - boundary, e.end - boundary]);

test('erased time is cut out, announced, and does not come back with a replay', async () => {
  const stream = newStream();
  // Over the month's boundary, with bridged gaps of 5 s.
  const pings = [...Array(20).keys()].map((i) =>
    seen(boundary + (i - 10) * 15 * second, boundary + (i - 10) * 15 * second + 10 * second, key('A')),
  );
  await merge({ stream, pings });
  expect(await spans(stream)).toEqual([
    [-150 * second, -5 * second],
    [0, 145 * second],
  ]);

  await erase(stream, boundary - 40 * second, boundary + 20 * second);
  // The gap from -50 to -45 is not erased: what is around it stays one entry.
  const merged = [
    [-150 * second, -40 * second],
    [20 * second, 145 * second],
  ];
  expect(await spans(stream)).toEqual(merged);
  const tombstones = async () =>
    (await writer.published())
      .filter((r) => r.userId === stream.userId)
      .flatMap((r) => r.entries.filter((e) => e.deleted));
  expect((await tombstones()).map((e) => e.startedAt - boundary)).toEqual([0]);

  await merge({ stream, pings });
  await merge({ stream, pings: [...pings, seen(boundary - 40 * second, boundary + 20 * second, key('Z'))] });
  expect(await spans(stream)).toEqual(merged);
});

test('it holds for every device and source of the user, also those first seen later, and for nobody else', async () => {
  const stream = newStream();
  const at = boundary + 3_600_000;
  const ping = seen(at, at + 10, key('A'));
  const colleague = { ...stream, userId: randomUUID() };
  const elsewhere = { ...stream, organizationId: randomUUID() };
  await merge({ stream, pings: [ping] }, { stream: colleague, pings: [ping] }, { stream: elsewhere, pings: [ping] });
  await erase(stream, at, at + 5);
  const later = [
    { ...stream, deviceId: 'new' },
    { ...stream, source: 'web' },
  ];
  await merge(...later.map((s) => ({ stream: s, pings: [ping] })));
  for (const s of [stream, ...later]) expect(await spans(s)).toEqual([[3_600_005, 3_600_010]]);
  for (const s of [colleague, elsewhere]) expect(await spans(s)).toEqual([[3_600_000, 3_600_010]]);
});

test('one device alone', async () => {
  const stream = newStream();
  const phone = { ...stream, deviceId: 'phone' };
  const at = boundary + 3_600_000;
  await merge(
    { stream, pings: [seen(at, at + 10, key('A'))] },
    { stream: phone, pings: [seen(at, at + 10, key('A'))] },
  );
  await erase(stream, at, at + 10, { deviceId: 'phone' });
  expect(await spans(stream)).toHaveLength(1);
  expect(await spans(phone)).toEqual([]);
});

test('thousands of entries and gaps go in slices; nothing is left, no gap without its entry', async () => {
  const stream = newStream({ source: 'editor' });
  const at = boundary + 7_200_000;
  // 1,300 entries of two pings each with a bridged gap, then one entry with 1,300 gaps.
  const flicker = [...Array(1300).keys()].flatMap((i) =>
    [0, 20].map((more) => seen(at + i * 100 + more, at + i * 100 + more, key(`app ${i % 2}`))),
  );
  const instants = [...Array(1301).keys()].map((i) => seen(at + 200_000 + i * 10, at + 200_000 + i * 10, key('app 2')));
  await merge({ stream, pings: [...flicker, ...instants] });
  const before = await stored(database.admin, stream);
  expect([before.entries.length, before.gaps.length]).toEqual([1301, 2600]);
  await erase(stream, at + 1, at + 200_000 + 650 * 10);
  const after = await stored(database.admin, stream);
  expect(after.entries.map((e) => [e.start - at, e.end - at])).toEqual([
    [0, 1],
    [206_500, 213_001],
  ]);
  expect(after.gaps).toHaveLength(650);
});

test('an event of it leaves with its record; a full outbox leaves the event to a sweep and keeps the erasure', async () => {
  const { organizationId, userId } = newStream();
  const erasure = { organizationId, userId, deviceId: null, from: boundary, to: boundary + 10, requestedBy: userId };
  const event = (value: string) => ({ topic: 'audit', key: organizationId, value: Buffer.from(value) });
  const lifecycle = createLifecycle({ log: silentLogger() });
  const outbox = createOutbox({
    schema: 'tracking',
    pool: writer.pool,
    producer: { send: () => Promise.reject(unavailable('event-log')) },
    log: silentLogger(),
    metrics: createMetrics(),
    lifecycle,
    graceMs: 60_000,
    maxUnpublishedBytes: 1,
  });
  const waiting = outbox.committed(await transaction(writer.pool, (client) => outbox.write(client, [event('before')])));
  waiting.catch(() => {});
  const merges = transaction(writer.pool, (client) => outbox.write(client, [event('refused')]));
  await expect(merges).rejects.toMatchObject({ statusCode: 503 });
  await recordErasure({ ...writer, outbox }, erasure, [event('told')]);
  // Within what is erased already: nothing to tell.
  await recordErasure({ ...writer, outbox }, { ...erasure, to: boundary + 5 }, [event('nothing')]);
  await lifecycle.close();
  await waiting.catch(() => {});

  await writer.pool.query('UPDATE outbox SET due_at = now()');
  await writer.outbox.sweep();
  const records = await Promise.all(
    [...Array(topics.audit.partitions).keys()].map((partition) =>
      writer.eventLog.admin.read('audit', { partition, fromOffset: 0, limit: 100 }),
    ),
  );
  const values = records.flat().filter(({ key: k }) => k === organizationId);
  expect(values.map(({ value }) => value.toString()).sort()).toEqual(['before', 'told']);
});

test('pings that arrive while the time is erased: no order of the two leaves anything of it', async () => {
  for (let round = 0; round < 15; round++) {
    const stream = newStream();
    const at = boundary + 3_600_000;
    const pings = [seen(at, at + 100, key('A')), seen(at + 50, at + 150, key('B'))];
    const streams = [stream, { ...stream, deviceId: 'phone' }, { ...stream, source: 'web' }];
    await Promise.all([...streams.map((s) => merge({ stream: s, pings })), erase(stream, at + 20, at + 120)]);
    for (const s of streams)
      expect(await spans(s)).toEqual([
        [3_600_000, 3_600_020],
        [3_600_120, 3_600_150],
      ]);
  }
});
