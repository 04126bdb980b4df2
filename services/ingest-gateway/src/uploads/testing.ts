import { mkdtemp, rm } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { openEventLog, type Producer } from '@worktide/event-log';
import { type KeyValue, openKeyValue, openLimits } from '@worktide/key-value';
import { type ObjectStore, openObjectStore } from '@worktide/object-store';
import { createPrivacyGuard } from '@worktide/privacy';
import {
  type Caller,
  createLifecycle,
  createMetrics,
  loadConfig,
  serve,
  silentLogger,
  unauthorized,
  unavailable,
} from '@worktide/runtime';
import { createCodec, openSchemaRegistry, type ScreenshotRecord, screenshotRecord, topics } from '@worktide/schemas';
import { metricOf } from '@worktide/testing';
import { configSchema, storageQuotas } from '../config.ts';
import { createStored } from '../storage/stored.ts';
import { caller, numberedCaller, organizationUnder, type PrivacyOfAll } from '../testing.ts';
import { createAnnouncer, createUploadMetrics } from './announce.ts';
import { postScreenshot } from './post-screenshot.ts';
import { signedUploads } from './signed.ts';
import { createSlots } from './slots.ts';

/** What tests of uploads share: the routes on a log and a store, and clients that behave and that do not. */

export const other: Caller = { ...caller, userId: '019cd7a0-0000-7000-8000-00000000000c' };
const callers: Record<string, Caller> = { 'Bearer agent': caller, 'Bearer other': other };

const authenticateUnder =
  (privacy: PrivacyOfAll) =>
  async (authorization = ''): Promise<Caller> => {
    const found = numberedCaller(authorization) ?? callers[authorization];
    if (!found) throw unauthorized();
    return { ...found, pause: privacy.pause };
  };

/** First bytes of each kind, as the formats have them. */
export const heads = {
  'image/jpeg': Buffer.from('ffd8ffe000104a464946', 'hex'),
  'image/png': Buffer.from('89504e470d0a1a0a0000000d49484452', 'hex'),
  'image/webp': Buffer.from('RIFF\x24\0\0\0WEBPVP8 ', 'latin1'),
  'image/avif': Buffer.from('\0\0\0\x1cftypavif\0\0\0\0avifmif1miaf', 'latin1'),
} as const;

/** Bytes that begin like a picture and hold what a form's boundary might be mistaken for. */
export function picture(size: number, type: keyof typeof heads = 'image/png'): Buffer {
  const bytes = Buffer.alloc(size, '\r\n--boundar\r\n-');
  heads[type].copy(bytes);
  return bytes;
}

const boundary = 'boundary';
export const contentType = `multipart/form-data; boundary=${boundary}`;
export const end = `\r\n--${boundary}--\r\n`;
export const field = (name: string, value: string): string =>
  `\r\n--${boundary}\r\ncontent-disposition: form-data; name="${name}"\r\n\r\n${value}`;
export const fileHead = (name = 'file', type = 'image/png'): string =>
  `\r\n--${boundary}\r\ncontent-disposition: form-data; name="${name}"; filename="a.png"\r\ncontent-type: ${type}\r\n\r\n`;
export const fileOf = (bytes: Buffer | string, name?: string, type?: string): Buffer =>
  Buffer.concat([Buffer.from(fileHead(name, type)), Buffer.from(bytes)]);
export const form = (...parts: (string | Buffer)[]): Buffer =>
  Buffer.concat([...parts, end].map((part) => Buffer.from(part)));

export interface Answer {
  status: number;
  headers: Headers;
  // biome-ignore lint/suspicious/noExplicitAny: answers of many shapes.
  body: any;
}

export interface Gateway {
  url: string;
  port: number;
  store: ObjectStore;
  keyValue: KeyValue;
  /** Where a store in a folder keeps what it has. */
  folder: string;
  /** While true the log takes nothing. */
  log: { away: boolean };
  privacy: PrivacyOfAll;
  post(body: Buffer | string, headers?: Record<string, string>): Promise<Answer>;
  json(path: string, body: unknown, headers?: Record<string, string>): Promise<Answer>;
  /** Sends the beginning of an upload and leaves it there. */
  begin(part: Buffer | string, length?: number, authorization?: string): Promise<Socket & { received: string }>;
  events(): Promise<ScreenshotRecord[]>;
  keys(): Promise<string[]>;
  metric(name: string, labels?: Record<string, string>): Promise<number>;
  close(): Promise<void>;
}

let names = 0;

/** @param s3 the URL of a server; a folder where there is none. */
export async function startGateway(env: Record<string, string> = {}, s3?: string): Promise<Gateway> {
  const folder = await mkdtemp(path.join(tmpdir(), 'worktide-uploads-'));
  const lifecycle = createLifecycle({ log: silentLogger() });
  const metrics = createMetrics();
  const quiet = { log: silentLogger(), metrics };
  const config = loadConfig(configSchema, {
    EVENT_LOG_URL: 'unused',
    AUTH_URL: 'http://127.0.0.1:1',
    INTERNAL_TOKEN: 'x'.repeat(32),
    OBJECT_STORE_URL: s3 ? `${s3}&prefix=uploads-${process.pid}-${names++}/` : `file:${folder}/objects`,
    OBJECT_SIGNING_SECRET: 's'.repeat(32),
    SYNC_LIMIT_PER_MINUTE: '10000',
    ...env,
  });
  const eventLog = openEventLog(`lmdb:${folder}/log`, { clientId: 'test', ...quiet });
  lifecycle.onClose('log', () => eventLog.close());
  await eventLog.admin.ensureTopics([topics.screenshots]);
  const real = eventLog.producer();
  lifecycle.onClose('producer', () => real.close());
  const log = { away: false };
  const privacy: PrivacyOfAll = {};
  const authenticate = authenticateUnder(privacy);
  const producer: Producer = {
    ...real,
    queuedBytes: 0,
    send: async (...sent) => {
      if (log.away) throw unavailable('event log');
      await real.send(...sent);
    },
  };
  const codec = createCodec(openSchemaRegistry('local:'), topics.screenshots);
  const keyValue = openKeyValue('memory:', quiet);
  lifecycle.onClose('key-value', () => keyValue.close());
  const limits = openLimits('memory:', quiet);
  lifecycle.onClose('limits', () => limits.close());
  const slots = createSlots(config.UPLOADS_MAX, metrics);
  const signing = { signingSecret: config.OBJECT_SIGNING_SECRET!, admit: slots.admit };
  const store = openObjectStore(config.OBJECT_STORE_URL, { ...quiet, ...signing });
  lifecycle.onClose('store', () => store.close());
  const uploading = {
    config,
    store,
    announcer: createAnnouncer({ producer, codec }),
    privacy: createPrivacyGuard({ organization: organizationUnder(privacy), metrics }),
    limit: limits.window({ name: 'sync', points: config.SYNC_LIMIT_PER_MINUTE, seconds: 60 }),
    uploads: createUploadMetrics(metrics),
    stored: createStored({
      keyValue,
      quotas: storageQuotas(config),
      planOf: () => 'free',
      metrics,
      lifecycle,
      log: quiet.log,
    }),
  };
  const { url, port } = await serve({
    services: [
      {
        name: 'ingest-gateway',
        routes: signedUploads(uploading),
        rawRoutes: [postScreenshot({ ...uploading, authenticate, slots }), ...store.routes],
        checks: {},
        sideChecks: { 'object store': () => store.check() },
        authenticate,
      },
    ],
    lifecycle,
    ...quiet,
    host: '127.0.0.1',
    port: 0,
  });

  async function send(target: string, body: Buffer | string, headers: Record<string, string>): Promise<Answer> {
    const response = await fetch(url + target, {
      method: 'POST',
      headers: { authorization: 'Bearer agent', ...headers },
      body: body as string,
    });
    return { status: response.status, headers: response.headers, body: await response.json() };
  }
  const sockets: Socket[] = [];

  return {
    url,
    port,
    store,
    keyValue,
    folder: path.join(folder, 'objects'),
    log,
    privacy,
    post: (body, headers = {}) => send('/api/v1/sync/screenshots', body, { 'content-type': contentType, ...headers }),
    json: (target, body, headers = {}) =>
      send(`/api/v1/sync/screenshots/${target}`, JSON.stringify(body), {
        'content-type': 'application/json',
        ...headers,
      }),
    async begin(part, length, authorization = 'Bearer agent') {
      const socket = Object.assign(connect(port, '127.0.0.1'), { received: '' });
      sockets.push(socket);
      socket.on('error', () => {});
      socket.setEncoding('utf8').on('data', (text) => {
        socket.received += text;
      });
      await new Promise((resolve) => socket.once('connect', resolve));
      const size = length === undefined ? 'transfer-encoding: chunked' : `content-length: ${length}`;
      socket.write(
        `POST /api/v1/sync/screenshots HTTP/1.1\r\nhost: x\r\nauthorization: ${authorization}\r\ncontent-type: ${contentType}\r\n${size}\r\n\r\n`,
      );
      socket.write(part);
      return socket;
    },
    async events() {
      const all = [];
      for (let partition = 0; partition < topics.screenshots.partitions; partition++) {
        const read = { partition, fromOffset: 0, limit: 1_000 };
        all.push(...(await eventLog.admin.read(topics.screenshots.name, read)));
      }
      return all.map((record) => {
        const event = screenshotRecord.parse(codec.decode(record.value));
        if (record.key !== event.userId) throw new Error(`under key ${record.key}`);
        return event;
      });
    },
    keys: async () => (await store.list('', { limit: 1_000 })).items.map(({ key }) => key),
    metric: (name, labels) => metricOf(metrics, name, labels),
    async close() {
      for (const socket of sockets) socket.destroy();
      await lifecycle.close();
      if (s3) await emptyStore(config.OBJECT_STORE_URL, quiet);
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function emptyStore(url: string, quiet: Parameters<typeof openObjectStore>[1]): Promise<void> {
  const store = openObjectStore(url, quiet);
  const { items } = await store.list('', { limit: 1_000 }).catch(() => ({ items: [] }));
  await store.deleteMany(items.map(({ key }) => key)).catch(() => {});
  await store.close();
}
