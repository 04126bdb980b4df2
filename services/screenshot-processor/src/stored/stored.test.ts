import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { openKeyValue } from '@worktide/key-value';
import { createMetrics, silentLogger, unavailable } from '@worktide/runtime';
import { type ScreenshotRecord, storedScreenshotsKey } from '@worktide/schemas';
import { until } from '@worktide/testing';
import { newPerson, openWorld, type Processor, startProcessor, textPicture, type World } from '../testing.ts';
import { createStoredBytes } from './stored.ts';

let world: World;
let processor: Processor;
const person = newPerson();
const [small, large] = [newPerson(), newPerson()];

beforeAll(async () => {
  world = await openWorld();
  processor = await startProcessor(world, { people: [person, small, large] });
});
afterAll(async () => {
  await processor?.close();
  await world?.close();
});

const { log, metrics } = { log: silentLogger(), metrics: createMetrics() };
const counted = async (organizationId: string): Promise<number> => {
  const sql = 'SELECT coalesce(sum(bytes), 0)::int AS n FROM screenshots.stored_bytes WHERE organization_id = $1';
  return (await world.database.admin.query(sql, [organizationId])).rows[0].n;
};
const rows = async (): Promise<number> =>
  (await world.database.admin.query('SELECT count(*)::int AS n FROM screenshots.stored_bytes')).rows[0].n;
const settled = (...records: ScreenshotRecord[]) =>
  until('settled', async () => {
    const found = await Promise.all(records.map((record) => world.row(record)));
    return found.every((row) => row && row.status !== 'pending');
  });
/** What lies in the store of an organisation. */
async function lying(organizationId: string): Promise<number> {
  const sizes = (await world.objects(organizationId)).map(async (key) => (await world.store.head(key))!.size);
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
}

test('are the bytes of what lies in the store, from the upload to its deletion', async () => {
  const bytes = await textPicture();
  const [good, again, bad] = [
    await world.put(person, bytes),
    await world.put(person, bytes),
    await world.put(person, Buffer.from('no picture at all')),
  ];
  // Read twice, as after a crash; nothing is counted twice.
  await world.tell(good, again, bad, good);
  await world.tell(bad);
  await settled(good, again, bad);
  await until('what was uploaded is gone', async () => (await world.objects(person.organizationId)).length === 4);
  expect((await world.row(bad))!.status).toBe('failed');
  expect(await counted(person.organizationId)).toBe(await lying(person.organizationId));
  expect(await counted(person.organizationId)).toBeGreaterThan(0);
  expect((await processor.call(person, 'DELETE', `/screenshots/${good.screenshotId}`)).status).toBe(204);
  await until('it is gone', async () => (await world.objects(person.organizationId)).length === 2);
  expect(await counted(person.organizationId)).toBe(await lying(person.organizationId));
  expect((await processor.call(person, 'DELETE', `/screenshots/${again.screenshotId}`)).status).toBe(204);
  expect(await counted(person.organizationId)).toBe(0);
});

test('what waits to be processed counts as it was uploaded, and rows of one statement each for its organisation', async () => {
  const waiting = [
    { ...(await world.put(small, Buffer.alloc(7))), size: 7 },
    { ...(await world.put(large, Buffer.alloc(9))), size: 9 },
    { ...(await world.put(large, Buffer.alloc(9))), size: 9 },
  ];
  const idle = await startProcessor(world, { works: false });
  await idle.pool.query(
    `INSERT INTO screenshots.screenshots (organization_id, id, user_id, captured_at, received_at, upload_key, upload_type,
       upload_bytes, version, due_at)
     SELECT r.*, 1, now() + interval '1 hour' FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::timestamptz[],
       $5::timestamptz[], $6::text[], $7::text[], $8::bigint[]) r`,
    [
      waiting.map((one) => one.organizationId),
      waiting.map((one) => one.screenshotId),
      waiting.map((one) => one.userId),
      waiting.map(() => new Date().toISOString()),
      waiting.map(() => new Date().toISOString()),
      waiting.map((one) => one.objectKey),
      waiting.map((one) => one.contentType),
      waiting.map((one) => one.size),
    ],
  );
  expect(await counted(small.organizationId)).toBe(7);
  expect(await counted(large.organizationId)).toBe(18);
  await idle.pool.query('DELETE FROM screenshots.screenshots WHERE organization_id = $1 AND id = $2', [
    large.organizationId,
    waiting[1]!.screenshotId,
  ]);
  expect(await counted(large.organizationId)).toBe(9);
  await idle.close();
});

test('a pass tells them and puts their rows together; passes side by side and away key-value change no sum', async () => {
  const keyValue = openKeyValue('memory:', { log, metrics });
  const { pool } = processor;
  const ids = [newPerson(), newPerson(), newPerson()].map(({ organizationId }) => organizationId);
  for (const id of ids) {
    for (let n = 1; n <= 20; n++) await pool.query('INSERT INTO screenshots.stored_bytes VALUES ($1, $2)', [id, n]);
  }
  const refusing = { set: async () => Promise.reject(unavailable('key-value')) };
  await expect(createStoredBytes({ pool, keyValue: refusing, metrics }).tellChanged()).rejects.toMatchObject({
    statusCode: 503,
  });
  for (const id of ids) expect(await counted(id)).toBe(210);
  const before = await rows();
  // Beside rows that are added all the while.
  const adding = Promise.all(ids.map((id) => pool.query('INSERT INTO screenshots.stored_bytes VALUES ($1, 1)', [id])));
  await Promise.all(Array.from({ length: 4 }, () => createStoredBytes({ pool, keyValue, metrics }).tellChanged()));
  await adding;
  await createStoredBytes({ pool, keyValue, metrics }).tellChanged();
  for (const id of ids) {
    expect(await counted(id)).toBe(211);
    expect(await keyValue.get(storedScreenshotsKey(id))).toBe('211');
  }
  expect(await rows()).toBeLessThan(before);
  // Nothing has changed since.
  expect(await createStoredBytes({ pool, keyValue, metrics }).tellChanged()).toBe(0);
  // A store that has forgotten is told again, of those that have not changed as well.
  const fresh = openKeyValue('memory:', { log, metrics });
  expect(await createStoredBytes({ pool, keyValue: fresh, metrics }).tellAll()).toBeGreaterThanOrEqual(ids.length);
  for (const id of ids) expect(await fresh.get(storedScreenshotsKey(id))).toBe('211');
  await fresh.close();
  const total = (await pool.query('SELECT sum(bytes)::bigint AS n FROM screenshots.stored_bytes')).rows[0].n;
  expect((await metrics.render()).text).toContain(`worktide_stored_bytes{kind="screenshots"} ${total}`);
  await keyValue.close();
});
