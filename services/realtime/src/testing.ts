import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { backend, freshServiceDatabase, type TestDatabase } from '@worktide/backends';
import { type EventLog, openEventLog } from '@worktide/event-log';
import {
  createLifecycle,
  createMetrics,
  httpOptions,
  type Lifecycle,
  loadConfig,
  type Metrics,
  type Role,
  serve,
  silentLogger,
  uuidv7,
} from '@worktide/runtime';
import {
  allTopics,
  type Codec,
  createCodec,
  type KnownOrganization,
  type KnownUser,
  type OrganizationSettings,
  openSchemaRegistry,
  organizationSettings,
  type TimeEntryState,
  topics,
  type UsageEntryState,
  type WorkspaceEvent,
} from '@worktide/schemas';
import { startStubAuth, until } from '@worktide/testing';
import { io, type Socket } from 'socket.io-client';
import { configSchema, database, run } from './index.ts';

/** Helpers of this service's tests: it as `main.ts` runs it, on real engines, beside others of which there is no more than it asks. */

const log = silentLogger();
const internalToken = 'internal-token-of-tests-0123456789abcdef';

export type Person = KnownUser;

/** Around the service: a database, a log, and what auth, workspace and the writer answer. */
export interface World {
  database: TestDatabase;
  eventLog: EventLog;
  logUrl: string;
  auth: Awaited<ReturnType<typeof startStubAuth>>;
  /** Tasks that may be seen, by user; teams by id, and whom somebody leads. */
  tasks: Map<string, Set<string>>;
  teams: Map<string, string[]>;
  leads: Map<string, { teamIds: string[]; userIds: string[] }>;
  othersUrl: string;
  person(role?: Role, organizationId?: string): Person;
  settings(organizationId: string, settings: Partial<OrganizationSettings>): void;
  tell(topic: Told, userId: string, record: unknown): Promise<void>;
  close(): Promise<void>;
}
type Told = 'usage' | 'time-entries' | 'alerts' | 'workspace-events' | 'screenshots-ready' | 'people';

/** @param logUrl a folder of LMDB, or Kafka with a prefix. */
export async function createWorld(logUrl: string): Promise<World> {
  const testDatabase = await freshServiceDatabase(database);
  const auth = await startStubAuth();
  auth.answer('/internal/users/seen', { noted: 0 });
  const eventLog = openEventLog(logUrl, { clientId: 'test', log, metrics: createMetrics() });
  await eventLog.admin.ensureTopics(allTopics());
  const registry = openSchemaRegistry('local:');
  const codecs = new Map<Told, Codec>();
  for (const topic of ['usage', 'time-entries', 'alerts', 'workspace-events', 'screenshots-ready', 'people'] as const) {
    const codec = createCodec(registry, topics[topic]);
    await codec.prepare();
    codecs.set(topic, codec);
  }
  const producer = eventLog.producer();
  const tasks: World['tasks'] = new Map();
  const teams: World['teams'] = new Map();
  const leads: World['leads'] = new Map();
  const others = createServer(async (req, res) => {
    const chunks: Buffer[] = [];
    for await (const chunk of req) chunks.push(chunk as Buffer);
    const asked = chunks.length > 0 ? JSON.parse(Buffer.concat(chunks).toString()) : {};
    const answers: Record<string, () => unknown> = {
      '/internal/workspace/led': () => leads.get(asked.leadId) ?? { teamIds: [], userIds: [] },
      '/internal/workspace/sees-task': () => ({ sees: tasks.get(asked.userId)?.has(asked.taskId) ?? false }),
      '/internal/workspace/team': () => ({ userIds: teams.get(asked.teamId) ?? null }),
      '/api/v1/time-entries/active': () => ({ entry: null }),
    };
    res.setHeader('content-type', 'application/json').end(JSON.stringify(answers[req.url!]?.() ?? {}));
  });
  await new Promise<void>((resolve) => others.listen(0, '127.0.0.1', resolve));
  const organizations = new Map<string, KnownOrganization>();
  const settings: World['settings'] = (organizationId, given) => {
    const known = organizationSettings.parse(given);
    const organization = { id: organizationId, timezone: 'UTC', subscriptionStatus: 'pro' as const, settings: known };
    organizations.set(organizationId, organization);
    auth.answer(`/internal/organizations/${organizationId}`, { organization });
  };

  return {
    database: testDatabase,
    eventLog,
    logUrl,
    auth,
    tasks,
    teams,
    leads,
    othersUrl: `http://127.0.0.1:${(others.address() as AddressInfo).port}`,
    person(role = 'employee', organizationId = uuidv7()) {
      const user = { id: uuidv7(), organizationId, name: 'N', role, timezone: 'UTC', status: 'active' as const };
      if (!organizations.has(organizationId)) settings(organizationId, {});
      auth.answer(`/internal/users/${organizationId}/${user.id}`, { user });
      return user;
    },
    settings,
    async tell(topic, key, record) {
      await producer.send(topics[topic].name, [{ key, value: codecs.get(topic)!.encode(record) }]);
    },
    async close() {
      others.closeAllConnections();
      others.close();
      auth.close();
      await eventLog.close();
      await testDatabase.drop();
    },
  };
}

export interface Running {
  url: string;
  metrics: Metrics;
  lifecycle: Lifecycle;
  /** A stock client; it connects by itself. */
  connect(token: string, more?: object): Socket;
  close(): Promise<void>;
}

/** One replica. */
export async function startReplica(world: World, more: Record<string, string> = {}): Promise<Running> {
  const lifecycle = createLifecycle({ log });
  const metrics = createMetrics();
  const config = loadConfig(configSchema, {
    HOST: '127.0.0.1',
    PORT: '0',
    POSTGRES_URL: world.database.url,
    EVENT_LOG_URL: world.logUrl,
    KEY_VALUE_URL: more.KEY_VALUE_URL ?? (await backend('redis')),
    AUTH_URL: world.auth.url,
    WORKSPACE_URL: world.othersUrl,
    WRITER_URL: world.othersUrl,
    INTERNAL_TOKEN: internalToken,
    IP_LIMIT_PER_MINUTE: '100000',
    ...more,
  });
  const service = await run(config, { lifecycle, log, metrics });
  const { url } = await serve({ services: [service], lifecycle, log, metrics, ...httpOptions(config) });
  const sockets: Socket[] = [];
  return {
    url,
    metrics,
    lifecycle,
    connect(token, options = {}) {
      const socket = io(url, {
        transports: ['websocket'],
        auth: { token },
        forceNew: true,
        reconnectionDelay: 20,
        reconnectionDelayMax: 100,
        ...options,
      });
      sockets.push(socket);
      return socket;
    },
    async close() {
      for (const socket of sockets) socket.disconnect();
      await lifecycle.close();
    },
  };
}

// biome-ignore lint/suspicious/noExplicitAny: payloads of every event; what they are is what the tests assert.
export type Payload = any;

/** Everything that a socket is told from now on. */
export function hearing(socket: Socket): { event: string; payload: Payload }[] {
  const heard: { event: string; payload: Payload }[] = [];
  socket.onAny((event: string, payload: Payload) => void heard.push({ event, payload }));
  return heard;
}

/** Until it is connected and has been told its first state. @throws what it was refused with. */
export const connected = (socket: Socket): Promise<Payload> =>
  new Promise((resolve, reject) => {
    socket.once('session:state', resolve);
    socket.once('connect_error', reject);
  });

/** The code with which a connection is refused. */
export const refusal = (socket: Socket): Promise<string> =>
  new Promise((resolve, reject) => {
    socket.once('connect', () => reject(new Error('it was not refused')));
    socket.once('connect_error', (error: Error & { data?: { code: string } }) => {
      socket.disconnect();
      resolve(error.data?.code ?? error.message);
    });
  });

export const once = (socket: Socket, event: string): Promise<Payload> =>
  new Promise((resolve) => socket.once(event, resolve));

export const usage = (person: Person, more: Partial<UsageEntryState> = {}) => ({
  organizationId: person.organizationId,
  userId: person.id,
  entries: [
    {
      id: uuidv7(),
      deviceId: 'laptop',
      source: 'window',
      app: 'Editor',
      host: null,
      state: 'active',
      startedAt: Date.now() - 60_000,
      endedAt: Date.now(),
      version: Date.now() * 1_000,
      deleted: false,
      ...more,
    },
  ],
});

export const entryOf = (person: Person, more: Partial<TimeEntryState> = {}, actorId: string | null = person.id) => ({
  organizationId: person.organizationId,
  userId: person.id,
  actorId,
  entries: [
    {
      id: uuidv7(),
      kind: 'manual',
      status: 'RUNNING',
      projectId: null,
      taskId: null,
      description: null,
      tags: [],
      billable: false,
      timezone: 'UTC',
      startedAt: Date.now() - 10_000,
      endedAt: null,
      pauses: [],
      createdAt: Date.now() - 10_000,
      updatedAt: Date.now(),
      version: 1,
      deleted: false,
      ...more,
    },
  ],
});

/** A record of a state of a task that is somebody else's. */
export const taskOf = (
  organizationId: string,
  task: { id: string; version: number } & Partial<Extract<WorkspaceEvent, { type: 'task' }>>,
  actorId: string | null = null,
) => ({
  organizationId,
  actorId,
  events: [
    {
      type: 'task',
      deleted: false,
      projectId: uuidv7(),
      title: 'T',
      status: 'todo',
      priority: 'low',
      assigneeId: null,
      creatorId: uuidv7(),
      dueDate: null,
      completedAt: null,
      ...task,
    },
  ],
});

/** Until some have heard an event. */
export const heardOf = (
  heard: { event: string; payload: Payload }[],
  event: string,
  of: (payload: Payload) => boolean = () => true,
): Promise<Payload> =>
  until(`${event} is heard`, () => heard.find((one) => one.event === event && of(one.payload))?.payload);

/** What a client keeps of what it is told of one object, which may come twice: each version that is greater than all before it. */
export const newest = (payloads: readonly Payload[]): Payload[] =>
  payloads.filter(({ version }, i) => payloads.slice(0, i).every((earlier) => earlier.version < version));
