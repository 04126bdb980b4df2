import { createServer } from 'node:net';
import path from 'node:path';
import * as agentProtocols from '@worktide/agent-protocols';
import * as analytics from '@worktide/analytics';
import * as auth from '@worktide/auth';
import { type ClickHouseOptions, type Engine, freePort, startClickHouse, startPostgres } from '@worktide/backends';
import * as dashboard from '@worktide/dashboard';
import { buildDashboard } from '@worktide/dashboard-pages';
import { openEventLog } from '@worktide/event-log';
import * as gateway from '@worktide/ingest-gateway';
import { prepareClickHouse, preparePostgres, prepareTopics } from '@worktide/prepare';
import * as realtime from '@worktide/realtime';
import {
  AppError,
  createMetrics,
  describeError,
  type Lifecycle,
  type Logger,
  loadConfig,
  type Service,
  serve,
} from '@worktide/runtime';
import * as screenshotProcessor from '@worktide/screenshot-processor';
import * as sessionWriter from '@worktide/session-writer';
import * as workspace from '@worktide/workspace';
import type { ZodObject } from 'zod';
import type { Config } from './config.ts';
import { openDataFolder } from './data-folder.ts';
import { refuseWithoutRoom, watchDisk } from './disk.ts';
import { endLeftovers } from './leftovers.ts';
import { supervise } from './supervise.ts';

export interface StandaloneOptions {
  lifecycle: Lifecycle;
  log: Logger;
  /** Settings of the services beyond the engines', e.g. BILLING_WEBHOOK_SECRET; none unless said. */
  env?: NodeJS.ProcessEnv;
  /** What is going on, for a person who waits. */
  onStep?: (text: string) => void;
}

/** Nobody from outside can call: a simulated fleet registers, and its managers read, from one address. */
const limitsOfOnePerson = {
  REGISTER_LIMIT_PER_MINUTE: '10000',
  MAIL_LIMIT_PER_MINUTE: '10000',
  IP_LIMIT_PER_MINUTE: '100000',
};
const isLoopback = (host: string): boolean => /^(127\.|localhost$|::1$|::ffff:127\.)/i.test(host);

/** Where this machine reaches what listens there. */
function originOf(host: string, port: number): string {
  const name = host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host;
  return `http://${name.includes(':') ? `[${name}]` : name}:${port}`;
}

/**
 * The whole product in this process on embedded engines: PostgreSQL and ClickHouse as children, the log in-process,
 * all services on one port. The services are the same as on a cluster; only the URLs differ.
 */
export async function startStandalone(
  config: Config,
  options: StandaloneOptions,
): Promise<{ url: string; port: number }> {
  const { lifecycle, log } = options;
  /** Between steps a signal ends the start. */
  const step = (text?: string): void => {
    lifecycle.signal.throwIfAborted();
    if (text !== undefined) options.onStep?.(text);
  };
  const port = config.WORKTIDE_PORT || (await freePort());
  const metricsPort = config.METRICS_PORT === 0 ? await freePort() : config.METRICS_PORT;
  await requireFree(config.WORKTIDE_HOST, port, 'WORKTIDE_PORT');
  if (metricsPort !== undefined) await requireFree(config.WORKTIDE_HOST, metricsPort, 'METRICS_PORT');
  const clickhousePort = await portOfClickHouse(config);
  const data = await openDataFolder(config.WORKTIDE_DATA, lifecycle);
  await endLeftovers(data.path, log);
  const metrics = createMetrics({ processMetrics: true });
  const disk = await watchDisk(data.path, config.WORKTIDE_MIN_FREE_BYTES, { lifecycle, log, metrics });
  const watched = { lifecycle, log, disk };

  const pages = buildPages({ lifecycle, log });
  step('Starting PostgreSQL and ClickHouse …');
  const [postgres, clickhouse] = await Promise.all([
    supervise(
      'postgres',
      (onUnexpectedEnd) =>
        startPostgres({
          dir: path.join(data.path, 'postgres'),
          password: data.secrets.postgresPassword,
          settings: ['max_connections=100', 'shared_buffers=128MB'],
          onUnexpectedEnd,
          signal: lifecycle.signal,
        }),
      watched,
    ),
    supervise(
      'clickhouse',
      (onUnexpectedEnd) =>
        startClickHouseAt(clickhousePort, config, {
          dir: path.join(data.path, 'clickhouse'),
          password: data.secrets.clickhousePassword,
          onUnexpectedEnd,
          signal: lifecycle.signal,
        }),
      watched,
    ),
  ]);

  step('Preparing tables and topics …');
  const eventLogUrl = `lmdb:${path.join(data.path, 'log')}?reserveBytes=${disk.floorBytes}`;
  const postgresUrls: Record<string, string> = await preparePostgres({
    adminUrl: postgres.url,
    passwordOf: () => data.secrets.postgresPassword,
    log,
    signal: lifecycle.signal,
  });
  step();
  const clickhouseUrl = await prepareClickHouse(clickhouse.url, { log });

  const eventLog = openEventLog(eventLogUrl, { clientId: 'standalone', log, metrics });
  lifecycle.onClose('event log', () => eventLog.close());
  await prepareTopics(eventLog);

  step('Starting the services …');
  const origin = originOf(config.WORKTIDE_HOST, port);
  const environment: Record<string, string | undefined> = {
    ...(isLoopback(config.WORKTIDE_HOST) ? limitsOfOnePerson : {}),
    SMTP_URL: `file:${path.join(data.path, 'mail')}`,
    PUBLIC_URL: origin,
    OBJECT_STORE_URL: `file:${path.join(data.path, 'objects')}?reserveBytes=${disk.floorBytes}`,
    OBJECT_SIGNING_SECRET: data.secrets.objectSigningSecret,
    WEBHOOK_SECRETS_KEY: data.secrets.webhookSecretsKey,
    // What a person sets, e.g. BILLING_WEBHOOK_SECRET or a real SMTP_URL …
    ...options.env,
    // … but not where the engines are.
    HOST: undefined,
    PORT: undefined,
    METRICS_PORT: undefined,
    METRICS_TOKEN: undefined,
    DRAIN_SECONDS: undefined,
    POSTGRES_READ_URL: undefined,
    EVENT_LOG_URL: eventLogUrl,
    SCHEMA_REGISTRY_URL: 'local:',
    KEY_VALUE_URL: 'memory:standalone',
    CLICKHOUSE_URL: clickhouseUrl,
    AUTH_URL: metricsPort === undefined ? origin : originOf(config.WORKTIDE_HOST, metricsPort),
    WORKSPACE_URL: metricsPort === undefined ? origin : originOf(config.WORKTIDE_HOST, metricsPort),
    WRITER_URL: origin,
    API_URL: origin,
    INTERNAL_TOKEN: data.secrets.internalToken,
  };
  const services: Service[] = [];
  for (const service of [
    auth,
    workspace,
    gateway,
    sessionWriter,
    screenshotProcessor,
    analytics,
    realtime,
    agentProtocols,
  ]) {
    const env = { ...environment, POSTGRES_URL: postgresUrls[service.serviceName] };
    step();
    const child = log.child({ part: service.serviceName });
    services.push(refuseWithoutRoom(await start(service, env, { lifecycle, log: child, metrics }), disk));
  }
  const folder = await pages;
  if (folder !== undefined) {
    const env = {
      // Under whatever name a page was opened, links to pictures begin with this one.
      DASHBOARD_IMAGE_ORIGINS: URL.parse(environment.PUBLIC_URL ?? '')?.origin,
      ...environment,
      DASHBOARD_FILES: folder,
    };
    services.push(await start(dashboard, env, { lifecycle, log, metrics }));
  }
  services.push({ name: 'standalone', routes: [], checks: { disk: disk.requireRoom } });
  return serve({
    services,
    lifecycle,
    log,
    metrics,
    host: config.WORKTIDE_HOST,
    port,
    metricsPort,
    metricsToken: config.METRICS_TOKEN,
    drainMs: config.DRAIN_SECONDS * 1_000,
    corsOrigins: config.CORS_ORIGINS,
    trustedProxies: config.TRUSTED_PROXIES,
  });
}

/** Beside the start of the engines, where there is anything to build. Without pages everything else works: it is said, and no more. */
async function buildPages({ lifecycle, log }: Pick<Deps, 'lifecycle' | 'log'>): Promise<string | undefined> {
  try {
    return await buildDashboard(lifecycle.signal);
  } catch (error) {
    if (!lifecycle.signal.aborted) log.error({ err: error }, 'there are no pages: the dashboard could not be built');
    return undefined;
  }
}

/** Where connection strings of analysts keep leading, as far as nobody else has the port. */
async function portOfClickHouse({ WORKTIDE_CLICKHOUSE_PORT: asked, WORKTIDE_PORT: port }: Config): Promise<number> {
  const usual = 8123;
  if (asked) {
    await requireFree('127.0.0.1', asked, 'WORKTIDE_CLICKHOUSE_PORT');
    return asked;
  }
  const isFree = asked === undefined && port !== 0 && (await bind('127.0.0.1', usual)) === undefined;
  return isFree ? usual : freePort();
}

/** Another start may take the usual port at the same moment: then any, where none was asked for. */
async function startClickHouseAt(port: number, config: Config, options: ClickHouseOptions): Promise<Engine> {
  try {
    return await startClickHouse({ ...options, port });
  } catch (error) {
    if (config.WORKTIDE_CLICKHOUSE_PORT || !/EADDRINUSE/.test(describeError(error))) throw error;
    return startClickHouse({ ...options, port: await freePort() });
  }
}

/** Asked first, so that a port in use is known before anything has been started. */
async function requireFree(host: string, port: number, variable: string): Promise<void> {
  const cause = await bind(host, port);
  if (cause === undefined) return;
  throw new AppError(
    'PORT_IN_USE',
    `Port ${port} is in use by another program; choose one with ${variable}=${port + 1}`,
    { cause },
  );
}

/** Takes a port and lets it go; resolves with why it cannot be taken. */
async function bind(host: string, port: number): Promise<Error | undefined> {
  const probe = createServer();
  return new Promise((resolve) => {
    probe.once('error', resolve);
    probe.listen({ port, host, exclusive: true }, () => probe.close(() => resolve(undefined)));
  });
}

type Deps = { lifecycle: Lifecycle; log: Logger; metrics: ReturnType<typeof createMetrics> };
interface StartableService {
  configSchema: ZodObject;
  // biome-ignore lint/suspicious/noExplicitAny: each service has a configuration of its own, read from its own schema here.
  run: (config: any, deps: Deps) => Promise<Service>;
}

const start = (service: StartableService, env: Record<string, string | undefined>, deps: Deps): Promise<Service> =>
  service.run(loadConfig(service.configSchema, env), deps);
