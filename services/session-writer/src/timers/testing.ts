import { randomUUID } from 'node:crypto';
import { createPool, readsOf } from '@worktide/postgres';
import {
  type Caller,
  createLifecycle,
  createTurns,
  type RequestLimit,
  type Role,
  serve,
  silentLogger,
  unauthorized,
} from '@worktide/runtime';
import { createCodec, openSchemaRegistry, type TimeEntriesRecord, timeEntriesRecord, topics } from '@worktide/schemas';
import { type Answer, call } from '@worktide/testing';
import { openWriter, type TestWriter } from '../testing.ts';
import type { KnownWorkspace } from '../workspace/known.ts';
import { timerRoutes } from './routes.ts';

/** Helpers of tests: the routes of timers over HTTP, on a real database, with a clock of the test's own. */
export interface Timers {
  writer: TestWriter;
  /** Epoch ms that the service takes for now; null: the real clock. */
  clock: { now: number | null };
  /** What is to be checked of projects and tasks; a test may set another. */
  workspace: Pick<KnownWorkspace, 'check'>;
  person(more?: Partial<Caller>): Caller;
  call(
    who: Caller,
    method: string,
    path: string,
    options?: { body?: unknown; headers?: Record<string, string> },
  ): Promise<Answer>;
  /** Everything told of a user, in order. */
  told(who: Pick<Caller, 'userId'>): Promise<TimeEntriesRecord[]>;
  close(): Promise<void>;
}

const unlimited: RequestLimit = {
  take: async () => ({ name: 'timers', limit: 1, remaining: 1, resetSeconds: 1, policySeconds: 1 }),
};

export async function openTimers(postgresUrl: string): Promise<Timers> {
  const writer = await openWriter(postgresUrl);
  await writer.partitions.maintain();
  const log = silentLogger();
  const lifecycle = createLifecycle({ log });
  const requestPool = createPool(postgresUrl, { applicationName: 'timers', max: 12, log, metrics: writer.metrics });
  lifecycle.onClose('pool', () => requestPool.end());
  const people = new Map<string, Caller>();
  const clock: Timers['clock'] = { now: null };
  const codec = createCodec(openSchemaRegistry('local:'), topics['time-entries']);
  const timers: Pick<Timers, 'workspace'> = { workspace: { check: async (_, { projectId }) => projectId } };
  const { url } = await serve({
    services: [
      {
        name: 'timers',
        routes: timerRoutes({
          pool: requestPool,
          reads: readsOf(requestPool),
          outbox: writer.outbox,
          codec,
          identity: {
            async findUser(organizationId, userId) {
              const user = people.get(userId);
              return user?.organizationId === organizationId
                ? { id: userId, organizationId, name: 'N', role: user.role, timezone: user.timezone, status: 'active' }
                : undefined;
            },
          },
          workspace: { check: (...args) => timers.workspace.check(...args) },
          turns: createTurns({ name: 'lists', places: 100, placesEach: 2, metrics: writer.metrics }),
          limit: unlimited,
          metrics: writer.metrics,
          now: () => clock.now ?? Date.now(),
        }),
        checks: {},
        authenticate: async (authorization) => {
          const caller = people.get(authorization?.replace('Bearer ', '') ?? '');
          if (!caller) throw unauthorized();
          return caller;
        },
      },
    ],
    lifecycle,
    log,
    metrics: writer.metrics,
    host: '127.0.0.1',
    port: 0,
  });
  return Object.assign(timers, {
    writer,
    clock,
    person(more: Partial<Caller> = {}) {
      const caller: Caller = {
        organizationId: randomUUID(),
        userId: randomUUID(),
        role: 'employee' as Role,
        timezone: 'UTC',
        sessionId: randomUUID(),
        ...more,
      };
      people.set(caller.userId, caller);
      return caller;
    },
    call: (who: Caller, method: string, path: string, options: object = {}) =>
      call(url, method, `/api/v1/time-entries${path}`, { bearer: who.userId, ...options }),
    async told({ userId }: Pick<Caller, 'userId'>) {
      const { name, partitions } = topics['time-entries'];
      const pages = await Promise.all(
        Array.from({ length: partitions }, (_, partition) =>
          writer.eventLog.admin.read(name, { partition, fromOffset: 0, limit: 100_000 }),
        ),
      );
      return pages
        .flat()
        .filter((record) => record.key === userId)
        .map((record) => timeEntriesRecord.parse(codec.decode(record.value)));
    },
    async close() {
      await lifecycle.close();
      await writer.close();
    },
  });
}
