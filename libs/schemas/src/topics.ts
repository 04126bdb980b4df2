import type { z } from 'zod';
import { alertsRecord } from './alerts.ts';
import { auditRecord } from './audit.ts';
import { daysRecord } from './days.ts';
import { erasuresRecord } from './erasures.ts';
import { exportsRecord } from './export-events.ts';
import { importOutcome, importRecord } from './import-events.ts';
import { inputMinutesRecord } from './input-minutes.ts';
import { peopleRecord } from './people.ts';
import { pingsRecord } from './ping-events.ts';
import { screenshotReadyRecord, screenshotRecord } from './screenshots.ts';
import { timeEntriesRecord, timeEntrySyncRecord } from './time-entries.ts';
import { usageRecord } from './usage.ts';
import { workspaceRecord } from './workspace-events.ts';

export interface TopicSpec {
  name: string;
  /** What the key is; one key's records stay in order on one partition. */
  key: 'user' | 'organization';
  partitions: number;
  retentionMs: number;
  schema: z.ZodType;
  /** The service that writes it. */
  writer: string;
}

const days = (n: number): number => n * 24 * 3_600_000;

/**
 * Every topic of the system. `npm run prepare:engines` applies this table, and so does all that starts the product;
 * each has a dead-letter topic `<name>.dead` beside it (one partition, 30 days).
 * 12 partitions: divides evenly among 1, 2, 3, 4, 6 or 12 consumers, and a partition can be had more of but never less.
 */
export const topics = {
  pings: {
    name: 'pings',
    key: 'user',
    partitions: 12,
    retentionMs: days(7),
    schema: pingsRecord,
    writer: 'ingest-gateway, agent-protocols',
  },
  /** Records of `pings` whose merging would keep everybody else waiting: merged by themselves. */
  'pings-slow': {
    name: 'pings-slow',
    key: 'user',
    partitions: 12,
    retentionMs: days(7),
    schema: pingsRecord,
    writer: 'session-writer',
  },
  usage: {
    name: 'usage',
    key: 'user',
    partitions: 12,
    retentionMs: days(7),
    schema: usageRecord,
    writer: 'session-writer',
  },
  /** Kept as long as a store may be away, or be restored, that must not show what was forgotten meanwhile. */
  erasures: {
    name: 'erasures',
    key: 'user',
    partitions: 12,
    retentionMs: days(30),
    schema: erasuresRecord,
    writer: 'session-writer',
  },
  screenshots: {
    name: 'screenshots',
    key: 'user',
    partitions: 12,
    retentionMs: days(7),
    schema: screenshotRecord,
    writer: 'ingest-gateway',
  },
  'screenshots-ready': {
    name: 'screenshots-ready',
    key: 'user',
    partitions: 12,
    retentionMs: days(7),
    schema: screenshotReadyRecord,
    writer: 'screenshot-processor',
  },
  'time-entry-syncs': {
    name: 'time-entry-syncs',
    key: 'user',
    partitions: 12,
    retentionMs: days(7),
    schema: timeEntrySyncRecord,
    writer: 'ingest-gateway',
  },
  /** Records of `time-entry-syncs` of an organisation that brought much at once: applied by themselves. */
  'time-entry-syncs-slow': {
    name: 'time-entry-syncs-slow',
    key: 'user',
    partitions: 12,
    retentionMs: days(7),
    schema: timeEntrySyncRecord,
    writer: 'session-writer',
  },
  'input-minutes': {
    name: 'input-minutes',
    key: 'user',
    partitions: 12,
    retentionMs: days(7),
    schema: inputMinutesRecord,
    writer: 'ingest-gateway',
  },
  'time-entries': {
    name: 'time-entries',
    key: 'user',
    partitions: 12,
    retentionMs: days(7),
    schema: timeEntriesRecord,
    writer: 'session-writer',
  },
  /** Pieces of imported history, however old. */
  imports: {
    name: 'imports',
    key: 'user',
    partitions: 12,
    retentionMs: days(7),
    schema: importRecord,
    writer: 'agent-protocols',
  },
  /** What has become of imported time entries. */
  'import-outcomes': {
    name: 'import-outcomes',
    key: 'user',
    partitions: 12,
    retentionMs: days(7),
    schema: importOutcome,
    writer: 'session-writer',
  },
  alerts: {
    name: 'alerts',
    key: 'user',
    partitions: 12,
    retentionMs: days(7),
    schema: alertsRecord,
    writer: 'session-writer',
  },
  /** Kept as long as somebody may be away who must erase what an organisation leaves behind. */
  people: {
    name: 'people',
    key: 'organization',
    partitions: 12,
    retentionMs: days(30),
    schema: peopleRecord,
    writer: 'auth',
  },
  'workspace-events': {
    name: 'workspace-events',
    key: 'organization',
    partitions: 12,
    retentionMs: days(7),
    schema: workspaceRecord,
    writer: 'workspace',
  },
  /** Finished days, for whoever tells others of them. */
  days: {
    name: 'days',
    key: 'user',
    partitions: 12,
    retentionMs: days(7),
    schema: daysRecord,
    writer: 'analytics',
  },
  /** Exports that are settled, for whoever tells their makers. */
  exports: {
    name: 'exports',
    key: 'user',
    partitions: 12,
    retentionMs: days(7),
    schema: exportsRecord,
    writer: 'analytics',
  },
  audit: {
    name: 'audit',
    key: 'organization',
    partitions: 12,
    // Analytics may be away for a long while before an action would go unrecorded.
    retentionMs: days(30),
    schema: auditRecord,
    writer: 'every service',
  },
} as const satisfies Record<string, TopicSpec>;

export type TopicName = keyof typeof topics;

/** The dead-letter topic of a topic. */
export const deadLetterTopic = (topic: string): string => `${topic}.dead`;
export const deadLetterRetentionMs = days(30);

/** The table as the log's admin takes it, dead-letter topics included. */
export const allTopics = (): { name: string; partitions: number; retentionMs: number }[] =>
  Object.values(topics).flatMap(({ name, partitions, retentionMs }) => [
    { name, partitions, retentionMs },
    { name: deadLetterTopic(name), partitions: 1, retentionMs: deadLetterRetentionMs },
  ]);
