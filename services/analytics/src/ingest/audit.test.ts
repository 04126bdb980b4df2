import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { freshClickHouseDatabase } from '@worktide/backends';
import { type ClickHouse, createClickHouse, migrateClickHouse } from '@worktide/clickhouse';
import { createMetrics, silentLogger, uuidv7 } from '@worktide/runtime';
import { type AuditEvent, type Codec, createCodec, openSchemaRegistry, topics } from '@worktide/schemas';
import { until } from '@worktide/testing';
import { migrationsFolder } from '../index.ts';
import { startConsumers } from './consumers.ts';
import { caughtUp, deadLetters, openTestLog, send } from './testing.ts';

const log = silentLogger();
const registry = openSchemaRegistry('local:');
const codec: Codec = createCodec(registry, topics.audit);
let database: Awaited<ReturnType<typeof freshClickHouseDatabase>>;
let clickhouse: ClickHouse;
let testLog: Awaited<ReturnType<typeof openTestLog>>;
const closers: (() => unknown)[] = [];

beforeAll(async () => {
  await codec.prepare();
  database = await freshClickHouseDatabase();
  await migrateClickHouse(database.url, migrationsFolder, { log });
  clickhouse = createClickHouse(database.url, { log });
});
afterAll(async () => {
  await database.drop();
  await clickhouse.close();
});
beforeEach(async () => {
  testLog = await openTestLog();
});
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
  await testLog.close();
});

const start = async (through: ClickHouse = clickhouse) => {
  const metrics = createMetrics();
  const consumers = await startConsumers({ eventLog: testLog.eventLog, registry, clickhouse: through, metrics });
  const close = async (): Promise<void> =>
    void (await Promise.all(Object.values(consumers).map((consumer) => consumer.close())));
  closers.push(close);
  return { ...consumers, metrics, close };
};
const now = Date.now();
const event = (more: Partial<AuditEvent> = {}): AuditEvent => ({
  id: uuidv7(),
  at: now,
  action: 'user.suspended',
  actorType: 'user',
  actorId: uuidv7(),
  entityType: 'user',
  entityId: uuidv7(),
  before: { status: 'active' },
  after: { status: 'suspended' },
  ipAddress: '2001:db8::1',
  userAgent: 'Mozilla/5.0 (X11)',
  requestId: 'r-1',
  sessionId: uuidv7(),
  service: 'auth',
  ...more,
});
const recordOf = (organizationId: string, events: unknown[]): Buffer => codec.encode({ organizationId, events });
const stored = (organizationId: string) =>
  clickhouse.query<Record<string, unknown>>(
    'SELECT * FROM audit FINAL WHERE organization_id = {organizationId:UUID} ORDER BY at, id',
    { params: { organizationId }, settings: { date_time_output_format: 'iso' } },
  );
const put = (...values: Buffer[]): Promise<void> => send(testLog.eventLog, 'audit', ...values);
const consumed = () => caughtUp(testLog.eventLog, 'audit');

test('audit events arrive with every field', async () => {
  const [organizationId, elsewhere] = [uuidv7(), uuidv7()];
  const full = event();
  const bare = event({
    at: now + 1,
    actorType: 'system',
    actorId: null,
    before: null,
    after: null,
    ipAddress: null,
    userAgent: null,
    requestId: null,
    sessionId: undefined,
  });
  await put(recordOf(organizationId, [full, bare]), recordOf(elsewhere, [event()]));
  const { metrics } = await start();
  await consumed();
  const common = { organization_id: organizationId, action: 'user.suspended', entity_type: 'user', service: 'auth' };
  expect(await stored(organizationId)).toEqual([
    {
      ...common,
      id: full.id,
      at: new Date(now).toISOString(),
      actor_type: 'user',
      actor_id: full.actorId,
      entity_id: full.entityId,
      before: '{"status":"active"}',
      after: '{"status":"suspended"}',
      ip_address: '2001:db8::1',
      user_agent: 'Mozilla/5.0 (X11)',
      request_id: 'r-1',
      session_id: full.sessionId,
    },
    {
      ...common,
      id: bare.id,
      at: new Date(now + 1).toISOString(),
      actor_type: 'system',
      actor_id: null,
      entity_id: bare.entityId,
      before: '',
      after: '',
      ip_address: '',
      user_agent: '',
      request_id: '',
      session_id: null,
    },
  ]);
  expect(await stored(elsewhere)).toHaveLength(1);
  expect((await metrics.render()).text).toContain('worktide_analytics_rows_total{table="audit"} 3');
});

test('a replay of everything changes nothing', async () => {
  const organizationId = uuidv7();
  const events = Array.from({ length: 40 }, (_, i) => event({ at: now - i * 86_400_000 }));
  await put(...events.map((e) => recordOf(organizationId, [e, event()])), recordOf(organizationId, events));
  const first = await start();
  await consumed();
  const before = await stored(organizationId);
  expect(before).toHaveLength(80);

  await first.close();
  await testLog.eventLog.admin.resetGroup('analytics-audit', 'audit', 'earliest');
  await start();
  await consumed();
  expect(await stored(organizationId)).toEqual(before);
});

test('what can never be stored is dead-lettered alone, and what is around and behind it goes through', async () => {
  const organizationId = uuidv7();
  const bad: [unknown, RegExp][] = [
    [event({ id: 'x' }), /id/],
    [event({ action: '' }), /action/],
    [{ ...event(), actorType: 'ghost' }, /actorType/],
    [{ ...event(), before: 'text' }, /before/],
    [event({ at: Date.UTC(2200, 0) }), /2199/],
    [null, /object/],
  ];
  await put(
    Buffer.from('not in the wire format'),
    recordOf('nobody', [event()]),
    recordOf(organizationId, []),
    recordOf(organizationId, [event(), ...bad.map(([item]) => item), event()]),
    recordOf(organizationId, [event()]),
  );
  const consumers = await start();
  await consumed();
  expect(await stored(organizationId)).toHaveLength(3);

  const letters = await deadLetters(testLog.eventLog, 'audit');
  expect(letters.map((l) => [l.headers['worktide-reason-code'], l.headers['worktide-group']])).toEqual([
    ['UNDECODABLE', 'analytics-audit'],
    ...Array.from({ length: 8 }, () => ['INVALID', 'analytics-audit']),
  ]);
  for (const [i, [item, message]] of bad.entries()) {
    const letter = letters[3 + i]!;
    expect(letter.headers['worktide-reason-message']).toMatch(message);
    expect(codec.decode(letter.value)).toEqual({ organizationId, events: [item] });
  }
  expect(() => consumers.audit.check()).not.toThrow();
});

test('any text is taken, and stays readable as JSON', async () => {
  const organizationId = uuidv7();
  const half = '😀'.slice(0, 1);
  const after = { name: `cut ${half}`, path: 'C:\\users\\ud83d', nul: 'a\0b', whole: '😀 ü', nested: { list: [half] } };
  await put(
    recordOf(organizationId, [event({ after, entityId: `e${half}\0`, userAgent: `\0${half}`, action: 'naïve.✓' })]),
  );
  await start();
  await consumed();
  const rows = await clickhouse.query<Record<string, unknown>>(
    `SELECT after, action, user_agent, entity_id, JSONExtractString(after, 'path') AS path,
       JSONExtractString(after, 'whole') AS whole FROM audit WHERE organization_id = {organizationId:UUID}`,
    { params: { organizationId } },
  );
  expect(rows).toMatchObject([
    { action: 'naïve.✓', user_agent: '\0\ufffd', entity_id: 'e\ufffd\0', path: after.path, whole: after.whole },
  ]);
  expect(JSON.parse(String(rows[0]!.after))).toEqual({ ...after, name: 'cut \ufffd', nested: { list: ['\ufffd'] } });
});

test('ClickHouse away: nothing is lost or dead-lettered, and readiness says so', async () => {
  const organizationId = uuidv7();
  await put(recordOf(organizationId, [event()]));
  const dead = createClickHouse('http://default:@127.0.0.1:9/none', { log });
  closers.push(() => dead.close());
  const first = await start(dead);
  await until('retrying', () => first.audit.state === 'retrying');
  expect(() => first.audit.check()).toThrow();
  expect(await testLog.eventLog.admin.lag('analytics-audit', ['audit'])).toEqual({ audit: 1 });
  await first.close();
  await start();
  await consumed();
  expect(await stored(organizationId)).toHaveLength(1);
  expect(await deadLetters(testLog.eventLog, 'audit')).toEqual([]);
});

test('rows are kept for 400 days in partitions by month, and looked up by actor and by object', async () => {
  const organizationId = uuidv7();
  const [actorId, entityId] = [randomUUID(), randomUUID()];
  await put(recordOf(organizationId, [event({ actorId }), event({ entityId }), event()]));
  await start();
  await consumed();
  const count = async (column: string, type: string, value: string): Promise<unknown> =>
    (
      await clickhouse.query<{ n: unknown }>(
        `SELECT toUInt32(count()) AS n FROM audit
         WHERE organization_id = {organizationId:UUID} AND ${column} = {value:${type}}`,
        { params: { organizationId, value }, settings: { force_data_skipping_indices: `by_${column.split('_')[0]}` } },
      )
    )[0]?.n;
  expect(await count('actor_id', 'UUID', actorId)).toBe(1);
  expect(await count('entity_id', 'String', entityId)).toBe(1);
  const [table] = await clickhouse.query<{ q: string }>(
    "SELECT create_table_query AS q FROM system.tables WHERE database = currentDatabase() AND name = 'audit'",
  );
  expect(table!.q).toMatch(/TTL toDateTime\(at\) \+ toIntervalDay\(400\)/);
  expect(table!.q).toMatch(/PARTITION BY toYYYYMM\(at\)/);
});

test('an event that ClickHouse itself refuses is dead-lettered alone', async () => {
  await clickhouse.command("ALTER TABLE audit ADD CONSTRAINT harmless CHECK action != 'poison'");
  closers.push(() => clickhouse.command('ALTER TABLE audit DROP CONSTRAINT harmless'));
  const [organizationId, other] = [uuidv7(), uuidv7()];
  const poison = event({ action: 'poison' });
  await put(recordOf(organizationId, [event(), poison, event()]), recordOf(other, [event()]));
  await start();
  await consumed();
  expect(await stored(organizationId)).toHaveLength(2);
  expect(await stored(other)).toHaveLength(1);
  const letters = await deadLetters(testLog.eventLog, 'audit');
  expect(letters.map(({ value }) => codec.decode(value))).toEqual([{ organizationId, events: [poison] }]);
});
