import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { createMetrics, silentLogger, uuidv7 } from '@worktide/runtime';
import type { ScreenshotRecord } from '@worktide/schemas';
import { metricOf, until } from '@worktide/testing';
import {
  newPerson,
  openWorld,
  type Person,
  type Processor,
  startProcessor,
  textPicture,
  type World,
} from '../testing.ts';
import { createHandler } from './consume.ts';

let world: World;
let processor: Processor;
let person: Person;
let picture: Buffer;

beforeAll(async () => {
  world = await openWorld();
  // Nothing is worked on: what the consumer notes stays as it noted it.
  processor = await startProcessor(world, { works: false, consumes: true });
  picture = await textPicture(64, 64);
});
beforeEach(() => {
  person = newPerson();
});
afterAll(async () => {
  await processor?.close();
  await world?.close();
});

const caughtUp = () =>
  until(
    'all is read',
    async () => (await world.eventLog.admin.lag('screenshot-processor', ['screenshots'])).screenshots === 0,
  );
const deadLetters = () => world.eventLog.admin.read('screenshots.dead', { partition: 0, fromOffset: 0, limit: 1000 });
const settle = (record: ScreenshotRecord, status: 'ready' | 'failed') =>
  world.database.admin.query(
    `UPDATE screenshots.screenshots SET status = $2, picture_bytes = $3, failure_code = $4, due_at = NULL WHERE id = $1`,
    [record.screenshotId, status, status === 'ready' ? 1 : null, status === 'failed' ? 'EMPTY' : null],
  );
const dueAt = async (record: ScreenshotRecord) =>
  (await world.database.admin.query('SELECT due_at FROM screenshots.screenshots WHERE id = $1', [record.screenshotId]))
    .rows[0].due_at;

test('a record becomes a pending row; read again it changes nothing', async () => {
  const record = await world.put(person, picture, {
    timeEntryId: uuidv7(),
    blurLevel: 1,
    // What PostgreSQL's jsonb would refuse.
    metadata: { os: 'x\u0000\ud800', displays: [1, 2] },
    capturedAt: 1_795_240_691_349,
  });
  await world.tell(record, record);
  await world.tell(record);
  await caughtUp();
  expect(await world.row(record)).toMatchObject({
    userId: person.userId,
    timeEntryId: record.timeEntryId,
    capturedAt: new Date(1_795_240_691_349),
    uploadKey: record.objectKey,
    uploadType: 'image/png',
    uploadBytes: picture.length,
    askedLevel: 1,
    metadata: { os: 'x\u0000\ud800', displays: [1, 2] },
    status: 'pending',
    takes: 0,
  });
  expect(await world.objects(person.organizationId)).toEqual([record.objectKey]);
  expect(await metricOf(processor.metrics, 'worktide_screenshots_known_total')).toBe(2);
});

test('an upload made again for a row that is done with is due to be removed, and no more', async () => {
  const records = [
    await world.put(person, picture),
    await world.put(person, picture),
    await world.put(person, picture),
  ];
  await world.tell(...records);
  await caughtUp();
  await settle(records[0]!, 'ready');
  await settle(records[1]!, 'failed');
  const before = await dueAt(records[2]!);
  await world.tell(...records);
  await caughtUp();
  expect(await dueAt(records[0]!)).not.toBeNull();
  expect(await dueAt(records[1]!)).not.toBeNull();
  // It waits as it did.
  expect(await dueAt(records[2]!)).toEqual(before);
  expect((await world.row(records[0]!))?.status).toBe('ready');
});

test('another upload under the id of one that failed is taken, as what it is; read again it changes nothing', async () => {
  const broken = await world.put(person, picture, { receivedAt: Date.now() - 2_000 });
  await world.tell(broken);
  await caughtUp();
  await settle(broken, 'failed');
  await world.store.delete(broken.objectKey);
  // The same upload, sent twice at once: the second record tells of what is gone with the first.
  await world.tell({ ...broken, receivedAt: broken.receivedAt + 1 });
  await caughtUp();
  expect((await world.row(broken))?.status).toBe('failed');

  const timeEntryId = uuidv7();
  const { screenshotId } = broken;
  const whole = await world.put(person, await textPicture(80, 80), { screenshotId, timeEntryId, blurLevel: 3 });
  const { version } = (await world.row(broken))!;
  await world.tell(whole, broken);
  await caughtUp();
  const taken = await world.row(whole);
  expect(taken).toMatchObject({
    status: 'pending',
    failureCode: null,
    failureMessage: null,
    timeEntryId,
    askedLevel: 3,
    uploadBytes: whole.size,
    receivedAt: new Date(whole.receivedAt),
  });
  expect(taken!.version).toBeGreaterThan(version);
  expect(await dueAt(whole)).not.toBeNull();
  expect(await metricOf(processor.metrics, 'worktide_screenshots_retaken_total')).toBe(1);

  // It fails as well: what was read of it says nothing new.
  await settle(whole, 'failed');
  await world.tell(broken, whole);
  await caughtUp();
  expect((await world.row(whole))?.status).toBe('failed');
});

test('another user’s id is refused, counted, and its upload goes; in another organisation it is another screenshot', async () => {
  const first = await world.put(person, picture);
  const colleague = newPerson({ organizationId: person.organizationId });
  const stranger = newPerson();
  const same = { screenshotId: first.screenshotId };
  await world.tell(first);
  const stolen = await world.put(colleague, picture, same);
  const other = await world.put(stranger, picture, same);
  await world.tell(stolen, other);
  await caughtUp();
  expect((await world.row(first))?.userId).toBe(person.userId);
  expect((await world.row(other))?.userId).toBe(stranger.userId);
  expect(await world.objects(person.organizationId)).toEqual([first.objectKey]);
  expect(await world.objects(stranger.organizationId)).toEqual([other.objectKey]);
  expect(await metricOf(processor.metrics, 'worktide_screenshots_refused_total', { code: 'ID_TAKEN' })).toBe(1);
});

test('what can never succeed is dead-lettered, each by itself; the rest goes on', async () => {
  const good = await world.put(person, picture);
  const victim = await world.put(newPerson(), picture);
  const before = (await deadLetters()).length;
  const recordOf = (value: unknown) => ({ key: person.userId, value: world.uploadsCodec.encode(value) });
  const producer = world.eventLog.producer();
  await producer.send('screenshots', [
    { key: person.userId, value: Buffer.from('{}') },
    recordOf({ ...good, blurLevel: 9 }),
    // Another's upload under one's own name.
    recordOf({ ...good, screenshotId: uuidv7(), objectKey: victim.objectKey }),
    recordOf({ ...good, capturedAt: Number.MAX_SAFE_INTEGER }),
    recordOf({ ...good, contentType: 'image/\u0000' }),
    recordOf(good),
  ]);
  await producer.close();
  await caughtUp();
  const codes = (await deadLetters()).slice(before).map(({ headers }) => headers.code ?? JSON.stringify(headers));
  expect(codes.length).toBe(5);
  for (const [i, code] of ['UNDECODABLE', 'BAD_RECORD', 'BAD_KEY', 'IN_FUTURE', 'INVALID_TEXT'].entries()) {
    expect(codes[i]).toContain(code);
  }
  expect((await world.row(good))?.status).toBe('pending');
  expect(await world.objects(victim.organizationId)).toEqual([victim.objectKey]);
});

test('the database away: the batch is tried again, and nothing is dead-lettered before', async () => {
  const record = await world.put(person, picture);
  const broken = await startProcessor(
    { ...world, database: { ...world.database, url: 'postgres://nobody:secret@127.0.0.1:9/none' } },
    { works: false },
  );
  const batch = [Buffer.from('{}'), world.uploadsCodec.encode(record)].map((value, offset) => ({
    topic: 'screenshots',
    partition: 0,
    offset,
    timestamp: 0,
    headers: {},
    key: person.userId,
    value,
  }));
  const letters: string[] = [];
  const context = {
    deadLetter: async (_: unknown, { code }: { code: string }) => void letters.push(code),
    signal: new AbortController().signal,
  };
  await expect(broken.handle(batch, context)).rejects.toMatchObject({ code: 'DEPENDENCY_UNAVAILABLE' });
  expect(letters).toEqual([]);
  await broken.close();
  await processor.handle(batch, context);
  expect(letters).toEqual(['UNDECODABLE']);
  expect((await world.row(record))?.status).toBe('pending');
});

test('the store away: a refused upload stays for the sweeper, and nothing waits', async () => {
  const first = await world.put(person, picture);
  await world.tell(first);
  const colleague = newPerson({ organizationId: person.organizationId });
  const stolen = await world.put(colleague, picture, { screenshotId: first.screenshotId });
  const handle = createHandler({
    pool: processor.pool,
    eventLog: world.eventLog,
    uploadsCodec: world.uploadsCodec,
    store: { delete: () => Promise.reject(new Error('away')), head: () => Promise.reject(new Error('away')) },
    onAdded: () => {},
    log: silentLogger(),
    metrics: createMetrics(),
  });
  await caughtUp();
  const value = world.uploadsCodec.encode(stolen);
  const record = { topic: 'screenshots', partition: 0, offset: 0, timestamp: 0, headers: {}, key: '', value };
  await handle([record], { deadLetter: async () => {}, signal: new AbortController().signal });
  expect(await world.objects(person.organizationId)).toContain(stolen.objectKey);
});

test('an upload that the database itself refuses is dead-lettered alone; the others of its batch are noted', async () => {
  await world.database.admin.query(
    'ALTER TABLE screenshots.screenshots ADD CONSTRAINT harmless CHECK (upload_bytes <> 666) NOT VALID',
  );
  try {
    const before = (await deadLetters()).length;
    const [own, others] = [await world.put(person, picture), await world.put(newPerson(), picture)];
    const poison = await world.put(person, picture, { size: 666 });
    await world.tell(others, poison, own);
    await caughtUp();
    expect((await world.row(own))?.status).toBe('pending');
    expect((await world.row(others))?.status).toBe('pending');
    expect(await world.row(poison)).toBeUndefined();
    const letters = (await deadLetters()).slice(before);
    expect(letters.map(({ value }) => world.uploadsCodec.decode(value))).toEqual([poison]);
    expect(letters[0]!.headers['worktide-reason-message']).toContain('harmless');
    // What is to be done with it is not known yet: it stays for whoever replays it.
    expect(await world.objects(person.organizationId)).toContain(poison.objectKey);
  } finally {
    await world.database.admin.query('ALTER TABLE screenshots.screenshots DROP CONSTRAINT harmless');
  }
});
