import { randomUUID } from 'node:crypto';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { freshClickHouseDatabase } from '@worktide/backends';
import { type ClickHouse, createClickHouse, migrateClickHouse } from '@worktide/clickhouse';
import type { EventLog } from '@worktide/event-log';
import { createMetrics, silentLogger, uuidv7 } from '@worktide/runtime';
import {
  type Codec,
  createCodec,
  openSchemaRegistry,
  type PingEvent,
  type SchemaRegistry,
  topics,
  type UsageEntryState,
} from '@worktide/schemas';
import { until } from '@worktide/testing';
import { migrationsFolder } from '../index.ts';
import { startConsumers } from './consumers.ts';
import { caughtUp as caughtUpWith, deadLetters, openTestLog, send as sendTo } from './testing.ts';

const log = silentLogger();
let database: Awaited<ReturnType<typeof freshClickHouseDatabase>>;
let clickhouse: ClickHouse;
let testLog: Awaited<ReturnType<typeof openTestLog>>;
let eventLog: EventLog;
let registry: SchemaRegistry;
let codecs: { pings: Codec; usage: Codec };
const closers: (() => unknown)[] = [];

beforeAll(async () => {
  registry = openSchemaRegistry('local:');
  codecs = { pings: createCodec(registry, topics.pings), usage: createCodec(registry, topics.usage) };
  await Promise.all([codecs.pings.prepare(), codecs.usage.prepare()]);
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
  eventLog = testLog.eventLog;
});
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
  await testLog.close();
});

const metrics = createMetrics();
const start = async (through: ClickHouse = clickhouse) => {
  const consumers = await startConsumers({ eventLog, registry, clickhouse: through, metrics });
  const close = async (): Promise<void> =>
    void (await Promise.all(Object.values(consumers).map((consumer) => consumer.close())));
  closers.push(close);
  return { ...consumers, close };
};

const send = (topic: string, ...values: Buffer[]): Promise<void> => sendTo(eventLog, topic, ...values);
const caughtUp = (topic: 'pings' | 'usage') => caughtUpWith(eventLog, topic);
const dead = (topic: string) => deadLetters(eventLog, topic);

const someone = () => ({ organizationId: uuidv7(), userId: uuidv7() });
const now = Date.now();
const ping = (more: Partial<PingEvent> = {}): PingEvent => ({
  id: uuidv7(),
  startedAt: now,
  endedAt: now + 5_000,
  app: 'editor',
  host: null,
  state: 'active',
  deviceId: 'laptop',
  source: 'window',
  ...more,
});
const pingsOf = (who: object, pings: unknown[]): Buffer =>
  codecs.pings.encode({ ...who, receivedAt: now + 6_000, pings });
const entry = (more: Partial<UsageEntryState> = {}): UsageEntryState => ({
  id: randomUUID(),
  deviceId: 'laptop',
  source: 'window',
  app: 'editor',
  host: 'github.com',
  state: 'idle',
  startedAt: now,
  endedAt: now + 60_000,
  version: now * 1000,
  deleted: false,
  ...more,
});
const usageOf = (who: object, entries: unknown[]): Buffer => codecs.usage.encode({ ...who, entries });
const stored = (table: string, { userId }: { userId: string }) =>
  clickhouse.query<Record<string, unknown>>(
    `SELECT * FROM ${table} FINAL WHERE user_id = {userId:UUID} ORDER BY started_at, id`,
    {
      params: { userId },
      settings: { output_format_json_quote_64bit_integers: 0, date_time_output_format: 'iso' },
    },
  );
const iso = (ms: number): string => new Date(ms).toISOString();

test('pings and entries arrive with every field', async () => {
  const who = someone();
  const full = ping({
    host: 'github.com',
    title: 'Ünïcode \u0000 ✓',
    url: 'https://github.com/x',
    projectId: randomUUID(),
    timeEntryId: randomUUID(),
    state: 'idle',
  });
  const bare = ping({ startedAt: now + 1, id: full.id.toUpperCase() });
  await send('pings', pingsOf(who, [full, bare]));
  const state = entry();
  await send('usage', usageOf(who, [state]));
  await start();
  await Promise.all([caughtUp('pings'), caughtUp('usage')]);

  const common = {
    organization_id: who.organizationId,
    user_id: who.userId,
    device_id: 'laptop',
    source: 'window',
    app: 'editor',
  };
  const surroundings = { ...common, ended_at: iso(now + 5_000), received_at: iso(now + 6_000) };
  expect(await stored('pings', who)).toEqual([
    {
      ...surroundings,
      id: full.id,
      started_at: iso(now),
      host: 'github.com',
      state: 'idle',
      title: full.title,
      url: full.url,
      project_id: full.projectId,
      time_entry_id: full.timeEntryId,
    },
    {
      ...surroundings,
      id: full.id,
      started_at: iso(now + 1),
      host: '',
      state: 'active',
      title: '',
      url: '',
      project_id: null,
      time_entry_id: null,
    },
  ]);
  expect(await stored('usage', who)).toEqual([
    {
      ...common,
      id: state.id,
      started_at: iso(now),
      ended_at: iso(now + 60_000),
      host: 'github.com',
      state: 'idle',
      version: state.version,
      is_deleted: 0,
    },
  ]);
});

test('a replay of everything changes nothing', async () => {
  const who = someone();
  await send(
    'pings',
    ...Array.from({ length: 50 }, (_, i) => pingsOf(who, [ping({ startedAt: now + i }), ping({ startedAt: now + i })])),
  );
  const grown = entry({ version: 5, endedAt: now + 90_000 });
  const gone = entry({ version: 5 });
  await send(
    'usage',
    usageOf(who, [gone]),
    usageOf(who, [grown, { ...gone, version: 6, deleted: true }]),
    usageOf(who, [{ ...grown, version: 4, endedAt: now + 10 }]),
  );
  const first = await start();
  await Promise.all([caughtUp('pings'), caughtUp('usage')]);
  const [pings, usage] = [await stored('pings', who), await stored('usage', who)];
  expect(pings).toHaveLength(100);
  expect(usage).toEqual([expect.objectContaining({ id: grown.id, version: 5, ended_at: iso(now + 90_000) })]);

  await first.close();
  for (const topic of ['pings', 'usage']) await eventLog.admin.resetGroup(`analytics-${topic}`, topic, 'earliest');
  await start();
  await Promise.all([caughtUp('pings'), caughtUp('usage')]);
  expect(await stored('pings', who)).toEqual(pings);
  expect(await stored('usage', who)).toEqual(usage);
});

test('what can never be stored is dead-lettered alone, and what is around and behind it goes through', async () => {
  const who = someone();
  const bad: [unknown, RegExp][] = [
    [{ ...ping(), id: 'x' }, /id/],
    [{ ...ping(), app: '' }, /app/],
    [{ ...ping(), startedAt: 1.5 }, /startedAt/],
    [ping({ endedAt: now - 1 }), /after endedAt/],
    [ping({ endedAt: Date.UTC(2200, 0) }), /2199/],
    [null, /object/],
  ];
  await send(
    'pings',
    Buffer.from('not in the wire format'),
    codecs.pings.encode({ ...who, userId: 'nobody', receivedAt: now, pings: [ping()] }),
    codecs.pings.encode({ ...who, receivedAt: now, pings: [] }),
    pingsOf(who, [ping(), ...bad.map(([item]) => item), ping()]),
    pingsOf(who, [ping()]),
  );
  await send('usage', usageOf(who, [entry(), { ...entry(), version: -1 }]), Buffer.alloc(0));
  const consumers = await start();
  await Promise.all([caughtUp('pings'), caughtUp('usage')]);
  expect(await stored('pings', who)).toHaveLength(3);
  expect(await stored('usage', who)).toHaveLength(1);

  const letters = await dead('pings');
  expect(letters.map((l) => [l.key, l.headers['worktide-reason-code'], l.headers['worktide-group']])).toEqual([
    ['a key', 'UNDECODABLE', 'analytics-pings'],
    ...Array.from({ length: 8 }, () => ['a key', 'INVALID', 'analytics-pings']),
  ]);
  for (const [i, [item, message]] of bad.entries()) {
    const letter = letters[3 + i]!;
    expect(letter.headers['worktide-reason-message']).toMatch(message);
    // In the record's own form, so that it can be replayed.
    expect(codecs.pings.decode(letter.value)).toEqual({ ...who, receivedAt: now + 6_000, pings: [item] });
  }
  expect((await dead('usage')).map((l) => l.headers['worktide-reason-code'])).toEqual(['INVALID', 'UNDECODABLE']);
  for (const consumer of [consumers.pings, consumers.usage]) expect(() => consumer.check()).not.toThrow();
});

test.each(['pings', 'usage'] as const)(
  '%s: what ClickHouse itself refuses is found among others’ and within its record, and dead-lettered alone',
  async (topic) => {
    await clickhouse.command(`ALTER TABLE ${topic} ADD CONSTRAINT harmless CHECK app != 'poison'`);
    closers.push(() => clickhouse.command(`ALTER TABLE ${topic} DROP CONSTRAINT harmless`));
    const [who, other] = [someone(), someone()];
    const item = topic === 'pings' ? ping : entry;
    const recordOf = topic === 'pings' ? pingsOf : usageOf;
    const poison = item({ app: 'poison' });
    const items = [item(), item(), poison, item(), item()];
    await send(topic, recordOf(other, [item()]), recordOf(who, items), recordOf(other, [item()]));
    const consumers = await start();
    await caughtUp(topic);
    expect(await stored(topic, who)).toHaveLength(4);
    expect(await stored(topic, other)).toHaveLength(2);
    const letters = await dead(topic);
    const list = topic === 'pings' ? 'pings' : 'entries';
    expect(letters.map(({ value }) => codecs[topic].decode(value))).toEqual([
      expect.objectContaining({ ...who, [list]: [poison] }),
    ]);
    expect(letters[0]!.headers).toMatchObject({
      'worktide-reason-code': 'HANDLER_FAILED',
      'worktide-reason-message': expect.stringContaining('harmless'),
      'worktide-organization': who.organizationId,
      'worktide-user': who.userId,
    });
    await until('it runs', () => consumers[topic].state === 'running');
  },
);

test('one request of 150 pings that are none stops nobody, and is not met again after a restart', async () => {
  const [who, other] = [someone(), someone()];
  const bad = Array.from({ length: 150 }, () => ping({ app: '' }));
  await send('pings', pingsOf(who, [ping(), ...bad]), pingsOf(other, [ping()]));
  const first = await start();
  await caughtUp('pings');
  expect(first.pings.state).toBe('running');
  expect(await stored('pings', who)).toHaveLength(1);
  // A hundred alone, and the whole record for the rest.
  const before = await deadLetters(eventLog, 'pings', 1_000);
  expect(before).toHaveLength(101);
  expect(codecs.pings.decode(before.at(-1)!.value)).toMatchObject({ pings: { length: 151 } });
  await first.close();
  const second = await start();
  await send('pings', pingsOf(other, [ping({ startedAt: now + 1 })]));
  await caughtUp('pings');
  expect(second.pings.state).toBe('running');
  expect(await stored('pings', other)).toHaveLength(2);
  expect(await deadLetters(eventLog, 'pings', 1_000)).toHaveLength(101);
});

/** A way to ClickHouse that can be cut. */
async function cutter(url: string) {
  const target = new URL(url);
  const sockets = new Set<Socket>();
  let server: Server;
  const listen = async (port: number): Promise<number> => {
    server = createServer((socket) => {
      const behind = connect(Number(target.port), target.hostname);
      for (const s of [socket, behind]) {
        sockets.add(s);
        s.on('error', () => {}).on('close', () => sockets.delete(s));
      }
      socket.pipe(behind).pipe(socket);
    });
    await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
    return (server.address() as { port: number }).port;
  };
  const port = await listen(0);
  const cut = async (): Promise<void> => {
    const closed = new Promise((resolve) => server.close(resolve));
    for (const socket of sockets) socket.destroy();
    await closed;
  };
  const through = new URL(url);
  through.host = `127.0.0.1:${port}`;
  return { url: through.href, cut, mend: () => listen(port) };
}

test('ClickHouse away: nothing is lost or dead-lettered, readiness says so, and it catches up by itself', async () => {
  const who = someone();
  const way = await cutter(database.url);
  const through = createClickHouse(way.url, { log });
  closers.push(
    () => way.cut(),
    () => through.close(),
  );
  const consumers = await start(through);
  await send('pings', pingsOf(who, [ping()]));
  await caughtUp('pings');
  expect(() => consumers.pings.check()).not.toThrow();

  await way.cut();
  await send('pings', pingsOf(who, [ping()]), pingsOf(who, [ping()]));
  await send('usage', usageOf(who, [entry()]));
  await until('both retry', () => [consumers.pings, consumers.usage].every((c) => c.state === 'retrying'));
  for (const consumer of [consumers.pings, consumers.usage]) expect(() => consumer.check()).toThrow();
  expect(await eventLog.admin.lag('analytics-pings', ['pings'])).toEqual({ pings: 2 });

  await way.mend();
  await Promise.all([caughtUp('pings'), caughtUp('usage')]);
  expect(await stored('pings', who)).toHaveLength(3);
  expect(await stored('usage', who)).toHaveLength(1);
  expect(await dead('pings')).toEqual([]);
  await until('both run', () => [consumers.pings, consumers.usage].every((c) => c.state === 'running'));
});
