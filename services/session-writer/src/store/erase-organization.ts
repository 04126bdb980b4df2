import { type Pool, transaction } from '@worktide/postgres';

const streamsAtOnce = 20;

/** What is stored beside usage, by table; the ledger comes last, which lets go of nothing else. */
const tables = [
  'erased_ranges',
  'alerts',
  'time_entries',
  'timer_requests',
  'input_minutes',
  'sync_batch_parts',
  'sync_keys',
  'sync_taken',
  'import_parts',
  'removed_imports',
  'known_projects',
  'known_tasks',
];

/** Erases all that is stored of an organisation, some streams in a transaction, so that nobody waits long for it. Rejects 503. */
export async function eraseOrganization(pool: Pool, organizationId: string, signal: AbortSignal): Promise<void> {
  for (let streams = streamsAtOnce; streams === streamsAtOnce; ) {
    signal.throwIfAborted();
    streams = await transaction(pool, async (client) => {
      const { rows } = await client.query<{ id: number }>(
        'SELECT id FROM tracking.streams WHERE organization_id = $1 ORDER BY id LIMIT $2 FOR UPDATE',
        [organizationId, streamsAtOnce],
      );
      const ids = [rows.map(({ id }) => id)];
      for (const table of ['usage_entries', 'usage_gaps']) {
        await client.query(`DELETE FROM tracking.${table} WHERE stream_id = ANY($1::bigint[])`, ids);
      }
      await client.query('DELETE FROM tracking.streams WHERE id = ANY($1::bigint[])', ids);
      return rows.length;
    });
  }
  for (const table of tables) {
    signal.throwIfAborted();
    await pool.query(`DELETE FROM tracking.${table} WHERE organization_id = $1`, [organizationId]);
  }
  await transaction(pool, async (client) => {
    await client.query("SELECT set_config('worktide.deleted_organization', $1, true)", [organizationId]);
    await client.query('DELETE FROM tracking.time_entry_changes WHERE organization_id = $1', [organizationId]);
  });
}
