import { randomUUID } from 'node:crypto';
import { type Pool, type Queryable, transaction } from '@worktide/postgres';
import { columns, type ExportRow, keptDays } from './store.ts';

/** An export that is the caller's to do until its lease ends. */
export type Claim = ExportRow & { lease: string };

/** How far it is. */
export interface Progress {
  progress: number;
  rows: number;
  bytes: number;
}

export interface Failure {
  code: string;
  message: string;
}

/** Exports of an organisation in work at once, of all replicas; of a person it is one. */
const maxRunning = 2;

/**
 * An export that is due is the caller's for `leaseMs`, unless it asks for more. It goes by turns: of an organisation with the
 * fewest in work, then of the one whose last was begun longest ago.
 */
export function claimExport(pool: Pool, leaseMs: number): Promise<Claim | undefined> {
  return transaction(pool, async (client) => {
    // One after the other: what others have taken is seen, and there are seldom two.
    await client.query("SELECT pg_advisory_xact_lock(hashtextextended('exports claimed', 0))");
    const { rows } = await client.query<Claim>(
      `WITH live AS (
         SELECT organization_id, id, created_at, due_at,
           count(*) FILTER (WHERE status = 'running' AND due_at > clock_timestamp())
             OVER (PARTITION BY organization_id) AS of_organization,
           count(*) FILTER (WHERE status = 'running' AND due_at > clock_timestamp())
             OVER (PARTITION BY organization_id, user_id) AS of_person
         FROM analytics.exports WHERE due_at IS NOT NULL
       ), next AS (
         SELECT organization_id, id FROM live LEFT JOIN analytics.export_turns USING (organization_id)
         WHERE due_at <= clock_timestamp() AND of_organization < ${maxRunning} AND of_person = 0
         ORDER BY of_organization, begun_at NULLS FIRST, created_at, id LIMIT 1
       ), turn AS (
         INSERT INTO analytics.export_turns SELECT organization_id, clock_timestamp() FROM next
         ON CONFLICT (organization_id) DO UPDATE SET begun_at = excluded.begun_at
       )
       UPDATE analytics.exports e
       SET status = 'running', lease = $1, due_at = clock_timestamp() + $2 * interval '1 millisecond',
         attempts = attempts + 1, progress = 0, rows = 0, bytes = 0
       FROM next WHERE e.organization_id = next.organization_id AND e.id = next.id
       RETURNING lease, ${columns.replaceAll(/\b(organization_id|id)\b/g, 'e.$1')}`,
      [randomUUID(), leaseMs],
    );
    return rows[0];
  });
}

const ours = 'organization_id = $1 AND id = $2 AND lease = $3';
const named = ({ organizationId, id, lease }: Claim): string[] => [organizationId, id, lease];

/** Tells how far it is, and keeps it for as long again. @returns false where it is somebody else's by now, or cancelled. */
export async function renewClaim(
  client: Queryable,
  claim: Claim,
  { progress, rows, bytes }: Progress,
  leaseMs: number,
): Promise<boolean> {
  const { rowCount } = await client.query(
    `UPDATE analytics.exports
     SET due_at = clock_timestamp() + $4 * interval '1 millisecond', progress = $5, rows = $6, bytes = $7 WHERE ${ours}`,
    [...named(claim), leaseMs, progress, rows, bytes],
  );
  return rowCount === 1;
}

/** Its file is stored. @returns when that was noted; undefined where it was not the claim's any more: then another's file is, or none. */
export async function settleReady(
  client: Queryable,
  claim: Claim,
  { rows, bytes, fileKey }: { rows: number; bytes: number; fileKey: string },
): Promise<Date | undefined> {
  const { rows: settled } = await client.query<{ at: Date }>(
    `UPDATE analytics.exports
     SET status = 'ready', progress = 1, rows = $4, bytes = $5, file_key = $6, failure_code = NULL, failure_message = NULL,
       due_at = NULL, lease = NULL, expires_at = now() + interval '${keptDays} days' WHERE ${ours} RETURNING clock_timestamp() AS at`,
    [...named(claim), rows, bytes, fileKey],
  );
  return settled[0]?.at;
}

/** It cannot be done. @returns when that was noted; undefined where it was not the claim's any more. */
export async function settleFailed(
  client: Queryable,
  claim: Claim,
  { code, message }: Failure,
): Promise<Date | undefined> {
  const { rows } = await client.query<{ at: Date }>(
    `UPDATE analytics.exports
     SET status = 'failed', failure_code = $4, failure_message = $5, due_at = NULL, lease = NULL, attempts = $6
     WHERE ${ours} RETURNING clock_timestamp() AS at`,
    [...named(claim), code, message, claim.attempts],
  );
  return rows[0]?.at;
}

/**
 * Puts it back, to be tried again in `ms`.
 * @param why.counts whether the try is one of those that an export has; it is not where something else was away.
 */
export async function putBack(
  client: Queryable,
  claim: Claim,
  ms: number,
  { failure, counts }: { failure?: Failure; counts: boolean },
): Promise<void> {
  await client.query(
    `UPDATE analytics.exports
     SET status = 'queued', lease = NULL, due_at = clock_timestamp() + $4 * interval '1 millisecond', progress = 0, rows = 0,
       bytes = 0, attempts = attempts - $5, postponed = postponed + $6,
       failure_code = coalesce($7, failure_code), failure_message = coalesce($8, failure_message)
     WHERE ${ours}`,
    [...named(claim), ms, counts ? 0 : 1, !counts && failure ? 1 : 0, failure?.code ?? null, failure?.message ?? null],
  );
}

/** How many wait or are in work, and for how long the oldest has. */
export async function measureQueue(client: Queryable): Promise<{ waiting: number; oldestSeconds: number }> {
  const { rows } = await client.query<{ waiting: number; oldest: number }>(
    `SELECT count(*) AS waiting,
       coalesce(extract(epoch FROM clock_timestamp() - min(created_at)), 0)::float8 AS oldest
     FROM analytics.exports WHERE due_at IS NOT NULL`,
  );
  return { waiting: rows[0]!.waiting, oldestSeconds: Math.max(0, rows[0]!.oldest) };
}
