import { type Pool, type Queryable, type RequestWork, tenantTransaction, violatedConstraint } from '@worktide/postgres';
import { AppError, conflict, openTimedCursor, sealTimedCursor } from '@worktide/runtime';
import type { DateOrder, ImportJob, ImportKind, ImportPreview, ImportProblem, ImportStatus } from '@worktide/schemas';
import type { Plan } from './items.ts';

/** An import as it is stored, but for what it goes by. */
export interface ImportRow {
  organizationId: string;
  id: string;
  userId: string;
  kind: ImportKind;
  fileName: string | null;
  bytes: number;
  fileKey: string | null;
  timezone: string;
  dateOrder: DateOrder | null;
  forOthers: boolean;
  pausedFrom: number | null;
  pausedUntil: number | null;
  status: ImportStatus;
  progress: number;
  preview: ImportPreview | null;
  position: number;
  added: number;
  alreadyThere: number;
  refused: number;
  problems: ImportProblem[];
  conflicts: ImportProblem[];
  parts: number;
  failureCode: string | null;
  failureMessage: string | null;
  attempts: number;
  postponed: number;
  createdAt: Date;
  startedAt: Date | null;
  finishedAt: Date | null;
  expiresAt: Date | null;
}

export type PlannedImport = ImportRow & { plan: Plan | null };

/** All but what it goes by, which may have megabytes. */
const shownColumns = `organization_id AS "organizationId", id, user_id AS "userId", kind, file_name AS "fileName", bytes,
  file_key AS "fileKey", timezone, date_order AS "dateOrder", for_others AS "forOthers", paused_from AS "pausedFrom",
  paused_until AS "pausedUntil", status, progress, preview, position, added, already_there AS "alreadyThere", refused,
  problems, conflicts, parts, failure_code AS "failureCode", failure_message AS "failureMessage", attempts, postponed,
  created_at AS "createdAt", started_at AS "startedAt", finished_at AS "finishedAt", expires_at AS "expiresAt"`;
/** Of whoever works on it. */
export const columns = `${shownColumns}, plan`;

/** How long a file waits to be started. */
export const keptDays = 7;
/** Files that wait, of a person and of an organisation, and imports at all, of a person. */
export const maxWaiting = { person: 5, organization: 20 };
const maxKept = 500;

const tooMany = (which: string): AppError =>
  new AppError('TOO_MANY_IMPORTS', `There are ${which} already: start some of them, or delete some.`, {
    statusCode: 429,
    retryAfterSeconds: 30,
  });

export interface Owner {
  organizationId: string;
  userId: string;
}

/**
 * Whether there is room for one more.
 * @param maxBytes of the files of an organisation that are there, those that nobody has any more among them.
 * @throws 429 `TOO_MANY_IMPORTS`.
 */
export async function requireRoom(
  client: Queryable,
  { organizationId, userId }: Owner,
  maxBytes: number,
): Promise<void> {
  const { rows } = await client.query<{ organization: number; person: number; kept: number; bytes: number }>(
    `SELECT count(*) FILTER (WHERE status IN ('reading', 'ready')) AS organization,
       count(*) FILTER (WHERE status IN ('reading', 'ready') AND user_id = $2) AS person,
       count(*) FILTER (WHERE user_id = $2) AS kept,
       (SELECT coalesce(sum(bytes), 0)::float8 FROM agent_protocols.imports
        WHERE organization_id = $1 AND file_key IS NOT NULL) AS bytes
     FROM agent_protocols.imports WHERE organization_id = $1 AND removed_at IS NULL`,
    [organizationId, userId],
  );
  const { organization, person, kept, bytes } = rows[0]!;
  if (person >= maxWaiting.person) throw tooMany('several imports of yours that wait');
  if (organization >= maxWaiting.organization) throw tooMany('many imports of your organisation that wait');
  if (kept >= maxKept) throw tooMany('many imports of yours');
  if (bytes >= maxBytes) throw tooMany('large imports of your organisation');
}

export type NewImport = Owner &
  Pick<ImportRow, 'id' | 'kind' | 'fileName' | 'bytes' | 'fileKey' | 'timezone' | 'dateOrder' | 'forOthers'>;

/** Notes an import whose file is stored. @throws 429, 503. */
export async function createImport(client: Queryable, one: NewImport): Promise<void> {
  await client.query(
    `INSERT INTO agent_protocols.imports (organization_id, id, user_id, kind, file_name, bytes, file_key, timezone, date_order,
       for_others, expires_at)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, now() + interval '${keptDays} days')`,
    [
      one.organizationId,
      one.id,
      one.userId,
      one.kind,
      one.fileName,
      one.bytes,
      one.fileKey,
      one.timezone,
      one.dateOrder,
      one.forOthers,
    ],
  );
}

/** One that is there; undefined otherwise. */
export async function findImport(
  client: Queryable,
  organizationId: string,
  id: string,
  lock = false,
): Promise<ImportRow | undefined> {
  const { rows } = await client.query<ImportRow>(
    `SELECT ${shownColumns} FROM agent_protocols.imports
     WHERE organization_id = $1 AND id = $2 AND removed_at IS NULL AND (expires_at IS NULL OR expires_at > now())
     ${lock ? 'FOR UPDATE' : ''}`,
    [organizationId, id],
  );
  return rows[0] && numbersOf(rows[0]);
}

/** Sums of a bigint may come as text. */
const numbersOf = <T extends ImportRow>(row: T): T => ({
  ...row,
  bytes: Number(row.bytes),
  position: Number(row.position),
  added: Number(row.added),
  alreadyThere: Number(row.alreadyThere),
  refused: Number(row.refused),
  pausedFrom: row.pausedFrom === null ? null : Number(row.pausedFrom),
  pausedUntil: row.pausedUntil === null ? null : Number(row.pausedUntil),
});

export { numbersOf };

/**
 * What an import goes by, once nobody reads its file any more: its buckets and projects, most of it, are of no use then. Of the rest whoever
 * takes it out knows what is to go.
 */
export const settledPlan = (plan: Plan | null): string | null =>
  plan && JSON.stringify({ ...plan, buckets: {}, projects: {} });

/** A page, newest first. @throws 400 `INVALID_CURSOR`, 503. */
export async function listImports(
  pool: Pool,
  organizationId: string,
  asked: { userId: string | null; status: ImportStatus | undefined; cursor: string | undefined; limit: number },
  request: RequestWork,
): Promise<{ rows: ImportRow[]; nextCursor: string | null }> {
  const { userId, status, cursor, limit } = asked;
  const list = ['imports', organizationId, userId, status ?? null];
  const before = cursor === undefined ? undefined : openTimedCursor(cursor, list);
  const { rows } = await tenantTransaction(
    pool,
    organizationId,
    (client) =>
      client.query<ImportRow>(
        `SELECT ${shownColumns} FROM agent_protocols.imports
         WHERE organization_id = $1 AND removed_at IS NULL AND (expires_at IS NULL OR expires_at > now())
           AND ($2::uuid IS NULL OR user_id = $2) AND ($3::text IS NULL OR status = $3)
           AND ($4::timestamptz IS NULL OR (created_at, id) < ($4, $5::uuid))
         ORDER BY created_at DESC, id DESC LIMIT $6`,
        [
          organizationId,
          userId,
          status ?? null,
          before ? new Date(before.at).toISOString() : null,
          before?.id ?? null,
          limit + 1,
        ],
      ),
    request,
  );
  const page = rows.slice(0, limit).map(numbersOf);
  const last = page.at(-1);
  const more = rows.length > limit && last !== undefined;
  return { rows: page, nextCursor: more ? sealTimedCursor({ at: last.createdAt.getTime(), id: last.id }, list) : null };
}

/**
 * Puts one into the line of what is to be imported.
 * @param pause the last of whoever imports.
 * @throws 409 `IMPORT_RUNNING` where another of theirs is on its way.
 */
export async function startImport(
  client: Queryable,
  { organizationId, id }: ImportRow,
  pause: { from: number; until: number } | undefined,
): Promise<void> {
  try {
    await client.query(
      `UPDATE agent_protocols.imports
       SET status = 'queued', started_at = now(), expires_at = NULL, due_at = now(), attempts = 0, postponed = 0, progress = 0,
         paused_from = $3, paused_until = $4
       WHERE organization_id = $1 AND id = $2`,
      [organizationId, id, pause?.from ?? null, pause?.until ?? null],
    );
  } catch (error) {
    if (violatedConstraint(error) !== 'imports_running') throw error;
    throw conflict('IMPORT_RUNNING', 'Another import of yours is on its way: wait for it, or take it out.');
  }
}

/**
 * All outcomes are in and all was sent: it is done. Called by whoever brings the last of either.
 * @returns whether it is.
 */
export async function settleDone(client: Queryable, organizationId: string, id: string): Promise<boolean> {
  const { rowCount } = await client.query(
    `UPDATE agent_protocols.imports i
     SET status = 'done', progress = 1, finished_at = clock_timestamp(), due_at = NULL, lease = NULL
     WHERE organization_id = $1 AND id = $2 AND status = 'running' AND all_sent AND removed_at IS NULL
       AND parts = (SELECT count(*) FROM agent_protocols.import_outcomes o WHERE o.organization_id = $1 AND o.import_id = $2)`,
    [organizationId, id],
  );
  return rowCount === 1;
}

const iso = (at: Date | null): string | null => at?.toISOString() ?? null;

/** A row as the API gives it. */
export function showImport(row: ImportRow): ImportJob {
  const { id, kind, status, userId, fileName, bytes, progress, preview, failureCode, failureMessage } = row;
  const { added, alreadyThere, refused } = row;
  const problems = [...row.problems, ...row.conflicts];
  return {
    id,
    kind,
    status,
    userId,
    fileName,
    bytes,
    progress,
    preview,
    result: row.startedAt === null ? null : { added, alreadyThere, refused, problems },
    ...(failureCode === null ? {} : { failure: { code: failureCode, message: failureMessage ?? '' } }),
    createdAt: row.createdAt.toISOString(),
    startedAt: iso(row.startedAt),
    finishedAt: iso(row.finishedAt),
    expiresAt: iso(row.expiresAt),
  };
}
