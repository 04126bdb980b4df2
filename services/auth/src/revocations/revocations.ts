import type { KeyValue } from '@worktide/key-value';
import type { Pool, Queryable } from '@worktide/postgres';
import { AppError, describeError, type Logger } from '@worktide/runtime';
import { type Revocation, revocationChannel, type revocationPage } from '@worktide/schemas';
import type { z } from 'zod';

/**
 * Longer than anything issued before an entry is believed anywhere: access tokens live 15 min, agent keys are believed
 * for two hours (libs/identity, which keeps the feed for the same time).
 */
const keepHours = 4;
const pageSize = 2_000;
/** About 150 bytes each: far below what a message may hold. */
const pushSize = 1_000;

/**
 * Writes entries of the feed in the transaction that makes them true; `Act` does so, and passes them to
 * `pushRevocations` after the commit.
 */
export async function recordRevocations(client: Queryable, items: readonly Revocation[]): Promise<void> {
  if (items.length === 0) return;
  const states = items.map((item) =>
    item.kind === 'user'
      ? {
          role: item.role,
          timezone: item.timezone,
          status: item.status,
          unverified: item.unverified,
          pause: item.pause,
        }
      : null,
  );
  await client.query(
    `INSERT INTO auth.revocations (organization_id, kind, subject_id, state, created_at)
     SELECT organization_id, kind, subject_id, state, to_timestamp(at / 1000.0)
     FROM unnest($1::uuid[], $2::text[], $3::uuid[], $4::jsonb[], $5::float8[])
       AS r (organization_id, kind, subject_id, state, at)`,
    [
      items.map((item) => item.organizationId),
      items.map((item) => item.kind),
      items.map((item) => item.id),
      states.map((state) => (state === null ? null : JSON.stringify(state))),
      items.map((item) => item.at),
    ],
  );
}

/** Tells services at once what the feed would tell within two seconds. Never throws. */
export function pushRevocations(keyValue: KeyValue, log: Logger, items: readonly Revocation[]): void {
  for (let at = 0; at < items.length; at += pushSize) {
    keyValue
      .publish(revocationChannel, JSON.stringify(items.slice(at, at + pushSize)))
      .catch((error: unknown) => log.warn({ err: error }, `revocations not pushed: ${describeError(error)}`));
  }
}

/**
 * A page of the feed. The cursor is the oldest transaction still open when the page was read: whatever commits later
 * has a transaction at or after it, so nothing is missed, and some entries come twice.
 */
export async function readRevocations(
  pool: Pool,
  query: { after?: string | undefined; page?: string | undefined },
): Promise<z.output<typeof revocationPage>> {
  const { rows } = await pool.query<Row>(
    // A cursor from before a restore into a new cluster may lie in the future: then everything is told again.
    `WITH feed AS (
       SELECT pg_snapshot_xmin(s) AS xmin,
              CASE WHEN $1::text::xid8 <= pg_snapshot_xmax(s) THEN $1::text::xid8 ELSE '0'::xid8 END AS after
       FROM pg_current_snapshot() AS s
     )
     SELECT feed.xmin::text AS cursor, r.id, r.organization_id, r.kind, r.subject_id, r.state,
            floor(extract(epoch FROM r.created_at) * 1000)::bigint AS at
     FROM feed LEFT JOIN LATERAL (
       SELECT * FROM auth.revocations WHERE xid >= feed.after AND id > $2 ORDER BY id LIMIT ${pageSize + 1}
     ) r ON true
     ORDER BY r.id`,
    [query.after ?? '0', query.page ?? '0'],
  );
  const found = rows.filter((row) => row.id !== null);
  const items = found.slice(0, pageSize);
  return {
    items: items.map(toRevocation),
    cursor: rows[0]!.cursor,
    nextPage: found.length > pageSize ? String(items.at(-1)!.id) : null,
  };
}

interface Row {
  cursor: string;
  id: number | null;
  organization_id: string;
  kind: Revocation['kind'];
  subject_id: string;
  state: Omit<Extract<Revocation, { kind: 'user' }>, 'kind' | 'id' | 'organizationId' | 'at'> | null;
  at: number;
}

function toRevocation({ kind, subject_id: id, organization_id: organizationId, at, state }: Row): Revocation {
  if (kind !== 'user') return { kind, id, organizationId, at };
  if (!state) throw new AppError('INTERNAL', 'A revocation without the state of its user.');
  return { kind, id, organizationId, at, ...state };
}

/** Deletes what nothing depends on any more. Several replicas may do it at once. */
export async function pruneRevocations(pool: Pool): Promise<void> {
  await pool.query(`DELETE FROM auth.revocations WHERE created_at < now() - interval '${keepHours} hours'`);
}
