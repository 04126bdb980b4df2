import { randomUUID } from 'node:crypto';
import { type Pool, type Queryable, transaction } from '@worktide/postgres';
import { columns, keptDays, numbersOf, type PlannedImport, settledPlan } from './store.ts';

/** An import that is the caller's to read, or to import, until its lease ends. */
export type Claim = PlannedImport & { lease: string };

export interface Failure {
  code: string;
  message: string;
}

/**
 * An import that is due is the caller's for `leaseMs`, unless it asks for more. It goes by turns: of an organisation with none in
 * work, then of the one whose last was begun longest ago.
 * @param mostBytes only of files that have no more.
 */
export function claimImport(pool: Pool, leaseMs: number, mostBytes?: number): Promise<Claim | undefined> {
  return transaction(pool, async (client) => {
    // One after the other: what others have taken is seen, and there are seldom two.
    await client.query("SELECT pg_advisory_xact_lock(hashtextextended('imports claimed', 0))");
    const { rows } = await client.query<Claim>(
      `WITH live AS (
         SELECT organization_id, id, created_at, due_at, bytes,
           count(*) FILTER (WHERE lease IS NOT NULL AND due_at > clock_timestamp())
             OVER (PARTITION BY organization_id) AS of_organization
         FROM agent_protocols.imports WHERE due_at IS NOT NULL
       ), next AS (
         SELECT organization_id, id FROM live LEFT JOIN agent_protocols.import_turns USING (organization_id)
         WHERE due_at <= clock_timestamp() AND of_organization = 0 AND ($3::bigint IS NULL OR bytes <= $3)
         ORDER BY begun_at NULLS FIRST, created_at, id LIMIT 1
       ), turn AS (
         INSERT INTO agent_protocols.import_turns SELECT organization_id, clock_timestamp() FROM next
         ON CONFLICT (organization_id) DO UPDATE SET begun_at = excluded.begun_at
       )
       UPDATE agent_protocols.imports i
       SET status = CASE status WHEN 'queued' THEN 'running' ELSE status END, lease = $1,
         due_at = clock_timestamp() + $2 * interval '1 millisecond', attempts = attempts + 1
       FROM next WHERE i.organization_id = next.organization_id AND i.id = next.id
       RETURNING lease, ${columns.replaceAll(/\b(organization_id|id)\b/g, 'i.$1')}`,
      [randomUUID(), leaseMs, mostBytes ?? null],
    );
    return rows[0] && numbersOf(rows[0]);
  });
}

/** SQL: the claim's own row. Its values come first. */
export const ours = 'organization_id = $1 AND id = $2 AND lease = $3 AND removed_at IS NULL';
export const named = ({ organizationId, id, lease }: Claim): string[] => [organizationId, id, lease];

/** Tells how far it is, and keeps it for as long again. @returns false where it is somebody else's by now, or taken out. */
export async function renewClaim(client: Queryable, claim: Claim, progress: number, leaseMs: number): Promise<boolean> {
  const { rowCount } = await client.query(
    `UPDATE agent_protocols.imports
     SET due_at = clock_timestamp() + $4 * interval '1 millisecond', progress = $5 WHERE ${ours}`,
    [...named(claim), leaseMs, progress],
  );
  return rowCount === 1;
}

/** It cannot be imported, or not go on. @returns false where it was not the claim's any more. */
export async function settleFailed(client: Queryable, claim: Claim, { code, message }: Failure): Promise<boolean> {
  const { rowCount } = await client.query(
    `UPDATE agent_protocols.imports
     SET status = 'failed', failure_code = $4, failure_message = $5, due_at = NULL, lease = NULL, finished_at = clock_timestamp(), plan = $6,
       expires_at = CASE WHEN started_at IS NULL THEN now() + interval '${keptDays} days' END
     WHERE ${ours}`,
    [...named(claim), code, message, settledPlan(claim.plan)],
  );
  return rowCount === 1;
}

/** Puts it back, to be gone on with in `ms`. @param counts whether the try is one of those that it has. */
export async function putBack(client: Queryable, claim: Claim, ms: number, counts: boolean): Promise<void> {
  await client.query(
    `UPDATE agent_protocols.imports
     SET lease = NULL, due_at = clock_timestamp() + $4 * interval '1 millisecond', attempts = attempts - $5, postponed = postponed + $6
     WHERE ${ours}`,
    [...named(claim), ms, counts ? 0 : 1, counts ? 0 : 1],
  );
}

/**
 * Puts it back behind those of other organisations, where some of them wait and have none in work: it is gone on with where it is.
 * @returns whether it did.
 */
export async function makeWay(client: Queryable, claim: Claim): Promise<boolean> {
  const { rowCount } = await client.query(
    `UPDATE agent_protocols.imports SET lease = NULL, due_at = clock_timestamp(), attempts = 0
     WHERE ${ours} AND EXISTS (
       SELECT FROM agent_protocols.imports o WHERE o.due_at <= clock_timestamp() AND o.organization_id <> $1 AND NOT EXISTS (
         SELECT FROM agent_protocols.imports w
         WHERE w.organization_id = o.organization_id AND w.lease IS NOT NULL AND w.due_at > clock_timestamp()))`,
    named(claim),
  );
  return rowCount === 1;
}

/** How many wait or are in work, and for how long the oldest has. */
export async function measureQueue(client: Queryable): Promise<{ waiting: number; oldestSeconds: number }> {
  const { rows } = await client.query<{ waiting: number; oldest: number }>(
    `SELECT count(*) AS waiting,
       coalesce(extract(epoch FROM clock_timestamp() - min(coalesce(started_at, created_at))), 0)::float8 AS oldest
     FROM agent_protocols.imports WHERE due_at IS NOT NULL`,
  );
  return { waiting: rows[0]!.waiting, oldestSeconds: Math.max(0, rows[0]!.oldest) };
}
