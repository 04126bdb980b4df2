import { randomBytes } from 'node:crypto';
import path from 'node:path';
import * as agentProtocols from '@worktide/agent-protocols';
import * as analytics from '@worktide/analytics';
import * as auth from '@worktide/auth';
import { freePort } from '@worktide/backends';
import { openEventLog } from '@worktide/event-log';
import * as gateway from '@worktide/ingest-gateway';
import { type DatabaseService, prepareClickHouse, prepareTopics } from '@worktide/prepare';
import * as realtime from '@worktide/realtime';
import { createLifecycle, createMetrics, loadConfig, type Metrics, serve, silentLogger } from '@worktide/runtime';
import * as screenshotProcessor from '@worktide/screenshot-processor';
import * as sessionWriter from '@worktide/session-writer';
import * as workspace from '@worktide/workspace';

export interface Services {
  url: string;
  /** As `Product.data`: with the folder of mails. */
  data: string;
  metrics: Metrics;
  close(): Promise<void>;
}

/**
 * All services in this process, at one origin: for tests of what only an engine of theirs is for.
 * @param dir holds log, objects and mails.
 */
export async function startServices(options: {
  dir: string;
  clickhouseUrl: string;
  /** Embedded unless said. */
  eventLogUrl?: string;
  /** Of each service, with `POSTGRES_URL`. */
  env: Partial<Record<DatabaseService, Record<string, string>>>;
}): Promise<Services> {
  const { dir, env } = options;
  const log = silentLogger();
  const metrics = createMetrics();
  const lifecycle = createLifecycle({ log });
  const EVENT_LOG_URL = options.eventLogUrl ?? `lmdb:${path.join(dir, 'log')}`;
  const eventLog = openEventLog(EVENT_LOG_URL, { clientId: 'test', log, metrics: createMetrics() });
  lifecycle.onClose('event log of the test', () => eventLog.close());
  await prepareTopics(eventLog);
  const port = await freePort();
  const origin = `http://127.0.0.1:${port}`;
  const common = {
    HOST: '127.0.0.1',
    PORT: String(port),
    EVENT_LOG_URL,
    KEY_VALUE_URL: `memory:${randomBytes(4).toString('hex')}`,
    CLICKHOUSE_URL: await prepareClickHouse(options.clickhouseUrl, { log }),
    OBJECT_STORE_URL: `file:${path.join(dir, 'objects')}`,
    OBJECT_SIGNING_SECRET: randomBytes(24).toString('hex'),
    AUTH_URL: origin,
    WORKSPACE_URL: origin,
    WRITER_URL: origin,
    API_URL: origin,
    PUBLIC_URL: origin,
    INTERNAL_TOKEN: randomBytes(24).toString('hex'),
    SMTP_URL: `file:${path.join(dir, 'mail')}`,
    VERIFY_ADDRESSES: 'false',
    REGISTER_LIMIT_PER_MINUTE: '10000',
    IP_LIMIT_PER_MINUTE: '100000',
    ALERTS_EVERY_SECONDS: '1',
  };
  const deps = { lifecycle, log, metrics };
  const services = [];
  // In the order of `npm start`.
  for (const { run, configSchema, serviceName } of [
    auth,
    workspace,
    gateway,
    sessionWriter,
    screenshotProcessor,
    analytics,
    realtime,
    agentProtocols,
  ]) {
    const config = loadConfig(configSchema, { ...common, ...env[serviceName as DatabaseService] });
    services.push(await (run as (config: unknown, with_: typeof deps) => ReturnType<typeof auth.run>)(config, deps));
  }
  await serve({ services, lifecycle, log, metrics, host: '127.0.0.1', port });
  return { url: origin, data: dir, metrics, close: async () => void (await lifecycle.close()) };
}
