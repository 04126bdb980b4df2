import { type Pool, tenantTransaction } from '@worktide/postgres';
import { openTimedCursor, sealTimedCursor } from '@worktide/runtime';
import type { Alert, AlertType } from '@worktide/schemas';
import { type AlertRow, alertColumns } from './store.ts';

export interface AlertQuery {
  organizationId: string;
  /** Everybody's where nobody is named. */
  userId: string | undefined;
  state?: 'open' | 'resolved' | undefined;
  type?: AlertType | undefined;
  cursor?: string | undefined;
  limit: number;
}

const isoOrNull = (ms: number | null): string | null => (ms === null ? null : new Date(ms).toISOString());

export const showAlert = (row: AlertRow): Alert => ({
  id: row.id,
  userId: row.user_id,
  type: row.type,
  date: row.date,
  timeEntryId: row.time_entry_id,
  message: row.message,
  createdAt: new Date(row.created_at).toISOString(),
  resolvedAt: isoOrNull(row.resolved_at),
  resolvedBy: row.resolved_by,
});

/** A page of alerts, the newest first. @throws 400 `INVALID_CURSOR`, 503. */
export async function listAlerts(
  pool: Pool,
  query: AlertQuery,
  signal: AbortSignal,
): Promise<{ items: Alert[]; nextCursor: string | null }> {
  const { organizationId, userId = null, state = null, type = null, cursor, limit } = query;
  const list = ['alerts', organizationId, userId, state, type];
  const before = cursor === undefined ? undefined : openTimedCursor(cursor, list);
  // Each in words of its own, so that the index of what is open is used.
  const inState = { open: 'AND resolved_at IS NULL', resolved: 'AND resolved_at IS NOT NULL' };
  const { rows } = await tenantTransaction(
    pool,
    organizationId,
    (client) =>
      client.query<AlertRow>(
        `SELECT ${alertColumns} FROM alerts
         WHERE organization_id = $1 ${state === null ? '' : inState[state]} ${userId === null ? '' : 'AND user_id = $6'}
           AND ($2::text IS NULL OR type = $2) AND (created_at, id) < ($3, $4::uuid)
         ORDER BY created_at DESC, id DESC LIMIT $5`,
        [
          organizationId,
          type,
          before === undefined ? 'infinity' : new Date(before.at).toISOString(),
          before?.id ?? 'ffffffff-ffff-ffff-ffff-ffffffffffff',
          limit + 1,
          ...(userId === null ? [] : [userId]),
        ],
      ),
    { signal },
  );
  const page = rows.slice(0, limit);
  const last = page.at(-1);
  return {
    items: page.map(showAlert),
    nextCursor:
      last !== undefined && rows.length > limit ? sealTimedCursor({ at: last.created_at, id: last.id }, list) : null,
  };
}
