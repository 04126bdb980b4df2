import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { unavailable, uuidv7 } from '@worktide/runtime';
import { claimKey, type ScreenshotRecord, uploadKey } from '@worktide/schemas';
import { metricOf, until } from '@worktide/testing';
import { pictureKey, thumbnailKey } from '../keys.ts';
import {
  newPerson,
  openWorld,
  type Person,
  type Processor,
  startProcessor,
  textPicture,
  type World,
} from '../testing.ts';

const hour = 3_600_000;
const inHours = (hours: number) => () => Date.now() + hours * hour;

let world: World;
let processor: Processor;
let person: Person;
let picture: Buffer;

beforeAll(async () => {
  world = await openWorld();
  processor = await startProcessor(world);
  picture = await textPicture(64, 64);
});
beforeEach(() => {
  person = newPerson();
});
afterEach(() => {
  Object.assign(world.away, { store: false, auth: false, log: false });
});
afterAll(async () => {
  await processor?.close();
  await world?.close();
});

const objects = () => world.objects(person.organizationId);
const put = (key: string) => world.store.put(key, Buffer.from('sharp'), { contentType: 'image/png' });
const named = (record: ScreenshotRecord) => ({
  ...record,
  id: record.screenshotId,
  capturedAt: new Date(record.capturedAt),
});
const resultsOf = (record: ScreenshotRecord) => [pictureKey(named(record)), thumbnailKey(named(record))];
const isSettled = (record: ScreenshotRecord) =>
  until('it is settled', async () => {
    const { rows } = await world.database.admin.query('SELECT due_at FROM screenshots.screenshots WHERE id = $1', [
      record.screenshotId,
    ]);
    return rows[0]?.due_at === null;
  });
async function ready(more: Partial<ScreenshotRecord> = {}): Promise<ScreenshotRecord> {
  const record = await world.put(person, picture, { blurLevel: 2, ...more });
  await world.tell(record);
  await isSettled(record);
  expect((await world.row(record))?.status).toBe('ready');
  return record;
}
const sweptOf = (kind: string) => metricOf(processor.metrics, 'worktide_screenshots_swept_total', { kind });

describe('uploads that nobody knows', () => {
  test('go after a day, not before', async () => {
    const { objectKey } = await world.put(person, picture);
    await processor.sweep({ now: inHours(23) });
    expect(await objects()).toEqual([objectKey]);
    const before = await sweptOf('unknown-upload');
    await processor.sweep({ now: inHours(25) });
    expect(await objects()).toEqual([]);
    expect(await sweptOf('unknown-upload')).toBe(before + 1);
  });

  test('stay, however old, while their record may still be in the log', async () => {
    const { objectKey } = await world.put(person, picture);
    const year = inHours(24 * 365);
    // Behind by one record; not to be asked; and, seen to have caught up, but before the upload was there.
    await processor.sweep({ now: year, lag: async () => 1 });
    await processor.sweep({ now: year, lag: () => Promise.reject(unavailable('event-log')) });
    let lag = 0;
    let now = Date.now() - hour;
    const sweep = processor.sweeper({ lag: async () => lag, now: () => now });
    await sweep();
    lag = 5;
    now = year();
    await sweep();
    expect(await objects()).toEqual([objectKey]);
    lag = 0;
    await sweep();
    expect(await objects()).toEqual([]);
  });

  test('whose record is read at last: it is a screenshot', async () => {
    const behind = await startProcessor(world, { works: false, consumes: false });
    processor.consumer!.pause();
    const record = await world.put(person, picture, { blurLevel: 2 });
    await world.tell(record);
    const lag = async () => (await world.eventLog.admin.lag('screenshot-processor', ['screenshots'])).screenshots ?? 1;
    await behind.sweep({ now: inHours(100), lag });
    expect(await objects()).toEqual([record.objectKey]);
    processor.consumer!.resume();
    await isSettled(record);
    expect((await objects()).sort()).toEqual(resultsOf(record).sort());
    await behind.close();
  });

  test('under another user’s screenshot', async () => {
    const record = await ready();
    await put(uploadKey(person.organizationId, uuidv7(), record.screenshotId));
    await processor.sweep({ now: inHours(23) });
    expect(await objects()).toHaveLength(3);
    await processor.sweep({ now: inHours(25) });
    expect(await objects()).toHaveLength(2);
  });

  test('of a pending row stay', async () => {
    world.away.auth = true;
    const record = await world.put(person, picture);
    await world.tell(record);
    await until('it is noted', async () => (await world.row(record)) !== undefined);
    await processor.sweep({ now: inHours(1_000) });
    expect(await objects()).toEqual([record.objectKey]);
  });
});

test('a link to upload that is used again after all was done leaves nothing sharp', async () => {
  const record = await ready();
  await put(record.objectKey);
  await processor.sweep();
  expect(await objects()).toEqual(resultsOf(record));
  expect(await sweptOf('settled-upload')).toBeGreaterThan(0);
});

test('claims go after two days', async () => {
  const key = claimKey(person.organizationId, person.userId, uuidv7());
  await put(key);
  await processor.sweep({ now: inHours(47) });
  expect(await objects()).toEqual([key]);
  await processor.sweep({ now: inHours(49) });
  expect(await objects()).toEqual([]);
});

describe('results without a row', () => {
  test('nobody’s go, those of a ready row stay', async () => {
    const record = await ready();
    const folder = `screenshots/${person.organizationId}/2026-11-21`;
    await put(`${folder}/${uuidv7()}`);
    await put(`${folder}/${uuidv7()}-thumbnail`);
    // Where this screenshot never was.
    await put(`screenshots/${person.organizationId}/1999-01-01/${record.screenshotId}`);
    await processor.sweep({ now: inHours(25), lag: async () => 1 });
    expect(await objects()).toHaveLength(5);
    await processor.sweep({ now: inHours(25) });
    expect(await objects()).toEqual(resultsOf(record));
  });

  test('those of a deleted row go at once', async () => {
    const record = await ready();
    await world.database.admin.query(
      'UPDATE screenshots.screenshots SET deleted_at = now(), due_at = NULL WHERE id = $1',
      [record.screenshotId],
    );
    await processor.sweep();
    expect(await objects()).toEqual([]);
  });
});

describe('rows without a result', () => {
  test('are said to be lost, and told of', async () => {
    const [lost, kept] = [await ready(), await ready()];
    await world.store.delete(resultsOf(lost)[0]!);
    await processor.sweep();
    await isSettled(lost);
    expect(await world.row(lost)).toMatchObject({ status: 'failed', failureCode: 'LOST', width: null });
    expect((await world.row(kept))?.status).toBe('ready');
    expect(await objects()).toEqual(resultsOf(kept));
    await until('it is told', async () => (await world.announced(person.organizationId)).length === 3);
    expect((await world.announced(person.organizationId)).at(-1)).toMatchObject({
      screenshotId: lost.screenshotId,
      failureCode: 'LOST',
    });
  });

  test('very many at once are not believed', async () => {
    const records = await Promise.all(Array.from({ length: 25 }, () => ready()));
    const elsewhere = { ...world.store, head: async () => undefined };
    await processor.sweeper({ store: elsewhere })();
    for (const record of records) expect((await world.row(record))?.status).toBe('ready');
    expect(await metricOf(processor.metrics, 'worktide_screenshots_sweep_failures_total', { part: 'losses' })).toBe(1);
  });
});

describe('what is too old', () => {
  const day = 24 * hour;

  test('goes, row and objects, as its organisation says; its record, read again, does not bring it back', async () => {
    world.settings.set(person.organizationId, { screenshotRetentionDays: 10 });
    const [old, young] = [
      await ready({ capturedAt: Date.now() - 10 * day - hour, metadata: { os: 'x' } }),
      await ready({ capturedAt: Date.now() - 10 * day + hour }),
    ];
    const stranger = newPerson();
    const others = await world.put(stranger, picture, { capturedAt: old.capturedAt });
    await world.tell(others);
    await isSettled(others);
    await processor.sweep();
    await isSettled(old);
    expect(await world.row(old)).toMatchObject({ deletedAt: expect.any(Date), metadata: null });
    expect(await objects()).toEqual(resultsOf(young));
    expect((await world.row(others))?.deletedAt).toBeNull();
    await until('it is told', async () => (await world.announced(person.organizationId)).length === 3);
    expect((await world.announced(person.organizationId)).at(-1)).toMatchObject({
      screenshotId: old.screenshotId,
      deleted: true,
    });
    await put(old.objectKey);
    await world.tell(old);
    await until('the upload is gone again', async () => (await objects()).length === 2);
    expect((await world.row(old))?.deletedAt).not.toBeNull();
  });

  test('is forgotten a month after it was deleted, and no sooner', async () => {
    const record = await ready();
    await world.database.admin.query(
      'UPDATE screenshots.screenshots SET deleted_at = now(), due_at = now() WHERE id = $1',
      [record.screenshotId],
    );
    await isSettled(record);
    await processor.sweep({ now: inHours(29 * 24) });
    expect(await world.row(record)).toBeDefined();
    await processor.sweep({ now: inHours(31 * 24) });
    expect(await world.row(record)).toBeUndefined();
  });

  test('auth away: stays, until it can be asked', async () => {
    world.settings.set(person.organizationId, { screenshotRetentionDays: 1 });
    const record = await ready({ capturedAt: Date.now() - 2 * day });
    world.away.auth = true;
    await processor.sweep();
    expect((await world.row(record))?.deletedAt).toBeNull();
    world.away.auth = false;
    await processor.sweep();
    expect((await world.row(record))?.deletedAt).not.toBeNull();
  });
});

test('a pass is bounded, and the next goes on where it ended', async () => {
  for (let i = 0; i < 7; i++) await world.put(person, picture);
  const sweep = processor.sweeper({ now: inHours(25), bounds: { pageSize: 2, pages: 2 } });
  const left = [];
  for (let i = 0; i < 12 && (await objects()).length > 0; i++) {
    await sweep();
    left.push((await objects()).length);
  }
  expect(left.at(-1)).toBe(0);
  expect(Math.max(...left)).toBeGreaterThanOrEqual(3);
});

test('the store away: nothing is changed, the parts that failed are counted', async () => {
  const record = await ready();
  world.away.store = true;
  const before = await metricOf(processor.metrics, 'worktide_screenshots_sweep_failures_total');
  await processor.sweep({ now: inHours(1) });
  expect(await metricOf(processor.metrics, 'worktide_screenshots_sweep_failures_total')).toBeGreaterThanOrEqual(
    before + 4,
  );
  expect((await world.row(record))?.status).toBe('ready');
});
