import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { StoredRecord } from '@worktide/event-log';
import { transaction } from '@worktide/postgres';
import { createCodec, erasuresRecord, openSchemaRegistry, topics } from '@worktide/schemas';
import { until } from '@worktide/testing';
import { createEraser } from '../store/eraser.ts';
import { recordErasure } from '../store/erasures.ts';
import { erase, newStream, openWriter, type TestDatabase, type TestWriter, trackingDatabase } from '../testing.ts';
import { createInputHandler } from './consume.ts';
import { storeMinutes } from './store.ts';

let database: TestDatabase;
let writer: TestWriter;
let handle: (records: StoredRecord[]) => Promise<void>;
const codec = createCodec(openSchemaRegistry('local:'), topics['input-minutes']);
beforeAll(async () => {
  database = await trackingDatabase();
  writer = await openWriter(database.url);
  await codec.prepare();
  const handler = createInputHandler({ ...writer, codec });
  handle = (records) => handler(records, { deadLetter: () => {}, signal: new AbortController().signal });
});
afterAll(async () => {
  await writer?.close();
  await database?.drop();
});

const minute = 60_000;
const at = Math.floor(Date.now() / minute) * minute - 100 * minute;
type Who = { organizationId: string; userId: string };
const someone = (more: Partial<Who> = {}): Who => {
  const { organizationId, userId } = newStream();
  return { organizationId, userId, ...more };
};
const range = (who: Who, from: number, to: number, deviceId: string | null = null) => ({
  ...who,
  deviceId,
  from: at + from * minute,
  to: at + to * minute,
  requestedBy: who.userId,
});
/** A count in each of the minutes, as a request of this user. */
const sent = (who: Who, minutes: number[], deviceId = 'laptop'): StoredRecord => {
  const counts = { deviceId, keyboardClicks: 7, mouseMovements: 12 };
  const value = codec.encode({
    ...who,
    receivedAt: Date.now(),
    minutes: minutes.map((n) => ({ ...counts, minute: at + n * minute })),
  });
  return { topic: 'input-minutes', partition: 0, offset: 0, timestamp: 0, headers: {}, key: who.userId, value };
};
const stored = async ({ userId }: Who): Promise<string[]> => {
  const { rows } = await database.admin.query<{ device_id: string; minute: Date }>(
    'SELECT device_id, minute FROM tracking.input_minutes WHERE user_id = $1 ORDER BY device_id, minute',
    [userId],
  );
  return rows.map((row) => `${row.device_id} ${(row.minute.getTime() - at) / minute}`);
};
const told = async ({ userId }: Who) => {
  const records = [];
  for (let partition = 0; partition < topics.erasures.partitions; partition++) {
    records.push(...(await writer.eventLog.admin.read('erasures', { partition, fromOffset: 0, limit: 10_000 })));
  }
  return records
    .filter(({ key }) => key === userId)
    .flatMap(({ value }) => erasuresRecord.parse(writer.erasuresCodec.decode(value)).ranges);
};

test('counts of erased minutes go, those that it touches in part as well, and no replay or late count brings them back', async () => {
  const who = someone();
  const colleague = someone({ organizationId: who.organizationId });
  const all = [sent(who, [0, 1, 2, 3, 4]), sent(who, [2], 'phone'), sent(colleague, [2])];
  await handle(all);
  await erase(writer, range(who, 1.5, 3.1));
  const left = ['laptop 0', 'laptop 4'];
  expect(await stored(who)).toEqual(left);
  expect(await told(who)).toEqual([{ deviceId: null, from: at + 1.5 * minute, to: at + 3.1 * minute }]);
  await handle([...all, ...all.toReversed(), sent(who, [3], 'seen later')]);
  expect(await stored(who)).toEqual(left);
  expect(await stored(colleague)).toEqual(['laptop 2']);
  // The end is exclusive.
  await erase(writer, range(who, 3, 4));
  expect(await stored(who)).toEqual(left);
});

test('of one device where one is named', async () => {
  const who = someone();
  const all = [sent(who, [1, 2]), sent(who, [1, 2], 'phone')];
  await handle(all);
  await erase(writer, range(who, 0, 2, 'phone'));
  await handle(all);
  expect(await stored(who)).toEqual(['laptop 1', 'laptop 2', 'phone 2']);
  expect(await told(who)).toEqual([expect.objectContaining({ deviceId: 'phone' })]);
});

test('more than one slice, and a range of all time; it is told of once', async () => {
  const who = someone();
  await database.admin.query(
    `INSERT INTO tracking.input_minutes
     SELECT $1, $2, 'laptop', to_timestamp($3::bigint / 1000) - i * interval '1 minute', 1, 1 FROM generate_series(0, 10100) i`,
    [who.organizationId, who.userId, at],
  );
  const far = Date.UTC(9999, 0);
  await recordErasure(writer, { ...range(who, 0, 0), from: -far, to: far });
  const eraser = createEraser(writer);
  await eraser.step();
  expect(await stored(who)).toHaveLength(5_101);
  await createEraser(writer).workOff();
  expect(await stored(who)).toEqual([]);
  expect(await told(who)).toEqual([{ deviceId: null, from: 0, to: far }]);
});

test('who was about to store counts when the range was recorded is waited for', async () => {
  const who = someone();
  const { promise: mayCommit, resolve: commit } = Promise.withResolvers<void>();
  const { promise: isStored, resolve: hasStored } = Promise.withResolvers<void>();
  const storing = transaction(writer.pool, async (client) => {
    const counts = { deviceId: 'laptop', minute: at, keyboardClicks: 1, mouseMovements: 1 };
    await storeMinutes(client, [{ ...who, ...counts }]);
    hasStored();
    await mayCommit;
  });
  await isStored;
  await recordErasure(writer, range(who, 0, 1));
  const working = createEraser(writer).workOff();
  await until('the eraser waits', async () => {
    const { rows } = await database.admin.query(`SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted`);
    return rows.length > 0;
  });
  commit();
  await Promise.all([storing, working]);
  expect(await stored(who)).toEqual([]);
});
