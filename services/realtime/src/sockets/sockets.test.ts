import { mkdtemp, rm } from 'node:fs/promises';
import { connect as connectTcp } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { uuidv7 } from '@worktide/runtime';
import { metricOf, until } from '@worktide/testing';
import {
  connected,
  createWorld,
  entryOf,
  heardOf,
  hearing,
  newest,
  once,
  type Person,
  type Running,
  refusal,
  startReplica,
  taskOf,
  usage,
  type World,
} from '../testing.ts';

let folder: string;
let world: World;
let replica: Running;
const more: Running[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'realtime-sockets-'));
  world = await createWorld(`lmdb:${folder}`);
  replica = await startReplica(world);
});
afterEach(async () => {
  for (const one of more.splice(0)) await one.close();
});
afterAll(async () => {
  await replica?.close();
  await world?.close();
  await rm(folder, { recursive: true, force: true });
});

const tokenOf = (person: Person, claims = {}) => world.auth.tokenOf(person, claims);
const join2 = async (person: Person, at = replica) => {
  const socket = at.connect(tokenOf(person));
  const heard = hearing(socket);
  const state = await connected(socket);
  return { socket, heard, state };
};

describe('who may connect', () => {
  test('a person is told who they are and what is so', async () => {
    const ada = world.person();
    const { heard, state } = await join2(ada);
    expect(heard[0]).toEqual({
      event: 'connected',
      payload: { userId: ada.id, organizationId: ada.organizationId, at: expect.any(String) },
    });
    expect(state).toEqual({
      entry: null,
      presence: { userId: ada.id, state: 'offline', since: null, lastSeenAt: null, deviceId: null, version: 0 },
      unreadNotifications: 0,
      at: expect.any(String),
    });
  });

  test('nobody without a good access token, and each is told why', async () => {
    const ada = world.person();
    const forged = `${tokenOf(ada).slice(0, -4)}AAAA`;
    const past = Math.floor(Date.now() / 1_000) - 1_000;
    expect(await refusal(replica.connect(undefined as never))).toBe('UNAUTHORIZED');
    expect(await refusal(replica.connect('' as never))).toBe('UNAUTHORIZED');
    expect(await refusal(replica.connect({ a: 1 } as never))).toBe('UNAUTHORIZED');
    expect(await refusal(replica.connect(forged))).toBe('UNAUTHORIZED');
    expect(await refusal(replica.connect(tokenOf(ada, { iat: past, exp: past + 900 })))).toBe('TOKEN_EXPIRED');
    expect(await refusal(replica.connect('waka_00000000-0000-4000-8000-000000000000'))).toBe('AGENT_KEY_REFUSED');
    expect(await metricOf(replica.metrics, 'worktide_sockets_refused_total', { code: 'UNAUTHORIZED' })).toBe(4);
  });

  test('a token that ends, a session that is revoked, a person who is suspended: gone within seconds', async () => {
    const [ending, logsOut, suspended, demoted, stays] = [
      world.person(),
      world.person(),
      world.person(),
      world.person('manager'),
      world.person(),
    ];
    const sid = uuidv7();
    const now = Math.floor(Date.now() / 1_000);
    const sockets = await Promise.all(
      [
        tokenOf(ending, { iat: now, exp: now + 2 }),
        tokenOf(logsOut, { sid }),
        tokenOf(suspended),
        tokenOf(demoted),
        tokenOf(stays),
      ].map(async (token) => {
        const socket = replica.connect(token, { reconnection: false });
        await connected(socket);
        return socket;
      }),
    );
    const cuts = sockets.slice(0, 4).map((socket) => once(socket, 'cut'));
    const gone = sockets.slice(0, 4).map((socket) => once(socket, 'disconnect'));
    const at = Date.now() + 1_000;
    const of = (person: Person) => ({ id: person.id, organizationId: person.organizationId, at, timezone: 'UTC' });
    world.auth.revoke(
      { kind: 'session', id: sid, organizationId: logsOut.organizationId, at },
      { kind: 'user', ...of(suspended), role: 'employee', status: 'suspended' },
      { kind: 'user', ...of(demoted), role: 'employee', status: 'active' },
    );
    const startedAt = Date.now();
    expect((await Promise.all(cuts)).map(({ code }) => code)).toEqual([
      'TOKEN_EXPIRED',
      'UNAUTHORIZED',
      'UNAUTHORIZED',
      'ROLE_CHANGED',
    ]);
    await Promise.all(gone);
    expect(Date.now() - startedAt).toBeLessThan(10_000);
    expect(sockets[4]!.connected).toBe(true);
  });

  test('a new token in the place of one that ends, of the same log-in alone', async () => {
    const ada = world.person();
    const sid = uuidv7();
    const now = Math.floor(Date.now() / 1_000);
    const socket = replica.connect(tokenOf(ada, { sid, iat: now, exp: now + 2 }));
    await connected(socket);
    expect(await socket.emitWithAck('renew', { token: tokenOf(world.person()) })).toMatchObject({
      error: { code: 'OTHER_SESSION' },
    });
    expect(await socket.emitWithAck('renew', { token: 'x' })).toMatchObject({ error: { code: 'UNAUTHORIZED' } });
    expect(await socket.emitWithAck('renew', { token: tokenOf(ada, { sid }) })).toEqual({ ok: true });
    await until('the first has ended', () => Date.now() > (now + 4) * 1_000);
    expect((await socket.emitWithAck('ping')).at).toEqual(expect.any(String));
  });
});

describe('who hears what', () => {
  test('managers of the organisation, the person and their lead; nobody else', async () => {
    const boss = world.person('manager');
    const { organizationId } = boss;
    const [ada, lead, colleague] = [1, 2, 3].map(() => world.person('employee', organizationId)) as [
      Person,
      Person,
      Person,
    ];
    const strangers = world.person('admin');
    world.leads.set(lead.id, { teamIds: [uuidv7()], userIds: [ada.id, lead.id] });
    const all = await Promise.all([boss, ada, lead, colleague, strangers].map((person) => join2(person)));
    await until('the lead hears', async () => {
      await world.tell('usage', ada.id, usage(ada));
      return all[2]!.heard.some(({ event }) => event === 'user:online');
    });
    const [first] = await Promise.all(all.slice(0, 3).map(({ heard }) => heardOf(heard, 'user:online')));
    expect(first).toEqual({
      userId: ada.id,
      state: 'online',
      since: expect.any(String),
      lastSeenAt: expect.any(String),
      deviceId: 'laptop',
      version: expect.any(Number),
      at: expect.any(String),
    });
    for (const { socket, heard } of all.slice(3)) {
      await socket.emitWithAck('ping');
      expect(heard.filter(({ event }) => event.startsWith('user:'))).toEqual([]);
    }
  });

  test('a task, after the same check as a request for it; a stranger’s does not exist', async () => {
    const ada = world.person();
    const [task, other] = [uuidv7(), uuidv7()];
    world.tasks.set(ada.id, new Set([task]));
    const { socket, heard } = await join2(ada);
    const eve = await join2(world.person('admin'));
    const ask = (event: string, body: unknown) => socket.emitWithAck(event, body);
    expect(await ask('subscribe-to-task', { taskId: task })).toEqual({ ok: true });
    expect(await ask('subscribe-to-task', { taskId: task })).toEqual({ ok: true });
    expect(await ask('subscribe-to-task', { taskId: other })).toMatchObject({ error: { code: 'NOT_FOUND' } });
    for (const body of [undefined, null, 7, {}, { taskId: '../x' }, { taskId: [task] }]) {
      expect(await ask('subscribe-to-task', body)).toMatchObject({ error: { code: 'INVALID' } });
    }
    expect(await eve.socket.emitWithAck('subscribe-to-task', { taskId: task })).toMatchObject({
      error: { code: 'NOT_FOUND' },
    });
    const event = (version: number, more: object = {}) =>
      world.tell(
        'workspace-events',
        ada.organizationId,
        taskOf(ada.organizationId, { id: task, version, ...more }, ada.id),
      );
    for (const [version, deleted] of [
      [1, false],
      [2, false],
      [3, true],
      [4, false],
    ] as const) {
      await event(version, { deleted });
    }
    await heardOf(heard, 'task-event', ({ version }) => version === 4);
    const told = newest(heard.filter(({ event: name }) => name === 'task:event').map(({ payload }) => payload));
    expect(told.map(({ type }) => type)).toEqual(['created', 'updated', 'deleted', 'restored']);
    expect(told[0]).toMatchObject({ task: { id: task, title: 'T' }, actorId: ada.id, version: 1 });
    expect(eve.heard.filter(({ event: name }) => name.startsWith('task'))).toEqual([]);
    expect(await ask('unsubscribe-from-task', { taskId: task })).toEqual({ ok: true });
    await event(5);
    await event(6, { assigneeId: ada.id });
    await heardOf(heard, 'task:event', ({ version }) => version === 6);
    expect(heard.some(({ payload }) => payload.version === 5)).toBe(false);
  });

  test('who heard by a right that may have ended is not sent what they missed', async () => {
    const other = await startReplica(world);
    more.push(other);
    const lead = world.person();
    const ada = world.person('employee', lead.organizationId);
    const task = uuidv7();
    world.tasks.set(lead.id, new Set([task]));
    world.leads.set(lead.id, { teamIds: [uuidv7()], userIds: [ada.id] });
    const boss = await join2(world.person('manager', lead.organizationId), other);
    const recovers = { leads: await join2(lead, other), subscribed: await join2(lead, other), manages: boss };
    await world.tell('usage', ada.id, usage(ada));
    // Each has an offset now to go on from.
    for (const { heard } of Object.values(recovers)) await heardOf(heard, 'user:online');
    await recovers.subscribed.socket.emitWithAck('subscribe-to-task', { taskId: task });
    for (const { socket } of Object.values(recovers)) socket.io.reconnection(false);
    const offsets = Object.values(recovers).map(
      ({ socket }) => socket as unknown as { _pid: string; _lastOffset: string },
    );
    for (const { socket } of Object.values(recovers)) socket.io.engine.close();
    await until('all are gone', async () => (await metricOf(other.metrics, 'worktide_sockets')) === 0);
    world.leads.delete(lead.id);
    world.tasks.delete(lead.id);
    const watcher = await join2(world.person('admin', lead.organizationId));
    await world.tell('time-entries', ada.id, entryOf(ada, { description: 'SECRET' }));
    await heardOf(watcher.heard, 'session:update');
    expect(offsets.every(({ _pid: pid, _lastOffset: offset }) => pid && offset)).toBe(true);

    for (const { socket, heard } of Object.values(recovers)) {
      heard.length = 0;
      socket.connect();
      await heardOf(heard, 'connected');
      await socket.emitWithAck('ping');
    }
    expect(Object.values(recovers).map(({ socket }) => socket.recovered)).toEqual([false, false, true]);
    await heardOf(boss.heard, 'session:update');
    for (const { heard } of [recovers.leads, recovers.subscribed])
      expect(JSON.stringify(heard)).not.toContain('SECRET');
  });

  test('where employees see their own tasks alone, one that is nobody’s of theirs any more is heard of no more', async () => {
    const ada = world.person();
    world.settings(ada.organizationId, { taskVisibility: 'own' });
    const boss = world.person('manager', ada.organizationId);
    const task = uuidv7();
    for (const one of [ada, boss]) world.tasks.set(one.id, new Set([task]));
    const [hers, his] = [await join2(ada), await join2(boss)];
    for (const { socket } of [hers, his]) {
      expect(await socket.emitWithAck('subscribe-to-task', { taskId: task })).toEqual({ ok: true });
    }
    const tell = (version: number, assigneeId: string) =>
      world.tell(
        'workspace-events',
        ada.organizationId,
        taskOf(ada.organizationId, { id: task, version, assigneeId, creatorId: boss.id }),
      );
    await tell(2, ada.id);
    await tell(3, uuidv7());
    await tell(4, uuidv7());
    await heardOf(his.heard, 'task:event', ({ version }) => version === 4);
    await hers.socket.emitWithAck('ping');
    expect(hers.heard.filter(({ event }) => event === 'task:event').map(({ payload }) => payload.version)).toEqual([2]);
  });
});

describe('bounds', () => {
  test('a message of 100 kB ends the connection with code 1009', async () => {
    const { socket } = await join2(world.person());
    const closed = new Promise((resolve) => {
      (socket.io.engine.transport as unknown as { ws: WebSocket }).ws.addEventListener('close', (event) =>
        resolve((event as { code: number }).code),
      );
    });
    socket.io.reconnection(false);
    socket.emit('ping', 'x'.repeat(100_000));
    expect(await closed).toBe(1009);
  });

  test('a flood of pings is cut with a code', async () => {
    const { socket } = await join2(world.person());
    socket.io.reconnection(false);
    const cut = once(socket, 'cut');
    for (let i = 0; i < 1_000; i++) socket.emit('ping');
    expect(await cut).toMatchObject({ code: 'TOO_MANY_EVENTS' });
    await until('it is gone', () => !socket.connected);
  });

  test('a thousand subscriptions are refused past a hundred, or cut', async () => {
    const ada = world.person();
    const ids = Array.from({ length: 101 }, () => uuidv7());
    world.tasks.set(ada.id, new Set(ids));
    const { socket } = await join2(ada);
    for (const [i, taskId] of ids.entries()) {
      // As fast as one may.
      if (i >= 50) await new Promise((resolve) => setTimeout(resolve, 52));
      const answer = await socket.emitWithAck('subscribe-to-task', { taskId });
      if (i < 100) expect(answer).toEqual({ ok: true });
      else expect(answer).toMatchObject({ error: { code: 'TOO_MANY_SUBSCRIPTIONS' } });
    }
    const cut = once(socket, 'cut');
    socket.io.reconnection(false);
    for (let i = 0; i < 1_000; i++) socket.emit('subscribe-to-task', { taskId: uuidv7() });
    expect(await cut).toMatchObject({ code: 'TOO_MANY_EVENTS' });
  });

  test('of a person, an address, an organisation no more than their share', async () => {
    const small = await startReplica(world, {
      KEY_VALUE_URL: 'memory:',
      SOCKETS_PER_USER: '2',
      SOCKETS_MAX: '8',
      SOCKETS_PER_ADDRESS: '12',
    });
    more.push(small);
    const ada = world.person();
    await Promise.all([join2(ada, small), join2(ada, small)]);
    expect(await refusal(small.connect(tokenOf(ada)))).toBe('TOO_MANY_SOCKETS');
    const office = world.person();
    const colleagues = () => world.person('employee', office.organizationId);
    const mine = [];
    for (let i = 0; i < 3; i++) mine.push(await join2(colleagues(), small));
    // An organisation holds no more than is left for all others.
    expect(await refusal(small.connect(tokenOf(colleagues())))).toBe('BUSY');
    mine[0]!.socket.disconnect();
    await until('its place is free', async () => {
      const socket = small.connect(tokenOf(colleagues()), { reconnection: false });
      return connected(socket).then(
        () => true,
        () => false,
      );
    });
    const idle = Array.from({ length: 12 }, () => connectTcp(Number(new URL(small.url).port), '127.0.0.1'));
    const answers = idle.map(
      (socket) =>
        new Promise<string>((resolve) => {
          socket.on('data', (data) => resolve(String(data).split('\r\n')[0]!));
          socket.write(
            'GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n' +
              'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n',
          );
        }),
    );
    const lines = await Promise.all(answers);
    expect(lines).toContain('HTTP/1.1 429 TOO_MANY_SOCKETS');
    for (const socket of idle) socket.destroy();
  });

  test('a session goes on by no other connection', async () => {
    const ada = world.person();
    const { socket } = await join2(ada);
    const address = `${replica.url.replace('http', 'ws')}/socket.io/?EIO=4&transport=websocket`;
    for (const name of ['sid', '%73id']) {
      const second = new WebSocket(`${address}&${name}=${socket.io.engine.id}`);
      const opened = await new Promise((resolve) => {
        second.onopen = () => resolve(true);
        second.onerror = () => resolve(false);
      });
      expect(opened).toBe(false);
    }
    await socket.emitWithAck('ping');
  });

  test('who does not read is cut, and nothing piles up', async () => {
    const ada = world.person();
    const { socket } = await join2(ada);
    socket.io.reconnection(false);
    const raw = (socket.io.engine.transport as unknown as { ws: { _socket: { pause(): void } } }).ws._socket;
    raw.pause();
    const task = uuidv7();
    let version = 0;
    await until(
      'it is cut',
      async () => {
        await world.tell(
          'workspace-events',
          ada.organizationId,
          taskOf(ada.organizationId, {
            id: task,
            version: ++version,
            title: 'long'.repeat(100_000),
            assigneeId: ada.id,
          }),
        );
        return (await metricOf(replica.metrics, 'worktide_sockets_cut_total', { code: 'READS_TOO_SLOWLY' })) === 1;
      },
      { everyMs: 50 },
    );
    await until('nothing waits', async () => (await metricOf(replica.metrics, 'worktide_socket_waiting_bytes')) === 0);
  });
});
