import type { Queryable } from '@worktide/postgres';
import { uuidv7 } from '@worktide/runtime';
import type { Revocation } from '@worktide/schemas';
import { recordRevocations } from '../revocations/revocations.ts';
import { insertRefreshToken, newRefreshToken, refreshTokenDays } from './refresh-tokens.ts';

export type EndReason = 'logout' | 'logout-all' | 'revoked' | 'reuse';

export interface DeviceInfo {
  deviceName: string | undefined;
  userAgent: string | undefined;
  ipAddress: string | undefined;
}

/** A new log-in of a user, with the first refresh token of its family. */
export async function openSession(
  client: Queryable,
  owner: { organizationId: string; userId: string },
  device: DeviceInfo,
): Promise<{ sessionId: string; refreshToken: string }> {
  const { organizationId, userId } = owner;
  const sessionId = uuidv7();
  await client.query(
    `INSERT INTO auth.sessions (organization_id, id, user_id, device_name, user_agent, ip_address, expires_at)
     VALUES ($1, $2, $3, $4, $5, $6, clock_timestamp() + interval '${refreshTokenDays} days')`,
    [
      organizationId,
      sessionId,
      userId,
      device.deviceName ?? null,
      device.userAgent?.slice(0, 256) ?? null,
      device.ipAddress ?? null,
    ],
  );
  await client.query('UPDATE auth.users SET last_seen_at = now() WHERE organization_id = $1 AND id = $2', [
    organizationId,
    userId,
  ]);
  const refreshToken = newRefreshToken();
  await insertRefreshToken(client, { organizationId, sessionId, token: refreshToken, parent: null });
  return { sessionId, refreshToken };
}

/**
 * Ends sessions of one user and puts them into the revocation feed; sessions that have ended already, or are not
 * this user's, are left alone.
 * @param which one session, or all.
 * @returns what to push after the commit, one entry for each session that ended now.
 */
export async function endSessions(
  client: Queryable,
  owner: { organizationId: string; userId: string },
  which: string | 'all',
  reason: EndReason,
): Promise<Revocation[]> {
  const { rows } = await client.query<{ id: string; at: number }>(
    `UPDATE auth.sessions SET ended_at = clock_timestamp(), end_reason = $4
     WHERE organization_id = $1 AND user_id = $2 AND ($3::uuid IS NULL OR id = $3) AND ended_at IS NULL
     RETURNING id, floor(extract(epoch FROM ended_at) * 1000)::bigint AS at`,
    [owner.organizationId, owner.userId, which === 'all' ? null : which, reason],
  );
  const items = rows.map(({ id, at }) => ({
    kind: 'session' as const,
    id,
    organizationId: owner.organizationId,
    at,
  }));
  await recordRevocations(client, items);
  return items;
}

/** Sessions that ended or expired a week ago go, with their refresh tokens, and so do tokens nobody can use. */
export async function pruneSessions(client: Queryable): Promise<void> {
  await client.query(`DELETE FROM auth.sessions WHERE expires_at < now() - interval '${refreshTokenDays} days'`);
  await client.query(`DELETE FROM auth.refresh_tokens WHERE expires_at < now() - interval '1 day'`);
}
