import type { AuditSource } from '@worktide/audit';
import { violatedConstraint } from '@worktide/postgres';
import { type Caller, conflict, unauthorized } from '@worktide/runtime';
import type { Action } from '../action.ts';
import type { Applicant } from '../applicant.ts';
import type { AuthContext } from '../context.ts';
import { queueMail } from '../mail/queue.ts';
import { dropTokens, findToken, invalidToken, spendToken } from '../mail/tokens.ts';
import { findAccount, userState } from './accounts.ts';
import { removeOtherClaims } from './unverified.ts';

/**
 * Makes the address of a user theirs, for the first time: other registrations that named it are gone, and tokens in use
 * are good for everything within seconds. Lock the user first.
 * @throws 409 `EMAIL_TAKEN` where another account has proven it before.
 */
export async function proveAddress(
  action: Action,
  owner: { organizationId: string; userId: string },
  email: string,
): Promise<void> {
  const { organizationId, userId } = owner;
  const { client } = action;
  await removeOtherClaims(action, email, owner);
  try {
    await client.query('UPDATE auth.users SET verified_at = clock_timestamp() WHERE organization_id = $1 AND id = $2', [
      organizationId,
      userId,
    ]);
  } catch (error) {
    if (violatedConstraint(error) !== 'users_email_key') throw error;
    throw conflict('EMAIL_TAKEN', 'There is an account with this address already.');
  }
  await dropTokens(client, 'verification', { organizationId, subjectId: userId });
  const account = (await findAccount(client, organizationId, userId))!;
  action.revoke([{ kind: 'user', id: userId, organizationId, at: account.read_at_ms, ...userState(account) }]);
}

/**
 * Proves an address by the token of a mail to it.
 * @param sourceOf the audit's source, once it is known whose token it is.
 * @throws 400 `INVALID_TOKEN`, alike for a token unknown, expired or used, or of a user who is not active; 409
 *   `EMAIL_TAKEN`; 503.
 */
export async function verifyAddress(
  context: AuthContext,
  token: string,
  applicant: Applicant,
  sourceOf: (userId: string) => AuditSource,
): Promise<void> {
  const subject = await findToken(context.pool, 'verification', token, applicant);
  const { organizationId, subjectId: userId } = subject;
  // Begins without a tenant: the token says whose it is.
  await context.act(applicant, async (action) => {
    const account = await findAccount(action.client, organizationId, userId, 'FOR NO KEY UPDATE OF u');
    if (account?.status !== 'active') throw invalidToken();
    await spendToken(action.client, 'verification', subject, token);
    if (account.verified) return;
    await proveAddress(action, { organizationId, userId }, account.email);
    action.audit(organizationId, sourceOf(userId), {
      action: 'user.address-verified',
      entityType: 'user',
      entityId: userId,
    });
  });
}

/** Another mail with a link that proves the caller's address; none where it is proven. Links sent before go on working. Rejects 503. */
export async function resendVerification(context: AuthContext, caller: Caller): Promise<void> {
  const { organizationId, userId } = caller;
  await context.act(organizationId, async ({ client }) => {
    const account = await findAccount(client, organizationId, userId, 'FOR NO KEY UPDATE OF u');
    if (account?.status !== 'active') throw unauthorized();
    if (account.verified) return;
    await queueMail(client, { organizationId, kind: 'verification', subjectId: userId, recipient: account.email });
  });
  context.mailer.wake();
}
