import {
  type AlertState,
  type AuditEvent,
  alertState,
  alertsRecord,
  auditEvent,
  auditRecord,
  conformsTo,
  type InputMinuteEvent,
  inputMinuteEvent,
  inputMinutesEnvelope,
  isAuditEvent,
  isPingEvent,
  isUsageEntryState,
  type PingEvent,
  pingEvent,
  pingsEnvelope,
  type TimeEntryState,
  timeEntriesRecord,
  timeEntryState,
  type UsageEntryState,
  usageEntryState,
  usageRecord,
} from '@worktide/schemas';
import { z } from 'zod';
import { addDays, type ChangeCollector } from './changes.ts';
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
  /** Where items are part of what days sum up: notes the days of an item. */
  touches?: (changes: ChangeCollector, envelope: E) => (item: I) => void;
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
export const endOfTime = Date.UTC(2200, 0, 1);

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
  touches(changes, envelope) {
    const days = changes.of(envelope);
    return ({ startedAt, endedAt }) => addDays(days, startedAt, endedAt);
  },
};

const isInputMinute = conformsTo(inputMinuteEvent);
const fullMinute = ({ minute }: InputMinuteEvent): boolean => minute % 60_000 === 0 && minute < endOfTime;
const minuteProblem = { message: 'minute has seconds, or is after the year 2199' };

export const inputMinutesTable: TableSpec<z.output<typeof inputMinutesEnvelope>, InputMinuteEvent> = {
  table: 'input_minutes',
  columns: 'organization_id user_id minute device_id keyboard_clicks mouse_movements'.split(' '),
  envelope: inputMinutesEnvelope,
  items: 'minutes',
  item: inputMinuteEvent.refine(fullMinute, minuteProblem),
  fits: (value): value is InputMinuteEvent => isInputMinute(value) && fullMinute(value),
  owner: userOf,
  write(row, owner, _envelope, { minute, deviceId, keyboardClicks, mouseMovements }) {
    row.raw(owner);
    row.uint64(minute);
    row.string(deviceId);
    row.uint64(keyboardClicks);
    row.uint64(mouseMovements);
    row.endRow();
  },
  touches(changes, envelope) {
    const days = changes.of(envelope);
    return ({ minute }) => addDays(days, minute, minute);
  },
};

const timeEntriesEnvelope = timeEntriesRecord.extend({ entries: z.array(z.unknown()).min(1) });
const entryKinds = { timer: 1, manual: 2, offline: 3, imported: 4 } as const;
const statuses = { RUNNING: 1, PAUSED: 2, STOPPED: 3 } as const;
const isTimeEntryState = conformsTo(timeEntryState);
const ordered = ({ startedAt, endedAt, pauses, createdAt, updatedAt }: TimeEntryState): boolean =>
  [{ from: startedAt, to: endedAt }, ...pauses].every(({ from, to }) => from <= (to ?? from)) &&
  [startedAt, endedAt, createdAt, updatedAt, ...pauses.flatMap(({ from, to }) => [from, to])].every(
    (instant) => (instant ?? 0) < endOfTime,
  );
const orderProblem = { message: 'the entry or a pause ends before it begins, or something is after the year 2199' };

export const timeEntriesTable: TableSpec<z.output<typeof timeEntriesEnvelope>, TimeEntryState> = {
  table: 'time_entries',
  columns:
    `organization_id user_id id kind status project_id task_id description tags billable timezone started_at ended_at
     pause_starts pause_ends created_at updated_at version is_deleted`.split(/\s+/),
  envelope: timeEntriesEnvelope,
  items: 'entries',
  item: timeEntryState.refine(ordered, orderProblem),
  fits: (value): value is TimeEntryState => isTimeEntryState(value) && ordered(value),
  owner: userOf,
  write(row, owner, _envelope, entry) {
    row.raw(owner);
    row.uuid(entry.id);
    row.uint8(entryKinds[entry.kind]);
    row.uint8(statuses[entry.status]);
    row.nullableUuid(entry.projectId ?? undefined);
    row.nullableUuid(entry.taskId ?? undefined);
    row.string(entry.description ?? '');
    row.length(entry.tags.length);
    for (const tag of entry.tags) row.string(tag);
    row.uint8(entry.billable ? 1 : 0);
    row.string(entry.timezone);
    row.uint64(entry.startedAt);
    row.nullableUint64(entry.endedAt);
    row.length(entry.pauses.length);
    for (const { from } of entry.pauses) row.uint64(from);
    row.length(entry.pauses.length);
    for (const { to } of entry.pauses) row.nullableUint64(to);
    row.uint64(entry.createdAt);
    row.uint64(entry.updatedAt);
    row.uint64(entry.version);
    row.uint8(entry.deleted ? 1 : 0);
    row.endRow();
  },
};

const alertsEnvelope = alertsRecord.extend({ alerts: z.array(z.unknown()).min(1) });
const alertTypes = { idle: 1, overtime: 2 } as const;
const isAlertState = conformsTo(alertState);
const dated = ({ date, createdAt, resolvedAt }: AlertState): boolean =>
  date >= '1970-01-01' && date < '2200-01-01' && createdAt < endOfTime && (resolvedAt ?? 0) < endOfTime;
const dateProblem = { message: 'something is before 1970 or after the year 2199' };

export const alertsTable: TableSpec<z.output<typeof alertsEnvelope>, AlertState> = {
  table: 'alerts',
  columns:
    `organization_id user_id id type date time_entry_id message created_at resolved_at resolved_by version`.split(' '),
  envelope: alertsEnvelope,
  items: 'alerts',
  item: alertState.refine(dated, dateProblem),
  fits: (value): value is AlertState => isAlertState(value) && dated(value),
  owner: userOf,
  write(row, owner, _envelope, alert) {
    row.raw(owner);
    row.uuid(alert.id);
    row.uint8(alertTypes[alert.type]);
    row.uint32(Date.parse(alert.date) / 86_400_000);
    row.nullableUuid(alert.timeEntryId ?? undefined);
    row.string(alert.message);
    row.uint64(alert.createdAt);
    row.nullableUint64(alert.resolvedAt);
    row.nullableUuid(alert.resolvedBy ?? undefined);
    row.uint64(alert.version);
    row.endRow();
  },
};

const auditEnvelope = auditRecord.extend({ events: z.array(z.unknown()).min(1) });

const atProblem = { message: 'at is after the year 2199' };

export const auditTable: TableSpec<z.output<typeof auditEnvelope>, AuditEvent> = {
  table: 'audit',
  columns:
    `organization_id at id action actor_type actor_id entity_type entity_id before after ip_address user_agent request_id
     session_id service`.split(/\s+/),
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
    row.nullableUuid(event.sessionId ?? undefined);
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
