import type { AuditSource } from '@worktide/audit';
import type { Caller } from '@worktide/runtime';
import type { Applicant } from '../applicant.ts';
import type { AuthContext } from '../context.ts';
import { queueMail } from '../mail/queue.ts';
import { dropTokens } from '../mail/tokens.ts';
import { endSessions } from '../sessions/sessions.ts';
import { provePassword, wrongPassword } from './current.ts';

/**
 * Sets another password for the caller. Their other sessions end, links to reset the old one die, and a mail tells of it.
 * @throws 400 `WRONG_PASSWORD`, also where another change came first; 503.
 */
export async function changePassword(
  context: AuthContext,
  caller: Caller,
  body: { currentPassword: string; newPassword: string },
  applicant: Applicant,
  source: AuditSource,
): Promise<void> {
  const { act, passwords, mailer } = context;
  const { organizationId, userId } = caller;
  const before = await provePassword(context, caller, body.currentPassword, applicant);
  const passwordHash = await passwords.hash(body.newPassword, applicant);
  await act(organizationId, async (action) => {
    const { client } = action;
    // Only over the hash that was compared, as at log-in.
    const { rowCount } = await client.query(
      `UPDATE auth.users SET password_hash = $4 WHERE organization_id = $1 AND id = $2 AND password_hash = $3`,
      [organizationId, userId, before.passwordHash, passwordHash],
    );
    if (rowCount === 0) throw wrongPassword();
    await dropTokens(client, 'password-reset', { organizationId, subjectId: userId });
    await endSessions(action, caller, { except: caller.sessionId! }, 'password');
    await queueMail(client, { organizationId, kind: 'password-changed', subjectId: userId, recipient: before.email });
    action.audit(organizationId, source, { action: 'user.password-changed', entityType: 'user', entityId: userId });
  });
  mailer.wake();
}
