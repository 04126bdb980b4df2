import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createAudit } from '@worktide/audit';
import { freshServiceDatabase, type TestDatabase } from '@worktide/backends';
import { type EventLog, openEventLog, type Producer } from '@worktide/event-log';
import { createTenantCache, type KeyValue, openKeyValue } from '@worktide/key-value';
import { createOutbox, createPool, type Pool, readsOf } from '@worktide/postgres';
import {
  type AnyRoute,
  type Caller,
  createLifecycle,
  createMetrics,
  type Metrics,
  type Role,
  serve,
  silentLogger,
  unauthorized,
  unavailable,
  uuidv7,
} from '@worktide/runtime';
import {
  type AuditEvent,
  allTopics,
  auditRecord,
  createCodec,
  type OrganizationSettings,
  openSchemaRegistry,
  organizationSettings,
  projectPage,
  type TopicName,
  topics,
  type UserStatus,
  type WorkspaceRecord,
  workspaceRecord,
} from '@worktide/schemas';
import { type Answer, call } from '@worktide/testing';
import { concernsProjects } from './cache/follow.ts';
import { database } from './database.ts';
import { workspaceRoutes } from './routes.ts';
import { createStore, type Store } from './store/store.ts';

/** Helpers of this service's tests: its routes on a real PostgreSQL and a real log, spoken to over HTTP. */

export type { TestDatabase };

export const workspaceDatabase = (): Promise<TestDatabase> => freshServiceDatabase(database);

export type Person = Caller & { status: UserStatus };

export interface Running {
  url: string;
  pool: Pool;
  store: Store;
  routes: AnyRoute[];
  metrics: Metrics;
  eventLog: EventLog;
  /** What the routes see of auth (users, and settings that it was never asked for), the log and key-value can be made to fail. */
  away: { auth: boolean; settings: boolean; log: boolean; keyValue: boolean };
  /** Of organisations, where they are not the default ones. */
  settings: Map<string, Partial<OrganizationSettings>>;
  /** A new person, of a new organisation unless one is named. */
  person(role?: Role, more?: Partial<Person>): Person;
  call(as: Person | undefined, method: string, path: string, body?: unknown): Promise<Answer>;
  /** What an organisation's topic holds. */
  told(organizationId: string): Promise<WorkspaceRecord[]>;
  audited(organizationId: string): Promise<AuditEvent[]>;
  close(): Promise<void>;
}

/** One process of the service but for its credentials, which are libs/identity's: the header names the caller. */
export async function startWorkspace(postgresUrl: string, options: { keyValue?: KeyValue } = {}): Promise<Running> {
  const log = silentLogger();
  const metrics = createMetrics();
  const lifecycle = createLifecycle({ log });
  const folder = await mkdtemp(join(tmpdir(), 'workspace-'));
  lifecycle.onClose('folder', () => rm(folder, { recursive: true, force: true }));
  const pool = createPool(postgresUrl, { applicationName: 'workspace', log });
  lifecycle.onClose('postgres', () => pool.end());
  const eventLog = openEventLog(`lmdb:${folder}`, { clientId: 'test', log, metrics });
  lifecycle.onClose('log', () => eventLog.close());
  await eventLog.admin.ensureTopics(allTopics());
  const registry = openSchemaRegistry('local:');
  const codec = createCodec(registry, topics['workspace-events']);
  const auditCodec = createCodec(registry, topics.audit);
  await Promise.all([codec.prepare(), auditCodec.prepare()]);

  const away = { auth: false, settings: false, log: false, keyValue: false };
  const settings: Running['settings'] = new Map();
  const people = new Map<string, Person>();
  const real = eventLog.producer();
  const producer: Pick<Producer, 'send'> = {
    send: async (topic, records) => {
      if (away.log) throw unavailable('event-log');
      return real.send(topic, records);
    },
  };
  const keyValue = failing(options.keyValue ?? openKeyValue('memory:', { log, metrics }), () => away.keyValue);
  lifecycle.onClose('key-value', () => keyValue.close());
  const graceMs = 200;
  const outbox = createOutbox({
    schema: 'workspace',
    pool,
    producer,
    log,
    metrics,
    lifecycle,
    graceMs,
    whenFull: 'leave',
  });
  const activeProjects = createTenantCache({ name: 'projects', schema: projectPage, keyValue, log, metrics });
  const store = createStore({
    pool,
    reads: readsOf(pool),
    outbox,
    codec,
    audit: createAudit({ service: 'workspace', registry, log, metrics }),
    onCommitted: async (organizationId, events) => {
      if (concernsProjects(events)) await activeProjects.invalidate(organizationId).catch(() => {});
    },
  });
  const routes = workspaceRoutes({
    store,
    activeProjects,
    agentLimit: {
      take: async () => ({ name: 'test', limit: 1, remaining: 1, resetSeconds: 1, policySeconds: 1 }),
    },
    findUser: async (organizationId, userId) => {
      if (away.auth) throw unavailable('auth');
      const found = people.get(userId);
      if (found?.organizationId !== organizationId) return undefined;
      const { role, timezone, status } = found;
      return { id: userId, organizationId, name: 'N', role, timezone, status };
    },
    organization: async (id) => {
      if (away.settings) throw unavailable('auth');
      const known = organizationSettings.parse(settings.get(id) ?? {});
      return { id, timezone: 'UTC', subscriptionStatus: 'pro', settings: known };
    },
  });
  const service = {
    name: 'workspace',
    routes,
    checks: {},
    authenticate: async (authorization: string | undefined): Promise<Caller> => {
      const caller = people.get(authorization?.replace('Bearer ', '') ?? '');
      if (!caller) throw unauthorized();
      return caller;
    },
  };
  const { url } = await serve({ services: [service], lifecycle, log, metrics, host: '127.0.0.1', port: 0 });

  async function read(topic: TopicName, organizationId: string): Promise<unknown[]> {
    const decode = topic === 'audit' ? auditCodec.decode : codec.decode;
    const records = [];
    for (let partition = 0; partition < topics[topic].partitions; partition++) {
      records.push(...(await eventLog.admin.read(topic, { partition, fromOffset: 0, limit: 100_000 })));
    }
    return records.filter(({ key }) => key === organizationId).map(({ value }) => decode(value));
  }

  return {
    url,
    pool,
    store,
    routes,
    metrics,
    eventLog,
    away,
    settings,
    person(role = 'employee', more = {}) {
      const person: Person = {
        organizationId: randomUUID(),
        userId: uuidv7(),
        role,
        timezone: 'UTC',
        sessionId: randomUUID(),
        status: 'active',
        ...more,
      };
      people.set(person.userId, person);
      return person;
    },
    call: (as, method, path, body) => call(url, method, `/api/v1${path}`, { bearer: as?.userId, body }),
    told: async (organizationId) =>
      (await read('workspace-events', organizationId)).map((value) => workspaceRecord.parse(value)),
    audited: async (organizationId) =>
      (await read('audit', organizationId)).flatMap((value) => auditRecord.parse(value).events),
    async close() {
      await lifecycle.close();
    },
  };
}

/** A store that fails while it is told to. */
function failing(inner: KeyValue, isAway: () => boolean): KeyValue {
  const orFail = <A extends unknown[], R>(method: (...args: A) => Promise<R>) => {
    return async (...args: A): Promise<R> => {
      if (isAway()) throw unavailable('key-value');
      return method(...args);
    };
  };
  return {
    ...inner,
    get: orFail(inner.get),
    set: orFail(inner.set),
    delete: orFail(inner.delete),
    increment: orFail(inner.increment),
  };
}

/** All items of a list, page by page; each page must be 200. */
export async function allPages(workspace: Running, as: Person, path: string): Promise<{ id: string }[]> {
  const items: { id: string }[] = [];
  for (let cursor: string | null = ''; cursor !== null; ) {
    const separator = path.includes('?') ? '&' : '?';
    const { status, body } = await workspace.call(
      as,
      'GET',
      cursor === '' ? path : `${path}${separator}cursor=${cursor}`,
    );
    if (status !== 200) throw new Error(`${path}: ${status} ${JSON.stringify(body)}`);
    items.push(...body.items);
    cursor = body.nextCursor;
  }
  return items;
}
