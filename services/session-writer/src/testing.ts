import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freshServiceDatabase, type TestDatabase } from '@worktide/backends';
import { type EventLog, openEventLog } from '@worktide/event-log';
import { createOutbox, createPool, type Pool } from '@worktide/postgres';
import { createLifecycle, createMetrics, type Lifecycle, type Metrics, silentLogger } from '@worktide/runtime';
import {
  allTopics,
  type Codec,
  createCodec,
  openSchemaRegistry,
  topics,
  type UsageEntryState,
  usageRecord,
} from '@worktide/schemas';
import { database } from './database.ts';
import type { KeySpan, Span, UsageKey } from './merge/index.ts';
import type { MergeOptions } from './store/merge.ts';
import { createPartitions } from './store/partitions.ts';
import type { StreamIdentity } from './store/streams.ts';

/** Helpers of this service's tests: the store on a real PostgreSQL and a real log. */

export type { TestDatabase };

export const trackingDatabase = (): Promise<TestDatabase> => freshServiceDatabase(database);

/** One writer: a pool, an outbox and a log of its own, as a process would have. */
export interface TestWriter extends MergeOptions {
  eventLog: EventLog;
  pingsCodec: Codec;
  lifecycle: Lifecycle;
  metrics: Metrics;
  /** All that was published, in order of partition and offset. */
  published(): Promise<{ organizationId: string; userId: string; entries: UsageEntryState[] }[]>;
  close(): Promise<void>;
}

export async function openWriter(
  postgresUrl: string,
  options: { now?: () => number; retentionMonths?: number; graceMs?: number } = {},
): Promise<TestWriter> {
  const { now = Date.now, retentionMonths = 25, graceMs = 60_000 } = options;
  const log = silentLogger();
  const metrics = createMetrics();
  const lifecycle = createLifecycle({ log });
  const folder = await mkdtemp(join(tmpdir(), 'session-writer-'));
  const eventLog = openEventLog(`lmdb:${folder}`, { clientId: 'test', log, metrics });
  await eventLog.admin.ensureTopics(allTopics());
  const pool = createPool(postgresUrl, { applicationName: 'session-writer', log });
  const registry = openSchemaRegistry('local:');
  const usageCodec = createCodec(registry, topics.usage);
  const pingsCodec = createCodec(registry, topics.pings);
  await Promise.all([usageCodec.prepare(), pingsCodec.prepare()]);
  lifecycle.onClose('folder', () => rm(folder, { recursive: true, force: true }));
  lifecycle.onClose('postgres', () => pool.end());
  lifecycle.onClose('log', () => eventLog.close());
  const outbox = createOutbox({
    schema: 'tracking',
    pool,
    producer: eventLog.producer(),
    log,
    metrics,
    lifecycle,
    graceMs,
  });
  const partitions = createPartitions({ pool, retentionMonths, log, now });
  return {
    pool,
    outbox,
    usageCodec,
    pingsCodec,
    partitions,
    now,
    eventLog,
    lifecycle,
    metrics,
    async published() {
      const records = [];
      for (let partition = 0; partition < topics.usage.partitions; partition++) {
        records.push(...(await eventLog.admin.read('usage', { partition, fromOffset: 0, limit: 100_000 })));
      }
      return records.map((record) => usageRecord.parse(usageCodec.decode(record.value)));
    },
    async close() {
      await lifecycle.close();
    },
  };
}

export const newStream = (more: Partial<StreamIdentity> = {}): StreamIdentity => ({
  organizationId: randomUUID(),
  userId: randomUUID(),
  deviceId: 'laptop',
  source: 'window',
  ...more,
});

export const key = (app: string, host: string | null = null, state: UsageKey['state'] = 'active'): UsageKey => ({
  state,
  app,
  host,
});

/** Time a ping covers; an instant is one millisecond of it. */
export const seen = (start: number, end: number, k: UsageKey): KeySpan => ({
  start,
  end: Math.max(end, start + 1),
  key: k,
});

export interface Stored {
  entries: (KeySpan & { id: string; version: number })[];
  gaps: Span[];
}

/** What the database has of a stream, by start. */
export async function stored(pool: Pool, stream: StreamIdentity): Promise<Stored> {
  const identity = [stream.organizationId, stream.userId, stream.deviceId, stream.source];
  const of = (table: string): string =>
    `SELECT t.* FROM tracking.${table} t JOIN tracking.streams s ON s.id = t.stream_id
     WHERE s.organization_id = $1 AND s.user_id = $2 AND s.device_id = $3 AND s.source = $4 ORDER BY started_at`;
  const entries = await pool.query(of('usage_entries'), identity);
  const gaps = await pool.query(of('usage_gaps'), identity);
  return {
    entries: entries.rows.map((row) => ({
      id: row.id,
      version: row.version,
      start: row.started_at,
      end: row.ended_at,
      key: { state: row.state, app: row.app, host: row.host },
    })),
    gaps: gaps.rows.map((row) => ({ start: row.started_at, end: row.ended_at })),
  };
}

/** Polls until the condition holds; fails after ten seconds. */
export async function until(what: string, condition: () => Promise<boolean> | boolean): Promise<void> {
  for (const deadline = Date.now() + 10_000; !(await condition()); ) {
    if (Date.now() > deadline) throw new Error(`not within ten seconds: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
