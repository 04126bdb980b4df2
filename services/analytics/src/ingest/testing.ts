import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ClickHouse } from '@worktide/clickhouse';
import { type EventLog, openEventLog } from '@worktide/event-log';
import { createMetrics, silentLogger } from '@worktide/runtime';
import { allTopics } from '@worktide/schemas';
import { until } from '@worktide/testing';
import { collectChanges, storeChanges } from './changes.ts';
import { createRowWriter } from './row-writer.ts';
import { insertSettings, type TableSpec } from './tables.ts';

/** A log of its own with all topics. */
export async function openTestLog(): Promise<{ eventLog: EventLog; close(): Promise<void> }> {
  const folder = await mkdtemp(join(tmpdir(), 'analytics-'));
  const eventLog = openEventLog(`lmdb:${folder}`, { clientId: 'test', log: silentLogger(), metrics: createMetrics() });
  await eventLog.admin.ensureTopics(allTopics());
  return {
    eventLog,
    async close() {
      await eventLog.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** Puts records into a topic, all under one key. */
export async function send(eventLog: EventLog, topic: string, ...values: Buffer[]): Promise<void> {
  const producer = eventLog.producer();
  await producer.send(
    topic,
    values.map((value) => ({ key: 'a key', value })),
  );
  await producer.close();
}

/** Waits until this service has consumed all of a topic. */
export const caughtUp = (eventLog: EventLog, topic: string) =>
  until(`${topic} consumed`, async () => (await eventLog.admin.lag(`analytics-${topic}`, [topic]))[topic] === 0);

/** The dead letters of a topic. */
export const deadLetters = (eventLog: EventLog, topic: string, limit = 100) =>
  eventLog.admin.read(`${topic}.dead`, { partition: 0, fromOffset: 0, limit });

/** Stores the items of an envelope as their consumer does. */
export async function store<E, I>(clickhouse: ClickHouse, spec: TableSpec<E, I>, envelope: E): Promise<void> {
  const { table, columns } = spec;
  const writer = createRowWriter();
  const changes = collectChanges();
  const touch = spec.touches?.(changes, envelope);
  for (const item of (envelope as Record<string, I[]>)[spec.items]!) {
    spec.write(writer, spec.owner(envelope), envelope, item);
    touch?.(item);
  }
  await clickhouse.insert({ table, columns, format: 'RowBinary', data: writer.take(), settings: insertSettings });
  await storeChanges(clickhouse, changes);
}
