import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freshServiceDatabase, type TestDatabase } from '@worktide/backends';
import { type EventLog, openEventLog } from '@worktide/event-log';
import { createPool, type Pool } from '@worktide/postgres';
import {
  type AnyRoute,
  type Caller,
  createLifecycle,
  createMetrics,
  type Lifecycle,
  type Metrics,
  type Role,
  serve,
  silentLogger,
  unauthorized,
  uuidv7,
} from '@worktide/runtime';
import {
  allTopics,
  auditRecord,
  createCodec,
  openSchemaRegistry,
  type SchemaRegistry,
  type TopicName,
  topics,
  type WorkspaceRecord,
} from '@worktide/schemas';
import { type Answer, call } from '@worktide/testing';
import type { z } from 'zod';
import { database } from '../database.ts';
import type { NotificationPush } from '../notifications/push.ts';
import { storePeople } from '../people/store.ts';

/** Helpers of the tests of what is told: a real PostgreSQL, a real log, and people who ask over HTTP. */

export type Person = Caller & { name: string };

export interface World {
  database: TestDatabase;
  pool: Pool;
  eventLog: EventLog;
  registry: SchemaRegistry;
  /** What sockets were sent, in order. */
  pushed: NotificationPush[];
  /** Somebody that the service knows; of a new organisation unless one is named. */
  person(role?: Role, more?: Partial<Person>): Promise<Person>;
  /** Puts a record on a topic as its writer does. */
  send<T extends TopicName>(topic: T, key: string, data: z.input<(typeof topics)[T]['schema']>): Promise<void>;
  /** Serves routes until the lifecycle closes. @returns how people call them. */
  serve(
    routes: AnyRoute[],
    deps: { lifecycle: Lifecycle; metrics: Metrics },
  ): Promise<(as: Person | undefined, method: string, path: string, body?: unknown) => Promise<Answer>>;
  audited(organizationId: string): Promise<z.output<typeof auditRecord>['events']>;
  close(): Promise<void>;
}

const log = silentLogger();

export async function startWorld(): Promise<World> {
  const lifecycle = createLifecycle({ log });
  const db = await freshServiceDatabase(database);
  lifecycle.onClose('database', () => db.drop());
  const folder = await mkdtemp(join(tmpdir(), 'realtime-'));
  lifecycle.onClose('folder', () => rm(folder, { recursive: true, force: true }));
  const pool = createPool(db.url, { applicationName: 'test', log });
  lifecycle.onClose('postgres', () => pool.end());
  const eventLog = openEventLog(`lmdb:${folder}`, { clientId: 'test', log, metrics: createMetrics() });
  lifecycle.onClose('log', () => eventLog.close());
  await eventLog.admin.ensureTopics(allTopics());
  const registry = openSchemaRegistry('local:');
  const producer = eventLog.producer();
  const people = new Map<string, Person>();
  let version = 0;

  return {
    database: db,
    pool,
    eventLog,
    registry,
    pushed: [],
    async person(role = 'employee', more = {}) {
      const person: Person = {
        organizationId: randomUUID(),
        userId: uuidv7(),
        role,
        timezone: 'UTC',
        sessionId: randomUUID(),
        name: `Name of a ${role}`,
        ...more,
      };
      people.set(person.userId, person);
      const { organizationId, userId: id, name, timezone } = person;
      version++;
      const state = { type: 'person', id, name, role, status: 'active', timezone, version, deleted: false } as const;
      await storePeople(pool, [{ organizationId, events: [state] }]);
      return person;
    },
    async send(topic, key, data) {
      const codec = createCodec(registry, topics[topic]);
      await codec.prepare();
      await producer.send(topic, [{ key, value: codec.encode(data) }]);
    },
    async serve(routes, { lifecycle: owner, metrics }) {
      const authenticate = async (authorization: string | undefined): Promise<Caller> => {
        const person = people.get(authorization?.replace('Bearer ', '') ?? '');
        if (!person) throw unauthorized();
        const { name: _, ...caller } = person;
        return caller;
      };
      const service = { name: 'realtime', routes, checks: {}, authenticate };
      const { url } = await serve({ services: [service], lifecycle: owner, log, metrics, host: '127.0.0.1', port: 0 });
      return (as, method, path, body) => call(url, method, `/api/v1${path}`, { bearer: as?.userId, body });
    },
    async audited(organizationId) {
      const codec = createCodec(registry, topics.audit);
      await codec.prepare();
      const found = [];
      for (let partition = 0; partition < topics.audit.partitions; partition++) {
        found.push(...(await eventLog.admin.read('audit', { partition, fromOffset: 0, limit: 10_000 })));
      }
      return found
        .filter(({ key }) => key === organizationId)
        .flatMap(({ value }) => auditRecord.parse(codec.decode(value)).events);
    },
    close: async () => void (await lifecycle.close()),
  };
}

type TaskState = Extract<WorkspaceRecord['events'][number], { type: 'task' }>;

/** A task as workspace tells of it. */
export const taskState = (more: Partial<TaskState> = {}): TaskState => ({
  type: 'task',
  id: uuidv7(),
  version: 1,
  deleted: false,
  projectId: uuidv7(),
  title: 'Write it down',
  status: 'todo',
  priority: 'medium',
  assigneeId: null,
  creatorId: uuidv7(),
  dueDate: null,
  completedAt: null,
  ...more,
});
