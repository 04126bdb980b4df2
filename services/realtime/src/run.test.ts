import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { backend } from '@worktide/backends';
import { createOutbox, createPool, tablesWithoutTenantPolicy, transactionWithEvents } from '@worktide/postgres';
import { createLifecycle, createMetrics, silentLogger, uuidv7 } from '@worktide/runtime';
import { createCodec, openSchemaRegistry, topics } from '@worktide/schemas';
import { call, eventually, metricOf, until } from '@worktide/testing';
import {
  connected,
  createWorld,
  entryOf,
  heardOf,
  hearing,
  type Person,
  type Running,
  startReplica,
  usage,
  type World,
} from './testing.ts';
import { taskState } from './told/testing.ts';

/** The whole service on Kafka, PostgreSQL and Redis. */
let world: World;
let replica: Running;
const closing: (() => Promise<unknown>)[] = [];

beforeAll(async () => {
  world = await createWorld(`${await backend('kafka')}?prefix=realtime-run-${uuidv7()}-`);
  replica = await startReplica(world);
});
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});
afterAll(async () => {
  await replica?.close();
  await world?.close();
});

const get = (as: Person, path: string, at = replica) =>
  call(at.url, 'GET', `/api/v1${path}`, { bearer: world.auth.tokenOf(as) });
async function join(person: Person, at = replica) {
  const socket = at.connect(world.auth.tokenOf(person));
  const heard = hearing(socket);
  await connected(socket);
  return { socket, heard };
}
const known = (person: Person) =>
  world.tell('people', person.organizationId, {
    organizationId: person.organizationId,
    events: [{ type: 'person', ...person, organizationId: undefined, version: 1, deleted: false }],
  });

describe('presence', () => {
  test('from usage to the list, of one’s own, of a lead’s people, of all', async () => {
    const boss = world.person('manager');
    const { organizationId } = boss;
    const [ada, ben, lead] = [1, 2, 3].map(() => world.person('employee', organizationId)) as [Person, Person, Person];
    const team = uuidv7();
    world.leads.set(lead.id, { teamIds: [team], userIds: [ada.id, lead.id] });
    world.teams.set(team, [ada.id, lead.id]);
    for (const person of [boss, ada, ben, lead]) await known(person);
    await world.tell('usage', ada.id, usage(ada));
    const states = async (as: Person, query = '') =>
      Object.fromEntries(
        (await get(as, `/presence${query}`)).body.items.map((one: { userId: string; state: string }) => [
          one.userId,
          one.state,
        ]),
      );
    await until('she is online', async () => (await states(boss))[ada.id] === 'online');
    await until('all are known', async () => Object.keys(await states(boss)).length === 4);
    expect(await states(ada)).toEqual({ [ada.id]: 'online' });
    expect(await states(lead)).toEqual({ [ada.id]: 'online', [lead.id]: 'offline' });
    expect(await states(lead, `?teamId=${team}`)).toEqual({ [ada.id]: 'online', [lead.id]: 'offline' });
    expect(await states(boss, `?userId=${ben.id}`)).toEqual({ [ben.id]: 'offline' });
    const first = (await get(boss, '/presence?limit=3')).body;
    const rest = (await get(boss, `/presence?limit=3&cursor=${first.nextCursor}`)).body;
    expect([first.items.length, rest.items.length, rest.nextCursor]).toEqual([3, 1, null]);
    expect((await get(ada, `/presence?userId=${ben.id}`)).status).toBe(403);
    expect((await get(ada, `/presence?teamId=${team}`)).status).toBe(403);
    expect((await get(boss, `/presence?teamId=${uuidv7()}`)).status).toBe(404);
    expect((await get(world.person('admin'), `/presence?userId=${ada.id}`)).status).toBe(404);
    expect((await get(boss, `/presence?cursor=${first.nextCursor}x`)).status).toBe(400);
  });

  test('the late end of an old socket makes nobody offline, nor does an open one keep them online', async () => {
    const ada = world.person();
    const [old, young] = [await join(ada), await join(ada)];
    await world.tell('usage', ada.id, usage(ada));
    await heardOf(young.heard, 'user:online');
    old.socket.disconnect();
    await young.socket.emitWithAck('ping');
    expect((await get(ada, '/presence')).body.items[0].state).toBe('online');
    expect(young.heard.some(({ event }) => event === 'user:offline')).toBe(false);
  });

  test('a step of one’s own timer is activity; an entry that a manager writes is none', async () => {
    const [ada, ben] = [world.person(), world.person()];
    const [hers, his] = [await join(ada), await join(ben)];
    await world.tell('time-entries', ben.id, entryOf(ben, { kind: 'timer' }, uuidv7()));
    await world.tell('time-entries', ada.id, entryOf(ada, { kind: 'timer' }));
    await heardOf(hers.heard, 'user:online');
    await heardOf(his.heard, 'session:update');
    expect((await get(ben, '/presence')).body.items[0].state).toBe('offline');
  });

  test('when somebody was last seen outlives key-value, and auth is told', async () => {
    const ada = world.person();
    await world.tell('usage', ada.id, usage(ada, { endedAt: Date.now() - 120_000 }));
    const { rows } = await until('it is written', async () => {
      const found = await world.database.admin.query('SELECT last_seen_at FROM realtime.people WHERE user_id = $1', [
        ada.id,
      ]);
      return found.rows[0]?.last_seen_at ? found : undefined;
    });
    const other = await startReplica(world, { KEY_VALUE_URL: 'memory:' });
    closing.push(other.close);
    expect((await get(ada, '/presence', other)).body.items).toMatchObject([
      { state: 'offline', lastSeenAt: rows[0].last_seen_at.toISOString() },
    ]);
  });
});

describe('pushes', () => {
  test('nothing before its commit, and nothing of a transaction that is aborted', async () => {
    const log = silentLogger();
    const lifecycle = createLifecycle({ log });
    closing.push(() => lifecycle.close());
    const pool = createPool(world.database.url, { applicationName: 'test', log });
    lifecycle.onClose('postgres', () => pool.end());
    const metrics = createMetrics();
    const outbox = createOutbox({
      schema: 'realtime',
      pool,
      producer: world.eventLog.producer(),
      log,
      metrics,
      lifecycle,
    });
    const codec = createCodec(openSchemaRegistry('local:'), topics['time-entries']);
    await codec.prepare();
    const ada = world.person();
    const { heard } = await join(ada);
    const told = (description: string) => ({
      topic: 'time-entries',
      key: ada.id,
      value: codec.encode(entryOf(ada, { description })),
    });
    let committed = false;
    const aborted = transactionWithEvents({ pool, outbox }, async (_client, tell) => {
      tell(told('aborted'));
      throw new Error('no');
    });
    await expect(aborted).rejects.toThrow('no');
    const done = await transactionWithEvents({ pool, outbox }, async (client, tell) => {
      tell(told('done'));
      await client.query('SELECT pg_sleep(0.3)');
      expect(heard.filter(({ event }) => event === 'session:update')).toEqual([]);
      committed = true;
    });
    await done.published;
    const payload = await heardOf(heard, 'session:update');
    expect(committed).toBe(true);
    expect(payload).toMatchObject({
      description: 'done',
      userId: ada.id,
      version: 1,
      workedSeconds: expect.any(Number),
    });
    expect(payload).not.toHaveProperty('deleted');
    expect(heard.filter(({ event }) => event === 'session:update')).toHaveLength(1);
  });

  test('alerts and screenshots, to the person and their managers', async () => {
    const ada = world.person();
    const boss = world.person('manager', ada.organizationId);
    const all = [await join(ada), await join(boss)];
    const alert = {
      id: uuidv7(),
      date: '2026-01-05',
      timeEntryId: null,
      message: 'm',
      createdAt: Date.now(),
      resolvedAt: null,
      resolvedBy: null,
      version: 1,
    };
    const { organizationId, id: userId } = ada;
    const alerts = (...some: object[]) => world.tell('alerts', userId, { organizationId, userId, alerts: some });
    await alerts({ ...alert, type: 'idle' }, { ...alert, id: uuidv7(), type: 'overtime' });
    await alerts({ ...alert, type: 'idle', resolvedAt: Date.now(), version: 2 });
    const screenshot = {
      organizationId,
      userId,
      screenshotId: uuidv7(),
      status: 'ready',
      capturedAt: Date.now(),
      timeEntryId: null,
      blurLevel: 1,
      width: 1,
      height: 1,
      failureCode: null,
      version: 2,
      deleted: false,
    };
    await world.tell('screenshots-ready', userId, screenshot);
    for (const { heard } of all) {
      await heardOf(heard, 'screenshot:ready', ({ id }) => id === screenshot.screenshotId);
      await heardOf(heard, 'alert:resolved', ({ id, resolvedAt }) => id === alert.id && resolvedAt !== null);
      await heardOf(heard, 'alert:overtime');
      expect(heard.filter(({ event }) => event.startsWith('alert:')).map(({ payload }) => payload.version)).toEqual(
        expect.arrayContaining([1, 1, 2]),
      );
    }
  });

  test('a topic that is replayed tells nobody anything again', async () => {
    const ada = world.person();
    const { heard, socket } = await join(ada);
    const entry = entryOf(ada, { version: 7 });
    await world.tell('time-entries', ada.id, entry);
    await world.tell('usage', ada.id, usage(ada));
    await heardOf(heard, 'session:update');
    await heardOf(heard, 'user:online');
    const before = (await get(ada, '/presence')).body.items;
    await replica.close();
    for (const topic of ['usage', 'time-entries'] as const) {
      await until('the group may be moved', () =>
        world.eventLog.admin.resetGroup(`realtime-${topic}`, topic, 'earliest').then(() => true),
      );
    }
    socket.disconnect();
    replica = await startReplica(world);
    const again = await join(ada);
    await eventually(async () => {
      const lag = await world.eventLog.admin.lag('realtime-usage', ['usage']);
      const more = await world.eventLog.admin.lag('realtime-time-entries', ['time-entries']);
      expect([lag.usage, more['time-entries']]).toEqual([0, 0]);
    });
    await again.socket.emitWithAck('ping');
    expect(again.heard.map(({ event }) => event).filter((event) => /^(user|session:u)/.test(event))).toEqual([]);
    expect((await get(ada, '/presence')).body.items).toEqual(before);
  });
});

test('a notification is pushed once it is in the list, to its own person alone, and counted at the next connect', async () => {
  const boss = world.person('manager');
  const ada = world.person('employee', boss.organizationId);
  const [hers, his] = [await join(ada), await join(boss)];
  const task = taskState({ assigneeId: ada.id, version: 2 });
  const { organizationId } = ada;
  await world.tell('workspace-events', organizationId, {
    organizationId,
    actorId: boss.id,
    events: [task],
    happened: [{ type: 'task.assigned', id: task.id, version: 2, assigneeId: ada.id, previousAssigneeId: null }],
  });
  const pushed = await heardOf(hers.heard, 'notification');
  expect(pushed).toMatchObject({ type: 'task.assigned', link: `/tasks/${task.id}`, readAt: null });
  expect((await get(ada, '/notifications')).body).toMatchObject({ unread: 1, items: [{ id: pushed.id }] });
  const again = await join(ada);
  expect(await heardOf(again.heard, 'session:state')).toMatchObject({ unreadNotifications: 1 });
  await his.socket.emitWithAck('ping');
  expect(his.heard.map(({ event }) => event)).not.toContain('notification');
});

test('what cannot be read is put aside, and an operator sees what is told', async () => {
  const producer = world.eventLog.producer();
  closing.push(() => producer.close());
  const ada = world.person();
  await producer.send('usage', [{ key: ada.id, value: Buffer.from('nonsense') }]);
  await producer.send('alerts', [{ key: ada.id, value: Buffer.from('nonsense') }]);
  // By each who reads the topic: alerts are pushed, and make notifications and deliveries.
  const readers = { 'usage.dead': 1, 'alerts.dead': 3 };
  for (const [topic, count] of Object.entries(readers)) {
    await until(
      'it is put aside',
      async () => (await world.eventLog.admin.read(topic, { partition: 0, fromOffset: 0, limit: 10 })).length === count,
    );
  }
  const { heard } = await join(ada);
  await world.tell('usage', ada.id, usage(ada));
  await heardOf(heard, 'user:online');
  expect(await metricOf(replica.metrics, 'worktide_pushes_total', { event: 'user:online' })).toBeGreaterThan(0);
  expect(await metricOf(replica.metrics, 'worktide_sockets')).toBeGreaterThan(0);
});

test('requests reach one organisation’s rows alone', async () => {
  expect(await tablesWithoutTenantPolicy(world.database.admin, 'realtime')).toEqual([]);
});
