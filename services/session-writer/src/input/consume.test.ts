import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals';
import type { Consumer, StoredRecord } from '@worktide/event-log';
import {
  createCodec,
  type InputMinuteEvent,
  inputMinutesEnvelope,
  openSchemaRegistry,
  topics,
} from '@worktide/schemas';
import { metricOf, until } from '@worktide/testing';
import fc from 'fast-check';
import { openWriter, type TestDatabase, type TestWriter, trackingDatabase } from '../testing.ts';
import { consumeInput, createInputHandler } from './consume.ts';
import { pruneMinutes } from './store.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await trackingDatabase();
});
afterAll(() => database?.drop());

const codec = createCodec(openSchemaRegistry('local:'), topics['input-minutes']);
let writer: TestWriter;
let consumer: Consumer | undefined;
beforeEach(async () => {
  await codec.prepare();
  writer = await openWriter(database.url);
});
afterEach(async () => {
  await consumer?.close();
  consumer = undefined;
  await writer.close();
});

interface User {
  organizationId: string;
  userId: string;
}
const newUser = (): User => ({ organizationId: randomUUID(), userId: randomUUID() });
const at = Date.UTC(2026, 10, 2, 9);
const counts = (
  keyboardClicks: number,
  mouseMovements: number,
  more: Partial<InputMinuteEvent> = {},
): InputMinuteEvent => ({
  deviceId: 'laptop',
  minute: at,
  keyboardClicks,
  mouseMovements,
  ...more,
});
const recordOf = (user: User, minutes: unknown[]) => ({
  key: user.userId,
  value: codec.encode({ ...user, receivedAt: Date.now(), minutes }),
});

async function send(...records: { key: string; value: Buffer }[]): Promise<void> {
  const producer = writer.eventLog.producer();
  await producer.send('input-minutes', records);
  await producer.close();
}

/** By device and minute: `[clicks, movements]`. */
async function stored({ organizationId, userId }: User): Promise<Record<string, [number, number]>> {
  const { rows } = await writer.pool.query(
    `SELECT device_id, minute, keyboard_clicks, mouse_movements FROM tracking.input_minutes
     WHERE organization_id = $1 AND user_id = $2 ORDER BY device_id, minute`,
    [organizationId, userId],
  );
  return Object.fromEntries(
    rows.map((row) => [`${row.device_id} ${(row.minute - at) / 60_000}`, [row.keyboard_clicks, row.mouse_movements]]),
  );
}

test('7/12 three times, then 5/20 → 7/20; each device and minute by itself', async () => {
  consumer = await consumeInput({ ...writer, codec });
  const user = newUser();
  const other = { ...user, userId: randomUUID() };
  for (const minutes of [
    [counts(7, 12)],
    [counts(7, 12), counts(7, 12)],
    [counts(5, 20), counts(1, 1, { deviceId: 'desk' })],
  ]) {
    await send(recordOf(user, minutes));
  }
  await send(recordOf(other, [counts(3, 3, { minute: at + 60_000 })]));
  await until(
    'all of it',
    async () => Object.keys(await stored(other)).length === 1 && (await stored(user))['laptop 0']?.[1] === 20,
  );
  expect(await stored(user)).toEqual({ 'desk 0': [1, 1], 'laptop 0': [7, 20] });
  expect(await stored(other)).toEqual({ 'laptop 1': [3, 3] });
  expect(await metricOf(writer.metrics, 'worktide_writer_input_minutes_total')).toBeGreaterThanOrEqual(3);
});

test('what is bad is put aside by itself', async () => {
  consumer = await consumeInput({ ...writer, codec });
  const user = newUser();
  const bad = [
    counts(-1, 1),
    counts(1.5, 1),
    counts(1e12, 1),
    counts(1, 1, { minute: at + 1 }),
    counts(1, 1, { minute: 60_000 * 1e11 }),
    counts(1, 1, { deviceId: 'a\u0000' }),
    null,
  ];
  await send({ key: user.userId, value: Buffer.from('x') }, recordOf(user, [...bad, counts(1, 2)]), {
    key: user.userId,
    value: codec.encode({ ...user, minutes: [] }),
  });
  await until('the good one', async () => Object.keys(await stored(user)).length === 1);
  expect(await stored(user)).toEqual({ 'laptop 0': [1, 2] });
  const letters = await until('the dead letters', async () => {
    const found = await writer.eventLog.admin.read('input-minutes.dead', { partition: 0, fromOffset: 0, limit: 20 });
    return found.length === bad.length + 2 && found;
  });
  const codes = letters.map(({ headers }) => headers['worktide-reason-code']);
  expect(codes.sort()).toEqual([
    ...Array(4).fill('BAD_MINUTE'),
    'BAD_RECORD',
    'INVALID_TEXT',
    'IN_FUTURE',
    'NOT_A_FULL_MINUTE',
    'UNDECODABLE',
  ]);
  const part = letters.find(({ headers }) => headers['worktide-reason-code'] === 'INVALID_TEXT')!;
  expect(inputMinutesEnvelope.parse(codec.decode(part.value)).minutes).toEqual([bad[5]]);
});

test('however cut, ordered and repeated: the greater of each count, and a replay writes no row', async () => {
  const handle = createInputHandler({ ...writer, codec });
  const context = { deadLetter: () => {}, signal: new AbortController().signal } as never;
  const minutes = fc.record({
    deviceId: fc.constantFrom('a', 'b'),
    minute: fc.nat(3),
    clicks: fc.nat(9),
    movements: fc.nat(9),
  });
  const batches = fc.array(fc.array(minutes, { minLength: 1, maxLength: 5 }), { minLength: 1, maxLength: 6 });
  await fc.assert(
    fc.asyncProperty(batches, async (all) => {
      const user = newUser();
      const records = all.map((some, offset): StoredRecord => {
        const events = some.map(({ deviceId, minute, clicks, movements }) =>
          counts(clicks, movements, { deviceId, minute: at + minute * 60_000 }),
        );
        return { topic: 'input-minutes', partition: 0, offset, timestamp: 0, headers: {}, ...recordOf(user, events) };
      });
      const expected: Record<string, [number, number]> = {};
      for (const { deviceId, minute, clicks, movements } of all.flat()) {
        const [c, m] = expected[`${deviceId} ${minute}`] ?? [0, 0];
        expected[`${deviceId} ${minute}`] = [Math.max(c, clicks), Math.max(m, movements)];
      }
      for (const record of records) await handle([record], context);
      expect(await stored(user)).toEqual(expected);
      const rows = async (): Promise<unknown> =>
        (
          await writer.pool.query(
            'SELECT xmin::text, t::text FROM tracking.input_minutes t WHERE user_id = $1 ORDER BY 2',
            [user.userId],
          )
        ).rows;
      const before = await rows();
      await handle([...records].reverse(), context);
      await handle([...records, ...records], context);
      expect(await rows()).toEqual(before);
    }),
    { numRuns: 40 },
  );
});

test('counts are kept as long as usage: older ones go, some at a time, and are let go of when they come', async () => {
  const user = newUser();
  const months = 3;
  const old = await openWriter(database.url, { retentionMonths: months, now: () => at });
  try {
    const from = old.partitions.keptFrom();
    expect(new Date(from).toISOString()).toBe('2026-08-01T00:00:00.000Z');
    await writer.pool.query(
      `INSERT INTO tracking.input_minutes
       SELECT $1, $2, 'laptop', to_timestamp($3::bigint / 1000) - i * interval '1 minute', 1, 1
       FROM generate_series(0, 100005) i`,
      [user.organizationId, user.userId, from],
    );
    expect(await pruneMinutes(old.pool, from)).toBe(100_000);
    expect(await pruneMinutes(old.pool, from)).toBe(5);
    expect(await pruneMinutes(old.pool, from)).toBe(0);
    const left = { [`laptop ${(from - at) / 60_000}`]: [1, 1] };
    expect(await stored(user)).toEqual(left);
    const record = recordOf(user, [counts(7, 7, { minute: from - 60_000 }), counts(7, 7, { minute: from })]);
    const context = { deadLetter: () => {}, signal: new AbortController().signal };
    const where = { topic: 'input-minutes', partition: 0, offset: 0, timestamp: 0, headers: {} };
    await createInputHandler({ ...old, codec })([{ ...where, ...record }], context);
    expect(await stored(user)).toEqual({ [Object.keys(left)[0]!]: [7, 7] });
    expect(await metricOf(old.metrics, 'worktide_writer_input_minutes_let_go_total')).toBe(1);
  } finally {
    await old.close();
  }
});
