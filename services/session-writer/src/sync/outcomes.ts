import { type Pool, type Queryable, tenantTransaction } from '@worktide/postgres';
import type { Caller } from '@worktide/runtime';
import type { SyncConflict, SyncOutcome, SyncResult } from '@worktide/schemas';

/** What has become of the entries of one record. */
export interface PartOutcome {
  results: SyncResult[];
  conflicts: SyncConflict[];
}

export interface StoredPart {
  part: number;
  parts: number;
  outcome: PartOutcome;
}

/** Whose batch, and which record of it. */
export interface PartName {
  organizationId: string;
  userId: string;
  batchId: string;
  part: number;
  parts: number;
}

/** The outcomes of a batch of the caller's that are known so far. */
export function readParts(
  pool: Pool,
  { organizationId, userId }: Pick<Caller, 'organizationId' | 'userId'>,
  batchId: string,
  signal: AbortSignal,
): Promise<StoredPart[]> {
  return tenantTransaction(
    pool,
    organizationId,
    async (client) => {
      const { rows } = await client.query<StoredPart>(
        `SELECT part, parts, outcome FROM sync_batch_parts
         WHERE organization_id = $1 AND user_id = $2 AND batch_id = $3 ORDER BY part`,
        [organizationId, userId, batchId],
      );
      return rows;
    },
    { signal },
  );
}

/** Not what became a dead letter: that may be put back. */
export async function isApplied(
  client: Queryable,
  { organizationId, userId, batchId, part }: PartName,
): Promise<boolean> {
  const { rowCount } = await client.query(
    `SELECT FROM sync_batch_parts
     WHERE organization_id = $1 AND user_id = $2 AND batch_id = $3 AND part = $4 AND NOT is_dead`,
    [organizationId, userId, batchId, part],
  );
  return rowCount === 1;
}

/** @param isDead it became a dead letter: that takes no outcome's place, and gives its own up to any. */
export async function saveOutcome(
  client: Queryable,
  name: PartName,
  outcome: PartOutcome,
  isDead = false,
): Promise<void> {
  const { organizationId, userId, batchId, part, parts } = name;
  await client.query(
    `INSERT INTO sync_batch_parts AS stored (organization_id, user_id, batch_id, part, parts, outcome, is_dead)
     VALUES ($1, $2, $3, $4, $5, $6, $7)
     ON CONFLICT (organization_id, user_id, batch_id, part) DO UPDATE SET
       parts = excluded.parts, outcome = excluded.outcome, is_dead = false, created_at = clock_timestamp()
     WHERE stored.is_dead AND NOT excluded.is_dead`,
    [organizationId, userId, batchId, part, parts, JSON.stringify(outcome), isDead],
  );
}

/** Of all parts together, in the order of the request. */
export function outcomeOf(batchId: string, parts: readonly StoredPart[]): SyncOutcome {
  const byIndex = (a: { index: number }, b: { index: number }): number => a.index - b.index;
  const results = parts.flatMap(({ outcome }) => outcome.results).sort(byIndex);
  const conflicts = parts.flatMap(({ outcome }) => outcome.conflicts).sort(byIndex);
  const skipped = results.filter(({ outcome }) => outcome === 'skipped').length;
  return { batchId, processed: results.length - skipped - conflicts.length, skipped, conflicts, results };
}

/** As long as the record of a batch is on the log. */
const keptDays = 7;

/** Lets go of outcomes that are older than what could be read again. */
export async function forgetOutcomes(pool: Pool): Promise<void> {
  // In pieces: a statement has thirty seconds.
  for (;;) {
    const { rowCount } = await pool.query(
      `DELETE FROM sync_batch_parts WHERE ctid = ANY (ARRAY(
         SELECT ctid FROM sync_batch_parts WHERE created_at < now() - $1 * interval '1 day' LIMIT 1000))`,
      [keptDays],
    );
    if ((rowCount ?? 0) < 1_000) return;
  }
}
