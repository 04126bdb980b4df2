import type { Queryable } from '@worktide/postgres';
import type { SyncEntryEvent, TimeEntryState, TimeEntryStatus } from '@worktide/schemas';
import {
  type Author,
  asPairs,
  type EntryRow,
  entryColumns,
  firstStart,
  insertEntries,
  multirange,
  recordChanges,
  stateOf,
  updateEntry,
} from '../timers/store.ts';
import type { Applied, Stored } from './book.ts';
import { unionOf } from './union.ts';

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
    ended_at: number | null;
    is_merged: boolean;
  }>(
    `SELECT key, entry_id, status, epoch_ms(ended_at) AS ended_at, is_merged FROM sync_keys
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
    [
      `span && $3::tstzmultirange AND starts_at >= ${firstStart('lower($3::tstzmultirange)')}
         AND starts_at < coalesce(upper($3::tstzmultirange), 'infinity')`,
      multirange(spans),
    ],
  ] as const) {
    const { rows } = await client.query<EntryRow>(
      `SELECT ${entryColumns} FROM time_entries
       WHERE organization_id = $1 AND user_id = $2 AND deleted_at IS NULL AND ${condition}
       ORDER BY starts_at LIMIT $4`,
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
    keys: new Map(
      keys.map(({ key, entry_id: entryId, status, ended_at: endedAt, is_merged: isMerged }) => [
        key,
        { entryId, status, endedAt, isMerged },
      ]),
    ),
    taken: new Map(taken.map((row) => [row.entry_id, row.worked.map(([start, end]) => ({ start, end }))])),
  };
}

/** Writes what has changed, and why. What goes makes room for what grows, and that for what is new. */
export async function save(client: Queryable, who: Author, stored: Stored, applied: Applied): Promise<void> {
  const { organizationId, userId } = who;
  const { changes, moved, keys, taken } = applied;
  // None lies over another in the end; on the way there one may.
  await client.query('SET CONSTRAINTS time_entries_no_overlap DEFERRED');
  const known = changes.filter(({ before }) => before !== null).map(({ after }) => after);
  for (const after of known.filter(({ deleted }) => deleted)) await updateEntry(client, who, after);
  for (const after of known.filter(({ deleted }) => !deleted)) await updateEntry(client, who, after);
  await insertEntries(
    client,
    who,
    changes.filter(({ before }) => before === null).map(({ after }) => after),
  );
  await client.query('SET CONSTRAINTS time_entries_no_overlap IMMEDIATE');
  await recordChanges(client, who, changes);

  for (const { from, into } of moved) {
    await client.query(
      `UPDATE sync_keys SET entry_id = $4, is_merged = true
       WHERE organization_id = $1 AND user_id = $2 AND entry_id = $3`,
      [organizationId, userId, from, into],
    );
  }
  const learnt = [...keys].map((key) => ({ key, ...stored.keys.get(key)! }));
  await client.query(
    `INSERT INTO sync_keys (organization_id, user_id, key, entry_id, status, is_merged, ended_at)
     SELECT $1, $2, * FROM unnest($3::text[], $4::uuid[], $5::text[], $6::boolean[], $7::timestamptz[])
     ON CONFLICT (organization_id, user_id, key) DO UPDATE
       SET entry_id = excluded.entry_id, status = excluded.status, is_merged = excluded.is_merged,
         ended_at = excluded.ended_at`,
    [
      organizationId,
      userId,
      learnt.map(({ key }) => key),
      learnt.map(({ entryId }) => entryId),
      learnt.map(({ status }) => status),
      learnt.map(({ isMerged }) => isMerged),
      learnt.map(({ endedAt }) => endedAt && new Date(endedAt).toISOString()),
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
