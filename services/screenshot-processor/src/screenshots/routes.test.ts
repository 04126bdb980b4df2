import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { tablesWithoutTenantPolicy, tenantTransaction } from '@worktide/postgres';
import { uuidv7 } from '@worktide/runtime';
import { type ScreenshotRecord, screenshotPage, screenshot as screenshotSchema } from '@worktide/schemas';
import { metricOf, until } from '@worktide/testing';
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

let world: World;
let processor: Processor;
const people: Person[] = [];
let picture: Buffer;
let ada: Person;
let bob: Person;
let manager: Person;
let stranger: Person;

beforeAll(async () => {
  world = await openWorld();
  processor = await startProcessor(world, { people });
  picture = await textPicture(128, 128);
});
beforeEach(() => {
  ada = newPerson();
  const { organizationId } = ada;
  bob = newPerson({ organizationId });
  manager = newPerson({ organizationId, role: 'manager' });
  stranger = newPerson({ role: 'admin' });
  people.push(ada, bob, manager, stranger);
});
afterEach(() => {
  Object.assign(world.away, { store: false, auth: false, log: false });
});
afterAll(async () => {
  await processor?.close();
  await world?.close();
});

async function made(as: Person, more: Partial<ScreenshotRecord> = {}, bytes = picture): Promise<ScreenshotRecord> {
  const record = await world.put(as, bytes, { blurLevel: 2, ...more });
  await world.tell(record);
  await until('it is settled', async () => {
    const { rows } = await world.database.admin.query('SELECT due_at FROM screenshots.screenshots WHERE id = $1', [
      record.screenshotId,
    ]);
    return rows[0]?.due_at === null;
  });
  return record;
}
const get = (as: Person | undefined, path = '') => processor.call(as, 'GET', `/screenshots${path}`);
const ids = ({ body }: { body: { items: { id: string }[] } }) => body.items.map(({ id }) => id);

describe('GET /screenshots/:id', () => {
  test('a ready one, with links to what is blurred', async () => {
    const timeEntryId = uuidv7();
    const { screenshotId, capturedAt } = await made(ada, { timeEntryId, metadata: { os: 'linux' } });
    const answer = await get(ada, `/${screenshotId.toUpperCase()}`);
    expect(answer).toMatchObject({
      status: 200,
      body: {
        id: screenshotId,
        userId: ada.userId,
        timeEntryId,
        capturedAt: new Date(capturedAt).toISOString(),
        status: 'ready',
        blurLevel: 2,
        width: 128,
        height: 128,
        metadata: { os: 'linux' },
      },
    });
    expect(screenshotSchema.parse(answer.body)).toEqual(answer.body);
    for (const link of [answer.body.url, answer.body.thumbnailUrl]) {
      expect(link).toContain(`/screenshots/${ada.organizationId}/${timeEntryId}/${screenshotId}`);
      const response = await fetch(new URL(link, processor.url));
      expect([response.status, response.headers.get('content-type')]).toEqual([200, 'image/webp']);
      expect(await detailLeft(Buffer.from(await response.arrayBuffer()), picture)).toBeLessThan(0.08);
      const forged = link.replace('/objects/screenshots/', '/objects/uploads/');
      expect((await fetch(new URL(forged, processor.url))).status).toBe(403);
    }
  });

  test('a failed one says why; one that waits has no links', async () => {
    const failed = await made(ada, {}, Buffer.from('no picture'));
    expect((await get(ada, `/${failed.screenshotId}`)).body).toMatchObject({
      status: 'failed',
      url: null,
      thumbnailUrl: null,
      failure: { code: 'UNSUPPORTED_TYPE', message: expect.stringMatching(/\w/) },
    });
    world.away.auth = true;
    const waiting = await world.put(ada, picture);
    await world.tell(waiting);
    await until('it is noted', async () => (await world.row(waiting)) !== undefined);
    const { body } = await get(ada, `/${waiting.screenshotId}`);
    expect(body).toMatchObject({ status: 'pending', url: null, thumbnailUrl: null, width: null });
    expect(body).not.toHaveProperty('failure');
  });

  test('managers see their organisation’s, employees their own, others none', async () => {
    const { screenshotId } = await made(ada);
    const path = `/${screenshotId}`;
    expect((await get(manager, path)).status).toBe(200);
    expect(await get(bob, path)).toMatchObject({ status: 403, body: { code: 'FORBIDDEN' } });
    expect(await get(stranger, path)).toMatchObject({ status: 404, body: { code: 'NOT_FOUND' } });
    expect((await get(ada, `/${uuidv7()}`)).status).toBe(404);
    expect((await get(ada, '/x')).status).toBe(400);
    expect((await get(undefined, path)).status).toBe(401);
  });

  test('who leads somebody sees theirs and deletes none, and it is in the audit trail', async () => {
    const { screenshotId } = await made(ada);
    const path = `/${screenshotId}`;
    expect((await get(bob, path)).status).toBe(403);
    world.led.set(bob.userId, [ada.userId]);
    try {
      expect((await get(bob, path)).status).toBe(200);
      expect(ids(await get(bob, `?userId=${ada.userId}`))).toContain(screenshotId);
      expect((await get(bob, `?userId=${manager.userId}`)).status).toBe(403);
      expect((await processor.call(bob, 'DELETE', `/screenshots${path}`)).status).toBe(403);
      const looks = async () =>
        (await world.audited(ada.organizationId)).filter(
          ({ action, actorId }) => action === 'screenshot.read' && actorId === bob.userId,
        );
      await until('it is told', async () => (await looks()).length > 0);
      expect(new Set((await looks()).map(({ entityId }) => entityId))).toEqual(new Set([ada.userId]));
    } finally {
      world.led.clear();
    }
  });
});

describe('GET /screenshots', () => {
  test('newest first, page by page, also where instants are the same', async () => {
    const at = Date.now() - 60_000;
    const records = [];
    for (const offset of [0, 3, 1, 1, 1, 2]) records.push(await made(ada, { capturedAt: at + offset }));
    await made(bob);
    const expected = records
      .sort((a, b) => b.capturedAt - a.capturedAt || (a.screenshotId < b.screenshotId ? 1 : -1))
      .map(({ screenshotId }) => screenshotId);
    const whole = await get(ada);
    expect(ids(whole)).toEqual(expected);
    expect(screenshotPage.parse(whole.body).nextCursor).toBeNull();
    const found: string[] = [];
    for (let cursor: string | null = ''; cursor !== null; ) {
      const page: Awaited<ReturnType<typeof get>> = await get(ada, `?limit=2${cursor && `&cursor=${cursor}`}`);
      expect(ids(page).length).toBe(2);
      found.push(...ids(page));
      cursor = page.body.nextCursor;
    }
    expect(found).toEqual(expected);
    const { nextCursor } = (await get(ada, '?limit=2')).body;
    for (const query of [`userId=${bob.userId}&`, 'status=ready&']) {
      expect((await get(query.startsWith('userId') ? manager : ada, `?${query}cursor=${nextCursor}`)).body.code).toBe(
        'INVALID_CURSOR',
      );
    }
    expect((await get(ada, '?cursor=xyz')).status).toBe(400);
  });

  test('[from, to), status, and ranges that are none', async () => {
    const at = Date.UTC(2026, 10, 1, 12);
    const [first, second] = [await made(ada, { capturedAt: at }), await made(ada, { capturedAt: at + 1_000 })];
    const failed = await made(ada, { capturedAt: at }, Buffer.from('x'));
    const iso = (ms: number) => encodeURIComponent(new Date(ms).toISOString());
    expect(ids(await get(ada, `?from=${iso(at + 1)}&to=${iso(at + 1_001)}`))).toEqual([second.screenshotId]);
    expect(ids(await get(ada, `?to=${iso(at + 1_000)}&status=ready`))).toEqual([first.screenshotId]);
    expect(ids(await get(ada, `?status=failed&from=${encodeURIComponent('0000-01-01T00:00:00+05:45')}`))).toEqual([
      failed.screenshotId,
    ]);
    for (const range of [`from=${iso(at)}&to=${iso(at)}`, `from=${iso(at + 1)}&to=${iso(at)}`]) {
      expect(await get(ada, `?${range}`)).toMatchObject({ status: 400, body: { code: 'INVALID_RANGE' } });
    }
    expect((await get(ada, '?status=lost')).status).toBe(400);
  });

  test('of a user: oneself, or anybody of the organisation for managers; of an entry likewise', async () => {
    const timeEntryId = uuidv7();
    const own = await made(ada, { timeEntryId });
    const others = await made(bob, { timeEntryId });
    await made(stranger, { timeEntryId });
    expect(ids(await get(manager))).toEqual([]);
    expect(ids(await get(ada, `?userId=${ada.userId.toUpperCase()}`))).toEqual([own.screenshotId]);
    expect(ids(await get(manager, `?userId=${bob.userId}`))).toEqual([others.screenshotId]);
    expect(await get(ada, `?userId=${bob.userId}`)).toMatchObject({ status: 403 });
    for (const userId of [stranger.userId, uuidv7()]) {
      expect((await get(manager, `?userId=${userId}`)).status).toBe(404);
      expect((await get(ada, `?userId=${userId}`)).status).toBe(404);
    }
    expect(ids(await get(ada, `?timeEntryId=${timeEntryId}`))).toEqual([own.screenshotId]);
    expect(ids(await get(manager, `?timeEntryId=${timeEntryId}`)).sort()).toEqual(
      [own.screenshotId, others.screenshotId].sort(),
    );
    expect(ids(await get(manager, `?timeEntryId=${timeEntryId}&userId=${bob.userId}`))).toEqual([others.screenshotId]);
    world.away.auth = true;
    expect((await get(manager, `?userId=${bob.userId}`)).status).toBe(503);
    expect((await get(ada)).status).toBe(200);
  });
});

describe('DELETE /screenshots/:id', () => {
  const remove = (as: Person, { screenshotId }: ScreenshotRecord) =>
    processor.call(as, 'DELETE', `/screenshots/${screenshotId}`);
  const objects = () => world.objects(ada.organizationId);

  test('row and objects go; it is told and audited, and links given out before lead nowhere', async () => {
    const record = await made(ada, { metadata: { os: 'x' } });
    const { url } = (await get(ada, `/${record.screenshotId}`)).body;
    expect(await remove(ada, record)).toMatchObject({ status: 204, body: undefined });
    expect((await get(ada, `/${record.screenshotId}`)).status).toBe(404);
    expect((await remove(ada, record)).status).toBe(404);
    expect(ids(await get(ada))).toEqual([]);
    await until('the objects are gone', async () => (await objects()).length === 0);
    expect((await fetch(new URL(url, processor.url))).status).toBe(404);
    expect((await world.row(record))?.metadata).toBeNull();
    await until('it is told', async () => (await world.announced(ada.organizationId)).length === 2);
    const [before, after] = await world.announced(ada.organizationId);
    expect(after).toMatchObject({ screenshotId: record.screenshotId, deleted: true });
    expect(after!.version).toBeGreaterThan(before!.version);
    await until('it is audited', async () => (await world.audited(ada.organizationId)).length === 1);
    expect(await world.audited(ada.organizationId)).toMatchObject([
      {
        action: 'screenshot.deleted',
        actorId: ada.userId,
        entityType: 'screenshot',
        entityId: record.screenshotId,
        before: { userId: ada.userId, status: 'ready' },
        service: 'screenshot-processor',
      },
    ]);
  });

  test('before it was processed: it never is', async () => {
    world.away.auth = true;
    const record = await world.put(ada, picture, { blurLevel: 0 });
    await world.tell(record);
    await until('it is noted', async () => (await world.row(record)) !== undefined);
    expect((await remove(ada, record)).status).toBe(204);
    world.away.auth = false;
    await until('the upload is gone', async () => (await objects()).length === 0);
    // Its record, read again, does not bring it back.
    await world.tell(record);
    const known = () => metricOf(processor.metrics, 'worktide_screenshots_known_total');
    await until('it is read', async () => (await known()) > 0);
    expect((await get(ada, `/${record.screenshotId}`)).status).toBe(404);
  });

  test('the store away: it is deleted, and its objects go when the store is back', async () => {
    const record = await made(ada);
    world.away.store = true;
    expect((await remove(ada, record)).status).toBe(204);
    expect((await get(ada, `/${record.screenshotId}`)).status).toBe(404);
    expect(await objects()).toHaveLength(2);
    world.away.store = false;
    await until('the objects are gone', async () => (await objects()).length === 0);
  });

  test('the log away: it is deleted, and told when the log is back', async () => {
    const record = await made(ada);
    await until('it is told', async () => (await world.announced(ada.organizationId)).length === 1);
    world.away.log = true;
    expect((await remove(ada, record)).status).toBe(204);
    world.away.log = false;
    await until('it is told', async () => (await world.announced(ada.organizationId)).length === 2);
  });

  test('a colleague’s: managers may, employees may not; others’ are not there', async () => {
    const record = await made(ada);
    expect((await remove(bob, record)).status).toBe(403);
    expect((await remove(stranger, record)).status).toBe(404);
    expect((await world.row(record))?.deletedAt).toBeNull();
    expect((await remove(manager, record)).status).toBe(204);
  });
});

describe('the database itself keeps organisations apart', () => {
  test('every table that requests reach has a policy', async () => {
    expect(await tablesWithoutTenantPolicy(world.database.admin, 'screenshots')).toEqual([]);
  });

  test('a query that asks for no organisation sees one, and changes and adds nothing elsewhere', async () => {
    const record = await made(ada);
    const own = await made(stranger);
    const asStranger = <T>(sql: string, parameters: unknown[] = []) =>
      tenantTransaction(processor.pool, stranger.organizationId, async (client) => {
        const { rows, rowCount } = await client.query(sql, parameters);
        return { rows: rows as T[], rowCount };
      });
    const seen = await asStranger<{ id: string }>('SELECT id FROM screenshots.screenshots');
    expect(seen.rows).toEqual([{ id: own.screenshotId }]);
    const changed = await asStranger('UPDATE screenshots.screenshots SET deleted_at = now() WHERE id = $1', [
      record.screenshotId,
    ]);
    expect(changed.rowCount).toBe(0);
    await expect(
      asStranger('UPDATE screenshots.screenshots SET organization_id = $1', [ada.organizationId]),
    ).rejects.toMatchObject({ code: '42501' });
    for (const sql of ['DELETE FROM screenshots.screenshots', 'SELECT events FROM screenshots.outbox']) {
      await expect(asStranger(sql)).rejects.toMatchObject({ cause: { code: '42501' } });
    }
    expect((await world.row(record))?.deletedAt).toBeNull();
  });
});

test('the database away: 503', async () => {
  const url = 'postgres://nobody:secret@127.0.0.1:9/none';
  const broken = await startProcessor({ ...world, database: { ...world.database, url } }, { works: false, people });
  for (const [method, path] of [
    ['GET', '/screenshots'],
    ['GET', `/screenshots/${randomUUID()}`],
    ['DELETE', `/screenshots/${randomUUID()}`],
  ] as const) {
    expect((await broken.call(ada, method, path)).status).toBe(503);
  }
  await broken.close();
});
