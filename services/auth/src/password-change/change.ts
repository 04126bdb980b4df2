import type { AuditSource } from '@worktide/audit';
import { type Pool, tenantTransaction } from '@worktide/postgres';
import { type AppError, type Caller, invalid, unauthorized } from '@worktide/runtime';
import type { Applicant } from '../applicant.ts';
import type { AuthContext } from '../context.ts';
import { queueMail } from '../mail/queue.ts';
import { dropTokens } from '../mail/tokens.ts';
import { endSessions } from '../sessions/sessions.ts';

// Not 401, by which clients would log themselves out.
const wrongPassword = (): AppError => invalid('WRONG_PASSWORD', 'The current password is not this one.');

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
  const before = await findPassword(context.pool, caller);
  if (!(await passwords.verify(body.currentPassword, before.passwordHash, applicant))) throw wrongPassword();
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

async function findPassword(
  pool: Pool,
  { organizationId, userId }: Caller,
): Promise<{ email: string; passwordHash: string }> {
  const { rows } = await tenantTransaction(pool, organizationId, (client) =>
    client.query<{ email: string; passwordHash: string }>(
      `SELECT email, password_hash AS "passwordHash" FROM auth.users
       WHERE organization_id = $1 AND id = $2 AND deleted_at IS NULL`,
      [organizationId, userId],
    ),
  );
  if (!rows[0]) throw unauthorized();
  return rows[0];
}
