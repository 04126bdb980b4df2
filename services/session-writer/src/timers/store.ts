import type { OutboxEvent, Queryable } from '@worktide/postgres';
import { AppError } from '@worktide/runtime';
import { type Codec, type TimeEntryState, topics } from '@worktide/schemas';

/** Whose entries they are, who changes them, and in which request. */
export interface Author {
  organizationId: string;
  userId: string;
  /** Null for the system. */
  actorId: string | null;
  requestId: string | null;
}

export type Action =
  | 'started'
  | 'paused'
  | 'resumed'
  | 'stopped'
  | 'created'
  | 'edited'
  | 'deleted'
  | 'merged'
  | 'synced';

/** What the ledger has of one change. */
export interface Change {
  action: Action;
  before: TimeEntryState | null;
  after: TimeEntryState;
  reason?: string | null;
}

/** Of a record of topic `time-entries`: smaller than the log's own bound, so that one with long texts fits as well. */
const recordBytes = 256 * 1024;

/** The lock under which entries of a user are changed, whoever does it: one at a time, to the end of the transaction. */
export const lockOf = ({ organizationId, userId }: Pick<Author, 'organizationId' | 'userId'>): string =>
  `time entries ${organizationId}/${userId}`;

export interface EntryRow {
  id: string;
  user_id: string;
  kind: TimeEntryState['kind'];
  project_id: string | null;
  task_id: string | null;
  description: string | null;
  tags: string[];
  billable: boolean;
  timezone: string;
  started_at: number;
  ended_at: number | null;
  pauses: [number, number | null][];
  created_at: number;
  updated_at: number;
  version: number;
  deleted: boolean;
}

export const asPairs = (multirange: string): string =>
  `coalesce((SELECT json_agg(json_build_array(epoch_ms(lower(r)), epoch_ms(upper(r))) ORDER BY r) FROM unnest(${multirange}) r), '[]')`;

export const entryColumns = `id, user_id, kind, project_id, task_id, description, tags, billable, timezone, version,
  epoch_ms(lower(span)) AS started_at, epoch_ms(upper(span)) AS ended_at, ${asPairs('pauses')} AS pauses,
  epoch_ms(created_at) AS created_at, epoch_ms(updated_at) AS updated_at, deleted_at IS NOT NULL AS deleted`;

export function stateOf(row: EntryRow): TimeEntryState {
  const { id, kind, description, tags, billable, timezone, version, pauses, deleted } = row;
  return {
    id,
    kind,
    status: row.ended_at !== null ? 'STOPPED' : pauses.at(-1)?.[1] === null ? 'PAUSED' : 'RUNNING',
    projectId: row.project_id,
    taskId: row.task_id,
    description,
    tags,
    billable,
    timezone,
    startedAt: row.started_at,
    endedAt: row.ended_at,
    pauses: pauses.map(([from, to]) => ({ from, to })),
    createdAt: row.created_at,
    updatedAt: row.updated_at,
    version,
    deleted,
  };
}

/** An entry and whose it is, deleted ones too; undefined where the organisation has none of that id. */
export async function findEntry(
  client: Queryable,
  organizationId: string,
  id: string,
): Promise<{ userId: string; entry: TimeEntryState } | undefined> {
  const { rows } = await client.query<EntryRow>(
    `SELECT ${entryColumns} FROM time_entries WHERE organization_id = $1 AND id = $2`,
    [organizationId, id],
  );
  return rows[0] && { userId: rows[0].user_id, entry: stateOf(rows[0]) };
}

/** The one that runs or is paused. */
export async function findOpen(
  client: Queryable,
  { organizationId, userId }: Pick<Author, 'organizationId' | 'userId'>,
): Promise<TimeEntryState | undefined> {
  const { rows } = await client.query<EntryRow>(
    `SELECT ${entryColumns} FROM time_entries
     WHERE organization_id = $1 AND user_id = $2 AND upper_inf(span) AND deleted_at IS NULL`,
    [organizationId, userId],
  );
  return rows[0] && stateOf(rows[0]);
}

/**
 * SQL: where the entries of a user ($1, $2) begin that can reach beyond an instant. They are disjoint, so of those that
 * begin before it only the last one can. One value for the whole query: a bare COALESCE is no bound of an index for tenants.
 */
export const firstStart = (instant: string): string => `(SELECT coalesce((
      SELECT starts_at FROM time_entries
      WHERE organization_id = $1 AND user_id = $2 AND deleted_at IS NULL AND starts_at < ${instant}
      ORDER BY starts_at DESC LIMIT 1), ${instant}))`;

export const overlapQuery = `
  SELECT ${entryColumns} FROM time_entries
  WHERE organization_id = $1 AND user_id = $2 AND deleted_at IS NULL AND id <> $3
    AND starts_at >= ${firstStart('$4')} AND starts_at < $5 AND (ends_at > $4 OR ends_at IS NULL)
  ORDER BY starts_at LIMIT 1`;

/** The first other entry that shares time with [startedAt, endedAt). */
export async function findOverlapping(
  client: Queryable,
  { organizationId, userId }: Pick<Author, 'organizationId' | 'userId'>,
  { id, startedAt, endedAt }: Pick<TimeEntryState, 'id' | 'startedAt' | 'endedAt'>,
): Promise<TimeEntryState | undefined> {
  const { rows } = await client.query<EntryRow>(overlapQuery, [
    organizationId,
    userId,
    id,
    new Date(startedAt).toISOString(),
    endedAt === null ? 'infinity' : new Date(endedAt).toISOString(),
  ]);
  return rows[0] && stateOf(rows[0]);
}

const instant = (ms: number | null): string =>
  ms === null || ms === Number.POSITIVE_INFINITY ? '' : `"${new Date(ms).toISOString()}"`;
/** `[start, end)` as PostgreSQL reads it; without an end where it is null or infinite. */
export const range = (start: number, end: number | null): string => `[${instant(start)},${instant(end)})`;
export const multirange = (spans: readonly { start: number; end: number | null }[]): string =>
  `{${spans.map(({ start, end }) => range(start, end)).join(',')}}`;
const pausesOf = ({ pauses }: TimeEntryState): string =>
  multirange(pauses.map(({ from, to }) => ({ start: from, end: to })));

interface Statement {
  text: string;
  values: unknown[];
}

function updating({ organizationId, userId }: Author, entry: TimeEntryState): Statement {
  return {
    text: `UPDATE time_entries SET version = $4, project_id = $5, task_id = $6, description = $7, tags = $8, billable = $9,
       timezone = $10, span = $11, pauses = $12, updated_at = $13,
       deleted_at = CASE WHEN $14::boolean THEN $13::timestamptz END
     WHERE organization_id = $1 AND user_id = $2 AND id = $3 AND version < $4 AND deleted_at IS NULL`,
    values: [
      organizationId,
      userId,
      entry.id,
      entry.version,
      entry.projectId,
      entry.taskId,
      entry.description,
      entry.tags,
      entry.billable,
      entry.timezone,
      range(entry.startedAt, entry.endedAt),
      pausesOf(entry),
      new Date(entry.updatedAt).toISOString(),
      entry.deleted,
    ],
  };
}

function inserting({ organizationId, userId }: Author, entries: readonly TimeEntryState[]): Statement {
  const rows = entries.map((entry) => ({
    id: entry.id,
    kind: entry.kind,
    project_id: entry.projectId,
    task_id: entry.taskId,
    description: entry.description,
    tags: entry.tags,
    billable: entry.billable,
    timezone: entry.timezone,
    span: range(entry.startedAt, entry.endedAt),
    pauses: pausesOf(entry),
    version: entry.version,
    created_at: new Date(entry.createdAt).toISOString(),
    updated_at: new Date(entry.updatedAt).toISOString(),
    deleted_at: entry.deleted ? new Date(entry.updatedAt).toISOString() : null,
  }));
  return {
    text: `INSERT INTO time_entries (organization_id, user_id, id, kind, project_id, task_id, description, tags, billable, timezone,
       span, pauses, version, created_at, updated_at, deleted_at)
     SELECT $1, $2, * FROM json_to_recordset($3) AS t (id uuid, kind text, project_id uuid, task_id uuid, description text,
       tags text[], billable boolean, timezone text, span tstzrange, pauses tstzmultirange, version bigint,
       created_at timestamptz, updated_at timestamptz, deleted_at timestamptz)`,
    values: [organizationId, userId, JSON.stringify(rows)],
  };
}

/** Its values come after those of another statement of the same author, whose first two are organisation and user. */
function recording(who: Author, changes: readonly Change[], others: number): Statement {
  const rows = changes.map(({ action, before, after, reason }) => ({
    entry_id: after.id,
    action,
    at: new Date(after.updatedAt).toISOString(),
    before,
    after,
    reason: reason ?? null,
  }));
  return {
    text: `INSERT INTO time_entry_changes (organization_id, user_id, actor_id, request_id, entry_id, action, at, before, after, reason)
     SELECT $1, $2, $${others + 1}, $${others + 2}, t.* FROM json_to_recordset($${others + 3})
       AS t (entry_id uuid, action text, at timestamptz, before jsonb, after jsonb, reason text)`,
    values: [who.actorId, who.requestId, JSON.stringify(rows)],
  };
}

/** It was read under the user's lock: somebody writes without it. */
const hasChanged = ({ id }: TimeEntryState): AppError =>
  new AppError('INTERNAL', 'Something went wrong on our side.', { cause: new Error(`entry ${id} has changed`) });

/** Writes a state over the one before it. Hold the user's lock. */
export async function updateEntry(client: Queryable, who: Author, entry: TimeEntryState): Promise<void> {
  const { text, values } = updating(who, entry);
  const { rowCount } = await client.query(text, values);
  if (rowCount !== 1) throw hasChanged(entry);
}

export async function insertEntries(client: Queryable, who: Author, entries: readonly TimeEntryState[]): Promise<void> {
  if (entries.length === 0) return;
  const { text, values } = inserting(who, entries);
  await client.query(text, values);
}

/** Writes into the ledger what has changed, in this order. */
export async function recordChanges(client: Queryable, who: Author, changes: readonly Change[]): Promise<void> {
  if (changes.length === 0) return;
  const { text, values } = recording(who, changes, 2);
  await client.query(text, [who.organizationId, who.userId, ...values]);
}

/** Writes what has become of an entry, and its line in the ledger, in one message. Hold the user's lock. */
export async function writeChange(client: Queryable, who: Author, change: Change): Promise<void> {
  const { text, values } = change.before === null ? inserting(who, [change.after]) : updating(who, change.after);
  const ledger = recording(who, [change], values.length);
  const { rowCount } = await client.query(`WITH written AS (${text} RETURNING id) ${ledger.text} CROSS JOIN written`, [
    ...values,
    ...ledger.values,
  ]);
  if (rowCount !== 1) throw hasChanged(change.after);
}

/** What others learn of it: whole states, in records of topic `time-entries`. */
export function recordsOf(who: Author, entries: readonly TimeEntryState[], codec: Codec): OutboxEvent[] {
  if (entries.length === 0) return [];
  const { organizationId, userId, actorId } = who;
  const value = codec.encode({ organizationId, userId, actorId, entries });
  if (value.length <= recordBytes || entries.length === 1) {
    return [{ topic: topics['time-entries'].name, key: userId, value }];
  }
  const middle = entries.length >> 1;
  return [entries.slice(0, middle), entries.slice(middle)].flatMap((half) => recordsOf(who, half, codec));
}
