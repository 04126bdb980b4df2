import { type Pool, tenantTransaction } from '@worktide/postgres';
import {
  type Caller,
  invalidCursor,
  openIdCursor,
  openTimedCursor,
  sealIdCursor,
  sealTimedCursor,
} from '@worktide/runtime';
import type { TimeEntry, TimeEntryState, TimeEntryStatus, timeEntryHistory } from '@worktide/schemas';
import type { z } from 'zod';
import { entryFor, show, snapshotOf } from './act.ts';
import { type EntryRow, entryColumns, firstStart, stateOf } from './store.ts';

export interface TimeEntryQuery {
  organizationId: string;
  userId: string;
  /** [from, to), epoch ms, not empty. */
  from: number;
  to: number;
  projectId?: string | undefined;
  status?: TimeEntryStatus | undefined;
  cursor?: string | undefined;
  limit: number;
}

/**
 * Newest first. Entries of a person are disjoint, so but for the first that begins before `from` all that touch the range
 * begin in it: the page is read along the index of starts.
 */
export const listQuery = `
  SELECT ${entryColumns} FROM time_entries
  WHERE organization_id = $1 AND user_id = $2 AND deleted_at IS NULL
    AND starts_at < $4 AND (starts_at, id) < ($5, $6::uuid)
    AND starts_at >= ${firstStart('$3')} AND (ends_at > $3 OR ends_at IS NULL)
    AND ($7::uuid IS NULL OR project_id = $7)
    AND ($8::text IS NULL OR $8 = CASE WHEN ends_at IS NOT NULL THEN 'STOPPED'
      WHEN NOT isempty(range_merge(pauses)) AND upper_inf(range_merge(pauses)) THEN 'PAUSED' ELSE 'RUNNING' END)
  ORDER BY starts_at DESC, id DESC LIMIT $9`;

/** A page of one user's entries that touch [from, to), newest first. @throws 400 `INVALID_CURSOR`, 503. */
export async function listEntries(
  pool: Pool,
  query: TimeEntryQuery,
  nowMs: number,
  signal: AbortSignal,
): Promise<{ items: TimeEntry[]; nextCursor: string | null }> {
  const { organizationId, userId, to, projectId = null, status = null, cursor, limit } = query;
  // No entry is older than the epoch, and PostgreSQL's dates know no year 0.
  const from = Math.max(query.from, 0);
  if (to <= from) return { items: [], nextCursor: null };
  const list = ['time-entries', organizationId, userId, from, to, projectId, status];
  const before = cursor === undefined ? undefined : openTimedCursor(cursor, list);
  const iso = (ms: number): string => new Date(ms).toISOString();
  return tenantTransaction(
    pool,
    organizationId,
    async (client) => {
      const { rows } = await client.query<EntryRow>(listQuery, [
        organizationId,
        userId,
        iso(from),
        iso(to),
        iso(before?.at ?? to),
        before?.id ?? 'ffffffff-ffff-ffff-ffff-ffffffffffff',
        projectId,
        status,
        limit + 1,
      ]);
      const page = rows.slice(0, limit).map(stateOf);
      const last = page.at(-1);
      const more = rows.length > limit && last !== undefined;
      return {
        items: await show(client, { organizationId, userId }, page, nowMs),
        nextCursor: more ? sealTimedCursor({ at: last.startedAt, id: last.id }, list) : null,
      };
    },
    { signal },
  );
}

interface ChangeRow {
  id: number;
  at: Date;
  actor_id: string | null;
  action: z.output<typeof timeEntryHistory>['items'][number]['action'];
  before: TimeEntryState | null;
  after: TimeEntryState | null;
  reason: string | null;
}

/** All changes of an entry, the first one first; also of one that was deleted. @throws 404, 403, 400 `INVALID_CURSOR`, 503. */
export function listHistory(
  pool: Pool,
  caller: Caller,
  id: string,
  { cursor, limit }: { cursor?: string | undefined; limit: number },
  signal: AbortSignal,
): Promise<z.output<typeof timeEntryHistory>> {
  const { organizationId } = caller;
  const list = ['time-entry-history', organizationId, id];
  // A number in the place of an id: cursors have one form.
  const after = cursor === undefined ? 0 : Number.parseInt(openIdCursor(cursor, list).replaceAll('-', ''), 16);
  if (!Number.isSafeInteger(after)) throw invalidCursor();
  return tenantTransaction(
    pool,
    organizationId,
    async (client) => {
      await entryFor(client, caller, id, { deleted: true });
      const { rows } = await client.query<ChangeRow>(
        `SELECT id, at, actor_id, action, before, after, reason FROM time_entry_changes
         WHERE organization_id = $1 AND entry_id = $2 AND id > $3 ORDER BY id LIMIT $4`,
        [organizationId, id, after, limit + 1],
      );
      const page = rows.slice(0, limit);
      const last = page.at(-1);
      const more = rows.length > limit && last !== undefined;
      return {
        items: page.map(({ at, actor_id: actorId, action, before, after: now, reason }) => ({
          at: at.toISOString(),
          actorId,
          action,
          before: before && snapshotOf(before),
          after: now && snapshotOf(now),
          reason,
        })),
        nextCursor: more ? sealIdCursor(last.id.toString(16).padStart(32, '0'), list) : null,
      };
    },
    { signal },
  );
}
