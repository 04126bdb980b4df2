import { mkdtemp, rm } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { openEventLog, type Producer, type StoredRecord } from '@worktide/event-log';
import { openKeyValue, openLimits } from '@worktide/key-value';
import { createPrivacyGuard } from '@worktide/privacy';
import {
  type Caller,
  createBudget,
  createLifecycle,
  createMetrics,
  loadConfig,
  serve,
  silentLogger,
  unauthorized,
  unavailable,
  uuidv7,
} from '@worktide/runtime';
import {
  createCodec,
  type InputMinutesRecord,
  inputMinutesRecord,
  openSchemaRegistry,
  type PingsRecord,
  pingsRecord,
  type SubscriptionStatus,
  type TimeEntrySyncRecord,
  type TopicName,
  timeEntrySyncRecord,
  topics,
} from '@worktide/schemas';
import { createPingQuota } from '@worktide/service';
import { activityItems } from '../activity/post-activity.ts';
import { configSchema, storageQuotas } from '../config.ts';
import { createPostItems } from '../items/post-items.ts';
import { createStored } from '../storage/stored.ts';
import { createOutcomes } from '../sync/outcomes.ts';
import { postBatch } from '../sync/post-batch.ts';
import { caller, numberedCaller, organizationUnder, type PrivacyOfAll } from '../testing.ts';
import { pingItems } from './post-pings.ts';
import { createStreams } from './streams.ts';

/** What tests of pings share: the route on a log of its own, and clients that behave and that do not. */

async function authenticate(authorization: string | undefined): Promise<Caller> {
  if (authorization === 'Bearer agent') return caller;
  if (authorization === 'Bearer session') return { ...caller, deviceId: undefined as never, sessionId: 's-1' };
  if (authorization === 'Bearer auth-away') throw unavailable('auth');
  const found = numberedCaller(authorization);
  if (!found) throw unauthorized();
  return found;
}

export const ping = (more: Record<string, unknown> = {}) => ({
  id: uuidv7(),
  startedAt: new Date(Date.now() - 10_000).toISOString(),
  endedAt: new Date(Date.now() - 5_000).toISOString(),
  app: 'Editor',
  ...more,
});

export interface Answer {
  status: number;
  headers: Headers;
  body: {
    code?: string;
    accepted?: number;
    rejected?: { index: number; code: string }[];
    batchId?: string;
    message?: string;
    warnings?: unknown[];
    details?: unknown[];
  };
}

export type Gateway = Awaited<ReturnType<typeof startGateway>>;

/** @param given.send takes the place of the log. */
export async function startGateway(
  env: Record<string, string> = {},
  given: { send?: Producer['send']; plan?: () => SubscriptionStatus | undefined; privacy?: PrivacyOfAll } = {},
) {
  const folder = await mkdtemp(path.join(tmpdir(), 'worktide-gateway-'));
  const lifecycle = createLifecycle({ log: silentLogger() });
  const metrics = createMetrics();
  const quiet = { log: silentLogger(), metrics };
  const log = openEventLog(`lmdb:${folder}`, { clientId: 'test', ...quiet });
  lifecycle.onClose('log', () => log.close());
  await log.admin.ensureTopics([topics.pings, topics['input-minutes'], topics['time-entry-syncs']]);
  const config = loadConfig(configSchema, {
    EVENT_LOG_URL: 'unused',
    OBJECT_STORE_URL: 'unused',
    AUTH_URL: 'http://127.0.0.1:1',
    INTERNAL_TOKEN: 'x'.repeat(32),
    ...env,
  });
  const real = log.producer({ maxQueuedBytes: config.QUEUE_MAX_BYTES });
  lifecycle.onClose('producer', () => real.close());
  const producer = given.send ? { ...real, send: given.send } : real;
  const registry = openSchemaRegistry('local:');
  const codec = createCodec(registry, topics.pings);
  const minutesCodec = createCodec(registry, topics['input-minutes']);
  const syncCodec = createCodec(registry, topics['time-entry-syncs']);
  await Promise.all([codec.prepare(), minutesCodec.prepare(), syncCodec.prepare()]);
  const limits = openLimits(config.KEY_VALUE_URL, quiet);
  lifecycle.onClose('limits', () => limits.close());
  const { QUOTA_FREE: free, QUOTA_TRIAL: trial, QUOTA_PRO: pro, QUOTA_ENTERPRISE: enterprise } = config;
  const quotas = { free, trial, pro, enterprise };
  const planOf = () => given.plan?.();
  const quota = createPingQuota({ limits, quotas, planOf, metrics });
  const keyValue = openKeyValue(config.KEY_VALUE_URL, { ...quiet, timeoutMs: 10_000 });
  lifecycle.onClose('key-value', () => keyValue.close());
  const stored = createStored({ keyValue, quotas: storageQuotas(config), planOf, lifecycle, ...quiet });
  const streams = createStreams({ keyValue, max: config.PINGS_MAX_STREAMS });
  const budget = createBudget({ name: 'requests', total: config.QUEUE_MAX_BYTES, metrics, code: 'QUEUE_FULL' });
  const privacy = createPrivacyGuard({ organization: organizationUnder(given.privacy ?? {}), metrics });
  const authenticatePaused: typeof authenticate = async (authorization) => {
    const pause = given.privacy?.pause;
    return { ...(await authenticate(authorization)), ...(pause ? { pause } : {}) };
  };
  const postItems = createPostItems({
    config,
    producer,
    authenticate: authenticatePaused,
    privacy,
    quota,
    stored,
    streams,
    budget,
    metrics,
  });
  const batchBudget = createBudget({
    name: 'batches',
    total: config.SYNC_QUEUE_MAX_BYTES,
    metrics,
    code: 'QUEUE_FULL',
  });
  const rawRoutes = [
    postItems(pingItems({ config, codec, metrics })),
    postItems(activityItems({ config, codec: minutesCodec, metrics })),
    postBatch({
      producer,
      codec: syncCodec,
      authenticate,
      limit: limits.window({ name: 'sync', points: config.SYNC_LIMIT_PER_MINUTE, seconds: 60 }),
      budget: batchBudget,
      waits: createBudget({ name: 'waits', total: 1_000, metrics }),
      outcomes: config.WRITER_URL
        ? createOutcomes({ writerUrl: config.WRITER_URL, metrics, log: quiet.log })
        : undefined,
      stopping: lifecycle.signal,
      metrics,
    }),
  ];
  const { url, port } = await serve({
    services: [{ name: 'ingest-gateway', routes: [], rawRoutes, checks: {}, authenticate }],
    lifecycle,
    ...quiet,
    host: '127.0.0.1',
    port: 0,
  });
  const sockets: Socket[] = [];

  async function read(topic: TopicName): Promise<StoredRecord[]> {
    const all = [];
    for (let partition = 0; partition < topics[topic].partitions; partition++) {
      all.push(...(await log.admin.read(topic, { partition, fromOffset: 0, limit: 1_000 })));
    }
    return all;
  }

  return {
    url,
    port,
    async post(body: unknown, headers: Record<string, string> = {}, path = '/api/v1/pings'): Promise<Answer> {
      const response = await fetch(`${url}${path}`, {
        method: 'POST',
        headers: { authorization: 'Bearer agent', 'content-type': 'application/json', ...headers },
        body: typeof body === 'string' || body instanceof Uint8Array ? (body as string) : JSON.stringify(body),
      });
      return { status: response.status, headers: response.headers, body: (await response.json()) as Answer['body'] };
    },
    /** Sends the head of a request and the beginning of its body, and leaves it there. */
    async begin(
      part: string | Buffer,
      length: number,
      authorization = 'Bearer agent',
      path = '/api/v1/pings',
    ): Promise<Socket> {
      const socket = connect(port, '127.0.0.1');
      sockets.push(socket);
      socket.on('error', () => {});
      await new Promise((resolve) => socket.once('connect', resolve));
      const head = `POST ${path} HTTP/1.1\r\nhost: x\r\nauthorization: ${authorization}\r\n`;
      socket.write(`${head}content-type: application/json\r\ncontent-length: ${length}\r\n\r\n`);
      socket.write(part);
      return socket;
    },
    async stored(): Promise<{ key: string; record: PingsRecord }[]> {
      return (await read('pings')).map((r) => ({ key: r.key, record: pingsRecord.parse(codec.decode(r.value)) }));
    },
    async storedMinutes(): Promise<{ key: string; record: InputMinutesRecord }[]> {
      const records = await read('input-minutes');
      return records.map((r) => ({ key: r.key, record: inputMinutesRecord.parse(minutesCodec.decode(r.value)) }));
    },
    /** Parts of batches, in order of the log. */
    async storedParts(): Promise<{ key: string; bytes: number; record: TimeEntrySyncRecord }[]> {
      return (await read('time-entry-syncs')).map((r) => ({
        key: r.key,
        bytes: r.value.length,
        record: timeEntrySyncRecord.parse(syncCodec.decode(r.value)),
      }));
    },
    metrics: async () => (await metrics.render()).text,
    /** Bytes that requests hold. */
    held: () => budget.held,
    /** Bytes that batches hold. */
    heldByBatches: () => batchBudget.held,
    async close() {
      for (const socket of sockets) socket.destroy();
      await lifecycle.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
