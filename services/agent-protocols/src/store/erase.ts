import { type Pool, transaction } from '@worktide/postgres';
import type { PeopleRecord } from '@worktide/schemas';

/** Buckets that one transaction deletes: a bucket has a hundred thousand events easily. */
const bucketsAtOnce = 10;

const ofHubnity = ['hubnity_sessions', 'hubnity_requests', 'hubnity_heartbeats'];

/** Deletes buckets with their events, some at a time, so that nobody waits long for it. */
async function eraseBuckets(pool: Pool, where: string, parameters: string[], signal?: AbortSignal): Promise<void> {
  for (let deleted = bucketsAtOnce; deleted === bucketsAtOnce; ) {
    signal?.throwIfAborted();
    deleted = await transaction(pool, async (client) => {
      const { rows } = await client.query<{ organization: string; number: number }>(
        `DELETE FROM agent_protocols.buckets WHERE (organization_id, number) IN (
           SELECT organization_id, number FROM agent_protocols.buckets WHERE ${where}
           ORDER BY organization_id, number LIMIT ${bucketsAtOnce} FOR UPDATE)
         RETURNING organization_id AS organization, number`,
        parameters,
      );
      for (const { organization, number } of rows) {
        await client.query('DELETE FROM agent_protocols.events WHERE organization_id = $1 AND bucket = $2', [
          organization,
          number,
        ]);
      }
      return rows.length;
    });
  }
}

/** Erases all that is stored of an organisation. Rejects 503. */
export async function eraseOrganization(pool: Pool, organizationId: string, signal: AbortSignal): Promise<void> {
  await eraseBuckets(pool, 'organization_id = $1', [organizationId], signal);
  for (const table of ['settings', 'erased_ranges', 'heartbeats', ...ofHubnity]) {
    signal.throwIfAborted();
    await pool.query(`DELETE FROM agent_protocols.${table} WHERE organization_id = $1`, [organizationId]);
  }
}

/** Erases what is stored of people who are gone; what it has become in reports is not its business. Rejects 503. */
export async function erasePeople(pool: Pool, records: readonly PeopleRecord[]): Promise<void> {
  for (const { organizationId, events } of records) {
    for (const event of events) {
      if (event.type !== 'person' || !event.deleted) continue;
      const whose = [organizationId, event.id];
      await eraseBuckets(pool, 'organization_id = $1 AND user_id = $2', whose);
      // Their files are swept, having no import any more.
      for (const table of ['settings', 'heartbeats', 'imports', 'imported_content', ...ofHubnity]) {
        await pool.query(`DELETE FROM agent_protocols.${table} WHERE organization_id = $1 AND user_id = $2`, whose);
      }
    }
  }
}
