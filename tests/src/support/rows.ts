import pg from 'pg';

/**
 * A fingerprint of every usage entry, the transaction that last wrote it included: equal only where no row has been
 * written since, not even with the same content.
 */
export async function usageRows(adminUrl: string): Promise<{ rows: number; fingerprint: string }> {
  const client = new pg.Client({ connectionString: adminUrl });
  await client.connect();
  try {
    const { rows } = await client.query(
      `SELECT count(*)::int AS rows, coalesce(md5(string_agg(line, '|' ORDER BY line)), '') AS fingerprint
       FROM (SELECT xmin::text || ' ' || entry::text AS line FROM tracking.usage_entries entry) lines`,
    );
    return rows[0];
  } finally {
    await client.end();
  }
}
