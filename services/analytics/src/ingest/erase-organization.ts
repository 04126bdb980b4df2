import type { ClickHouse } from '@worktide/clickhouse';
import type { Deletions } from '@worktide/people';

/** Not `audit`: who did what, the deletion among it, stays until its time is over. Nobody of the organisation reads it. */
export const erasedTables = [
  'pings',
  'usage',
  'time_entries',
  'input_minutes',
  'erased_ranges',
  'alerts',
  'screenshots',
  'people',
  'organizations',
  'projects',
  'teams',
  'tasks',
  'days',
  'day_changes',
  'days_told',
  'analyst_accounts',
];

/** Erases what is stored of an organisation. Rejects 503. */
export async function eraseOrganization(clickhouse: ClickHouse, organizationId: string): Promise<void> {
  const params = { organizationId };
  for (const table of erasedTables) {
    const where = 'WHERE organization_id = {organizationId:UUID}';
    // A look at the sort key, instead of a mutation each time.
    const found = await clickhouse.query(`SELECT 1 FROM ${table} ${where} LIMIT 1`, { params });
    if (found.length > 0) await clickhouse.command(`DELETE FROM ${table} ${where}`, { params });
  }
}

/** As `deletionsInPostgres`, in table `deleted_organizations` of ClickHouse. */
export function deletionsInClickHouse(clickhouse: ClickHouse): Deletions {
  const remember = (organizationIds: readonly string[], erasedAt: 'now64(3)' | 'toDateTime64(0, 3)') =>
    clickhouse.command(
      `INSERT INTO deleted_organizations SELECT arrayJoin({organizationIds:Array(UUID)}), now64(3), ${erasedAt}`,
      { params: { organizationIds } },
    );
  return {
    add: (organizationIds) => remember(organizationIds, 'toDateTime64(0, 3)'),
    async due() {
      const rows = await clickhouse.query<{ id: string }>(
        `SELECT organization_id AS id FROM (
           SELECT organization_id, min(told_at) AS told, max(erased_at) AS erased FROM deleted_organizations
           GROUP BY organization_id)
         WHERE erased < told OR (erased < now64(3) - INTERVAL 6 HOUR AND told > now64(3) - INTERVAL 31 DAY)`,
      );
      return rows.map(({ id }) => id);
    },
    done: (organizationId) => remember([organizationId], 'now64(3)'),
  };
}
