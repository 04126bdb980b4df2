import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { createAudit } from '@worktide/audit';
import { readsOf, tenantTransaction } from '@worktide/postgres';
import {
  type Caller,
  createLifecycle,
  createTurns,
  type Lifecycle,
  type Role,
  serve,
  silentLogger,
  unauthorized,
  uuidv7,
} from '@worktide/runtime';
import {
  type AlertState,
  alertPage,
  alertsRecord,
  auditRecord,
  createCodec,
  openSchemaRegistry,
  type TopicName,
  topics,
} from '@worktide/schemas';
import { call, until } from '@worktide/testing';
import { openWriter, type TestDatabase, type TestWriter, trackingDatabase } from '../testing.ts';
import { alertRoutes } from './routes.ts';
import { type NewAlert, raise } from './store.ts';

const log = silentLogger();
const registry = openSchemaRegistry('local:');
const codec = createCodec(registry, topics.alerts);
const auditCodec = createCodec(registry, topics.audit);
const people = new Map<string, Caller>();
/** Whom somebody leads. */
const led = new Map<string, string[]>();
const at = Date.UTC(2026, 10, 20);

let database: TestDatabase;
let writer: TestWriter;
let lifecycle: Lifecycle;
let url: string;
beforeAll(async () => {
  database = await trackingDatabase();
  writer = await openWriter(database.url);
  lifecycle = createLifecycle({ log });
  const { pool, outbox, metrics } = writer;
  const audit = createAudit({ service: 'session-writer', registry, log, metrics });
  await Promise.all([codec.prepare(), auditCodec.prepare(), audit.check()]);
  const routes = alertRoutes({
    pool,
    reads: readsOf(pool),
    outbox,
    codec,
    audit,
    turns: createTurns({ name: 'lists', places: 100, placesEach: 2, metrics }),
    identity: {
      async findUser(organizationId, userId) {
        const user = people.get(userId);
        return user?.organizationId === organizationId
          ? { id: userId, organizationId, name: 'N', role: user.role, timezone: 'UTC', status: 'active' }
          : undefined;
      },
    },
    leads: {
      async of({ userId }) {
        return { teamIds: new Set(), userIds: new Set(led.get(userId)) };
      },
    },
    now: () => at + 1_000,
  });
  const service = {
    name: 'alerts',
    routes,
    checks: {},
    authenticate: async (authorization: string | undefined) => {
      const caller = people.get(authorization?.replace('Bearer ', '') ?? '');
      if (!caller) throw unauthorized();
      return caller;
    },
  };
  ({ url } = await serve({ services: [service], lifecycle, log, metrics, host: '127.0.0.1', port: 0 }));
});
afterAll(async () => {
  await lifecycle?.close();
  await writer?.close();
  await database?.drop();
});

function person(role: Role, organizationId: string = randomUUID(), more: Partial<Caller> = {}): Caller {
  const caller = { organizationId, userId: uuidv7(), role, timezone: 'UTC', sessionId: randomUUID(), ...more };
  people.set(caller.userId, caller);
  return caller;
}
const office = () => {
  const organizationId = randomUUID();
  return {
    employee: person('employee', organizationId),
    colleague: person('employee', organizationId),
    manager: person('manager', organizationId),
    admin: person('admin', organizationId),
  };
};

const alertOf = ({ organizationId, userId }: Caller, more: Partial<NewAlert> = {}): NewAlert => ({
  organizationId,
  userId,
  type: 'overtime',
  date: '2026-11-19',
  timeEntryId: null,
  idleFrom: null,
  idleUntil: null,
  message: 'More than 9 h of work.',
  ...more,
});
/** Their ids, in the order given. */
async function raised(alerts: NewAlert[], now = at): Promise<string[]> {
  const ids: string[] = [];
  for (const [i, alert] of alerts.entries()) ids.push((await raise(writer.pool, [alert], now + i))[0]!.id);
  return ids;
}
const idle = (who: Caller): NewAlert =>
  alertOf(who, { type: 'idle', timeEntryId: uuidv7(), idleFrom: at - 300_000, message: 'A timer runs.' });

const ask = (who: Caller, method: string, path = '') =>
  call(url, method, `/api/v1/alerts${path}`, { bearer: who.userId });
const listed = async (who: Caller, query = ''): Promise<string[]> =>
  alertPage.parse((await ask(who, 'get', query)).body).items.map(({ id }) => id);

async function told(topic: TopicName, organizationId: string) {
  const pages = await Promise.all(
    Array.from({ length: topics[topic].partitions }, (_, partition) =>
      writer.eventLog.admin.read(topic, { partition, fromOffset: 0, limit: 10_000 }),
    ),
  );
  const decode = topic === 'audit' ? auditCodec.decode : codec.decode;
  return pages
    .flat()
    .map(({ value }) => decode(value) as { organizationId: string })
    .filter((record) => record.organizationId === organizationId);
}

test('everyone sees their own, managers and administrators all, nobody those of another organisation', async () => {
  const { employee, colleague, manager, admin } = office();
  const [mine, theirs] = await raised([alertOf(employee), idle(colleague)]);
  await raised([alertOf(person('admin'))]);
  expect((await ask(employee, 'get')).body).toEqual({
    items: [
      {
        id: mine,
        userId: employee.userId,
        type: 'overtime',
        date: '2026-11-19',
        timeEntryId: null,
        message: 'More than 9 h of work.',
        createdAt: new Date(at).toISOString(),
        resolvedAt: null,
        resolvedBy: null,
      },
    ],
    nextCursor: null,
  });
  for (const who of [manager, admin]) expect(await listed(who)).toEqual([theirs, mine]);
  expect(await listed(manager, `?userId=${employee.userId}`)).toEqual([mine]);
  expect(await listed(employee, `?userId=${employee.userId}`)).toEqual([mine]);
  expect((await ask(employee, 'get', `?userId=${colleague.userId}`)).status).toBe(403);
  // Who leads somebody sees theirs, and resolves none.
  led.set(employee.userId, [colleague.userId]);
  expect(await listed(employee, `?userId=${colleague.userId}`)).toEqual([theirs]);
  expect(await listed(employee)).toEqual([mine]);
  expect((await ask(employee, 'post', `/${theirs}/resolve`)).status).toBe(403);
  led.clear();
  expect(await ask(employee, 'get', `?userId=${colleague.userId}`)).toMatchObject({ status: 403 });
  expect(await ask(manager, 'get', `?userId=${person('admin').userId}`)).toMatchObject({ status: 404 });
  // An agent's key is an agent's, whatever the role of its person.
  const agent = person('admin', admin.organizationId, { agentKeyId: uuidv7() });
  const { sessionId: _, ...key } = agent;
  people.set(agent.userId, key as Caller);
  expect(await listed(agent)).toEqual([]);
});

test('by type and state, page by page; a cursor is of one list', async () => {
  const { employee, manager } = office();
  const ids = await raised([
    alertOf(employee),
    idle(employee),
    alertOf(employee, { date: '2026-11-18' }),
    idle(manager),
    idle(employee),
  ]);
  const newest = ids.toReversed();
  expect(await ask(manager, 'post', `/${ids[2]}/resolve`)).toMatchObject({ status: 200 });
  expect(await listed(manager, '?state=open')).toEqual(newest.filter((id) => id !== ids[2]));
  expect(await listed(manager, '?state=resolved')).toEqual([ids[2]]);
  expect(await listed(manager, '?type=overtime')).toEqual([ids[2], ids[0]]);
  expect(await listed(manager, `?type=idle&state=open&userId=${employee.userId}`)).toEqual([ids[4], ids[1]]);

  const found: string[] = [];
  let cursor: string | null = '';
  while (cursor !== null) {
    const { items, nextCursor } = alertPage.parse(
      (await ask(manager, 'get', `?limit=2${cursor && `&cursor=${cursor}`}`)).body,
    );
    found.push(...items.map(({ id }) => id));
    if (nextCursor) {
      expect(await ask(employee, 'get', `?cursor=${nextCursor}`)).toMatchObject({ body: { code: 'INVALID_CURSOR' } });
    }
    cursor = nextCursor;
  }
  expect(found).toEqual(newest);
  for (const bad of ['?state=asleep', '?type=bored', '?limit=501', '?userId=x', '?cursor=x']) {
    expect(await ask(manager, 'get', bad)).toMatchObject({ status: 400 });
  }
});

test('a manager resolves one, once and for all; it is told and noted once', async () => {
  const { employee, manager, admin } = office();
  const [id] = await raised([alertOf(employee)]);
  const answers = await Promise.all(Array.from({ length: 10 }, () => ask(manager, 'post', `/${id}/resolve`)));
  for (const { status, body } of answers) {
    expect(status).toBe(200);
    expect(body).toMatchObject({ id, resolvedBy: manager.userId, resolvedAt: new Date(at + 1_000).toISOString() });
  }
  expect((await ask(admin, 'post', `/${id!.toUpperCase()}/resolve`)).body).toEqual(answers[0]!.body);
  const { organizationId } = manager;
  const [events, actions] = await until('both', async () => {
    const both = [await told('alerts', organizationId), await told('audit', organizationId)] as const;
    return both.every((records) => records.length > 0) && both;
  });
  const states = events.flatMap((record) => alertsRecord.parse(record).alerts);
  expect(states).toEqual([
    {
      id: id!,
      type: 'overtime',
      date: '2026-11-19',
      timeEntryId: null,
      message: 'More than 9 h of work.',
      createdAt: at,
      resolvedAt: at + 1_000,
      resolvedBy: manager.userId,
      version: 2,
    } satisfies AlertState,
  ]);
  expect(events[0]).toMatchObject({ userId: employee.userId });
  expect(actions.flatMap((record) => auditRecord.parse(record).events)).toMatchObject([
    { action: 'alert.resolved', actorId: manager.userId, entityType: 'alert', entityId: id },
  ]);
});

test('nobody else does: not whose it is, not an agent, not somebody elsewhere', async () => {
  const { employee, manager } = office();
  const [id] = await raised([alertOf(employee)]);
  expect(await ask(employee, 'post', `/${id}/resolve`)).toMatchObject({ status: 403 });
  const { sessionId: _, ...key } = { ...manager, agentKeyId: uuidv7() };
  people.set('a key', key as Caller);
  expect(await call(url, 'post', `/api/v1/alerts/${id}/resolve`, { bearer: 'a key' })).toMatchObject({ status: 403 });
  const stranger = await ask(person('admin'), 'post', `/${id}/resolve`);
  const nowhere = await ask(manager, 'post', `/${uuidv7()}/resolve`);
  expect([stranger.status, stranger.body.code, stranger.body.message]).toEqual([
    404,
    nowhere.body.code,
    nowhere.body.message,
  ]);
  expect(await listed(manager, '?state=open')).toEqual([id]);
});

test('a query that forgets to ask whose they are sees one organisation, and can do no more than resolve', async () => {
  const { employee } = office();
  const [id] = await raised([alertOf(employee)]);
  await raised([alertOf(person('admin'))]);
  const asTenant = (sql: string) =>
    tenantTransaction(writer.pool, employee.organizationId, async (client) => (await client.query(sql)).rows);
  expect(await asTenant('SELECT id FROM alerts')).toEqual([{ id }]);
  expect(await asTenant('UPDATE alerts SET resolved_at = now() RETURNING id')).toEqual([{ id }]);
  for (const sql of ['DELETE FROM alerts', "UPDATE alerts SET message = ''", 'SELECT FROM alert_scans']) {
    await expect(asTenant(sql)).rejects.toMatchObject({ cause: { code: '42501' } });
  }
});

test('the database away is 503', async () => {
  const { manager } = office();
  await database.admin.query('REVOKE SELECT ON tracking.alerts FROM worktide_session_writer_tenant');
  try {
    expect(await ask(manager, 'get')).toMatchObject({ status: 503 });
  } finally {
    await database.admin.query('GRANT SELECT ON tracking.alerts TO worktide_session_writer_tenant');
  }
});
