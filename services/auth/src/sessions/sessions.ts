import type { Queryable } from '@worktide/postgres';
import { uuidv7 } from '@worktide/runtime';
import type { Action } from '../action.ts';
import { insertRefreshToken, newRefreshToken, refreshTokenDays } from './refresh-tokens.ts';

export type EndReason =
  | 'logout'
  | 'logout-all'
  | 'revoked'
  | 'reuse'
  | 'password'
  | 'not-active'
  | 'deleted'
  | 'too-many';

/** Live log-ins of one user: more than anybody has devices, and a bound on a script that logs in and never out. */
export const maxSessionsPerUser = 200;

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
 * @param which one session, all, or all but one.
 * @returns ids of the sessions that ended now.
 */
export async function endSessions(
  action: Pick<Action, 'client' | 'revoke'>,
  owner: { organizationId: string; userId: string },
  which: string | 'all' | { except: string },
  reason: EndReason,
): Promise<string[]> {
  const { organizationId, userId } = owner;
  const only = typeof which === 'string' && which !== 'all' ? which : null;
  const except = typeof which === 'string' ? null : which.except;
  const { rows } = await action.client.query<{ id: string; at: number }>(
    `UPDATE auth.sessions SET ended_at = clock_timestamp(), end_reason = $5
     WHERE organization_id = $1 AND user_id = $2 AND ($3::uuid IS NULL OR id = $3) AND ($4::uuid IS NULL OR id <> $4)
       AND ended_at IS NULL
     RETURNING id, floor(extract(epoch FROM ended_at) * 1000)::bigint AS at`,
    [organizationId, userId, only, except, reason],
  );
  action.revoke(rows.map(({ id, at }) => ({ kind: 'session', id, organizationId, at })));
  return rows.map(({ id }) => id);
}

/** Ends those of a user's sessions that were not used for longest where there are too many. Lock the user first. */
export async function endSurplusSessions(
  action: Pick<Action, 'client' | 'revoke'>,
  { organizationId, userId }: { organizationId: string; userId: string },
): Promise<void> {
  const { rows } = await action.client.query<{ id: string; at: number }>(
    `UPDATE auth.sessions SET ended_at = clock_timestamp(), end_reason = 'too-many'
     WHERE organization_id = $1 AND id IN (
       SELECT id FROM auth.sessions WHERE organization_id = $1 AND user_id = $2 AND ended_at IS NULL
       ORDER BY last_used_at DESC, id DESC OFFSET ${maxSessionsPerUser})
     RETURNING id, floor(extract(epoch FROM ended_at) * 1000)::bigint AS at`,
    [organizationId, userId],
  );
  action.revoke(rows.map(({ id, at }) => ({ kind: 'session', id, organizationId, at })));
}

/** Sessions that ended or expired a week ago go, with their refresh tokens, and so do tokens nobody can use. */
export async function pruneSessions(client: Queryable): Promise<void> {
  await client.query(`DELETE FROM auth.sessions WHERE expires_at < now() - interval '${refreshTokenDays} days'`);
  await client.query(`DELETE FROM auth.refresh_tokens WHERE expires_at < now() - interval '1 day'`);
}
