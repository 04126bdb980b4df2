import { randomBytes } from 'node:crypto';
import { chmod } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  type Engine,
  freePort,
  makePrivate,
  startClickHouse,
  startEngine,
  startKafka,
  startKafkaCluster,
  startPostgres,
  startRedis,
  startRegistry,
  startS3,
} from '@worktide/backends';
import { buildDashboard } from '@worktide/dashboard-pages';
import { readTable } from '@worktide/deployment';
import { openEventLog, replicationFrom } from '@worktide/event-log';
import { prepareBucket, prepareClickHouse, preparePostgres, prepareTopics } from '@worktide/prepare';
import { createMetrics, describeError, type Lifecycle, type Logger } from '@worktide/runtime';
import { startIngress } from './ingress.ts';

export interface ClusterOptions {
  /** Data and logs of the engines and services; continued where it exists. */
  dir: string;
  /** Of the one origin; 0 takes a free port. */
  port: number;
  gateways: number;
  writers: number;
  analytics: number;
  /** 2 unless said. */
  realtimes?: number;
  /** Of Kafka; 1 unless said. */
  brokers?: number;
  /** More environment for every service, e.g. a smaller queue. */
  env?: Record<string, string>;
  onStep?: (text: string) => void;
}

export type EngineName = 'kafka' | 'postgres' | 'clickhouse' | 'redis' | 'registry' | 's3';

export interface ClusterService extends Engine {
  /** What the ingress routes to. */
  baseUrl: string;
  /** Metrics, internal routes, and readiness with its causes. */
  internalUrl: string;
}

export interface Cluster {
  url: string;
  /** Of several brokers the first. */
  engines: Record<EngineName, Engine>;
  /** By name, with each of several brokers: `kafka-1`, `kafka-2` … */
  allEngines: Map<string, Engine>;
  /** By name: `auth`, `ingest-gateway-1`, `session-writer-1`, `workspace-1`, `analytics-1` …; each may be killed and restarted. */
  services: Map<string, ClusterService>;
  eventLogUrl: string;
  registryUrl: string;
}

/** What engines and services make in the folder. */
const ours =
  /^(kafka|postgres|clickhouse|redis|registry|s3|mail|auth|(ingest-gateway|session-writer|workspace|screenshot-processor|analytics|realtime|agent-protocols|dashboard)-\d+)$/;

/** Starts the real engines, applies migrations and topics, and starts every service as a process of its own. */
export async function startCluster(
  options: ClusterOptions,
  deps: { lifecycle: Lifecycle; log: Logger },
): Promise<Cluster> {
  const { dir } = options;
  const { lifecycle, log } = deps;
  /** Between steps a signal ends the start. */
  const step = (text: string): void => {
    lifecycle.signal.throwIfAborted();
    options.onStep?.(text);
  };
  const open = await makePrivate(dir, (name) => ours.test(name));
  // Also a temporary one: the user that PostgreSQL runs as has to pass through.
  if (process.getuid?.() === 0) await chmod(dir, 0o711);
  if (open.length > 0) log.warn({ open }, 'others may read parts of the data folder: their owner is somebody else');

  step('Starting Kafka, PostgreSQL, ClickHouse, Redis, S3 and the schema registry …');
  const { engines, allEngines, eventLogUrl } = await startEngines(dir, options.brokers ?? 1, lifecycle);
  step('Preparing tables and topics …');
  const postgresUrls: Record<string, string> = await preparePostgres({
    adminUrl: engines.postgres.url,
    passwordOf: () => randomBytes(24).toString('hex'),
    log,
    signal: lifecycle.signal,
  });
  const clickhouseUrl = await prepareClickHouse(engines.clickhouse.url, { log });
  await prepareBucket(engines.s3.url, { log });
  // The services inherit this process's environment.
  const replication = replicationFrom({ ...process.env, ...options.env });
  const eventLog = openEventLog(eventLogUrl, { clientId: 'cluster', log, metrics: createMetrics(), replication });
  await prepareTopics(eventLog);
  await eventLog.close();

  step('Starting the services …');
  const pages = await buildDashboard(lifecycle.signal);
  const authInternalPort = await freePort();
  const workspaceInternalPort = await freePort();
  const ingressPort = options.port || (await freePort());
  const origin = `http://127.0.0.1:${ingressPort}`;
  const common: Record<string, string> = {
    NODE_ENV: 'production',
    HOST: '127.0.0.1',
    EVENT_LOG_URL: eventLogUrl,
    SCHEMA_REGISTRY_URL: engines.registry.url,
    KEY_VALUE_URL: engines.redis.url,
    CLICKHOUSE_URL: clickhouseUrl,
    AUTH_URL: `http://127.0.0.1:${authInternalPort}`,
    WORKSPACE_URL: `http://127.0.0.1:${workspaceInternalPort}`,
    WRITER_URL: origin,
    API_URL: origin,
    INTERNAL_TOKEN: randomBytes(24).toString('hex'),
    // A simulated fleet comes from one address.
    REGISTER_LIMIT_PER_MINUTE: '10000',
    MAIL_LIMIT_PER_MINUTE: '10000',
    IP_LIMIT_PER_MINUTE: '100000',
    DASHBOARD_FILES: pages,
    // Links to pictures lead to the store itself.
    DASHBOARD_IMAGE_ORIGINS: originsOf(engines.s3.url),
    SMTP_URL: `file:${path.join(dir, 'mail')}`,
    PUBLIC_URL: origin,
    OBJECT_STORE_URL: engines.s3.url,
    // The ingress.
    TRUSTED_PROXIES: '1',
    ...options.env,
  };
  const services: Cluster['services'] = new Map();
  const startService = async (name: string, service: string, metricsPort: number): Promise<void> => {
    const postgresUrl = postgresUrls[service];
    const port = await freePort();
    const engine = await startEngine({
      name,
      url: `http://127.0.0.1:${port}`,
      command: process.execPath,
      args: [fileURLToPath(new URL(`../../../services/${service}/src/main.ts`, import.meta.url))],
      env: {
        ...common,
        PORT: String(port),
        METRICS_PORT: String(metricsPort),
        ...(postgresUrl ? { POSTGRES_URL: postgresUrl } : {}),
      },
      dir: path.join(dir, name),
      ready: () =>
        fetch(`http://127.0.0.1:${port}/health/live`).then(
          (response) => response.ok,
          () => false,
        ),
      onUnexpectedEnd: (how) => log.warn({ service: name, how }, 'a service has ended'),
    });
    lifecycle.onClose(name, () => engine.stop());
    const internalUrl = `http://127.0.0.1:${metricsPort}`;
    services.set(name, Object.assign(engine, { baseUrl: engine.url, internalUrl }));
  };
  const replicas = (service: string, count: number) =>
    Array.from({ length: count }, async (_, i) => startService(`${service}-${i + 1}`, service, await freePort()));
  await Promise.all([
    startService('auth', 'auth', authInternalPort),
    ...replicas('ingest-gateway', options.gateways),
    ...replicas('session-writer', options.writers),
    startService('workspace-1', 'workspace', workspaceInternalPort),
    ...replicas('screenshot-processor', 2),
    ...replicas('analytics', options.analytics),
    ...replicas('realtime', options.realtimes ?? 2),
    ...replicas('agent-protocols', 2),
    ...replicas('dashboard', 1),
  ]);

  const targets = (service: string): string[] =>
    [...services].filter(([name]) => name.startsWith(service)).map(([, { baseUrl }]) => baseUrl);
  const url = await startIngress(
    {
      host: '127.0.0.1',
      port: ingressPort,
      rules: [
        ...['/health', '/api/health'].map((prefix) => ({ prefix, targets: targets('ingest-gateway') })),
        ...readTable().routes.map(({ prefix, service }) => ({ prefix, targets: targets(service) })),
      ],
    },
    deps,
  );
  await untilReady([...services.values()], log);
  return { url, engines, allEngines, services, eventLogUrl, registryUrl: engines.registry.url };
}

/** Of a store's URL: where browsers get what it signs. */
const originsOf = (storeUrl: string): string => {
  const { searchParams } = new URL(storeUrl);
  return [searchParams.get('publicEndpoint') ?? searchParams.get('endpoint')]
    .filter((origin) => origin !== null)
    .join();
};

async function startEngines(
  dir: string,
  brokers: number,
  lifecycle: Lifecycle,
): Promise<Pick<Cluster, 'engines' | 'allEngines' | 'eventLogUrl'>> {
  const starters = {
    postgres: () => startPostgres({ dir: path.join(dir, 'postgres') }),
    clickhouse: () => startClickHouse({ dir: path.join(dir, 'clickhouse') }),
    redis: () => startRedis({ dir: path.join(dir, 'redis') }),
    registry: () => startRegistry({ dir: path.join(dir, 'registry') }),
    s3: () => startS3({ dir: path.join(dir, 's3') }),
  };
  const allEngines = new Map<string, Engine>();
  const add = (name: string, engine: Engine): void => {
    lifecycle.onClose(name, () => engine.stop());
    allEngines.set(name, engine);
  };
  const startBrokers = async (): Promise<{ url: string; brokers: Engine[] }> => {
    const options = { dir: path.join(dir, 'kafka'), optimised: true };
    if (brokers === 1) {
      const broker = await startKafka({ ...options, heap: '768m' });
      add('kafka', broker);
      return { url: broker.url, brokers: [broker] };
    }
    const kafka = await startKafkaCluster({ ...options, brokers, heap: '512m' });
    for (const [i, broker] of kafka.brokers.entries()) add(`kafka-${i + 1}`, broker);
    return kafka;
  };
  const [kafka] = await Promise.all([
    startBrokers(),
    ...Object.entries(starters).map(async ([name, start]) => add(name, await start())),
  ]);
  const engines = { ...Object.fromEntries(allEngines), kafka: kafka.brokers[0]! } as Cluster['engines'];
  return { engines, allEngines, eventLogUrl: kafka.url };
}

async function untilReady(services: ClusterService[], log: Logger): Promise<void> {
  const deadline = Date.now() + 60_000;
  for (const { internalUrl } of services) {
    for (;;) {
      const answer = await fetch(`${internalUrl}/health/ready`).catch((error: unknown) => describeError(error));
      if (typeof answer !== 'string' && answer.ok) break;
      if (Date.now() > deadline) {
        const why = typeof answer === 'string' ? answer : await answer.text();
        throw new Error(`${internalUrl} is not ready: ${why}`);
      }
      log.debug({ internalUrl }, 'not ready yet');
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  }
}
