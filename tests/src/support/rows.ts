import pg from 'pg';

export interface Fingerprint {
  rows: number;
  fingerprint: string;
}

/**
 * A fingerprint of every usage entry, the transaction that last wrote it included: equal only where no row has been
 * written since, not even with the same content.
 */
export const usageRows = (adminUrl: string): Promise<Fingerprint> => rowsOf(adminUrl, 'usage_entries');

/** The same of what offline entries and input counts come to, by table; of all organisations unless some are named. */
export async function syncRows(
  adminUrl: string,
  organizationIds?: readonly string[],
): Promise<Record<string, Fingerprint>> {
  const tables = ['time_entries', 'time_entry_changes', 'sync_keys', 'sync_batch_parts', 'input_minutes'];
  const rows = tables.map(async (table) => [table, await rowsOf(adminUrl, table, organizationIds)]);
  return Object.fromEntries(await Promise.all(rows));
}

async function rowsOf(adminUrl: string, table: string, organizationIds?: readonly string[]): Promise<Fingerprint> {
  const client = new pg.Client({ connectionString: adminUrl });
  await client.connect();
  try {
    const { rows } = await client.query(
      `SELECT count(*)::int AS rows, coalesce(md5(string_agg(line, '|' ORDER BY line)), '') AS fingerprint
       FROM (SELECT xmin::text || ' ' || entry::text AS line FROM tracking.${table} entry
             ${organizationIds ? 'WHERE organization_id = ANY($1::uuid[])' : ''}) lines`,
      organizationIds ? [organizationIds] : [],
    );
    return rows[0];
  } finally {
    await client.end();
  }
}
