import type { Pool } from '@worktide/postgres';
import { perMs } from './times.ts';

/** As long as usage is kept where nobody says otherwise. */
const keptDays = 760;
const prunedAtOnce = 5_000;

/** Deletes events that are older than anything reads back, some at a time. The last of a bucket stays with it. Rejects 503. */
export async function pruneEvents(pool: Pool): Promise<void> {
  const horizon = (Date.now() - keptDays * 86_400_000) * perMs;
  for (let deleted = prunedAtOnce; deleted === prunedAtOnce; ) {
    const { rowCount } = await pool.query(
      `DELETE FROM agent_protocols.events WHERE (organization_id, bucket, number) IN (
         SELECT organization_id, bucket, number FROM agent_protocols.events WHERE started_at < $1 LIMIT ${prunedAtOnce})`,
      [horizon],
    );
    deleted = rowCount ?? 0;
  }
}
