import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { freshClickHouseDatabase } from '@worktide/backends';
import { type ClickHouse, createClickHouse, migrateClickHouse } from '@worktide/clickhouse';
import {
  type Caller,
  createLifecycle,
  createMetrics,
  createPeopleTurns,
  type Lifecycle,
  type Role,
  serve,
  silentLogger,
  unauthorized,
  uuidv7,
} from '@worktide/runtime';
import { type AuditEvent, auditPage } from '@worktide/schemas';
import { migrationsFolder } from '../index.ts';
import { auditTable } from '../ingest/tables.ts';
import { store } from '../ingest/testing.ts';
import { auditRoutes } from './routes.ts';

const log = silentLogger();
const organizationId = uuidv7();
const person = (role: Role, more: Partial<Caller> = {}): Caller => ({
  organizationId,
  userId: uuidv7(),
  role,
  timezone: 'Asia/Kathmandu',
  sessionId: uuidv7(),
  ...more,
});
const { sessionId: _, ...key } = person('admin', { agentKeyId: uuidv7() });
const people = {
  admin: person('admin'),
  manager: person('manager'),
  employee: person('employee'),
  agent: key as Caller,
  stranger: person('admin', { organizationId: uuidv7() }),
};
type Name = keyof typeof people;

let database: Awaited<ReturnType<typeof freshClickHouseDatabase>>;
let clickhouse: ClickHouse;
let lifecycle: Lifecycle;
let origin: string;
const looked: unknown[] = [];

const midnight = Date.parse('2026-11-20T18:15:00Z');
const event = (at: number, more: Partial<AuditEvent> = {}): AuditEvent => ({
  id: uuidv7(),
  at,
  action: 'user.suspended',
  actorType: 'user',
  actorId: people.admin.userId,
  entityType: 'user',
  entityId: people.employee.userId,
  before: { status: 'active' },
  after: null,
  ipAddress: '2001:db8::1',
  userAgent: null,
  requestId: 'r-1',
  sessionId: people.admin.sessionId!,
  service: 'auth',
  ...more,
});
/** Around the midnight of Kathmandu that begins 21 November, several in one millisecond. */
const events = [
  event(midnight - 1, { action: 'project.created', entityType: 'project', entityId: 'p-1' }),
  event(midnight),
  event(midnight, { actorId: null, actorType: 'system', sessionId: null }),
  event(midnight),
  event(midnight + 86_399_999, { action: 'user.deleted' }),
  event(midnight + 86_400_000),
];

beforeAll(async () => {
  lifecycle = createLifecycle({ log });
  database = await freshClickHouseDatabase();
  await migrateClickHouse(database.url, migrationsFolder, { log });
  clickhouse = createClickHouse(database.url, { log });
  // A replay, and another organisation's.
  for (let i = 0; i < 2; i++) await store(clickhouse, auditTable, { organizationId, events });
  await store(clickhouse, auditTable, { organizationId: people.stranger.organizationId, events: [event(midnight)] });
  const metrics = createMetrics();
  const turns = createPeopleTurns({
    name: 'reports',
    places: 2,
    maxWaitMs: 5_000,
    metrics,
    code: 'REPORTS_BUSY',
    message: 'Too many.',
  });
  const looks = { note: (...args: unknown[]) => void looked.push(args) };
  const service = {
    name: 'analytics',
    checks: {},
    authenticate: async (authorization: string | undefined) => {
      const caller = people[authorization?.slice('Bearer '.length) as Name];
      if (!caller) throw unauthorized();
      return caller;
    },
    routes: auditRoutes({ clickhouse, turns, looks }),
  };
  origin = (await serve({ services: [service], lifecycle, log, metrics, host: '127.0.0.1', port: 0 })).url;
});
afterAll(async () => {
  await lifecycle.close();
  await clickhouse.close();
  await database.drop();
});

// biome-ignore lint/suspicious/noExplicitAny: pages and errors, each looked at as what it is.
async function get(query = '', as: Name | 'nobody' = 'admin'): Promise<{ status: number; body: any }> {
  const headers: Record<string, string> = as === 'nobody' ? {} : { authorization: `Bearer ${as}` };
  const response = await fetch(`${origin}/api/v1/audit?${query}`, { headers });
  return { status: response.status, body: await response.json() };
}
const ids = async (query: string): Promise<string[]> =>
  auditPage.parse((await get(query)).body).items.map(({ id }) => id);

describe('GET /audit', () => {
  test('gives every event once, newest first, and each field as it was', async () => {
    const { body } = await get();
    const { items, nextCursor } = auditPage.parse(body);
    expect([items.length, nextCursor]).toEqual([events.length, null]);
    expect(items.map(({ at }) => at)).toEqual(
      items
        .map(({ at }) => at)
        .toSorted()
        .toReversed(),
    );
    const { before, ...rest } = events[1]!;
    expect(items.find(({ id }) => id === rest.id)).toEqual({ ...rest, before, at: '2026-11-20T18:15:00.000Z' });
  });

  test('pages without gap or overlap, also within a millisecond', async () => {
    const seen: string[] = [];
    let cursor = '';
    do {
      const { body } = await get(`limit=2${cursor && `&cursor=${cursor}`}`);
      seen.push(...body.items.map(({ id }: AuditEvent) => id));
      cursor = body.nextCursor ?? '';
    } while (cursor);
    expect(seen).toEqual(await ids(''));
    const first = await get('limit=2');
    expect((await get(`limit=2&action=user.deleted&cursor=${first.body.nextCursor}`)).body.code).toBe('INVALID_CURSOR');
  });

  test('filters by actor, object, action and time; a day is all of it, in the caller’s zone', async () => {
    const idsOf = (...at: number[]) => at.map((i) => events[i]!.id).sort();
    const sorted = async (query: string) => (await ids(query)).sort();
    expect(await sorted(`actorId=${people.admin.userId}`)).toEqual(idsOf(0, 1, 3, 4, 5));
    expect(await sorted('entityType=project')).toEqual(idsOf(0));
    expect(await sorted(`entityId=${people.employee.userId}&action=user.deleted`)).toEqual(idsOf(4));
    expect(await sorted('from=2026-11-21&to=2026-11-21')).toEqual(idsOf(1, 2, 3, 4));
    expect(await sorted('to=2026-11-20T18:15:00.000Z')).toEqual(idsOf(0, 1, 2, 3));
    expect(await sorted('from=2026-11-20T18:15:00.001Z')).toEqual(idsOf(4, 5));
    expect(await sorted('to=2026-11-20')).toEqual(idsOf(0));
    expect(await sorted("action=' OR 1=1 --")).toEqual([]);
  });

  test('is for admins by log-in, of their own organisation', async () => {
    const status = async (as: Name | 'nobody') => (await get('', as)).status;
    expect(await Promise.all((['manager', 'employee', 'agent', 'nobody'] as const).map(status))).toEqual([
      403, 403, 403, 401,
    ]);
    const { body } = await get('', 'stranger');
    expect(body.items).toHaveLength(1);
    expect((await get(`entityId=${people.employee.userId}&from=2026-11-22`, 'stranger')).body.items).toEqual([]);
  });

  test.each([
    ['from=2026-11-21&to=2026-11-20', 'RANGE_REVERSED'],
    ['from=yesterday', 'VALIDATION_FAILED'],
    ['actorId=nobody', 'VALIDATION_FAILED'],
    ['cursor=abc', 'INVALID_CURSOR'],
    ['limit=501', 'VALIDATION_FAILED'],
  ])('%s is 400 %s', async (query, code) => {
    const { status, body } = await get(query);
    expect([status, body.code]).toEqual([400, code]);
  });

  test('reading it is an event', async () => {
    looked.length = 0;
    await get();
    await get('from=2026-11-21&to=2026-11-20');
    expect(looked).toEqual([
      [
        organizationId,
        expect.objectContaining({ actorId: people.admin.userId, sessionId: people.admin.sessionId }),
        { action: 'audit.read', entityType: 'organization', entityId: organizationId },
      ],
    ]);
  });

  test.each(['POST', 'PUT', 'PATCH', 'DELETE'])('%s is nothing that there is', async (method) => {
    for (const path of ['/api/v1/audit', `/api/v1/audit/${events[0]!.id}`]) {
      const response = await fetch(`${origin}${path}`, { method, headers: { authorization: 'Bearer admin' } });
      expect([404, 405]).toContain(response.status);
    }
  });
});
