import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type EventLog, openEventLog } from '@worktide/event-log';
import { createMetrics, silentLogger } from '@worktide/runtime';
import { allTopics } from '@worktide/schemas';
import { until } from '@worktide/testing';

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
