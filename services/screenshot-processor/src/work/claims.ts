import { randomUUID } from 'node:crypto';
import type { Pool, Queryable } from '@worktide/postgres';
import { columns, type ScreenshotRow } from '../rows.ts';

/** A row that is the caller's until its lease ends. */
export type Claim = ScreenshotRow & { lease: string };

/**
 * From the so manyth time on that a row's work ended without a word, as when the process dies, the row is worked on
 * alone: its neighbours are not to die of it.
 */
const suspectAfter = 3;

/** How often its work ended without a word. */
export const silentEnds = ({ takes, postponed }: Pick<Claim, 'takes' | 'postponed'>): number => takes - postponed - 1;

/**
 * Rows that are due, longest due first; they are the caller's for `leaseMs`, unless it asks for more.
 * @param suspects rows whose work has killed processes, or all others.
 */
export async function claimRows(
  pool: Pool,
  { limit, leaseMs, suspects }: { limit: number; leaseMs: number; suspects: boolean },
): Promise<Claim[]> {
  const { rows } = await pool.query<Claim>(
    `UPDATE screenshots.screenshots
     SET due_at = clock_timestamp() + $2 * interval '1 millisecond', lease = $3, takes = takes + 1
     WHERE (organization_id, id) IN (
       SELECT organization_id, id FROM screenshots.screenshots
       WHERE due_at <= clock_timestamp() AND (takes - postponed >= ${suspectAfter}) = $4
       ORDER BY due_at LIMIT $1 FOR UPDATE SKIP LOCKED)
     RETURNING ${columns}`,
    [limit, leaseMs, randomUUID(), suspects],
  );
  return rows;
}

/** @returns false where the row is somebody else's by now. */
export async function renewClaim(client: Queryable, claim: Claim, leaseMs: number): Promise<boolean> {
  const { rowCount } = await client.query(
    `UPDATE screenshots.screenshots SET due_at = clock_timestamp() + $4 * interval '1 millisecond'
     WHERE organization_id = $1 AND id = $2 AND lease = $3`,
    [claim.organizationId, claim.id, claim.lease, leaseMs],
  );
  return rowCount === 1;
}

/** Puts a row back, to be taken up again in `ms`; nothing of it is to blame. */
export async function postponeClaim(client: Queryable, claim: Claim, ms: number): Promise<void> {
  await client.query(
    `UPDATE screenshots.screenshots
     SET due_at = clock_timestamp() + $4 * interval '1 millisecond', lease = NULL, postponed = postponed + 1
     WHERE organization_id = $1 AND id = $2 AND lease = $3`,
    [claim.organizationId, claim.id, claim.lease, ms],
  );
}

/** There is nothing more to do with a row, unless somebody found that there is. */
export async function finishClaim(client: Queryable, claim: Claim): Promise<void> {
  await client.query(
    `UPDATE screenshots.screenshots SET due_at = NULL, lease = NULL, takes = 0, postponed = 0
     WHERE organization_id = $1 AND id = $2 AND lease = $3 AND (status <> 'pending' OR deleted_at IS NOT NULL)`,
    [claim.organizationId, claim.id, claim.lease],
  );
}

/** How many pictures wait or are in work, and for how long the oldest has. */
export async function measureQueue(client: Queryable): Promise<{ waiting: number; oldestSeconds: number }> {
  const { rows } = await client.query<{ waiting: number; oldest: number }>(
    `SELECT count(*) AS waiting,
            coalesce(extract(epoch FROM clock_timestamp() - min(received_at)), 0)::float8 AS oldest
     FROM screenshots.screenshots WHERE status = 'pending' AND deleted_at IS NULL`,
  );
  return { waiting: rows[0]!.waiting, oldestSeconds: Math.max(0, rows[0]!.oldest) };
}
