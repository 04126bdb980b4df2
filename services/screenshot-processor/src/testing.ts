import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createAudit, createLooks } from '@worktide/audit';
import { freshServiceDatabase, type TestDatabase } from '@worktide/backends';
import { type Consumer, type EventLog, openEventLog, type Producer } from '@worktide/event-log';
import { type ObjectStore, openObjectStore } from '@worktide/object-store';
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
  type Codec,
  createCodec,
  openSchemaRegistry,
  organizationSettings,
  type ScreenshotReadyRecord,
  type ScreenshotRecord,
  screenshotReadyRecord,
  type TopicName,
  topics,
  uploadKey,
} from '@worktide/schemas';
import { type Answer, call } from '@worktide/testing';
import { database } from './database.ts';
import { openPictures } from './picture/index.ts';
import { drawText, sharpness, toGrey, toPng } from './picture/letters.fixture.ts';
import { columns, type ScreenshotRow } from './rows.ts';
import { screenshotRoutes } from './screenshots/routes.ts';
import { createSweeper } from './sweep/sweeper.ts';
import { consumeUploads, createHandler } from './uploads/consume.ts';
import { claimRow } from './work/claims.ts';
import { workMetrics } from './work/metrics.ts';
import { createWork } from './work/work-on.ts';
import { startWorkers, type Workers } from './work/workers.ts';

/** Helpers of this service's tests: real PostgreSQL, log and folder, which can be made to fail. */

export type { TestDatabase };
export const signingSecret = 'signing-secret-of-tests-0123456789abcdef';

export interface Person {
  organizationId: string;
  userId: string;
  role: Role;
}
export const newPerson = (more: Partial<Person> = {}): Person => ({
  organizationId: randomUUID(),
  userId: uuidv7(),
  role: 'employee',
  ...more,
});

/** What several processes of the service share, and what of it is away. */
export interface World {
  database: TestDatabase;
  eventLog: EventLog;
  /** As it is, without failures. */
  store: ObjectStore;
  away: { store: boolean; auth: boolean; log: boolean };
  /** Before every call of the store that changes or reads an object; may throw, or wait. */
  onStore: (operation: 'get' | 'put' | 'delete', key: string) => Promise<void> | void;
  /** Whom somebody leads. */
  led: Map<string, string[]>;
  settings: Map<string, { minimumBlurLevel?: 0 | 1 | 2 | 3; screenshotRetentionDays?: number }>;
  uploadsCodec: Codec;
  readyCodec: Codec;
  /** Stores a file as the gateway would. */
  put(person: Person, bytes: Buffer, more?: Partial<ScreenshotRecord>): Promise<ScreenshotRecord>;
  /** Puts its record onto the log. */
  tell(...records: ScreenshotRecord[]): Promise<void>;
  row(record: { organizationId: string; screenshotId: string }): Promise<ScreenshotRow | undefined>;
  /** Keys of all objects of an organisation. */
  objects(organizationId: string): Promise<string[]>;
  bytesOf(key: string): Promise<Buffer>;
  /** Of an organisation, in the order of their versions. */
  announced(organizationId: string): Promise<ScreenshotReadyRecord[]>;
  audited(organizationId: string): Promise<AuditEvent[]>;
  close(): Promise<void>;
}

export async function openWorld(): Promise<World> {
  const log = silentLogger();
  const metrics = createMetrics();
  const db = await freshServiceDatabase(database);
  const folder = await mkdtemp(join(tmpdir(), 'screenshots-'));
  const eventLog = openEventLog(`lmdb:${join(folder, 'log')}`, { clientId: 'test', log, metrics });
  await eventLog.admin.ensureTopics(allTopics());
  const producer = eventLog.producer();
  const store = openObjectStore(`file:${join(folder, 'objects')}`, { log, metrics, signingSecret });
  const registry = openSchemaRegistry('local:');
  const uploadsCodec = createCodec(registry, topics.screenshots);
  const readyCodec = createCodec(registry, topics['screenshots-ready']);
  const auditCodec = createCodec(registry, topics.audit);
  await Promise.all([uploadsCodec.prepare(), readyCodec.prepare(), auditCodec.prepare()]);

  async function read(topic: TopicName, codec: Codec): Promise<unknown[]> {
    const records = [];
    for (let partition = 0; partition < topics[topic].partitions; partition++) {
      records.push(...(await eventLog.admin.read(topic, { partition, fromOffset: 0, limit: 100_000 })));
    }
    return records.map(({ value }) => codec.decode(value));
  }

  return {
    database: db,
    eventLog,
    store,
    away: { store: false, auth: false, log: false },
    onStore: () => {},
    led: new Map(),
    settings: new Map(),
    uploadsCodec,
    readyCodec,
    async put(person, bytes, more = {}) {
      const { organizationId, userId } = person;
      const screenshotId = more.screenshotId ?? uuidv7();
      const record: ScreenshotRecord = {
        organizationId,
        userId,
        screenshotId,
        objectKey: uploadKey(organizationId, userId, screenshotId),
        contentType: 'image/png',
        size: bytes.length,
        capturedAt: Date.now(),
        receivedAt: Date.now(),
        timeEntryId: null,
        blurLevel: null,
        metadata: null,
        ...more,
      };
      await store.put(record.objectKey, bytes, { contentType: record.contentType });
      return record;
    },
    tell: (...records) =>
      producer.send(
        'screenshots',
        records.map((record) => ({ key: record.userId, value: uploadsCodec.encode(record) })),
      ),
    async row({ organizationId, screenshotId }) {
      const { rows } = await db.admin.query<ScreenshotRow>(
        `SELECT ${columns} FROM screenshots.screenshots WHERE organization_id = $1 AND id = $2`,
        [organizationId, screenshotId],
      );
      return rows[0];
    },
    async objects(organizationId) {
      const keys: string[] = [];
      for (let after: string | undefined; ; ) {
        const { items, next } = await store.list('', { after, limit: 1000 });
        keys.push(...items.map(({ key }) => key).filter((key) => key.includes(organizationId)));
        if (next === undefined) return keys;
        after = next;
      }
    },
    async bytesOf(key) {
      const found = await store.get(key);
      return Buffer.concat(await found!.body.toArray());
    },
    async announced(organizationId) {
      return (await read('screenshots-ready', readyCodec))
        .map((value) => screenshotReadyRecord.parse(value))
        .filter((record) => record.organizationId === organizationId)
        .sort((a, b) => a.version - b.version);
    },
    async audited(organizationId) {
      return (await read('audit', auditCodec))
        .map((value) => auditRecord.parse(value))
        .filter((record) => record.organizationId === organizationId)
        .flatMap(({ events }) => events);
    },
    async close() {
      await eventLog.close();
      await store.close();
      await db.drop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

export interface Processor {
  url: string;
  pool: Pool;
  metrics: Metrics;
  consumer: Consumer | undefined;
  workers: Workers | undefined;
  routes: AnyRoute[];
  /** One batch of the consumer, by hand. */
  handle: ReturnType<typeof createHandler>;
  /** Takes the row of a record that is due longest of its owner's. */
  claim(owner: Pick<Person, 'organizationId' | 'userId'>): ReturnType<typeof claimRow>;
  workOn: ReturnType<typeof createWork>;
  sweep(options?: { now?: () => number; lag?: () => Promise<number> }): Promise<void>;
  /** A sweeper that keeps its place between passes. */
  sweeper(options?: Partial<Parameters<typeof createSweeper>[0]>): () => Promise<void>;
  call(as: Person | undefined, method: string, path: string): Promise<Answer>;
  close(): Promise<void>;
}

/** One process of the service but for its credentials: the header names the caller. */
export async function startProcessor(
  world: World,
  options: { works?: boolean; consumes?: boolean; concurrency?: number; leaseMs?: number; people?: Person[] } = {},
): Promise<Processor> {
  const { works = true, consumes = works, concurrency = 3, leaseMs = 3_000, people = [] } = options;
  const log = silentLogger();
  const metrics = createMetrics();
  const lifecycle = createLifecycle({ log });
  const pool = createPool(world.database.url, { applicationName: 'screenshots', log });
  lifecycle.onClose('postgres', () => pool.end());
  const { uploadsCodec, readyCodec, eventLog } = world;
  const real = eventLog.producer();
  lifecycle.onClose('producer', () => real.close());
  const producer: Pick<Producer, 'send'> = {
    send: async (topic, records) => {
      if (world.away.log) throw unavailable('event-log');
      return real.send(topic, records);
    },
  };
  const outbox = createOutbox({ schema: 'screenshots', pool, producer, log, metrics, lifecycle, graceMs: 200 });
  const audit = createAudit({
    service: 'screenshot-processor',
    registry: openSchemaRegistry('local:'),
    producer,
    log,
    metrics,
  });
  const store = failing(world);
  const identity = {
    organization: async (id: string) => {
      if (world.away.auth) throw unavailable('auth');
      const settings = organizationSettings.parse(world.settings.get(id) ?? {});
      return { id, timezone: 'UTC', subscriptionStatus: 'pro' as const, settings };
    },
    findUser: async (organizationId: string, id: string) => {
      if (world.away.auth) throw unavailable('auth');
      const found = people.find((person) => person.userId === id && person.organizationId === organizationId);
      if (!found) return undefined;
      return { id, organizationId, name: 'N', role: found.role, timezone: 'UTC', status: 'active' as const };
    },
  };
  const leads = {
    of: async ({ userId }: Caller) => ({ teamIds: new Set<string>(), userIds: new Set(world.led.get(userId)) }),
  };
  const settling = { pool, outbox, readyCodec };
  const observe = workMetrics(metrics);
  const workOn = createWork({ ...settling, store, pictures: openPictures(), identity, metrics: observe });
  const workers = works
    ? startWorkers({
        pool,
        workOn,
        concurrency,
        metrics: observe,
        registry: metrics,
        log,
        lifecycle,
        pollMs: 30,
        leaseMs,
        retryMs: 20,
      })
    : undefined;
  const wake = (): void => workers?.wake();
  const uploads = { pool, eventLog, uploadsCodec, store, onAdded: wake, log, metrics };
  const consumer = consumes ? await consumeUploads(uploads) : undefined;
  lifecycle.onClose('consumer', () => consumer?.close());
  const routes = screenshotRoutes({
    ...settling,
    reads: readsOf(pool),
    store,
    identity,
    audit,
    looks: createLooks(audit),
    leads,
    onDeleted: wake,
  });
  const authenticate = async (authorization: string | undefined): Promise<Caller> => {
    const found = people.find(({ userId }) => authorization === `Bearer ${userId}`);
    if (!found) throw unauthorized();
    return { ...found, timezone: 'UTC', sessionId: randomUUID() };
  };
  const { url } = await serve({
    services: [{ name: 'screenshot-processor', routes, rawRoutes: [...world.store.routes], checks: {}, authenticate }],
    lifecycle,
    log,
    metrics,
    host: '127.0.0.1',
    port: 0,
  });
  const sweeper: Processor['sweeper'] = (more) =>
    createSweeper({ ...settling, store, identity, lag: async () => 0, onDeleted: wake, log, metrics, ...more });

  return {
    url,
    pool,
    metrics,
    consumer,
    workers,
    routes,
    handle: createHandler(uploads),
    claim: (owner) => claimRow(pool, owner, leaseMs),
    workOn,
    sweeper,
    sweep: (more) => sweeper(more)(),
    call: (as, method, path) => call(url, method, `/api/v1${path}`, { bearer: as?.userId }),
    async close() {
      await lifecycle.close();
    },
  };
}

/** The store as a process sees it: with `world.away.store` and `world.onStore`. */
function failing(world: World): ObjectStore {
  const { store } = world;
  const before = async (operation: 'get' | 'put' | 'delete', keys: readonly string[]): Promise<void> => {
    if (world.away.store) throw unavailable('object store');
    for (const key of keys) await world.onStore(operation, key);
  };
  return {
    ...store,
    get: async (key) => {
      await before('get', [key]);
      return store.get(key);
    },
    put: async (key, body, options) => {
      await before('put', [key]);
      return store.put(key, body, options);
    },
    delete: async (key) => {
      await before('delete', [key]);
      return store.delete(key);
    },
    deleteMany: async (keys) => {
      await before('delete', keys);
      return store.deleteMany(keys);
    },
    list: async (...args) => {
      await before('get', []);
      return store.list(...args);
    },
    head: async (key) => {
      await before('get', [key]);
      return store.head(key);
    },
  };
}

/** A page of sharp text. */
export const textPicture = (width = 320, height = 240, salt = 1): Promise<Buffer> =>
  toPng(drawText(width, height, { size: 14, ink: 0, paper: 255 }, salt));

/** How much of `original`'s fine detail is in a file of the same size, 0 to 1. */
export async function detailLeft(file: Buffer, original: Buffer): Promise<number> {
  return sharpness(await toGrey(file)) / sharpness(await toGrey(original));
}
