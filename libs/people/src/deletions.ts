import type { Pool } from '@worktide/postgres';

/** Which organisations were deleted, and when what is stored of each was erased last. */
export interface Deletions {
  /** Remembers them; again changes nothing. */
  add(organizationIds: readonly string[]): Promise<void>;
  /**
   * Those to be erased: new ones, and for a month every six hours those that were, for records that a consumer reads late
   * and replays bring back what was gone.
   */
  due(): Promise<string[]>;
  /** It was erased just now. */
  done(organizationId: string): Promise<void>;
}

/** The log keeps nothing of an organisation for longer than this. */
export const followDays = 31;
export const againHours = 6;

/** In table `<schema>.deleted_organizations` (organization_id, told_at, erased_at). All reject 503 while it is away. */
export function deletionsInPostgres(pool: Pool, schema: string): Deletions {
  const table = `${schema}.deleted_organizations`;
  return {
    async add(organizationIds) {
      await pool.query(
        `INSERT INTO ${table} (organization_id) SELECT unnest($1::uuid[]) ON CONFLICT (organization_id) DO NOTHING`,
        [[...new Set(organizationIds)].sort()],
      );
    },
    async due() {
      const { rows } = await pool.query<{ id: string }>(
        `SELECT organization_id AS id FROM ${table}
         WHERE erased_at IS NULL OR (erased_at < now() - interval '${againHours} hours'
           AND told_at > now() - interval '${followDays} days')
         ORDER BY told_at`,
      );
      return rows.map(({ id }) => id);
    },
    async done(organizationId) {
      await pool.query(`UPDATE ${table} SET erased_at = now() WHERE organization_id = $1`, [organizationId]);
    },
  };
}
