import { createHash } from 'node:crypto';
import { bearerOf, createKeySet, isAgentKey, verifyAccessToken } from '@worktide/identity';
import { inTurn, type Pool } from '@worktide/postgres';
import { type Authenticate, type Role, unauthorized } from '@worktide/runtime';
import type { AccessTokenClaims } from '@worktide/schemas';
import { resolveAgentKeys } from '../agent-keys/agent-keys.ts';
import type { LastSeen } from '../users/last-seen.ts';
import type { SigningKeys } from './signing-keys.ts';

/**
 * Auth asks its own tables at each request instead of following its own feed: what was revoked by another replica a
 * moment ago is refused here at once. 401 and 503 as in `Authenticate`.
 */
export function createAuthenticate(pool: Pool, signingKeys: SigningKeys, lastSeen: LastSeen): Authenticate {
  const keys = createKeySet(() => signingKeys.published());

  return async (authorization, sender, signal) => {
    const credential = bearerOf(authorization);
    if (isAgentKey(credential)) {
      const hash = createHash('sha256').update(credential.toLowerCase()).digest('hex');
      const from = sender();
      const [found] = await inTurn(pool, from, () => resolveAgentKeys(pool, [hash]), signal);
      if (!found) throw unauthorized();
      lastSeen.note({ ...found, from });
      const { expiresAt: _, ...caller } = found;
      return caller;
    }
    const claims = await verifyAccessToken(credential, keys);
    const now = await inTurn(pool, claims.org, () => currentUser(pool, claims), signal);
    if (!now) throw unauthorized();
    lastSeen.note({ organizationId: claims.org, userId: claims.sub });
    return {
      organizationId: claims.org,
      userId: claims.sub,
      role: now.role,
      timezone: now.timezone,
      sessionId: claims.sid,
      ...(claims.dev === undefined ? {} : { deviceId: claims.dev }),
      ...(now.verified ? {} : { unverified: true }),
    };
  };
}

async function currentUser(
  pool: Pool,
  claims: AccessTokenClaims,
): Promise<{ role: Role; timezone: string; verified: boolean } | undefined> {
  const { rows } = await pool.query<{ role: Role; timezone: string; verified: boolean }>(
    `SELECT u.role, u.timezone, u.verified_at IS NOT NULL AS verified FROM auth.sessions s
     JOIN auth.users u ON u.organization_id = s.organization_id AND u.id = s.user_id
     WHERE s.organization_id = $1 AND s.id = $2 AND s.user_id = $3 AND s.ended_at IS NULL AND u.status = 'active'`,
    [claims.org, claims.sid, claims.sub],
  );
  return rows[0];
}
