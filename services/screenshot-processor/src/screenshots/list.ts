import { type Pool, tenantTransaction } from '@worktide/postgres';
import { openTimedCursor, sealTimedCursor } from '@worktide/runtime';
import { columns, type ScreenshotRow } from '../rows.ts';

export interface ListQuery {
  organizationId: string;
  /** Everybody's where absent; then there is an entry. */
  userId?: string | undefined;
  timeEntryId?: string | undefined;
  /** [from, to) of capturedAt, epoch ms. */
  from?: number | undefined;
  to?: number | undefined;
  status?: ScreenshotRow['status'] | undefined;
  cursor?: string | undefined;
  limit: number;
}

/**
 * A page of screenshots, newest first.
 * @param signal ends it with its request.
 * @throws 400 `INVALID_CURSOR`, 503.
 */
export async function listScreenshots(
  pool: Pool,
  query: ListQuery,
  signal?: AbortSignal,
): Promise<{ rows: ScreenshotRow[]; nextCursor: string | null }> {
  const { organizationId, userId = null, timeEntryId = null, from, to, status = null, limit } = query;
  const list = [organizationId, userId, timeEntryId, from ?? null, to ?? null, status];
  const before = query.cursor === undefined ? undefined : openTimedCursor(query.cursor, list);

  const parameters: unknown[] = [];
  const $ = (value: unknown): string => `$${parameters.push(value)}`;
  // PostgreSQL's calendar knows no year 0, and nothing is older than the epoch.
  const instant = (ms: number): string => $(new Date(Math.max(ms, 0)).toISOString());
  // Only what is asked for, so that each combination finds its index.
  const conditions = [`organization_id = ${$(organizationId)}`, 'deleted_at IS NULL'];
  if (userId !== null) conditions.push(`user_id = ${$(userId)}`);
  if (timeEntryId !== null) conditions.push(`time_entry_id = ${$(timeEntryId)}`);
  if (from !== undefined) conditions.push(`captured_at >= ${instant(from)}`);
  if (to !== undefined) conditions.push(`captured_at < ${instant(to)}`);
  if (status !== null) conditions.push(`status = ${$(status)}`);
  if (before) conditions.push(`(captured_at, id) < (${instant(before.at)}, ${$(before.id)}::uuid)`);

  const { rows } = await tenantTransaction(
    pool,
    organizationId,
    (client) =>
      client.query<ScreenshotRow>(
        `SELECT ${columns} FROM screenshots.screenshots WHERE ${conditions.join(' AND ')}
       ORDER BY captured_at DESC, id DESC LIMIT ${$(limit + 1)}`,
        parameters,
      ),
    { signal },
  );
  const page = rows.slice(0, limit);
  const last = page.at(-1);
  const more = last !== undefined && rows.length > limit;
  return {
    rows: page,
    nextCursor: more ? sealTimedCursor({ at: last.capturedAt.getTime(), id: last.id }, list) : null,
  };
}

/** One that is there; undefined otherwise. */
export async function findScreenshot(
  pool: Pool,
  organizationId: string,
  id: string,
  signal?: AbortSignal,
): Promise<ScreenshotRow | undefined> {
  const { rows } = await tenantTransaction(
    pool,
    organizationId,
    (client) =>
      client.query<ScreenshotRow>(
        `SELECT ${columns} FROM screenshots.screenshots
       WHERE organization_id = $1 AND id = $2 AND deleted_at IS NULL`,
        [organizationId, id],
      ),
    { signal },
  );
  return rows[0];
}
