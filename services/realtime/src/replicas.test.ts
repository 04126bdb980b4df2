import { mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer, type Server, type Socket as TcpSocket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { backend, type Engine, freePort, startEngine, startRedis } from '@worktide/backends';
import { uuidv7 } from '@worktide/runtime';
import { call, expectStatus, metricOf, until } from '@worktide/testing';
import { io, type Socket } from 'socket.io-client';
import { connected, createWorld, heardOf, hearing, newest, type Person, taskOf, usage, type World } from './testing.ts';
import { startReceiver } from './webhooks/testing.ts';

/** Two replicas as processes of their own, with a Redis of their own that is killed, behind something that balances. */
let world: World;
let folder: string;
let redis: Engine;
let replicas: Engine[];
let balancer: Balancer;
const sockets: Socket[] = [];
const metricsToken = 'metrics-token-of-tests-0123456789abcdef';

interface Balancer {
  url: string;
  server: Server;
  /** Cuts the ways that are open. */
  cut(): void;
}

/** Each connection to the next of those that are there. */
async function balance(ports: readonly number[]): Promise<Balancer> {
  const open = new Set<TcpSocket>();
  let turn = 0;
  const server = createServer((client) => {
    open.add(client);
    client.on('error', () => {});
    client.on('close', () => open.delete(client));
    const attempt = (left: number): void => {
      const upstream = connect(ports[turn++ % ports.length]!, '127.0.0.1');
      upstream.on('error', () => (left > 0 && upstream.bytesRead === 0 ? attempt(left - 1) : client.destroy()));
      upstream.on('connect', () => {
        client.pipe(upstream).pipe(client);
        upstream.on('close', () => client.destroy());
        client.on('close', () => upstream.destroy());
      });
    };
    attempt(ports.length - 1);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as { port: number }).port}`,
    server,
    cut() {
      for (const one of open) one.destroy();
    },
  };
}

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'realtime-replicas-'));
  world = await createWorld(`${await backend('kafka')}?prefix=replicas-${uuidv7().slice(-12)}-`);
  redis = await startRedis({ dir: path.join(folder, 'redis'), port: await freePort() });
  const ports = [await freePort(), await freePort()];
  replicas = await Promise.all(
    ports.map((port, i) =>
      startEngine({
        name: `realtime-${i}`,
        url: `http://127.0.0.1:${port}`,
        command: process.execPath,
        args: [fileURLToPath(new URL('./main.ts', import.meta.url))],
        env: {
          NODE_ENV: 'production',
          HOST: '127.0.0.1',
          PORT: String(port),
          POSTGRES_URL: world.database.url,
          EVENT_LOG_URL: world.logUrl,
          KEY_VALUE_URL: redis.url,
          AUTH_URL: world.auth.url,
          WORKSPACE_URL: world.othersUrl,
          WRITER_URL: world.othersUrl,
          INTERNAL_TOKEN: 'internal-token-of-tests-0123456789abcdef',
          METRICS_TOKEN: metricsToken,
          WEBHOOK_ALLOWED_RANGES: '127.0.0.0/8',
          WEBHOOK_ALLOW_HTTP: 'true',
          WEBHOOK_SECRETS_KEY: 'seals-secrets-of-tests-0123456789abcdef',
        },
        dir: path.join(folder, `realtime-${i}`),
        ready: async () => (await fetch(`http://127.0.0.1:${port}/health/ready`).catch(() => undefined))?.ok === true,
      }),
    ),
  );
  balancer = await balance(ports);
});
afterAll(async () => {
  for (const socket of sockets) socket.disconnect();
  balancer?.server.close();
  await Promise.all((replicas ?? []).map((one) => one.kill9()));
  await redis?.kill9();
  await world?.close();
  await rm(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 200 });
});

async function join(person: Person, auth: object = {}) {
  const socket = io(balancer.url, {
    transports: ['websocket'],
    forceNew: true,
    auth: { token: world.auth.tokenOf(person), ...auth },
    reconnectionDelay: 50,
    reconnectionDelayMax: 200,
  });
  sockets.push(socket);
  const heard = hearing(socket);
  await connected(socket);
  return { socket, heard };
}
const presenceAt = async (replica: Engine, as: Person) =>
  (await call(replica.url, 'GET', '/api/v1/presence', { bearer: world.auth.tokenOf(as) })).body.items;
/** What each was told of somebody, by version and each once. */
const told = (heard: { event: string; payload: { userId?: string; version: number } }[], of: Person) =>
  [
    ...new Set(
      heard
        .filter(({ event, payload }) => event.startsWith('user:') && payload.userId === of.id)
        .map(({ event, payload }) => `${event} ${payload.version}`),
    ),
  ].join();

test('two replicas say the same, to all their sockets, whatever is killed', async () => {
  const boss = world.person('manager');
  const { organizationId } = boss;
  const people = Array.from({ length: 4 }, () => world.person('employee', organizationId));
  await world.tell('people', organizationId, {
    organizationId,
    events: [boss, ...people].map(({ organizationId: _, ...person }) => ({
      type: 'person',
      ...person,
      version: 1,
      deleted: false,
    })),
  });
  const managers = await Promise.all(Array.from({ length: 4 }, () => join(boss)));
  /** All hear of somebody, and the same. */
  const allHear = async (person: Person): Promise<void> => {
    for (const { heard } of managers) await heardOf(heard, 'user:online', ({ userId }) => userId === person.id);
    const all = managers.map(({ heard }) => told(heard, person));
    expect(new Set(all).size).toBe(1);
  };
  const agree = async (): Promise<void> => {
    const [one, other] = await Promise.all(replicas.map((replica) => presenceAt(replica, boss)));
    expect(one).toEqual(other);
    expect(one.length).toBe(5);
  };

  const [first, second, third, fourth] = people as [Person, Person, Person, Person];
  await world.tell('usage', first.id, usage(first));
  await allHear(first);
  await until('all people are known', async () => (await presenceAt(replicas[0]!, boss)).length === 5);
  await agree();

  // A replica dies with its sockets: they go on at the other, which takes over what it followed.
  await replicas[0]!.kill9();
  await world.tell('usage', second.id, usage(second));
  await until('all are connected again', () => managers.every(({ socket }) => socket.connected));
  await until('it is online', async () =>
    (await presenceAt(replicas[1]!, boss)).some(
      (one: { userId: string; state: string }) => one.userId === second.id && one.state === 'online',
    ),
  );
  await world.tell('usage', third.id, usage(third));
  await allHear(third);
  await replicas[0]!.restart();
  await agree();

  // Redis dies: what is told meanwhile comes when it is back.
  await redis.kill9();
  await world.tell('usage', fourth.id, usage(fourth));
  await redis.restart();
  await allHear(fourth);
  await agree();
}, 120_000);

test('who lost the way goes on where they were, with what they missed, in order and once; nobody else by their secret', async () => {
  const ada = world.person();
  const { socket, heard } = await join(ada);
  const task = uuidv7();
  const tell = (version: number) =>
    world.tell(
      'workspace-events',
      ada.organizationId,
      taskOf(ada.organizationId, { id: task, version, assigneeId: ada.id }),
    );
  await tell(1);
  await heardOf(heard, 'task:event', ({ version }) => version === 1);
  const { _pid: pid, _lastOffset: offset } = socket as unknown as { _pid: string; _lastOffset: string };
  socket.io.reconnection(false);
  balancer.cut();
  await until('the way is lost', () => !socket.connected);
  const watcher = await join(ada);
  for (const version of [2, 3, 4]) await tell(version);
  await heardOf(watcher.heard, 'task:event', ({ version }) => version === 4);

  const eve = await join(world.person('admin'), { pid, offset });
  expect(eve.socket.recovered).toBe(false);
  await eve.socket.emitWithAck('ping');
  expect(eve.heard.filter(({ event }) => event.startsWith('task'))).toEqual([]);

  socket.connect();
  await heardOf(heard, 'task:event', ({ version }) => version === 4);
  expect(socket.recovered).toBe(true);
  const told = newest(heard.filter(({ event }) => event === 'task:event').map(({ payload }) => payload));
  expect(told.map(({ version }) => version)).toEqual([1, 2, 3, 4]);
  await tell(5);
  await heardOf(heard, 'task:event', ({ version }) => version === 5);
});

test('a system is called for each event under one id and in order, and people are notified once, whichever replica dies', async () => {
  const admin = world.person('admin');
  const ada = world.person('employee', admin.organizationId);
  const { organizationId } = admin;
  await world.tell('people', organizationId, {
    organizationId,
    events: [admin, ada].map(({ organizationId: _, ...person }) => ({
      type: 'person',
      ...person,
      version: 1,
      deleted: false,
    })),
  });
  const receiver = await startReceiver();
  try {
    const bearer = world.auth.tokenOf(admin);
    await until('they are known', async () => (await presenceAt(replicas[0]!, admin)).length === 2);
    const body = { url: receiver.url, events: ['task.created', 'task.updated'] };
    const { id } = expectStatus(await call(replicas[0]!.url, 'POST', '/api/v1/webhooks', { bearer, body }), 201);
    const task = uuidv7();
    const tell = (version: number) =>
      world.tell('workspace-events', organizationId, {
        ...taskOf(organizationId, { id: task, version, assigneeId: ada.id }),
        ...(version === 1 && {
          happened: [{ type: 'task.assigned', id: task, version, assigneeId: ada.id, previousAssigneeId: null }],
        }),
      });
    const versionOf = (body: string): number => JSON.parse(body).data.version;

    // The third is held for ever: whichever replica has it dies with it.
    receiver.behave(({ body }, res) => versionOf(body) !== 3 && res.writeHead(204).end());
    for (const version of [1, 2, 3, 4, 5]) await tell(version);
    await until('the third is under way', () => receiver.received.some(({ body }) => versionOf(body) === 3));
    const runs = await Promise.all(
      replicas.map(async ({ url }) => {
        const { text } = await call(url, 'GET', '/metrics', { bearer: metricsToken });
        return metricOf(text, 'worktide_webhooks_running');
      }),
    );
    expect(runs.toSorted()).toEqual([0, 1]);
    const holder = replicas[runs.indexOf(1)]!;
    await holder.kill9();
    receiver.behave((_, res) => res.writeHead(204).end());
    // As if its lease had run out.
    await world.database.admin.query('UPDATE realtime.webhooks SET due_at = now() WHERE id = $1', [id]);
    await tell(1);
    await tell(6);
    await until('the sixth has come', () => receiver.received.some(({ body }) => versionOf(body) === 6));
    await holder.restart();
    await tell(7);
    await until('the seventh has come', () => receiver.received.some(({ body }) => versionOf(body) === 7));

    const ids = new Map<number, Set<unknown>>();
    for (const { body, headers } of receiver.received) {
      const version = versionOf(body);
      ids.set(version, (ids.get(version) ?? new Set()).add(headers['x-worktide-delivery']));
    }
    // Each for the first time in the order of its versions, and under one id however often it was tried.
    expect([...ids.keys()]).toEqual([1, 2, 3, 4, 5, 6, 7]);
    expect([...ids.values()].map(({ size }) => size)).toEqual([1, 1, 1, 1, 1, 1, 1]);

    const listed = await call(holder.url, 'GET', '/api/v1/notifications', { bearer: world.auth.tokenOf(ada) });
    expect(listed.body.items.map(({ type }: { type: string }) => type)).toEqual(['task.assigned']);
  } finally {
    receiver.close();
  }
}, 120_000);
