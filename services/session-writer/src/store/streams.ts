import type { Pool, Queryable } from '@worktide/postgres';
import { plainArray } from './arrays.ts';

/** A watcher: one source on one device of one user. Its row's bigint id never leaves the database. */
export interface StreamIdentity {
  organizationId: string;
  userId: string;
  deviceId: string;
  source: string;
}

export interface LockedStream {
  id: number;
  /** Highest version any of its entries ever had. */
  lastVersion: number;
}

const columns = (streams: readonly StreamIdentity[]): unknown[] => [
  plainArray(streams.map((s) => s.organizationId)),
  plainArray(streams.map((s) => s.userId)),
  streams.map((s) => s.deviceId),
  streams.map((s) => s.source),
];

/**
 * Locks the rows of these (distinct) streams until the transaction ends, in order of id, as everybody does: two
 * writers meet without a deadlock, and the second sees what the first has written.
 * @returns in the order asked; undefined for a stream that is not there yet.
 */
export async function lockStreams(
  client: Queryable,
  streams: readonly StreamIdentity[],
): Promise<(LockedStream | undefined)[]> {
  const { rows } = await client.query<{ n: number; id: number; last_version: number }>(
    `SELECT w.n, s.id, s.last_version
     FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[]) WITH ORDINALITY
       AS w(organization_id, user_id, device_id, source, n)
     JOIN streams s USING (organization_id, user_id, device_id, source)
     ORDER BY s.id FOR NO KEY UPDATE OF s`,
    columns(streams),
  );
  const locked = new Array<LockedStream | undefined>(streams.length).fill(undefined);
  for (const row of rows) locked[row.n - 1] = { id: row.id, lastVersion: row.last_version };
  return locked;
}

/**
 * Makes missing streams, in a statement of its own: inside the transaction that locks, a stream made by two writers at
 * once could be waited for out of order.
 */
export async function createStreams(pool: Pool, streams: readonly StreamIdentity[]): Promise<void> {
  await pool.query(
    `INSERT INTO streams (organization_id, user_id, device_id, source)
     SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[]) AS w(a, b, c, d) ORDER BY a, b, c, d
     ON CONFLICT DO NOTHING`,
    columns(streams),
  );
}

/** Remembers the version each of these locked streams has reached. */
export async function saveVersions(client: Queryable, reached: ReadonlyMap<number, number>): Promise<void> {
  await client.query(
    `UPDATE streams s SET last_version = u.version
     FROM unnest($1::int8[], $2::int8[]) AS u(id, version) WHERE s.id = u.id`,
    [plainArray([...reached.keys()]), plainArray([...reached.values()])],
  );
}
