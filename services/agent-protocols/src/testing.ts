import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freshServiceDatabase, type TestDatabase } from '@worktide/backends';
import { openEventLog } from '@worktide/event-log';
import { openLimits } from '@worktide/key-value';
import { createOutbox, createPool, type Pool, readsOf } from '@worktide/postgres';
import { createPrivacyGuard } from '@worktide/privacy';
import {
  type Caller,
  createBudget,
  createLifecycle,
  createMetrics,
  type Metrics,
  type Service,
  serve,
  silentLogger,
  unauthorized,
  unavailable,
  uuidv7,
} from '@worktide/runtime';
import {
  allTopics,
  createCodec,
  type KnownOrganization,
  openSchemaRegistry,
  organizationSettings,
  type PingEvent,
  type PrivacyRules,
  pingsRecord,
  type SubscriptionStatus,
  topics,
} from '@worktide/schemas';
import { createPingQuota } from '@worktide/service';
import { takeCredential } from './credentials/take-credential.ts';
import { database as serviceDatabase } from './database.ts';

export interface Person extends Caller {
  key: string;
  /** The key as Basic credentials. */
  basic: string;
}

/** Of organisations; on trial unless set. */
export const plans = new Map<string, SubscriptionStatus>();
const plenty = 'unlimited' as const;
const free = { perSecond: 1, burst: 5 };

/** By their credentials. */
const people = new Map<string, Caller>();

/** Somebody with a key of their own, alone in an organisation unless said. */
export function person(more: Partial<Caller> = {}): Person {
  const key = `waka_${crypto.randomUUID()}`;
  const caller: Caller = {
    organizationId: uuidv7(),
    userId: uuidv7(),
    role: 'employee',
    timezone: 'UTC',
    agentKeyId: 'k',
    deviceId: 'laptop',
    ...more,
  };
  people.set(`Bearer ${key}`, caller);
  return { ...caller, key, basic: `Basic ${Buffer.from(key).toString('base64')}` };
}

/** Part of the service over real engines, with people and rules of its own and a log that can be away. */
export interface TestServer {
  origin: string;
  pool: Pool;
  database: TestDatabase;
  metrics: Metrics;
  away: { log: boolean };
  /** Of organisations; none unless set. */
  rules: Map<string, PrivacyRules>;
  /** All pings on the log. */
  pings(): Promise<PingEvent[]>;
  close(): Promise<void>;
}

export type TestDependencies = Awaited<ReturnType<typeof open>>['deps'];

async function open() {
  const log = silentLogger();
  const database = await freshServiceDatabase(serviceDatabase);
  const lifecycle = createLifecycle({ log });
  const metrics = createMetrics();
  const folder = await mkdtemp(join(tmpdir(), 'agent-protocols-'));
  lifecycle.onClose('folder', () => rm(folder, { recursive: true, force: true }));
  const pool = createPool(database.url, { applicationName: 'agent-protocols-test', log });
  lifecycle.onClose('postgres', () => pool.end());
  const eventLog = openEventLog(`lmdb:${folder}`, { clientId: 'test', log, metrics });
  lifecycle.onClose('log', () => eventLog.close());
  await eventLog.admin.ensureTopics(allTopics());
  const real = eventLog.producer();
  lifecycle.onClose('producer', () => real.close());
  const away = { log: false };
  const producer: Pick<typeof real, 'send'> = {
    send: async (...sent) => {
      if (away.log) throw unavailable('event log');
      await real.send(...sent);
    },
  };
  const codec = createCodec(openSchemaRegistry('local:'), topics.pings);
  const outbox = createOutbox({
    schema: 'agent_protocols',
    pool,
    producer,
    log,
    metrics,
    lifecycle,
    graceMs: 200,
    whenFull: 'leave',
  });
  const limits = openLimits('memory:', { log, metrics });
  lifecycle.onClose('limits', () => limits.close());
  const rules = new Map<string, PrivacyRules>();
  const authenticate = async (authorization = ''): Promise<Caller> => {
    const caller = people.get(authorization);
    if (!caller) throw unauthorized();
    return caller;
  };
  const organization = async (id: string): Promise<KnownOrganization> => {
    const privacy = rules.get(id);
    const settings = organizationSettings.parse({});
    return { id, timezone: 'UTC', subscriptionStatus: 'pro', settings, ...(privacy ? { privacy } : {}) };
  };
  const deps = {
    pool,
    reads: readsOf(pool),
    outbox,
    pings: codec,
    metrics,
    authenticate,
    privacy: createPrivacyGuard({ organization, metrics }),
    findUser: async () => undefined,
    quota: createPingQuota({
      limits,
      quotas: { free, trial: plenty, pro: plenty, enterprise: plenty },
      planOf: (id) => plans.get(id),
      metrics,
    }),
    limit: limits.window({ name: 'agents', points: 10_000, seconds: 60 }),
    budget: createBudget({ name: 'heartbeats', total: 64 * 1024 * 1024, metrics, code: 'QUEUE_FULL' }),
  };
  const pings = async (): Promise<PingEvent[]> => {
    const all = [];
    for (let partition = 0; partition < topics.pings.partitions; partition++) {
      all.push(...(await eventLog.admin.read('pings', { partition, fromOffset: 0, limit: 10_000 })));
    }
    return all.flatMap(({ value }) => pingsRecord.parse(codec.decode(value)).pings);
  };
  return { log, lifecycle, deps, pool, database, metrics, away, rules, pings };
}

export async function startTestServer(
  make: (deps: TestDependencies) => Pick<Service, 'routes' | 'rawRoutes'>,
): Promise<TestServer> {
  const { log, lifecycle, deps, ...opened } = await open();
  const { url } = await serve({
    services: [{ name: 'agent-protocols', takeCredential, ...make(deps), checks: {}, authenticate: deps.authenticate }],
    lifecycle,
    log,
    metrics: deps.metrics,
    host: '127.0.0.1',
    port: 0,
  });
  return {
    ...opened,
    origin: url,
    close: async () => {
      await lifecycle.close();
      await opened.database.drop();
    },
  };
}
