import { createHash, randomUUID } from 'node:crypto';
import type { AuditSource } from '@worktide/audit';
import { type Pool, tenantTransaction } from '@worktide/postgres';
import { type Caller, conflict, decodeCursor, notFound, pageOf, unauthorized, uuidv7 } from '@worktide/runtime';
import type * as schemas from '@worktide/schemas';
import type { z } from 'zod';
import { findAccount, pauseOf } from '../accounts/accounts.ts';
import type { Act, Action } from '../action.ts';

/** Live keys of one user: enough for every device and editor of a person, and a bound on a runaway script. */
export const maxKeysPerUser = 200;

const notExpired = '(expires_at IS NULL OR expires_at > clock_timestamp())';

/** As the services that resolve keys hash them: SHA-256 of the lower-case text. */
const hashOfKey = (key: string): Buffer => createHash('sha256').update(key).digest();

/**
 * A new key of the caller. Only its hash is kept: the answer is the one time it is seen.
 * @param deviceId the key's own id unless given: each key then stands for a device of its own.
 * @throws 409 `TOO_MANY_KEYS`, 503.
 */
export async function createAgentKey(
  act: Act,
  caller: Caller,
  body: z.output<typeof schemas.newAgentKey>,
  source: AuditSource,
): Promise<z.output<typeof schemas.createdAgentKey>> {
  const { organizationId, userId } = caller;
  const id = uuidv7();
  const key = `waka_${randomUUID()}`;
  const deviceId = body.deviceId ?? id;
  const expiresAt = body.expiresAt === undefined ? null : new Date(body.expiresAt);
  return act(organizationId, async ({ client, audit }) => {
    // One user's keys are made one after the other, so that the count holds.
    const owner = await findAccount(client, organizationId, userId, 'FOR NO KEY UPDATE OF u');
    // Suspended or deleted since the credential was checked: the keys of a deleted user have been revoked already.
    if (owner?.status !== 'active') throw unauthorized();
    const { rows: counts } = await client.query<{ live: number }>(
      `SELECT count(*) AS live FROM auth.agent_keys
       WHERE organization_id = $1 AND user_id = $2 AND revoked_at IS NULL AND ${notExpired}`,
      [organizationId, userId],
    );
    if (counts[0]!.live >= maxKeysPerUser) {
      throw conflict('TOO_MANY_KEYS', `A user has at most ${maxKeysPerUser} agent keys; revoke one first.`);
    }
    const { rows } = await client.query<{ created_at: Date }>(
      `INSERT INTO auth.agent_keys (organization_id, id, user_id, name, device_id, key_hash, expires_at)
       VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING created_at`,
      [organizationId, id, userId, body.name, deviceId, hashOfKey(key), expiresAt],
    );
    audit(organizationId, source, {
      action: 'agent-key.created',
      entityType: 'agent-key',
      entityId: id,
      after: { name: body.name, deviceId, ...(expiresAt ? { expiresAt: expiresAt.toISOString() } : {}) },
    });
    const createdAt = rows[0]!.created_at.toISOString();
    return { id, key, name: body.name, deviceId, createdAt, expiresAt: expiresAt?.toISOString() ?? null };
  });
}

interface KeyRow {
  id: string;
  name: string;
  device_id: string;
  created_at: Date;
  expires_at: Date | null;
  last_used_at: Date | null;
  last_used_from: string | null;
}

/** A user's live keys, newest first. Rejects 400 for a bad cursor, 503. */
export async function listAgentKeys(
  pool: Pool,
  { organizationId, userId }: Pick<Caller, 'organizationId' | 'userId'>,
  query: z.output<typeof schemas.listQuery>,
  signal: AbortSignal,
): Promise<z.output<typeof schemas.agentKeyPage>> {
  const list = ['agent-keys', organizationId, userId];
  const after = decodeCursor(query.cursor, list);
  const { rows } = await tenantTransaction(
    pool,
    organizationId,
    (client) =>
      client.query<KeyRow>(
        `SELECT id, name, device_id, created_at, expires_at, last_used_at, last_used_from FROM auth.agent_keys
       WHERE organization_id = $1 AND user_id = $2 AND revoked_at IS NULL AND ${notExpired} AND ($3::uuid IS NULL OR id < $3)
       ORDER BY id DESC LIMIT $4`,
        [organizationId, userId, after, query.limit + 1],
      ),
    { signal },
  );
  const show = (row: KeyRow) => ({
    id: row.id,
    name: row.name,
    deviceId: row.device_id,
    createdAt: row.created_at.toISOString(),
    expiresAt: row.expires_at?.toISOString() ?? null,
    lastUsedAt: row.last_used_at?.toISOString() ?? null,
    lastUsedFrom: row.last_used_from,
  });
  return pageOf(rows, query.limit, list, { idOf: ({ id }) => id, show });
}

/**
 * Revokes a live key of a user.
 * @param userId of the caller's organisation; anybody but the caller is for administrators.
 * @throws 404 for a key that is another's, or none; 503.
 */
export function revokeAgentKey(
  act: Act,
  caller: Caller,
  { id, userId }: { id: string; userId: string },
  source: AuditSource,
): Promise<void> {
  const { organizationId } = caller;
  return act(organizationId, async ({ client, audit, revoke }) => {
    const { rows } = await client.query<{ id: string; name: string; deviceId: string; at: number }>(
      `UPDATE auth.agent_keys SET revoked_at = clock_timestamp()
       WHERE organization_id = $1 AND user_id = $2 AND id = $3 AND revoked_at IS NULL
       RETURNING id, name, device_id AS "deviceId", floor(extract(epoch FROM revoked_at) * 1000)::bigint AS at`,
      [organizationId, userId, id],
    );
    const [key] = rows;
    if (!key) throw notFound();
    revoke([{ kind: 'agent-key', id: key.id, organizationId, at: key.at }]);
    audit(organizationId, source, {
      action: 'agent-key.revoked',
      entityType: 'agent-key',
      entityId: key.id,
      before: { name: key.name, deviceId: key.deviceId, ...(userId === caller.userId ? {} : { userId }) },
      after: null,
    });
  });
}

/** Revokes all live keys of a user, and says how many. Lock the user first, so that none is made meanwhile. */
export async function revokeAgentKeys(
  { client, revoke }: Pick<Action, 'client' | 'revoke'>,
  organizationId: string,
  userId: string,
): Promise<number> {
  const { rows } = await client.query<{ id: string; at: number }>(
    `UPDATE auth.agent_keys SET revoked_at = clock_timestamp()
     WHERE organization_id = $1 AND user_id = $2 AND revoked_at IS NULL
     RETURNING id, floor(extract(epoch FROM revoked_at) * 1000)::bigint AS at`,
    [organizationId, userId],
  );
  revoke(rows.map(({ id, at }) => ({ kind: 'agent-key', id, organizationId, at })));
  return rows.length;
}

/**
 * Whom each key stands for, in the order of their hashes in hex; null for an unknown, revoked or expired key, or a user
 * who is not active. Rejects 503.
 */
export async function resolveAgentKeys(
  pool: Pool,
  keyHashes: readonly string[],
): Promise<(z.output<typeof schemas.resolvedAgentKey> | null)[]> {
  // Begins without a tenant: the key is all that there is, and it is unique in the system.
  type Row = Omit<z.output<typeof schemas.resolvedAgentKey>, 'pause'> &
    Parameters<typeof pauseOf>[0] & { keyHash: string };
  const { rows } = await pool.query<Row>(
    `SELECT encode(k.key_hash, 'hex') AS "keyHash", k.id AS "agentKeyId", k.organization_id AS "organizationId", k.user_id AS "userId", u.role,
            u.timezone, u.paused_from, u.paused_until, k.device_id AS "deviceId", floor(extract(epoch FROM k.expires_at) * 1000)::float8 AS "expiresAt"
     FROM auth.agent_keys k JOIN auth.users u ON u.organization_id = k.organization_id AND u.id = k.user_id
     WHERE k.key_hash = ANY($1) AND k.revoked_at IS NULL AND ${notExpired} AND u.status = 'active' AND u.verified_at IS NOT NULL`,
    [keyHashes.map((hash) => Buffer.from(hash, 'hex'))],
  );
  const found = new Map(
    rows.map(({ keyHash, paused_from, paused_until, ...credential }) => {
      const pause = pauseOf({ paused_from, paused_until });
      return [keyHash, { ...credential, ...(pause ? { pause } : {}) }];
    }),
  );
  return keyHashes.map((hash) => found.get(hash) ?? null);
}
