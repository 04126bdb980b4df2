import { type Pool, tenantTransaction } from '@worktide/postgres';
import { decodeCursor, pageOf } from '@worktide/runtime';
import type { ShownPresence } from '@worktide/schemas';
import type { Presences } from './presences.ts';

export interface PresenceListQuery {
  organizationId: string;
  /** Those alone; everybody who is there unless said. */
  userIds: readonly string[] | undefined;
  /** What the cursor is of. */
  list: readonly unknown[];
  cursor?: string | undefined;
  limit: number;
}

interface Row {
  user_id: string;
  last_seen_at: Date | null;
}

/** A page of people, by id, and how each is now. @throws 400 `INVALID_CURSOR`, 503. */
export async function listPresences(
  { pool, presences }: { pool: Pool; presences: Pick<Presences, 'read'> },
  { organizationId, userIds, list, cursor, limit }: PresenceListQuery,
  signal: AbortSignal,
): Promise<{ items: ShownPresence[]; nextCursor: string | null }> {
  const after = decodeCursor(cursor, list);
  const { rows } = await tenantTransaction(
    pool,
    organizationId,
    (client) =>
      client.query<Row>(
        // Who was named need not have been told of yet: whether they are there was asked of auth.
        `SELECT user_id, last_seen_at FROM realtime.people
         WHERE organization_id = $1 AND ($2::uuid IS NULL OR user_id > $2)
           AND ${userIds ? 'user_id = ANY($4::uuid[])' : "NOT deleted AND coalesce(status, 'active') <> 'inactive'"}
         ORDER BY user_id LIMIT $3`,
        [organizationId, after, limit + 1, ...(userIds ? [userIds] : [])],
      ),
    { signal },
  );
  const one = userIds?.length === 1 ? userIds[0]! : undefined;
  if (one !== undefined && rows.length === 0 && after === null) rows.push({ user_id: one, last_seen_at: null });
  const shown = await presences.read(
    organizationId,
    rows.map(({ user_id }) => user_id),
  );
  const seen = new Map(rows.map((row, i) => [row.user_id, withLastSeen(shown[i]!, row)]));
  return pageOf(rows, limit, list, { idOf: (row) => row.user_id, show: (row) => seen.get(row.user_id)! });
}

/** The table remembers what key-value has forgotten. */
function withLastSeen(presence: ShownPresence, { last_seen_at }: Row): ShownPresence {
  const written = last_seen_at?.toISOString() ?? null;
  if (written === null || (presence.lastSeenAt !== null && presence.lastSeenAt >= written)) return presence;
  return { ...presence, lastSeenAt: written };
}
