import {
  type AuditEvent,
  auditEvent,
  auditRecord,
  isAuditEvent,
  isPingEvent,
  isUsageEntryState,
  type PingEvent,
  pingEvent,
  pingsEnvelope,
  type UsageEntryState,
  usageEntryState,
  usageRecord,
} from '@worktide/schemas';
import { z } from 'zod';
import { type RowWriter, uuidBytes } from './row-writer.ts';

/** How the records of one topic become rows of one table; a record is an envelope around a list of items. */
export interface TableSpec<E, I> {
  table: string;
  columns: readonly string[];
  envelope: z.ZodType<E>;
  /** The envelope's list. */
  items: string;
  item: z.ZodType<I>;
  /** The same verdict as `item`'s, without its words. */
  fits: (value: unknown) => value is I;
  /** The first columns, which say whose the items are: the same for all of a record, so encoded once. */
  owner(envelope: E): Uint8Array;
  write(row: RowWriter, owner: Uint8Array, envelope: E, item: I): void;
}

const userOf = ({ organizationId, userId }: { organizationId: string; userId: string }): Uint8Array =>
  uuidBytes(organizationId, userId);

/**
 * Settings of every insert. A batch of offline pings may lie in many partitions, each a small part that merges take care
 * of. Duplicates within a block need not be looked for: FINAL and the merges do that anyway (a quarter of the CPU).
 */
export const insertSettings = { max_partitions_per_insert_block: '0', optimize_on_insert: 0 } as const;

const states = { active: 1, idle: 2 } as const;

/** The first instant past what is stored: DateTime64 ends in 2299, and a clock that is this wrong tells nothing. */
const endOfTime = Date.UTC(2200, 0, 1);

const withinTime = <T extends { startedAt: number; endedAt: number }>(item: T): boolean =>
  item.startedAt <= item.endedAt && item.endedAt < endOfTime;
const timeProblem = { message: 'startedAt is after endedAt, or endedAt after the year 2199' };

export const pingsTable: TableSpec<z.output<typeof pingsEnvelope>, PingEvent> = {
  table: 'pings',
  columns:
    `organization_id user_id started_at id ended_at device_id source app host state title url project_id time_entry_id
     received_at`.split(/\s+/),
  envelope: pingsEnvelope,
  items: 'pings',
  item: pingEvent.refine(withinTime, timeProblem),
  fits: (value): value is PingEvent => isPingEvent(value) && withinTime(value),
  owner: userOf,
  write(row, owner, { receivedAt }, ping) {
    row.raw(owner);
    row.uint64(ping.startedAt);
    row.uuid(ping.id);
    row.uint64(ping.endedAt);
    row.string(ping.deviceId);
    row.string(ping.source);
    row.string(ping.app);
    row.string(ping.host ?? '');
    row.uint8(states[ping.state]);
    row.string(ping.title ?? '');
    row.string(ping.url ?? '');
    row.nullableUuid(ping.projectId);
    row.nullableUuid(ping.timeEntryId);
    row.uint64(Math.min(receivedAt, endOfTime));
    row.endRow();
  },
};

const usageEnvelope = usageRecord.extend({ entries: z.array(z.unknown()).min(1) });

export const usageTable: TableSpec<z.output<typeof usageEnvelope>, UsageEntryState> = {
  table: 'usage',
  columns: `organization_id user_id started_at id ended_at device_id source app host state version is_deleted`.split(
    ' ',
  ),
  envelope: usageEnvelope,
  items: 'entries',
  item: usageEntryState.refine(withinTime, timeProblem),
  fits: (value): value is UsageEntryState => isUsageEntryState(value) && withinTime(value),
  owner: userOf,
  write(row, owner, _envelope, entry) {
    row.raw(owner);
    row.uint64(entry.startedAt);
    row.uuid(entry.id);
    row.uint64(entry.endedAt);
    row.string(entry.deviceId);
    row.string(entry.source);
    row.string(entry.app);
    row.string(entry.host ?? '');
    row.uint8(states[entry.state]);
    row.uint64(entry.version);
    row.uint8(entry.deleted ? 1 : 0);
    row.endRow();
  },
};

const auditEnvelope = auditRecord.extend({ events: z.array(z.unknown()).min(1) });

const atProblem = { message: 'at is after the year 2199' };

export const auditTable: TableSpec<z.output<typeof auditEnvelope>, AuditEvent> = {
  table: 'audit',
  columns:
    `organization_id at id action actor_type actor_id entity_type entity_id before after ip_address user_agent request_id
     service`.split(/\s+/),
  envelope: auditEnvelope,
  items: 'events',
  item: auditEvent.refine(({ at }) => at < endOfTime, atProblem),
  fits: (value): value is AuditEvent => isAuditEvent(value) && value.at < endOfTime,
  owner: ({ organizationId }) => uuidBytes(organizationId),
  write(row, owner, _envelope, event) {
    row.raw(owner);
    row.uint64(event.at);
    row.uuid(event.id);
    row.string(event.action);
    row.string(event.actorType);
    row.nullableUuid(event.actorId ?? undefined);
    row.string(event.entityType);
    row.string(event.entityId);
    row.string(jsonText(event.before));
    row.string(jsonText(event.after));
    row.string(event.ipAddress ?? '');
    row.string(event.userAgent ?? '');
    row.string(event.requestId ?? '');
    row.string(event.service);
    row.endRow();
  },
};

/**
 * JSON that ClickHouse's functions read. A text that was cut within a character ends in half of it, which JSON writes as
 * an escape and ClickHouse refuses, and with it the whole object.
 */
const jsonText = (fields: object | null): string =>
  fields === null
    ? ''
    : JSON.stringify(fields).replace(/\\(?:u(d[89a-f]..)|.)/g, (found, half) => (half ? '\ufffd' : found));
