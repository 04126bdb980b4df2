import { hash } from 'node:crypto';
import { type Pool, type Queryable, tenantTransaction } from '@worktide/postgres';
import { uuidv7 } from '@worktide/runtime';
import type { Who } from './api.ts';

const keyOf = (parts: readonly (string | Uint8Array)[]): Buffer =>
  hash('sha256', parts.map((part) => hash('sha256', part)).join(), 'buffer');

/** Starts of so many projects, and what was sent in the last minutes: more is a script. */
const maxRequests = 1_000;

/** Deletes what a person has beyond so many rows, the oldest first. */
export async function keepNewest(
  client: Queryable,
  { organizationId, userId }: Who,
  { table, column, most }: { table: string; column: string; most: number },
): Promise<void> {
  await client.query(
    `DELETE FROM agent_protocols.${table} WHERE organization_id = $1 AND user_id = $2 AND ${column} < (
       SELECT ${column} FROM agent_protocols.${table} WHERE organization_id = $1 AND user_id = $2
       ORDER BY ${column} DESC OFFSET $3 LIMIT 1)`,
    [organizationId, userId, most - 1],
  );
}

/**
 * The id of ours under which something is asked for, the same for whatever is known by the same parts.
 * @param seconds for how long it stays that; for as long as it is remembered unless said.
 */
export function requestId(
  pool: Pool,
  { organizationId, userId }: Who,
  parts: readonly (string | Uint8Array)[],
  { seconds, signal }: { seconds?: number; signal?: AbortSignal | undefined } = {},
): Promise<string> {
  return tenantTransaction(
    pool,
    organizationId,
    async (client) => {
      const { rows } = await client.query<{ id: string }>(
        `INSERT INTO agent_protocols.hubnity_requests AS r (organization_id, user_id, key, request_id) VALUES ($1, $2, $3, $4)
         ON CONFLICT (organization_id, user_id, key) DO UPDATE SET
           request_id = CASE WHEN r.made_at < now() - make_interval(secs => $5) THEN excluded.request_id ELSE r.request_id END,
           made_at = CASE WHEN r.made_at < now() - make_interval(secs => $5) THEN excluded.made_at ELSE r.made_at END
         RETURNING request_id AS id`,
        [organizationId, userId, keyOf(parts), uuidv7(), seconds ?? keptDays * 86_400],
      );
      await keepNewest(
        client,
        { organizationId, userId },
        { table: 'hubnity_requests', column: 'made_at', most: maxRequests },
      );
      return rows[0]!.id;
    },
    { signal },
  );
}

/** Lets go of an id: what is known by these parts is another request from now on. Of many who do, one does. */
export async function nextRequest(
  pool: Pool,
  { organizationId, userId }: Who,
  parts: readonly (string | Uint8Array)[],
  before: string,
  signal?: AbortSignal,
): Promise<void> {
  await tenantTransaction(
    pool,
    organizationId,
    (client) =>
      client.query(
        `UPDATE agent_protocols.hubnity_requests SET request_id = $5, made_at = now()
         WHERE organization_id = $1 AND user_id = $2 AND key = $3 AND request_id = $4`,
        [organizationId, userId, keyOf(parts), before, uuidv7()],
      ),
    { signal },
  );
}

/** As long as our own interface remembers a key. */
const keptDays = 7;
/** As long as a refresh token lives that is not used, and a day. */
const keptSessionDays = 8;
const prunedAtOnce = 5_000;

/** Deletes what nobody asks for any more, some at a time. Rejects 503. */
export async function pruneHubnity(pool: Pool): Promise<void> {
  const old = [
    ['hubnity_requests', 'made_at', keptDays],
    ['hubnity_sessions', 'used_at', keptSessionDays],
  ] as const;
  for (const [table, column, days] of old) {
    for (let deleted = prunedAtOnce; deleted === prunedAtOnce; ) {
      const { rowCount } = await pool.query(
        `DELETE FROM agent_protocols.${table} WHERE ctid = ANY (ARRAY(
           SELECT ctid FROM agent_protocols.${table} WHERE ${column} < now() - make_interval(days => $1) LIMIT ${prunedAtOnce}))`,
        [days],
      );
      deleted = rowCount ?? 0;
    }
  }
}
