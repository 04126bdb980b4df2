import type { AuditSource } from '@worktide/audit';
import { inTurn } from '@worktide/postgres';
import { unauthorized } from '@worktide/runtime';
import type { Login } from '@worktide/schemas';
import type { Applicant } from '../applicant.ts';
import type { AuthContext } from '../context.ts';
import { type DeviceInfo, endSurplusSessions, openSession } from '../sessions/sessions.ts';
import { type AccountRow, findAccount } from './accounts.ts';
import { firstOfAddress } from './unverified.ts';

/** A session just opened or gone on with, and what its tokens are made of. */
export interface LoggedIn {
  account: AccountRow;
  sessionId: string;
  deviceName: string | null;
  refreshToken: string;
}

/** Whose log-in was refused, and why; only for addresses that have an account. */
export interface RefusedLogin {
  organizationId: string;
  userId: string;
  reason: 'password' | 'not-active';
}

/** Who acts, once it is known who that is. */
export type SourceOf = (actor: { userId: string } | undefined) => AuditSource;

const wrong = () => unauthorized('The address or the password is wrong.', 'INVALID_CREDENTIALS');

/**
 * @param onRefused told before this rejects; what it does must wait for the answer, which may not differ in time.
 * @throws 401 `INVALID_CREDENTIALS`, alike and as slow for an unknown address and a wrong password; 401
 *   `ACCOUNT_NOT_ACTIVE` for the right password of a suspended or inactive user; 503.
 */
export async function login(
  context: AuthContext,
  body: Login,
  device: DeviceInfo,
  applicant: Applicant,
  sourceOf: SourceOf,
  onRefused: (refused: RefusedLogin) => void,
): Promise<LoggedIn> {
  const { pool, passwords } = context;
  // Log-in begins without a tenant: an address that is proven is unique in the system.
  const ask = () =>
    pool.query<{ organization_id: string; id: string; password_hash: string }>(
      `SELECT organization_id, id, password_hash FROM auth.users WHERE email = $1 ${firstOfAddress}`,
      [body.email],
    );
  const { rows } = await inTurn(pool, applicant.subject, ask, applicant.signal);
  const found = rows[0];
  const matches = await passwords.verify(body.password, found?.password_hash, applicant);
  if (!found) throw wrong();
  const { organization_id: organizationId, id: userId } = found;
  if (!matches) {
    onRefused({ organizationId, userId, reason: 'password' });
    throw wrong();
  }
  const renewed = passwords.isOutdated(found.password_hash)
    ? await passwords.hash(body.password, applicant)
    : undefined;

  return context.act(applicant, async (action) => {
    const { client, audit } = action;
    const account = await findAccount(client, organizationId, userId, 'FOR NO KEY UPDATE OF u');
    if (!account) throw wrong();
    // Only over the hash that was compared: a password changed meanwhile stays changed, and the old one is wrong now.
    const { rowCount } = await client.query(
      `UPDATE auth.users SET password_hash = $4
       WHERE organization_id = $1 AND id = $2 AND password_hash = $3`,
      [organizationId, userId, found.password_hash, renewed ?? found.password_hash],
    );
    if (rowCount === 0) throw wrong();
    if (account.status !== 'active') {
      onRefused({ organizationId, userId, reason: 'not-active' });
      throw unauthorized('This account is not active; ask an administrator.', 'ACCOUNT_NOT_ACTIVE');
    }
    const session = await openSession(client, { organizationId, userId }, device);
    await endSurplusSessions(action, { organizationId, userId });
    const deviceName = device.deviceName ?? null;
    audit(organizationId, sourceOf({ userId }), {
      action: 'user.logged-in',
      entityType: 'user',
      entityId: userId,
      after: { sessionId: session.sessionId, deviceName },
    });
    return { account, deviceName, ...session };
  });
}
