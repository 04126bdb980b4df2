import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freshServiceDatabase, type TestDatabase } from '@worktide/backends';
import { type EventLog, openEventLog } from '@worktide/event-log';
import { createOutbox, createPool, type Pool, transaction } from '@worktide/postgres';
import {
  createLifecycle,
  createMetrics,
  type Lifecycle,
  type Logger,
  type Metrics,
  silentLogger,
} from '@worktide/runtime';
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
import { createEraser } from './store/eraser.ts';
import { type Erasure, recordErasure } from './store/erasures.ts';
import type { MergeOptions } from './store/merge.ts';
import { createPartitions } from './store/partitions.ts';
import { lookUp } from './store/plans.ts';
import type { StreamIdentity } from './store/streams.ts';

/** Helpers of this service's tests: the store on a real PostgreSQL and a real log. */

export type { TestDatabase };

export const trackingDatabase = (): Promise<TestDatabase> => freshServiceDatabase(database);

/** One writer: a pool, an outbox and a log of its own, as a process would have. */
export interface TestWriter extends MergeOptions {
  eventLog: EventLog;
  pingsCodec: Codec;
  erasuresCodec: Codec;
  lifecycle: Lifecycle;
  log: Logger;
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
  const erasuresCodec = createCodec(registry, topics.erasures);
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
    erasuresCodec,
    partitions,
    now,
    eventLog,
    lifecycle,
    log,
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

/** Records an erasure and works it off. */
export async function erase(writer: TestWriter, erasure: Erasure): Promise<void> {
  await recordErasure(writer, erasure);
  await createEraser(writer).workOff();
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

interface Plan {
  'Node Type': string;
  'Actual Rows': number;
  'Actual Loops': number;
  'Rows Removed by Filter'?: number;
  Plans?: Plan[];
}

/** Rows that the scans of a plan looked at, also those they threw away. */
const looked = (plan: Plan): number =>
  (/^(Index|Seq|Bitmap Heap)/.test(plan['Node Type'])
    ? (plan['Actual Rows'] + (plan['Rows Removed by Filter'] ?? 0)) * plan['Actual Loops']
    : 0) + (plan.Plans ?? []).reduce((sum, child) => sum + looked(child), 0);

/** How many rows a query looks at, planned as `lookUp` plans. */
export async function lookedAt(
  pool: Pool,
  sql: string,
  parameters: unknown[],
  run: typeof transaction = transaction,
): Promise<number> {
  const rows = await run(pool, (client) =>
    lookUp<{ 'QUERY PLAN': [{ Plan: Plan }] }>(client, `EXPLAIN (ANALYZE, FORMAT JSON) ${sql}`, parameters),
  );
  return Math.round(looked(rows[0]!['QUERY PLAN'][0].Plan));
}
