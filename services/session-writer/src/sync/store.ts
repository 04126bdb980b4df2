import type { OutboxEvent, Queryable } from '@worktide/postgres';
import { AppError } from '@worktide/runtime';
import { type Codec, type SyncEntryEvent, type TimeEntryState, type TimeEntryStatus, topics } from '@worktide/schemas';
import type { Applied, Change, Stored } from './book.ts';
import { type Span, unionOf } from './union.ts';

/** Whose entries they are, and who says so. */
export interface Author {
  organizationId: string;
  userId: string;
  requestId: string | null;
}

/** Of a record of topic `time-entries`: smaller than the log's own bound, so that one with long texts fits as well. */
const recordBytes = 256 * 1024;

/** One at a time for a user, with whoever else changes entries of theirs, to the end of the transaction. */
export async function lockUser(client: Queryable, { organizationId, userId }: Author): Promise<void> {
  const name = `time entries ${organizationId}/${userId}`;
  await client.query('SELECT pg_advisory_xact_lock(hashtextextended($1, 0))', [name]);
}

/**
 * What is stored that these offline entries can meet.
 * @returns undefined where that is more than `limit` entries: fewer are to be looked up at a time. For a single one it is
 * the first of them.
 */
export async function load(
  client: Queryable,
  { organizationId, userId }: Author,
  events: readonly SyncEntryEvent[],
  limit: number,
): Promise<Stored | undefined> {
  const whose = [organizationId, userId];
  const { rows: keys } = await client.query<{
    key: string;
    entry_id: string;
    status: TimeEntryStatus;
    is_merged: boolean;
  }>(
    `SELECT key, entry_id, status, is_merged FROM sync_keys
     WHERE organization_id = $1 AND user_id = $2 AND key = ANY($3::text[])`,
    [...whose, events.map(({ idempotencyKey }) => idempotencyKey)],
  );
  const ids = keys.map(({ entry_id }) => entry_id);
  const spans = unionOf(
    events.map(({ startedAt, endedAt }) => ({ start: startedAt, end: endedAt ?? Number.POSITIVE_INFINITY })),
  );
  const found = new Map<string, TimeEntryState>();
  for (const [condition, value] of [
    ['id = ANY($3::uuid[])', ids],
    ['upper_inf(span) AND $3::text IS NULL', null],
    ['span && $3::tstzmultirange', multirange(spans)],
  ] as const) {
    const { rows } = await client.query<EntryRow>(
      `SELECT ${columns} FROM time_entries
       WHERE organization_id = $1 AND user_id = $2 AND deleted_at IS NULL AND ${condition}
       ORDER BY lower(span) LIMIT $4`,
      [...whose, value, limit + 1],
    );
    for (const row of rows) found.set(row.id, stateOf(row));
    if (found.size > limit && events.length > 1) return undefined;
  }
  const { rows: taken } = await client.query<{ entry_id: string; worked: [number, number][] }>(
    `SELECT entry_id, ${asPairs('worked')} AS worked FROM sync_taken
     WHERE organization_id = $1 AND user_id = $2 AND entry_id = ANY($3::uuid[])`,
    [...whose, [...found.keys()]],
  );
  return {
    entries: found,
    keys: new Map(keys.map((row) => [row.key, { entryId: row.entry_id, status: row.status, isMerged: row.is_merged }])),
    taken: new Map(taken.map((row) => [row.entry_id, row.worked.map(([start, end]) => ({ start, end }))])),
  };
}

/** Writes what has changed, and why. What goes makes room for what grows, and that for what is new. */
export async function save(client: Queryable, who: Author, stored: Stored, applied: Applied): Promise<void> {
  const { organizationId, userId } = who;
  const { changes, moved, keys, taken } = applied;
  const last = new Map(changes.map(({ after }) => [after.id, after]));
  const isNew = new Set(changes.filter(({ before }) => before === null).map(({ after }) => after.id));
  for (const after of last.values()) if (after.deleted && !isNew.has(after.id)) await update(client, who, after);
  // In the order in which they were decided: at each moment none lies over another.
  for (const { after } of changes) {
    if (!isNew.has(after.id) && !last.get(after.id)!.deleted) await update(client, who, after);
  }
  await insert(
    client,
    who,
    [...last.values()].filter(({ id }) => isNew.has(id)),
  );
  await record(client, who, changes);

  for (const { from, into } of moved) {
    await client.query(
      `UPDATE sync_keys SET entry_id = $4, is_merged = true
       WHERE organization_id = $1 AND user_id = $2 AND entry_id = $3`,
      [organizationId, userId, from, into],
    );
  }
  const known = [...keys].map((key) => ({ key, ...stored.keys.get(key)! }));
  await client.query(
    `INSERT INTO sync_keys (organization_id, user_id, key, entry_id, status, is_merged)
     SELECT $1, $2, * FROM unnest($3::text[], $4::uuid[], $5::text[], $6::boolean[])
     ON CONFLICT (organization_id, user_id, key) DO UPDATE
       SET entry_id = excluded.entry_id, status = excluded.status, is_merged = excluded.is_merged`,
    [
      organizationId,
      userId,
      known.map(({ key }) => key),
      known.map(({ entryId }) => entryId),
      known.map(({ status }) => status),
      known.map(({ isMerged }) => isMerged),
    ],
  );
  for (const id of taken) {
    await client.query(
      `INSERT INTO sync_taken (organization_id, user_id, entry_id, worked) VALUES ($1, $2, $3, $4)
       ON CONFLICT (organization_id, user_id, entry_id) DO UPDATE SET worked = excluded.worked`,
      [organizationId, userId, id, multirange(stored.taken.get(id)!)],
    );
  }
}

/** What others learn of it: whole states. */
export function recordsOf(
  { organizationId, userId }: Author,
  entries: readonly TimeEntryState[],
  codec: Codec,
): OutboxEvent[] {
  if (entries.length === 0) return [];
  const value = codec.encode({ organizationId, userId, actorId: userId, entries });
  if (value.length <= recordBytes || entries.length === 1)
    return [{ topic: topics['time-entries'].name, key: userId, value }];
  const middle = entries.length >> 1;
  const halves = [entries.slice(0, middle), entries.slice(middle)];
  return halves.flatMap((half) => recordsOf({ organizationId, userId, requestId: null }, half, codec));
}

interface EntryRow {
  id: string;
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
}

const asMs = (sql: string): string => `(extract(epoch FROM ${sql}) * 1000)::bigint`;
const asPairs = (multirange: string): string =>
  `coalesce((SELECT json_agg(json_build_array(${asMs('lower(r)')}, ${asMs('upper(r)')}) ORDER BY r) FROM unnest(${multirange}) r), '[]')`;

const columns = `id, kind, project_id, task_id, description, tags, billable, timezone, version,
  ${asMs('lower(span)')} AS started_at, ${asMs('upper(span)')} AS ended_at, ${asPairs('pauses')} AS pauses,
  ${asMs('created_at')} AS created_at, ${asMs('updated_at')} AS updated_at`;

function stateOf(row: EntryRow): TimeEntryState {
  const { id, kind, description, tags, billable, timezone, version, pauses } = row;
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
    deleted: false,
  };
}

const instant = (ms: number | null): string =>
  ms === null || ms === Number.POSITIVE_INFINITY ? '' : `"${new Date(ms).toISOString()}"`;
const range = (start: number, end: number | null): string => `[${instant(start)},${instant(end)})`;
const multirange = (spans: readonly Span[]): string =>
  `{${spans.map(({ start, end }) => range(start, end)).join(',')}}`;
const spanOf = ({ startedAt, endedAt }: TimeEntryState): string => range(startedAt, endedAt);
const pausesOf = ({ pauses }: TimeEntryState): string => `{${pauses.map(({ from, to }) => range(from, to)).join(',')}}`;

async function update(client: Queryable, { organizationId, userId }: Author, entry: TimeEntryState): Promise<void> {
  const { rowCount } = await client.query(
    `UPDATE time_entries SET project_id = $5, task_id = $6, description = $7, tags = $8, billable = $9, timezone = $10,
       span = $11, pauses = $12, version = $13, updated_at = $14, deleted_at = CASE WHEN $15::boolean THEN $14::timestamptz END
     WHERE organization_id = $1 AND user_id = $2 AND id = $3 AND version < $4 AND deleted_at IS NULL`,
    [
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
      spanOf(entry),
      pausesOf(entry),
      entry.version,
      new Date(entry.updatedAt).toISOString(),
      entry.deleted,
    ],
  );
  // It was read under the user's lock: somebody writes without it.
  if (rowCount !== 1) {
    throw new AppError('INTERNAL', 'Something went wrong on our side.', {
      cause: new Error(`entry ${entry.id} has changed`),
    });
  }
}

async function insert(
  client: Queryable,
  { organizationId, userId }: Author,
  entries: readonly TimeEntryState[],
): Promise<void> {
  if (entries.length === 0) return;
  const rows = entries.map((entry) => ({
    id: entry.id,
    kind: entry.kind,
    project_id: entry.projectId,
    task_id: entry.taskId,
    description: entry.description,
    tags: entry.tags,
    billable: entry.billable,
    timezone: entry.timezone,
    span: spanOf(entry),
    pauses: pausesOf(entry),
    version: entry.version,
    created_at: new Date(entry.createdAt).toISOString(),
    updated_at: new Date(entry.updatedAt).toISOString(),
    deleted_at: entry.deleted ? new Date(entry.updatedAt).toISOString() : null,
  }));
  await client.query(
    `INSERT INTO time_entries (organization_id, user_id, id, kind, project_id, task_id, description, tags, billable, timezone,
       span, pauses, version, created_at, updated_at, deleted_at)
     SELECT $1, $2, * FROM json_to_recordset($3) AS t (id uuid, kind text, project_id uuid, task_id uuid, description text,
       tags text[], billable boolean, timezone text, span tstzrange, pauses tstzmultirange, version bigint,
       created_at timestamptz, updated_at timestamptz, deleted_at timestamptz)`,
    [organizationId, userId, JSON.stringify(rows)],
  );
}

async function record(client: Queryable, who: Author, changes: readonly Change[]): Promise<void> {
  if (changes.length === 0) return;
  const rows = changes.map(({ action, before, after }) => ({
    entry_id: after.id,
    action,
    at: new Date(after.updatedAt).toISOString(),
    before,
    after,
  }));
  await client.query(
    `INSERT INTO time_entry_changes (organization_id, user_id, actor_id, request_id, entry_id, action, at, before, after)
     SELECT $1, $2, $2, $3, * FROM json_to_recordset($4) AS t (entry_id uuid, action text, at timestamptz, before jsonb, after jsonb)`,
    [who.organizationId, who.userId, who.requestId, JSON.stringify(rows)],
  );
}
