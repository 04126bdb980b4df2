import { type Pool, transaction } from '@worktide/postgres';

/** Erases all that is stored of an organisation. Rejects 503. */
export const eraseOrganization = (pool: Pool, organizationId: string): Promise<void> =>
  transaction(pool, async (client) => {
    for (const table of ['team_members', 'teams', 'tasks', 'projects']) {
      await client.query(`DELETE FROM workspace.${table} WHERE organization_id = $1`, [organizationId]);
    }
  });
