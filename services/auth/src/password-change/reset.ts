import type { AuditSource } from '@worktide/audit';
import { proveAddress } from '../accounts/verify.ts';
import { revokeAgentKeys } from '../agent-keys/agent-keys.ts';
import type { Applicant } from '../applicant.ts';
import type { AuthContext } from '../context.ts';
import { queueMail } from '../mail/queue.ts';
import { findToken, invalidToken, spendToken } from '../mail/tokens.ts';
import { endSessions } from '../sessions/sessions.ts';

/**
 * Sets a password by the token of a mail. All sessions of the user end; agent keys stay unless they are to go as well.
 * Where this proves the address for the first time, nothing made before it stays.
 * @param sourceOf the audit's source, once it is known whose token it is.
 * @throws 400 `INVALID_TOKEN`, alike for a token unknown, expired or used, or of a user who is not active; 503.
 */
export async function resetPassword(
  context: AuthContext,
  body: { token: string; password: string; revokeAgentKeys: boolean },
  applicant: Applicant,
  sourceOf: (userId: string) => AuditSource,
): Promise<void> {
  const { act, pool, passwords, mailer } = context;
  const subject = await findToken(pool, 'password-reset', body.token, applicant);
  const { organizationId, subjectId: userId } = subject;
  const passwordHash = await passwords.hash(body.password, applicant);
  // Begins without a tenant: the token says whose it is.
  await act(applicant, async (action) => {
    const { client } = action;
    const { rows } = await client.query<{ email: string; verified: boolean }>(
      `SELECT email, verified_at IS NOT NULL AS verified FROM auth.users
       WHERE organization_id = $1 AND id = $2 AND status = 'active' AND deleted_at IS NULL FOR NO KEY UPDATE`,
      [organizationId, userId],
    );
    if (!rows[0]) throw invalidToken();
    const { email, verified } = rows[0];
    await spendToken(client, 'password-reset', subject, body.token);
    await client.query('UPDATE auth.users SET password_hash = $3 WHERE organization_id = $1 AND id = $2', [
      organizationId,
      userId,
      passwordHash,
    ]);
    await endSessions(action, { organizationId, userId }, 'all', 'password');
    if (!verified) await proveAddress(action, { organizationId, userId }, email);
    const revoked = !verified || body.revokeAgentKeys ? await revokeAgentKeys(action, organizationId, userId) : 0;
    await queueMail(client, { organizationId, kind: 'password-changed', subjectId: userId, recipient: email });
    action.audit(organizationId, sourceOf(userId), {
      action: 'user.password-reset',
      entityType: 'user',
      entityId: userId,
      ...(verified && !body.revokeAgentKeys ? {} : { after: { revokedAgents: revoked, provesAddress: !verified } }),
    });
  });
  mailer.wake();
}
