import type { AuditSource } from '@worktide/audit';
import type { PoolClient } from '@worktide/postgres';
import { type AccountRow, findAccount } from '../accounts/accounts.ts';
import type { Act } from '../action.ts';
import type { Applicant } from '../applicant.ts';
import { hashOf, insertRefreshToken, maxSessionDays, newRefreshToken, refreshTokenDays } from './refresh-tokens.ts';
import { endSessions } from './sessions.ts';

export type Rotation =
  | { outcome: 'rotated'; account: AccountRow; sessionId: string; deviceName: string | null; refreshToken: string }
  /** Unknown, expired, of a branch that fell behind, of a session that ended or is 90 days old, or of a user who is not active. */
  | { outcome: 'refused' }
  /** A spent token came back: the whole family has ended. */
  | { outcome: 'reused'; sessionId: string };

/** Rule Identity: refresh tokens. Two tabs or a lost answer spend a token twice within moments; a thief comes later. */
const graceSeconds = 10;

/**
 * Spends a refresh token for its successor (rule Identity: refresh tokens): a token spent less than 10 s ago none of
 * whose successors has been used gets another successor, and all of them work; any other reuse ends the family. Of such
 * branches one goes on, the first whose next token is used as well: the others end, without a word about theft.
 * Parallel calls with one family take turns on the session's row. Rejects 503.
 */
export function rotate(act: Act, token: string, applicant: Applicant, source: AuditSource): Promise<Rotation> {
  const hash = hashOf(token);
  // Begins without a tenant: the token tells whose it is.
  return act(applicant, async (action) => {
    const { client } = action;
    const owner = await ownerOf(client, hash);
    if (!owner) return { outcome: 'refused' };
    const { organization_id: organizationId, session_id: sessionId, user_id: userId } = owner;
    // The user before the session, as in whatever changes both.
    const account = await findAccount(client, organizationId, userId, 'FOR SHARE OF u');
    const session = await lockSession(client, organizationId, sessionId);
    if (account?.status !== 'active' || !session) return { outcome: 'refused' };

    // Read after the lock: what a parallel call did to the family is seen.
    const { rows } = await client.query<TokenRow>(
      `SELECT parent_hash, spent_at IS NOT NULL AS spent, successor_used, expires_at <= clock_timestamp() AS expired,
              coalesce(spent_at > clock_timestamp() - interval '${graceSeconds} seconds', false) AS just_spent
       FROM auth.refresh_tokens WHERE token_hash = $1`,
      [hash],
    );
    const found = rows[0];
    if (!found) return { outcome: 'refused' };
    if (found.spent && !(found.just_spent && !found.successor_used)) {
      await endSessions(action, { organizationId, userId }, sessionId, 'reuse');
      // Whoever it was: the owner's spare copy or a thief's.
      action.audit(organizationId, source, {
        action: 'session.token-reused',
        entityType: 'session',
        entityId: sessionId,
        after: { userId, ended: true },
      });
      return { outcome: 'reused', sessionId };
    }
    if (found.expired) return { outcome: 'refused' };

    if (!found.spent) {
      await spend(client, hash, found.parent_hash);
      if (found.parent_hash) await endBranchesBehind(client, organizationId, sessionId, found.parent_hash);
    }
    const refreshToken = newRefreshToken();
    await insertRefreshToken(client, { organizationId, sessionId, token: refreshToken, parent: hash });
    await touch(client, organizationId, sessionId);
    return { outcome: 'rotated', account, sessionId, deviceName: session.device_name, refreshToken };
  });
}

interface TokenRow {
  parent_hash: Buffer | null;
  spent: boolean;
  successor_used: boolean;
  expired: boolean;
  just_spent: boolean;
}

interface Owner {
  organization_id: string;
  session_id: string;
  user_id: string;
}

// The one query without a tenant: the token is all that the caller has, and it is unique in the system.
async function ownerOf(client: PoolClient, hash: Buffer): Promise<Owner | undefined> {
  const { rows } = await client.query<Owner>(
    `SELECT t.organization_id, t.session_id, s.user_id FROM auth.refresh_tokens t
     JOIN auth.sessions s ON s.organization_id = t.organization_id AND s.id = t.session_id
     WHERE t.token_hash = $1`,
    [hash],
  );
  return rows[0];
}

async function lockSession(
  client: PoolClient,
  organizationId: string,
  sessionId: string,
): Promise<{ device_name: string | null } | undefined> {
  const { rows } = await client.query<{ device_name: string | null }>(
    `SELECT device_name FROM auth.sessions
     WHERE organization_id = $1 AND id = $2 AND ended_at IS NULL
       AND created_at > clock_timestamp() - interval '${maxSessionDays} days' FOR UPDATE`,
    [organizationId, sessionId],
  );
  return rows[0];
}

async function spend(client: PoolClient, hash: Buffer, parent: Buffer | null): Promise<void> {
  await client.query('UPDATE auth.refresh_tokens SET spent_at = clock_timestamp() WHERE token_hash = $1', [hash]);
  if (parent === null) return;
  await client.query('UPDATE auth.refresh_tokens SET successor_used = true WHERE token_hash = $1', [parent]);
}

/**
 * A token given for `parent` is being used, the second of its branch: what stands beside the parent ends, with what was
 * given for it. There is no more than that, for those would have ended this branch.
 */
async function endBranchesBehind(
  client: PoolClient,
  organizationId: string,
  sessionId: string,
  parent: Buffer,
): Promise<void> {
  await client.query(
    `WITH family AS (
       SELECT token_hash, parent_hash FROM auth.refresh_tokens WHERE organization_id = $1 AND session_id = $2
     ), beside AS (
       SELECT other.token_hash FROM family ahead JOIN family other USING (parent_hash)
       WHERE ahead.token_hash = $3 AND other.token_hash <> $3
     )
     DELETE FROM auth.refresh_tokens WHERE token_hash IN (
       SELECT token_hash FROM beside UNION SELECT f.token_hash FROM family f JOIN beside b ON f.parent_hash = b.token_hash)`,
    [organizationId, sessionId, parent],
  );
}

async function touch(client: PoolClient, organizationId: string, sessionId: string): Promise<void> {
  await client.query(
    `UPDATE auth.sessions
     SET last_used_at = clock_timestamp(),
         expires_at = least(clock_timestamp() + interval '${refreshTokenDays} days',
                            created_at + interval '${maxSessionDays} days')
     WHERE organization_id = $1 AND id = $2`,
    [organizationId, sessionId],
  );
}
