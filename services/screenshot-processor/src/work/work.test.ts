import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { transaction } from '@worktide/postgres';
import { unavailable, uuidv7 } from '@worktide/runtime';
import { claimKey, maxScreenshotBytes, type ScreenshotRecord } from '@worktide/schemas';
import { metricOf, until } from '@worktide/testing';
import sharp from 'sharp';
import { pictureKey, thumbnailKey } from '../keys.ts';
import { pngBomb } from '../picture/hostile.fixture.ts';
import {
  detailLeft,
  newPerson,
  openWorld,
  type Person,
  type Processor,
  startProcessor,
  textPicture,
  type World,
} from '../testing.ts';
import { claimRow, claimSuspect, createLookout } from './claims.ts';

let world: World;
let person: Person;
let picture: Buffer;
let running: Processor[] = [];

beforeAll(async () => {
  world = await openWorld();
  picture = await textPicture();
});
beforeEach(() => {
  person = newPerson();
});
afterEach(async () => {
  world.onStore = () => {};
  Object.assign(world.away, { store: false, auth: false, log: false });
  for (const processor of running) await processor.close();
  running = [];
  // What a test left is not the next one's.
  await world.database.admin.query('TRUNCATE screenshots.screenshots');
});
afterAll(async () => {
  await world?.close();
});

async function start(options?: Parameters<typeof startProcessor>[1]): Promise<Processor> {
  const processor = await startProcessor(world, options);
  running.push(processor);
  return processor;
}
async function uploaded(more?: Partial<ScreenshotRecord>, bytes = picture): Promise<ScreenshotRecord> {
  const record = await world.put(person, bytes, more);
  await world.tell(record);
  return record;
}
const statusOf = async (record: ScreenshotRecord) => (await world.row(record))?.status;
const settled = (...records: ScreenshotRecord[]) =>
  until('all are settled, and nothing is left to do', async () => {
    const { rows } = await world.database.admin.query(
      `SELECT count(*) AS n FROM screenshots.screenshots WHERE id = ANY($1) AND due_at IS NULL`,
      [records.map(({ screenshotId }) => screenshotId)],
    );
    return rows[0].n === records.length;
  });
const named = (record: ScreenshotRecord) => ({
  ...record,
  id: record.screenshotId,
  capturedAt: new Date(record.capturedAt),
});
const resultsOf = (record: ScreenshotRecord): string[] => [pictureKey(named(record)), thumbnailKey(named(record))];
/** Nothing in the whole store of this organisation but these results, and none of them as sharp as the upload. */
async function expectOnly(records: ScreenshotRecord[], most: number): Promise<void> {
  const keys = await world.objects(person.organizationId);
  expect(keys).toEqual(records.flatMap(resultsOf).sort());
  for (const key of keys) expect(await detailLeft(await world.bytesOf(key), picture)).toBeLessThan(most);
}
const told = async (record: ScreenshotRecord) =>
  (await world.announced(person.organizationId)).filter(({ screenshotId }) => screenshotId === record.screenshotId);
/** A state may be told twice, as where another processor found it waiting; it is one all the same. */
const toldTimes = (record: ScreenshotRecord, times: number) =>
  until('it is told', async () => new Set((await told(record)).map(({ version }) => version)).size === times);

describe('from an upload to a picture', () => {
  test('row, event, results under the entry or the day, and nothing sharp is left', async () => {
    const { metrics } = await start();
    const timeEntryId = uuidv7();
    const capturedAt = Date.UTC(2026, 10, 20, 23, 59, 59, 999);
    const [first, second] = [
      await uploaded({ timeEntryId, blurLevel: 2 }),
      await uploaded({ capturedAt, blurLevel: 3 }),
    ];
    await settled(first, second);
    expect(await world.row(first)).toMatchObject({ status: 'ready', blurLevel: 2, width: 320, height: 240 });
    const folder = `screenshots/${person.organizationId}`;
    expect(resultsOf(first)[0]).toBe(`${folder}/${timeEntryId}/${first.screenshotId}`);
    expect(resultsOf(second)[1]).toBe(`${folder}/2026-11-20/${second.screenshotId}-thumbnail`);
    await expectOnly([first, second], 0.08);
    await toldTimes(second, 1);
    const row = await world.row(second);
    expect(await told(second)).toEqual([
      {
        organizationId: person.organizationId,
        userId: person.userId,
        screenshotId: second.screenshotId,
        status: 'ready',
        capturedAt,
        timeEntryId: null,
        blurLevel: 3,
        width: 320,
        height: 240,
        failureCode: null,
        version: row!.version,
        deleted: false,
      },
    ]);
    expect(await metricOf(metrics, 'worktide_screenshot_seconds_count')).toBe(2);
    expect(await metricOf(metrics, 'worktide_screenshot_bytes_total', { direction: 'in' })).toBe(2 * picture.length);
    expect(await metricOf(metrics, 'worktide_screenshots_ready_total')).toBe(2);
  });

  test('its claim stays: the gateway is to know it when it is confirmed again', async () => {
    await start();
    const record = await world.put(person, picture, { blurLevel: 2 });
    const claim = claimKey(person.organizationId, person.userId, record.screenshotId);
    await world.store.put(claim, Buffer.from('{}'), { contentType: 'application/json' });
    await world.tell(record);
    await settled(record);
    expect(await world.objects(person.organizationId)).toEqual([claim, ...resultsOf(record)]);
  });

  test('an upload that was cut off fails, and the whole one under its id is made of what it says', async () => {
    await start();
    const broken = await uploaded({ blurLevel: 2, receivedAt: Date.now() - 5_000 }, picture.subarray(0, 400));
    await settled(broken);
    expect((await world.row(broken))?.status).toBe('failed');
    const timeEntryId = uuidv7();
    const whole = await uploaded({ blurLevel: 3, screenshotId: broken.screenshotId, timeEntryId });
    await until('it is ready', async () => (await statusOf(whole)) === 'ready');
    await settled(whole);
    expect(await world.row(whole)).toMatchObject({ blurLevel: 3, timeEntryId, failureCode: null, width: 320 });
    await expectOnly([whole], 0.08);
    await toldTimes(whole, 2);
    expect((await told(whole)).map(({ status }) => status)).toEqual(['failed', 'ready']);
  });

  test('at level 0 the upload goes, too', async () => {
    await start();
    const record = await uploaded({ blurLevel: 0 });
    await settled(record);
    expect((await world.row(record))?.blurLevel).toBe(0);
    await expectOnly([record], 2);
  });

  test('the organisation’s minimum counts, as it is when the picture is processed', async () => {
    const records = [await uploaded({ blurLevel: 0 }), await uploaded({ blurLevel: 3 }), await uploaded()];
    // Raised after the uploads were acknowledged.
    world.settings.set(person.organizationId, { minimumBlurLevel: 2 });
    await start();
    await settled(...records);
    const levels = await Promise.all(records.map(async (record) => (await world.row(record))?.blurLevel));
    expect(levels).toEqual([2, 3, 2]);
    await expectOnly(records, 0.08);
  });

  test('raised after a crash that left a sharp result behind, it counts for that as well', async () => {
    const record = await uploaded({ blurLevel: 0 });
    await crashAt('commit', record);
    world.settings.set(person.organizationId, { minimumBlurLevel: 3 });
    await start();
    await settled(record);
    await expectOnly([record], 0.08);
  });
});

type Step = 'get' | 'put picture' | 'put thumbnail' | 'commit' | 'delete';

/** One process takes the upload up and dies after a step; its lease then ends. */
async function crashAt(step: Step, record: ScreenshotRecord): Promise<void> {
  const dying = await startProcessor(world, { works: false });
  await dying.handle(await asBatch(record), noDeadLetters);
  const claim = await dying.claim(record);
  let puts = 0;
  world.onStore = async (operation, key) => {
    const now = operation === 'put' ? (puts++ === 0 ? 'put picture' : 'put thumbnail') : operation;
    if (now !== step && now !== 'delete') return;
    if (step === 'get') throw new Error('died');
    if (step === 'put picture' || step === 'put thumbnail') {
      // The bytes are there; the answer reached nobody.
      await world.store.put(key, picture, { contentType: 'image/webp' });
    } else if (step === 'delete') await world.store.delete(key);
    throw new Error('died');
  };
  if (step === 'commit') {
    world.onStore = () => {};
    await dying.pool.query(
      `ALTER TABLE screenshots.screenshots ADD CONSTRAINT no_more CHECK (status <> 'ready') NOT VALID`,
    );
  }
  await expect(dying.workOn(claim!, new AbortController().signal)).rejects.toThrow();
  if (step === 'commit') await dying.pool.query('ALTER TABLE screenshots.screenshots DROP CONSTRAINT no_more');
  world.onStore = () => {};
  await dying.close();
  await world.database.admin.query('UPDATE screenshots.screenshots SET due_at = now() WHERE id = $1', [
    record.screenshotId,
  ]);
}
const noDeadLetters = {
  deadLetter: async () => {
    throw new Error('no dead letter expected');
  },
  signal: new AbortController().signal,
};
const asBatch = async (...records: ScreenshotRecord[]) =>
  records.map((record, offset) => ({
    topic: 'screenshots',
    partition: 0,
    offset,
    timestamp: 0,
    headers: {},
    key: record.userId,
    value: world.uploadsCodec.encode(record),
  }));

describe('a process that dies', () => {
  test.each<Step>(['get', 'put picture', 'put thumbnail', 'commit', 'delete'])(
    'at its step %s: the next one finishes it, once',
    async (step) => {
      const record = await uploaded({ blurLevel: 2 });
      await crashAt(step, record);
      expect(await statusOf(record)).toBe(step === 'delete' ? 'ready' : 'pending');
      await start();
      await settled(record);
      expect(await statusOf(record)).toBe('ready');
      await expectOnly([record], 0.08);
      await toldTimes(record, 1);
    },
  );

  test('killed by a picture, several times: it is worked on alone, then given up', async () => {
    const [poison, good] = [await world.put(person, picture), await world.put(person, picture, { blurLevel: 2 })];
    const first = await startProcessor(world, { works: false });
    await first.handle(await asBatch(poison, good), noDeadLetters);
    await first.pool.query(`UPDATE screenshots.screenshots SET takes = 20 WHERE id = $1`, [poison.screenshotId]);
    await first.close();
    await start();
    await settled(poison, good);
    expect(await world.row(poison)).toMatchObject({ status: 'failed', failureCode: 'CRASHED' });
    await expectOnly([good], 0.08);
  });
});

describe('hostile pictures', () => {
  test('each has its verdict, its upload goes, and the good ones among them are ready', async () => {
    const { metrics } = await start({ concurrency: 2 });
    const text = await textPicture(64, 64);
    const gif = await sharp(text).gif().toBuffer();
    const hostile: [Buffer, string, string?][] = [
      [pngBomb(20_000, 20_000), 'TOO_MANY_PIXELS'],
      [text.subarray(0, text.length / 2), 'CORRUPT'],
      [Buffer.alloc(0), 'EMPTY'],
      [Buffer.from('<svg xmlns="http://www.w3.org/2000/svg"/>'), 'UNSUPPORTED_TYPE'],
      [gif, 'UNSUPPORTED_TYPE'],
      [text, 'TYPE_MISMATCH', 'image/jpeg'],
      [Buffer.alloc(maxScreenshotBytes + 1), 'TOO_LARGE'],
    ];
    const bad: ScreenshotRecord[] = [];
    const good: ScreenshotRecord[] = [];
    for (const [bytes, , contentType = 'image/png'] of hostile) {
      bad.push(await uploaded({ contentType }, bytes));
      good.push(await uploaded({ blurLevel: 3 }));
    }
    await settled(...bad, ...good);
    expect(await Promise.all(bad.map(async (record) => (await world.row(record))?.failureCode))).toEqual(
      hostile.map(([, code]) => code),
    );
    expect(await Promise.all(good.map(statusOf))).toEqual(good.map(() => 'ready'));
    await expectOnly(good, 0.08);
    await toldTimes(bad[0]!, 1);
    expect(await told(bad[0]!)).toMatchObject([
      { status: 'failed', failureCode: 'TOO_MANY_PIXELS', width: null, blurLevel: null },
    ]);
    expect(await metricOf(metrics, 'worktide_screenshots_failed_total', { code: 'UNSUPPORTED_TYPE' })).toBe(2);
  }, 30_000);
});

describe('something else is away', () => {
  test.each(['store', 'auth'] as const)('%s: nothing fails; when it is back all are done, once', async (which) => {
    world.away[which] = true;
    const { metrics } = await start();
    const records = [await uploaded({ blurLevel: 2 }), await uploaded({ blurLevel: 2 })];
    await until(
      'it was tried several times',
      async () => (await metricOf(metrics, 'worktide_screenshots_postponed_total')) > 3,
    );
    expect(await Promise.all(records.map(statusOf))).toEqual(['pending', 'pending']);
    expect(await metricOf(metrics, 'worktide_screenshots_failed_total')).toBe(0);
    world.away[which] = false;
    await settled(...records);
    await expectOnly(records, 0.08);
    for (const record of records) await toldTimes(record, 1);
  });

  test('the log: pictures are ready, what is to be told waits', async () => {
    await start();
    const record = await uploaded({ blurLevel: 2 });
    world.away.log = true;
    await settled(record);
    expect(await told(record)).toEqual([]);
    world.away.log = false;
    await until('it is told', async () => (await told(record)).length > 0);
  });

  test('a store that fails now and then, at every step once', async () => {
    let calls = 0;
    world.onStore = () => {
      if ([0, 2, 5, 9].includes(calls++)) throw unavailable('object store');
    };
    await start();
    const record = await uploaded({ blurLevel: 2 });
    await settled(record);
    await expectOnly([record], 0.08);
  });

  test('an upload that never shows is lost, and said to be', async () => {
    await start();
    const record = await world.put(person, picture);
    await world.store.delete(record.objectKey);
    await world.tell(record);
    await settled(record);
    expect(await world.row(record)).toMatchObject({ status: 'failed', failureCode: 'LOST' });
  });

  test('a store slower than a lease: nobody else takes the picture meanwhile', async () => {
    const puts: string[] = [];
    world.onStore = async (operation, key) => {
      if (operation === 'put') puts.push(key);
      if (operation === 'get') await new Promise((resolve) => setTimeout(resolve, 1_000));
    };
    await start({ leaseMs: 600 });
    await start({ leaseMs: 600, consumes: false });
    const record = await uploaded({ blurLevel: 2 });
    await settled(record);
    expect(puts).toEqual(resultsOf(record));
  });
});

describe('one who has a great deal', () => {
  /** The owners of the pictures that are looked at, in this order. */
  function looksAt(): string[] {
    const owners: string[] = [];
    world.onStore = (operation, key) => {
      if (operation === 'get') owners.push(key.split('/')[2]!);
    };
    return owners;
  }
  async function noted(...records: ScreenshotRecord[]): Promise<void> {
    const processor = await startProcessor(world, { works: false });
    await processor.handle(await asBatch(...records), noDeadLetters);
    await processor.close();
  }
  const colleagueOf = ({ organizationId }: Person): Person => ({ ...newPerson(), organizationId });

  test('the pictures of others come by turns, however many are due longer', async () => {
    const [greedy, colleague, elsewhere] = [person, colleagueOf(person), newPerson()];
    const records: ScreenshotRecord[] = [];
    for (let i = 0; i < 20; i++) records.push(await world.put(greedy, picture));
    for (const other of [colleague, elsewhere]) {
      records.push(await world.put(other, picture), await world.put(other, picture));
    }
    await noted(...records);
    const owners = looksAt();
    await start({ concurrency: 1, consumes: false });
    await settled(...records);
    expect(owners).toHaveLength(24);
    expect(owners.lastIndexOf(elsewhere.userId)).toBeLessThan(6);
    expect(owners.lastIndexOf(colleague.userId)).toBeLessThan(10);
  });

  test('one person never has all places', async () => {
    const records: ScreenshotRecord[] = [];
    for (let i = 0; i < 6; i++) records.push(await world.put(person, picture));
    await noted(...records);
    const { promise: go, resolve } = Promise.withResolvers<void>();
    const owners: string[] = [];
    world.onStore = async (operation, key) => {
      if (operation !== 'get') return;
      owners.push(key.split('/')[2]!);
      if (key.includes(person.userId)) await go;
    };
    await start({ concurrency: 3 });
    await until('it has two', () => owners.length === 2);
    const other = newPerson();
    const theirs = await world.put(other, picture);
    await world.tell(theirs);
    await settled(theirs);
    expect(owners).toEqual([person.userId, person.userId, other.userId]);
    resolve();
    await settled(...records);
  });

  test('with very many rows due, few are looked at', async () => {
    const { organizationId, userId } = person;
    const other = newPerson();
    const { admin } = world.database;
    const insert = `INSERT INTO screenshots.screenshots (organization_id, id, user_id, captured_at, received_at, upload_key,
        upload_type, upload_bytes, version, due_at)
      SELECT $1, gen_random_uuid(), $2, now(), now(), 'x', 'image/png', 1, 1, now() - i * interval '1 ms'
      FROM generate_series(1, $3::int) i`;
    await admin.query(insert, [organizationId, userId, 50_000]);
    await admin.query(insert, [other.organizationId, other.userId, 1]);
    // As it is once the server has looked at the table by itself, which on a busy machine may take a while.
    await admin.query('ANALYZE screenshots.screenshots');
    const { pool } = await start({ works: false });
    const looked = await transaction(pool, async (client) => {
      const seen = async () => {
        const { rows } = await client.query(
          `SELECT seq_tup_read + idx_tup_fetch AS n FROM pg_stat_xact_user_tables WHERE relid = 'screenshots.screenshots'::regclass`,
        );
        return rows[0].n as number;
      };
      const before = await seen();
      expect(await createLookout(client)()).toHaveLength(2);
      expect(await claimSuspect(client, 1_000)).toBeUndefined();
      for (const who of [person, other])
        expect(await claimRow(client, who, 1_000)).toMatchObject({ userId: who.userId });
      return (await seen()) - before;
    });
    expect(looked).toBeLessThanOrEqual(20);
  });
});

describe('two processors side by side', () => {
  test('each picture once', async () => {
    const puts: string[] = [];
    world.onStore = (operation, key) => {
      if (operation === 'put') puts.push(key);
    };
    const both = [await start(), await start({ consumes: false })];
    const records = await Promise.all(Array.from({ length: 20 }, () => uploaded({ blurLevel: 2 })));
    await settled(...records);
    expect(puts.sort()).toEqual(records.flatMap(resultsOf).sort());
    const done = await Promise.all(both.map(({ metrics }) => metricOf(metrics, 'worktide_screenshots_ready_total')));
    expect(done[0]! + done[1]!).toBe(20);
    for (const record of records) await toldTimes(record, 1);
  });
});

describe('deleted while in work', () => {
  test.each(['get', 'put'] as const)('at its %s: nothing is left', async (step) => {
    const owner = { ...person, role: 'employee' as const };
    let deleting: Promise<unknown> | undefined;
    const processor = await start({ people: [owner] });
    const record = await world.put(person, picture, { blurLevel: 0 });
    world.onStore = async (operation) => {
      if (operation !== step || deleting) return;
      deleting = processor.call(owner, 'DELETE', `/screenshots/${record.screenshotId}`);
      expect(await deleting).toMatchObject({ status: 204 });
    };
    await world.tell(record);
    await settled(record);
    expect((await world.row(record))?.deletedAt).not.toBeNull();
    expect(await world.objects(person.organizationId)).toEqual([]);
    await toldTimes(record, 1);
    expect(await told(record)).toMatchObject([{ status: 'pending', deleted: true }]);
  });
});
