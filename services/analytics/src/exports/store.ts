import { type Pool, type Queryable, type RequestWork, tenantTransaction } from '@worktide/postgres';
import { AppError, openTimedCursor, sealTimedCursor, uuidv7 } from '@worktide/runtime';
import type { ExportFormat, ExportJob, ExportReport, ExportStatus } from '@worktide/schemas';
import { type Asked, fileNameOf } from './asked.ts';

/** An export as it is stored. */
export interface ExportRow {
  organizationId: string;
  id: string;
  userId: string;
  report: ExportReport;
  format: ExportFormat;
  fileName: string;
  asked: Asked;
  status: ExportStatus;
  progress: number;
  rows: number;
  bytes: number;
  failureCode: string | null;
  failureMessage: string | null;
  fileKey: string | null;
  attempts: number;
  postponed: number;
  createdAt: Date;
  expiresAt: Date;
}

/** Of `exports`, as `ExportRow` calls them. */
export const columns = `organization_id AS "organizationId", id, user_id AS "userId", report, format,
  file_name AS "fileName", asked, status, progress, rows, bytes, failure_code AS "failureCode",
  failure_message AS "failureMessage", file_key AS "fileKey", attempts, postponed, created_at AS "createdAt",
  expires_at AS "expiresAt"`;

export const keptDays = 7;

/** Queued and running at once, of a person and of an organisation, and kept at all, of a person. */
export const maxLive = { person: 5, organization: 20 };
const maxKept = 100;

const tooMany = (which: string): AppError =>
  new AppError('TOO_MANY_EXPORTS', `There are ${which} already: wait for some of them, or delete some.`, {
    statusCode: 429,
    retryAfterSeconds: 30,
  });

/** Bytes of the files that an organisation has. Of an organisation's transaction, or of the service itself. */
export async function storedBytes(client: Queryable, organizationId: string): Promise<number> {
  const { rows } = await client.query<{ bytes: number }>(
    `SELECT coalesce(sum(bytes), 0)::float8 AS bytes FROM analytics.exports WHERE organization_id = $1 AND status = 'ready'`,
    [organizationId],
  );
  return rows[0]!.bytes;
}

/** Whose an export is, and with whom it ends. */
export interface Owner {
  organizationId: string;
  userId: string;
}

/**
 * Notes an export that is to be done.
 * @throws 429 `TOO_MANY_EXPORTS`, 503.
 */
export function createExport(
  pool: Pool,
  { organizationId, userId, asked, format }: Owner & { asked: Asked; format: ExportFormat },
  { maxStoredBytes, ...request }: RequestWork & { maxStoredBytes: number },
): Promise<ExportRow> {
  // One after the other, so that no number of requests at once gets past the bounds.
  const lock = `exports of ${organizationId}`;
  return tenantTransaction(
    pool,
    organizationId,
    async (client) => {
      const { rows: counts } = await client.query<{ organization: number; person: number; kept: number }>(
        `SELECT count(*) FILTER (WHERE due_at IS NOT NULL) AS organization,
           count(*) FILTER (WHERE due_at IS NOT NULL AND user_id = $2) AS person,
           count(*) FILTER (WHERE user_id = $2) AS kept
         FROM analytics.exports WHERE organization_id = $1`,
        [organizationId, userId],
      );
      const { organization, person, kept } = counts[0]!;
      if (person >= maxLive.person) throw tooMany('several exports of yours on their way');
      if (organization >= maxLive.organization) {
        throw tooMany('many exports of your organisation on their way');
      }
      if (kept >= maxKept) throw tooMany('many exports of yours');
      if ((await storedBytes(client, organizationId)) >= maxStoredBytes) {
        throw tooMany('large exports of your organisation');
      }
      const { rows } = await client.query<ExportRow>(
        `INSERT INTO analytics.exports (organization_id, id, user_id, report, format, file_name, asked, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, now() + interval '${keptDays} days') RETURNING ${columns}`,
        [organizationId, uuidv7(), userId, asked.report, format, fileNameOf(asked, format), JSON.stringify(asked)],
      );
      return rows[0]!;
    },
    { ...request, lock },
  );
}

/** One of a person's own that is there; undefined otherwise. Rejects 503. */
export async function findExport(
  pool: Pool,
  { organizationId, userId }: Owner,
  id: string,
  request: RequestWork,
): Promise<ExportRow | undefined> {
  const { rows } = await tenantTransaction(
    pool,
    organizationId,
    (client) =>
      client.query<ExportRow>(
        `SELECT ${columns} FROM analytics.exports
         WHERE organization_id = $1 AND id = $2 AND user_id = $3 AND expires_at > now()`,
        [organizationId, id, userId],
      ),
    request,
  );
  return rows[0];
}

/** A page of a person's own, newest first. @throws 400 `INVALID_CURSOR`, 503. */
export async function listExports(
  pool: Pool,
  { organizationId, userId }: Owner,
  { status, cursor, limit }: { status?: ExportStatus | undefined; cursor?: string | undefined; limit: number },
  request: RequestWork,
): Promise<{ rows: ExportRow[]; nextCursor: string | null }> {
  const list = ['exports', organizationId, userId, status ?? null];
  const before = cursor === undefined ? undefined : openTimedCursor(cursor, list);
  const { rows } = await tenantTransaction(
    pool,
    organizationId,
    (client) =>
      client.query<ExportRow>(
        `SELECT ${columns} FROM analytics.exports
         WHERE organization_id = $1 AND user_id = $2 AND expires_at > now() AND ($3::text IS NULL OR status = $3)
           AND ($4::timestamptz IS NULL OR (created_at, id) < ($4, $5::uuid))
         ORDER BY created_at DESC, id DESC LIMIT $6`,
        [
          organizationId,
          userId,
          status ?? null,
          before ? new Date(Math.max(before.at, 0)).toISOString() : null,
          before?.id ?? null,
          limit + 1,
        ],
      ),
    request,
  );
  const page = rows.slice(0, limit);
  const last = page.at(-1);
  const more = rows.length > limit && last !== undefined;
  return { rows: page, nextCursor: more ? sealTimedCursor({ at: last.createdAt.getTime(), id: last.id }, list) : null };
}

/**
 * Cancels one of a person's own that waits or is in work, which then stays as cancelled; removes any other.
 * @returns what became of it; undefined where there is none. Rejects 503.
 */
export function endExport(
  pool: Pool,
  { organizationId, userId }: Owner,
  id: string,
  request: RequestWork,
): Promise<'cancelled' | 'removed' | undefined> {
  const named = [organizationId, id, userId];
  return tenantTransaction(
    pool,
    organizationId,
    async (client) => {
      const { rowCount: cancelled } = await client.query(
        `UPDATE analytics.exports SET status = 'cancelled', due_at = NULL, lease = NULL
         WHERE organization_id = $1 AND id = $2 AND user_id = $3 AND status IN ('queued', 'running')`,
        named,
      );
      if (cancelled) return 'cancelled';
      const { rowCount: removed } = await client.query(
        'DELETE FROM analytics.exports WHERE organization_id = $1 AND id = $2 AND user_id = $3 AND expires_at > now()',
        named,
      );
      return removed ? 'removed' : undefined;
    },
    request,
  );
}

/** A row as the API gives it. */
export function showExport(row: ExportRow, url?: string): ExportJob {
  const { id, report, format, fileName, status, progress, rows, bytes, failureCode, failureMessage, attempts } = row;
  return {
    id,
    report,
    format,
    fileName,
    status,
    progress,
    rows,
    bytes,
    ...(url === undefined ? {} : { url }),
    ...(failureCode === null ? {} : { failure: { code: failureCode, message: failureMessage ?? '' } }),
    attempts,
    createdAt: row.createdAt.toISOString(),
    expiresAt: row.expiresAt.toISOString(),
  };
}
