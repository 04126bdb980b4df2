import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { type Audit, createAudit } from '@worktide/audit';
import { readsOf } from '@worktide/postgres';
import { type Caller, createLifecycle, createTurns, serve, silentLogger, unauthorized } from '@worktide/runtime';
import {
  type AuditEvent,
  auditRecord,
  createCodec,
  openSchemaRegistry,
  topics,
  type UsageItem,
  usagePage,
} from '@worktide/schemas';
import { until } from '@worktide/testing';
import { type KeySpan, monthOf, monthStart } from '../merge/index.ts';
import { createEraser, type Eraser } from '../store/eraser.ts';
import { entryId, mergeStreams } from '../store/merge.ts';
import type { StreamIdentity } from '../store/streams.ts';
import { key, newStream, openWriter, seen, type TestDatabase, type TestWriter, trackingDatabase } from '../testing.ts';
import { usageRoutes } from './routes.ts';

// Over HTTP and a real database. Who the caller is stands in the header: credentials are libs/identity's, tested there.
let database: TestDatabase;
let writer: TestWriter;
let url: string;
let organization: string;
let users: Map<string, Caller>;
let audit: Audit;
/** Where absent, what is recorded stays as it is. */
let eraser: Eraser | undefined;
let working: Promise<unknown> = Promise.resolve();
const registry = openSchemaRegistry('local:');
const lifecycle = createLifecycle({ log: silentLogger() });

beforeAll(async () => {
  database = await trackingDatabase();
  writer = await openWriter(database.url);
  const findUser = async (organizationId: string, userId: string) => {
    const user = users.get(userId);
    return user?.organizationId === organizationId
      ? { id: userId, organizationId, name: 'N', role: user.role, timezone: 'UTC', status: 'active' as const }
      : undefined;
  };
  audit = createAudit({ service: 'session-writer', registry, log: silentLogger(), metrics: writer.metrics });
  await audit.check();
  const events: Audit['events'] = (...args) => audit.events(...args);
  const service = {
    name: 'session-writer',
    routes: usageRoutes({
      pool: writer.pool,
      reads: readsOf(writer.pool),
      turns: createTurns({ name: 'lists', places: 100, placesEach: 2, metrics: writer.metrics }),
      outbox: writer.outbox,
      onErasure() {
        working = working.then(() => eraser?.workOff());
      },
      identity: { findUser },
      audit: { events },
    }),
    checks: {},
    authenticate: async (authorization: string | undefined) => {
      const caller = users.get(authorization?.replace('Bearer ', '') ?? '');
      if (!caller) throw unauthorized();
      return caller;
    },
  };
  ({ url } = await serve({
    services: [service],
    lifecycle,
    log: silentLogger(),
    metrics: writer.metrics,
    host: '127.0.0.1',
    port: 0,
  }));
});
afterEach(() => working);
afterAll(async () => {
  await lifecycle.close();
  await writer?.close();
  await database?.drop();
});
beforeEach(() => {
  eraser = createEraser(writer);
  organization = randomUUID();
  users = new Map();
});

function person(role: Caller['role'] = 'employee', more: Partial<Caller> = {}): Caller {
  const caller = {
    organizationId: organization,
    userId: randomUUID(),
    role,
    timezone: 'UTC',
    sessionId: randomUUID(),
    ...more,
  };
  users.set(caller.userId, caller);
  return caller;
}

async function call(caller: Caller | undefined, query: Record<string, string | number>, method = 'GET') {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) search.set(name, String(value));
  const headers = { 'user-agent': 'tests', ...(caller && { authorization: `Bearer ${caller.userId}` }) };
  const response = await fetch(`${url}/api/v1/usage?${search}`, { method, headers });
  const text = await response.text();
  return { status: response.status, body: text === '' ? undefined : JSON.parse(text) };
}

const streamOf = ({ organizationId, userId }: Caller, more: Partial<StreamIdentity> = {}) =>
  newStream({ organizationId, userId, ...more });
const merge = async (...work: { stream: StreamIdentity; pings: KeySpan[] }[]) => {
  await (await mergeStreams(writer, work)).published;
};
const boundary = monthStart(monthOf(Date.now()));
const iso = (offset: number): string => new Date(boundary + offset).toISOString();
const at = (start: number, end: number, app = 'A') => seen(boundary + start, boundary + end, key(app));
const starts = (body: { items: UsageItem[] }): number[] =>
  body.items.map((item) => Date.parse(item.startedAt) - boundary);
const hour = 3_600_000;

async function pages(caller: Caller, query: Record<string, string | number>): Promise<UsageItem[]> {
  const items: UsageItem[] = [];
  for (let cursor: string | null = ''; cursor !== null; ) {
    const { status, body } = await call(caller, cursor === '' ? query : { ...query, cursor });
    expect(status).toBe(200);
    const page = usagePage.parse(body);
    items.push(...page.items);
    cursor = page.nextCursor;
  }
  return items;
}

describe('GET /api/v1/usage', () => {
  test('gives the entries that touch [from, to), unclipped, with all their fields', async () => {
    const me = person();
    const stream = streamOf(me, { deviceId: 'desk', source: 'web' });
    await merge({ stream, pings: [seen(boundary + 1000, boundary + 2499, key('Chrome', 'example.com', 'idle'))] });
    const expected = {
      id: entryId(stream, boundary + 1000),
      userId: me.userId,
      deviceId: 'desk',
      source: 'web',
      app: 'Chrome',
      host: 'example.com',
      state: 'idle',
      startedAt: iso(1000),
      endedAt: iso(2499),
      seconds: 1,
    };
    const range = (from: number, to: number) => call(me, { from: iso(from), to: iso(to) });
    expect(await range(0, hour)).toEqual({ status: 200, body: { items: [expected], nextCursor: null } });
    expect((await range(2498, hour)).body.items).toEqual([expected]);
    expect((await range(0, 1001)).body.items).toEqual([expected]);
    expect((await range(2499, hour)).body.items).toEqual([]);
    expect((await range(0, 1000)).body.items).toEqual([]);
  });

  test('the one that reaches into the range from long before is there, of every stream, also over months', async () => {
    const me = person();
    const [a, b] = [streamOf(me), streamOf(me, { deviceId: 'phone' })];
    const apps = [...Array(50).keys()].map((i) =>
      at(-20 * hour + i * 60_000, -20 * hour + (i + 1) * 60_000, `app ${i % 2}`),
    );
    await merge(
      { stream: a, pings: [...apps, at(-10 * hour, 10 * hour)] },
      { stream: b, pings: [at(-9 * hour, -hour)] },
    );
    const { body } = await call(me, { from: iso(-2 * hour), to: iso(hour) });
    expect(starts(body)).toEqual([-10 * hour, -9 * hour, 0]);
    expect((await call(me, { from: iso(hour), to: iso(2 * hour) })).body.items).toMatchObject([
      { startedAt: iso(0), endedAt: iso(10 * hour) },
    ]);
  });

  test('pages by start hold everything once, with entries of several devices that start together', async () => {
    const me = person();
    const work = ['a', 'b', 'c'].map((deviceId) => ({
      stream: streamOf(me, { deviceId }),
      pings: [...Array(20).keys()].map((i) => at((i - 10) * 60_000 - 5000, (i - 10) * 60_000 + 40_000, `app ${i % 2}`)),
    }));
    await merge(...work);
    // 20 entries of each device, one of them cut in two by the month.
    const query = { from: iso(-9 * 60_000), to: iso(hour) };
    const all = await pages(me, { ...query, limit: 500 });
    expect(all).toHaveLength(3 * 20);
    for (const limit of [1, 2, 7, 60]) expect(await pages(me, { ...query, limit })).toEqual(all);
    const order = all.map((item) => [item.startedAt, item.id].join());
    expect(order).toEqual([...order].sort());
    const device = await pages(me, { ...query, deviceId: 'b', limit: 3 });
    expect(device).toEqual(all.filter((item) => item.deviceId === 'b'));
  });

  test('a cursor that was altered, made up, or brought to another query is refused', async () => {
    const me = person();
    await merge({ stream: streamOf(me), pings: [at(0, 10), at(60_000, 60_010), at(120_000, 120_010)] });
    const query = { from: iso(0), to: iso(hour), limit: 1 };
    const { nextCursor } = (await call(me, query)).body;
    expect((await call(me, { ...query, cursor: nextCursor })).body.items).toHaveLength(1);
    const altered = (nextCursor[0] === 'A' ? 'B' : 'A') + nextCursor.slice(1);
    for (const cursor of [altered, nextCursor.slice(1), `${nextCursor}A`, 'x', '%00', 'é']) {
      expect(await call(me, { ...query, cursor })).toMatchObject({ status: 400, body: { code: 'INVALID_CURSOR' } });
    }
    for (const other of [{ to: iso(2 * hour) }, { deviceId: 'laptop' }]) {
      expect(await call(me, { ...query, ...other, cursor: nextCursor })).toMatchObject({
        status: 400,
        body: { code: 'INVALID_CURSOR' },
      });
    }
    expect((await call(me, { ...query, cursor: 'A'.repeat(2000) })).status).toBe(400);
  });

  test('another user: managers and admins of the organisation, nobody elsewhere', async () => {
    const me = person();
    const colleague = person();
    await merge({ stream: streamOf(colleague), pings: [at(0, 10)] });
    const query = { from: iso(0), to: iso(hour), userId: colleague.userId };
    for (const role of ['manager', 'admin'] as const)
      expect((await call(person(role), query)).body.items).toHaveLength(1);
    expect(await call(me, query)).toMatchObject({ status: 403, body: { code: 'FORBIDDEN' } });
    expect((await call(colleague, query)).body.items).toHaveLength(1);
    expect((await call(colleague, { ...query, userId: colleague.userId.toUpperCase() })).body.items).toHaveLength(1);
    const stranger = person('admin', { organizationId: randomUUID() });
    expect(await call(stranger, query)).toMatchObject({ status: 404, body: { code: 'NOT_FOUND' } });
    expect(await call(me, { ...query, userId: stranger.userId })).toMatchObject({ status: 404 });
    expect(await call(undefined, query)).toMatchObject({ status: 401 });
    // The same user id in another organisation is another user.
    const namesake = person('employee', { organizationId: stranger.organizationId, userId: colleague.userId });
    expect((await call(namesake, { from: iso(0), to: iso(hour) })).body.items).toEqual([]);
  });

  test.each([
    [{ from: iso(0) }, 400],
    [{ from: 'yesterday', to: iso(0) }, 400],
    [{ from: iso(0), to: iso(0) }, 'INVALID_RANGE'],
    [{ from: iso(1), to: iso(0) }, 'INVALID_RANGE'],
    [{ from: iso(0), to: iso(368 * 24 * hour) }, 'RANGE_TOO_LONG'],
    [{ from: iso(0), to: iso(1), limit: 501 }, 400],
    [{ from: iso(0), to: iso(1), limit: 0 }, 400],
    [{ from: iso(0), to: iso(1), userId: 'me' }, 400],
    [{ from: iso(0), to: iso(1), deviceId: 'x'.repeat(129) }, 400],
  ])('%j is refused', async (query, expected) => {
    const { status, body } = await call(person(), query as Record<string, string>);
    expect(status).toBe(400);
    if (expected !== 400) expect(body.code).toBe(expected);
  });

  test.each([
    ['0000-01-01T00:00:00Z', '0000-02-01T00:00:00Z'],
    ['1969-01-01T00:00:00Z', '1969-02-01T00:00:00Z'],
    ['9999-01-01T00:00:00Z', '9999-12-31T00:00:00Z'],
  ])('a range at the end of time is empty, and erases nothing: %s', async (from, to) => {
    expect(await call(person(), { from, to })).toEqual({ status: 200, body: { items: [], nextCursor: null } });
    expect((await call(person(), { from, to }, 'DELETE')).status).toBe(202);
  });

  test('a zone in the instants is understood; a range across the epoch is one', async () => {
    const me = person();
    await merge({ stream: streamOf(me), pings: [at(0, 10)] });
    const from = iso(0).replace('T00:00:00.000Z', 'T05:45:00+05:45');
    expect((await call(me, { from, to: iso(hour) })).body.items).toHaveLength(1);
    expect((await call(me, { from: '1969-12-01T00:00:00Z', to: '1970-02-01T00:00:00Z' })).body.items).toEqual([]);
  });
});

describe('DELETE /api/v1/usage', () => {
  test('erases the time of the caller for ever', async () => {
    const me = person();
    const work = { stream: streamOf(me), pings: [at(0, 60_000)] };
    await merge(work);
    expect(await call(me, { from: iso(10_000), to: iso(20_000) }, 'DELETE')).toEqual({
      status: 202,
      body: { from: iso(10_000), to: iso(20_000), userId: me.userId, deviceId: null, status: 'pending' },
    });
    await working;
    await merge(work);
    const { body } = await call(me, { from: iso(0), to: iso(hour) });
    expect(body.items.map((i: UsageItem) => [i.startedAt, i.endedAt])).toEqual([
      [iso(0), iso(10_000)],
      [iso(20_000), iso(60_000)],
    ]);
  });

  test('it is in no list from the answer on, whatever else there is to be worked off', async () => {
    eraser = undefined;
    const me = person();
    const [desk, phone] = [streamOf(me, { deviceId: 'desk' }), streamOf(me, { deviceId: 'phone' })];
    const pings = [at(0, 10_000), at(20_000, 30_000, 'B'), at(40_000, 50_000, 'C')];
    await merge({ stream: desk, pings }, { stream: phone, pings: [at(1_000, 60_000)] });
    const erase = (from: number, to: number, more = {}) =>
      call(me, { from: iso(from), to: iso(to), ...more }, 'DELETE');
    expect((await erase(5_000, 42_000, { deviceId: 'desk' })).body.status).toBe('pending');
    expect((await erase(2_000, 3_000)).body.status).toBe('pending');
    expect((await erase(6_000, 7_000, { deviceId: 'desk' })).body.status).toBe('pending');
    const range = { from: iso(0), to: iso(55_000) };
    const before = await pages(me, { ...range, limit: 1 });
    expect(before.map((item) => [item.deviceId, item.startedAt, item.endedAt].join())).toEqual([
      `desk,${iso(0)},${iso(2_000)}`,
      `desk,${iso(3_000)},${iso(5_000)}`,
      `phone,${iso(1_000)},${iso(2_000)}`,
      `phone,${iso(3_000)},${iso(60_000)}`,
      `desk,${iso(42_000)},${iso(50_000)}`,
    ]);
    await createEraser(writer).workOff();
    const after = await pages(me, range);
    const byId = (items: UsageItem[]) => [...items].sort((a, b) => (a.id < b.id ? -1 : 1));
    expect(byId(after)).toEqual(byId(before));
    expect((await erase(6_000, 7_000, { deviceId: 'desk' })).body.status).toBe('applied');
  });

  test('of another user: a manager may, an employee and a stranger may not; an agent key never', async () => {
    const colleague = person();
    await merge({ stream: streamOf(colleague), pings: [at(0, 10)] });
    const query = { from: iso(0), to: iso(hour), userId: colleague.userId };
    expect((await call(person(), query, 'DELETE')).status).toBe(403);
    expect((await call(person('admin', { organizationId: randomUUID() }), query, 'DELETE')).status).toBe(404);
    const { sessionId: _, ...withKey } = person();
    users.set(withKey.userId, { ...withKey, agentKeyId: randomUUID() });
    expect((await call(withKey as Caller, { from: iso(0), to: iso(hour) }, 'DELETE')).status).toBe(403);
    expect((await call(colleague, query)).body.items).toHaveLength(1);
    expect((await call(person('manager'), query, 'DELETE')).status).toBe(202);
    expect((await call(colleague, query)).body.items).toEqual([]);
    const { rows } = await database.admin.query('SELECT requested_by FROM tracking.erased_ranges WHERE user_id = $1', [
      colleague.userId,
    ]);
    expect(rows).toHaveLength(1);
  });

  /** Audit events of this test's organisation. */
  async function told(): Promise<AuditEvent[]> {
    const codec = createCodec(registry, topics.audit);
    await codec.prepare();
    const records = [];
    for (let partition = 0; partition < topics.audit.partitions; partition++)
      records.push(...(await writer.eventLog.admin.read('audit', { partition, fromOffset: 0, limit: 1_000 })));
    return records
      .filter((record) => record.key === organization)
      .flatMap((record) => auditRecord.parse(codec.decode(record.value)).events);
  }

  test('leaves an audit event of who erased whose time, one for each erasure that adds something', async () => {
    const [manager, colleague] = [person('manager'), person()];
    const query = { from: iso(0), to: iso(hour), userId: colleague.userId };
    expect((await call(manager, query, 'DELETE')).status).toBe(202);
    await until('the event is there', async () => (await told()).length === 1);
    expect(await told()).toEqual([
      {
        id: expect.any(String),
        at: expect.any(Number),
        action: 'usage.erased',
        actorType: 'user',
        actorId: manager.userId,
        entityType: 'user',
        entityId: colleague.userId,
        before: null,
        after: { from: iso(0), to: iso(hour), deviceId: null },
        ipAddress: expect.stringMatching(/127\.0\.0\.1/),
        userAgent: 'tests',
        requestId: expect.any(String),
        sessionId: expect.any(String),
        service: 'session-writer',
      },
    ]);
    expect((await call(manager, { ...query, to: iso(10) }, 'DELETE')).status).toBe(202);
    expect((await call(person(), query, 'DELETE')).status).toBe(403);
    expect((await call(colleague, { from: iso(0), to: iso(2 * hour), deviceId: 'desk' }, 'DELETE')).status).toBe(202);
    await until('the next is there', async () => (await told()).length > 1);
    expect((await told()).map(({ actorId, after }) => [actorId, after!.deviceId]).sort()).toEqual(
      [
        [manager.userId, null],
        [colleague.userId, 'desk'],
      ].sort(),
    );
  });

  test('erases also where nobody can be told: the schema registry was never reached', async () => {
    const me = person();
    await merge({ stream: streamOf(me), pings: [at(0, 10)] });
    const working = audit;
    const { metrics } = writer;
    const dead = openSchemaRegistry('http://127.0.0.1:9');
    audit = createAudit({ service: 'session-writer', registry: dead, log: silentLogger(), metrics });
    try {
      expect((await call(me, { from: iso(0), to: iso(hour) }, 'DELETE')).status).toBe(202);
    } finally {
      audit = working;
    }
    expect((await call(me, { from: iso(0), to: iso(hour) })).body.items).toEqual([]);
    expect(await told()).toEqual([]);
    expect((await metrics.render()).text).toMatch(/worktide_audit_lost_total\{service="session-writer"\} 1/);
  });

  test('a reversed or endless range is refused', async () => {
    expect((await call(person(), { from: iso(1), to: iso(0) }, 'DELETE')).body.code).toBe('INVALID_RANGE');
    expect((await call(person(), { from: iso(0), to: iso(400 * 24 * hour) }, 'DELETE')).body.code).toBe(
      'RANGE_TOO_LONG',
    );
  });
});
