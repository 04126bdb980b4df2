import { randomBytes } from 'node:crypto';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Engine, freePort, startEngine } from '@worktide/backends';
import { type EventLog, openEventLog } from '@worktide/event-log';
import { createPool, type Pool } from '@worktide/postgres';
import { type DatabaseService, prepareClickHouse, preparePostgres, prepareTopics } from '@worktide/prepare';
import { createMetrics } from '@worktide/runtime';
import { topics } from '@worktide/schemas';
import { type Context, until } from './context.ts';
import { createTokens, type Tokens } from './load/tokens.ts';
import { announceProfile, profileArgs } from './profile.ts';
import { organizationId } from './workload.ts';

export type ServiceName =
  | 'auth'
  | 'workspace'
  | 'ingest-gateway'
  | 'session-writer'
  | 'analytics'
  | 'realtime'
  | 'agent-protocols';

export interface Service {
  pid: number;
  port: number;
  url: string;
  stop(): Promise<void>;
}

/** The bearer of `/metrics` of each service. */
export const metricsToken = 'metrics-token-of-the-bench';

/** Takes the records of the HTTP floor: as many partitions as `pings`. */
export const floorTopic = 'floor';

/** A system of its own on the shared engines: topics with a prefix of their own, databases of their own. */
export interface Area {
  eventLog: EventLog;
  /** As it is called on the broker. */
  topicName(topic: string): string;
  clickhouseUrl: string;
  /** The administrator's, on this area's database. */
  postgres: Pool;
  /** Starts a service as a process of its own. Resolves when it is ready. */
  start(service: ServiceName): Promise<Service>;
  /** Access tokens of the first `users` users; starts auth where it does not run yet. */
  tokens(users: number, organizationOf?: (user: number) => string): Promise<string[]>;
  /** Of its services, for what asks auth itself. */
  internalToken: string;
  /** Records that a group has not committed yet, all its topics together. */
  lag(group: string, topics: string[]): Promise<number>;
  /** Stops its services and drops its databases. */
  close(): Promise<void>;
}

/**
 * @param name of letters; names the databases.
 * @param log name of the area whose topics these are, where they are another's.
 * @param more of the environment of its services.
 */
export async function openArea(
  context: Context,
  name: string,
  log = name,
  more: Record<string, string> = {},
): Promise<Area> {
  const { engines, lifecycle, dir, options, say } = context;
  const services = new Map<ServiceName, Service>();
  const prefix = `${log}-`;
  const eventLogUrl = `${engines.kafka.url}?prefix=${prefix}`;
  const eventLog = openEventLog(eventLogUrl, { clientId: 'bench', log: context.log, metrics: createMetrics() });
  await prepareTopics(eventLog);
  await eventLog.admin.ensureTopics([{ ...topics.pings, name: floorTopic }]);

  const postgresUrl = withPath(engines.postgres.url, `bench_${name}`);
  // Roles belong to the whole server, so every area sets the same password.
  const serviceUrls = await preparePostgres({ adminUrl: postgresUrl, passwordOf: () => 'bench', log: context.log });
  const postgres = createPool(postgresUrl, { applicationName: 'bench', log: context.log, max: 2 });
  let closed: Promise<void> | undefined;
  const close = (): Promise<void> => {
    closed ??= (async () => {
      for (const service of [...services.values()].reverse()) await service.stop();
      await postgres.end();
      await eventLog.close();
    })();
    return closed;
  };
  lifecycle.onClose(`area ${name}`, close);
  const clickhouseUrl = await prepareClickHouse(withPath(engines.clickhouse.url, `bench_${name}`), {
    log: context.log,
  });

  let tokens: Tokens | undefined;
  const authPort = await freePort();
  const writerPort = await freePort();
  const env: Record<string, string> = {
    NODE_ENV: 'production',
    HOST: '127.0.0.1',
    EVENT_LOG_URL: eventLogUrl,
    SCHEMA_REGISTRY_URL: 'local:',
    KEY_VALUE_URL: 'memory:',
    CLICKHOUSE_URL: clickhouseUrl,
    AUTH_URL: `http://127.0.0.1:${authPort}`,
    WRITER_URL: `http://127.0.0.1:${writerPort}`,
    // Asked by Hubnity's desktop alone, which does not run here.
    API_URL: 'http://127.0.0.1:9',
    INTERNAL_TOKEN: randomBytes(24).toString('hex'),
    // What is measured is the work, not where its limits are.
    IP_LIMIT_PER_MINUTE: '1000000000',
    LOGIN_LIMIT_PER_MINUTE: '1000000000',
    REGISTER_LIMIT_PER_MINUTE: '1000000000',
    QUOTA_TRIAL: 'unlimited',
    OBJECT_STORE_URL: `file:${path.join(dir, name, 'objects')}`,
    OBJECT_SIGNING_SECRET: 'signing-secret-of-the-bench-0123456789',
    SYNC_LIMIT_PER_MINUTE: '1000000000',
    ACTIVITYWATCH_LIMIT_PER_MINUTE: '1000000000',
    WAKATIME_LIMIT_PER_MINUTE: '1000000000',
    METRICS_TOKEN: metricsToken,
    ...more,
  };

  async function start(service: ServiceName): Promise<Service> {
    const running = services.get(service);
    if (running) return running;
    const own: Record<string, string> = {};
    if (service === 'auth') {
      tokens = createTokens();
      own.AUTH_SIGNING_KEY = tokens.privateKey;
    } else await start('auth');
    if (service in serviceUrls) own.POSTGRES_URL = serviceUrls[service as DatabaseService];
    const port = { auth: authPort, 'session-writer': writerPort }[service as string] ?? (await freePort());
    const url = `http://127.0.0.1:${port}`;
    const folder = path.join(dir, name);
    const engine: Engine = await startEngine({
      name: service,
      url,
      command: process.execPath,
      args: [
        ...profileArgs(options, `${name}-${service}`),
        fileURLToPath(new URL(`../../services/${service}/src/main.ts`, import.meta.url)),
      ],
      env: { ...env, ...own, PORT: String(port) },
      dir: folder,
      ready: () => isUp(`${url}/health/live`),
      onUnexpectedEnd: (how) => lifecycle.fail(new Error(`${service} has ended: ${how}; see ${folder}`)),
    });
    lifecycle.onClose(`${service} of ${name}`, () => engine.stop());
    await until(context, `${service} to be ready`, () => isUp(`${url}/health/ready`), { deadlineMs: 60_000 });
    const result: Service = {
      pid: engine.pid,
      port,
      url,
      async stop() {
        services.delete(service);
        await engine.stop();
        if (service !== 'auth') await announceProfile(options, `${name}-${service}`, say);
      },
    };
    services.set(service, result);
    return result;
  }

  return {
    eventLog,
    topicName: (topic) => prefix + topic,
    clickhouseUrl,
    postgres,
    start,
    internalToken: env.INTERNAL_TOKEN!,
    async tokens(users, organizationOf = () => organizationId) {
      const auth = await start('auth');
      const organizations = new Set(Array.from({ length: users }, (_, user) => organizationOf(user)));
      // Whose privacy rules the gateway asks for before it takes anything.
      await postgres.query(
        `INSERT INTO auth.organizations (id, name, timezone) SELECT id, 'Bench', 'UTC' FROM unnest($1::uuid[]) AS id
         ON CONFLICT DO NOTHING`,
        [[...organizations]],
      );
      return tokens!.sign(auth.url, users, organizationOf);
    },
    async lag(group, topics) {
      const lags = await eventLog.admin.lag(group, topics);
      return Object.values(lags).reduce((sum, lag) => sum + lag, 0);
    },
    async close() {
      await close();
      await onAdminPool(context, (admin) => admin.query(`DROP DATABASE bench_${name} WITH (FORCE)`));
    },
  };
}

async function onAdminPool(context: Context, work: (admin: Pool) => Promise<unknown>): Promise<void> {
  const admin = createPool(context.engines.postgres.url, { applicationName: 'bench', log: context.log, max: 1 });
  try {
    await work(admin);
  } finally {
    await admin.end();
  }
}

function withPath(url: string, database: string): string {
  const changed = new URL(url);
  changed.pathname = `/${database}`;
  return changed.href;
}

const isUp = (url: string): Promise<boolean> =>
  fetch(url).then(
    async (response) => {
      await response.arrayBuffer();
      return response.ok;
    },
    () => false,
  );
