import type { AuditSource } from '@worktide/audit';
import { violatedConstraint } from '@worktide/postgres';
import { conflict, type Role, uuidv7 } from '@worktide/runtime';
import type { acceptedInvitation } from '@worktide/schemas';
import type { z } from 'zod';
import { findAccount } from '../accounts/accounts.ts';
import type { LoggedIn } from '../accounts/login.ts';
import { removeOtherClaims } from '../accounts/unverified.ts';
import type { Applicant } from '../applicant.ts';
import type { AuthContext } from '../context.ts';
import { findToken, invalidToken, spendToken } from '../mail/tokens.ts';
import { lockOrganization } from '../organization/plans.ts';
import { type DeviceInfo, openSession } from '../sessions/sessions.ts';

/**
 * Makes the account that an invitation is for, logged in. The invitation stands by itself: that its sender was
 * suspended or deleted since changes nothing, it is revoked like any other.
 * @param sourceOf the audit's source, once the new user has an id.
 * @throws 400 `INVALID_TOKEN`, alike for a token unknown, expired, used or revoked; 409 `EMAIL_TAKEN` where the address
 *   has an account by now, in whatever organisation; 409 `SEAT_LIMIT`; after a 409 the token is as good as before; 503, also until the schema of topic
 *   `people` was registered once.
 */
export async function acceptInvitation(
  context: AuthContext,
  body: z.output<typeof acceptedInvitation>,
  device: DeviceInfo,
  applicant: Applicant,
  sourceOf: (userId: string) => AuditSource,
): Promise<LoggedIn> {
  const { act, pool, passwords, requireSeat, people } = context;
  const subject = await findToken(pool, 'invitation', body.token, applicant);
  const { organizationId, subjectId: invitationId } = subject;
  const passwordHash = await passwords.hash(body.password, applicant);
  const userId = uuidv7();
  try {
    // Begins without a tenant: the token says whose it is.
    return await act(applicant, async (action) => {
      const { client, audit, publish } = action;
      await lockOrganization(client, organizationId);
      const { rows } = await client.query<{ email: string; role: Role; invitedBy: string }>(
        `SELECT email, role, invited_by AS "invitedBy" FROM auth.invitations
         WHERE organization_id = $1 AND id = $2 AND accepted_at IS NULL AND revoked_at IS NULL FOR NO KEY UPDATE`,
        [organizationId, invitationId],
      );
      const invitation = rows[0];
      if (!invitation) throw invalidToken();
      await spendToken(client, 'invitation', subject, body.token);
      await requireSeat(client, organizationId);
      await client.query(
        'UPDATE auth.invitations SET accepted_at = clock_timestamp() WHERE organization_id = $1 AND id = $2',
        [organizationId, invitationId],
      );
      await client.query(
        `INSERT INTO auth.users (organization_id, id, email, name, password_hash, role, timezone, verified_at)
         SELECT $1, $2, $3, $4, $5, $6, coalesce($7, o.timezone), clock_timestamp() FROM auth.organizations o WHERE o.id = $1`,
        [organizationId, userId, invitation.email, body.name, passwordHash, invitation.role, body.timezone ?? null],
      );
      // The mail came to this address: whoever else named it has no right to it.
      await removeOtherClaims(action, invitation.email, { organizationId, userId });
      const session = await openSession(client, { organizationId, userId }, device);
      const account = (await findAccount(client, organizationId, userId))!;
      const { name, role, timezone } = account;
      const joined = { organizationId, id: userId, name, role, timezone };
      publish(await people.accepted(client, joined, { id: invitationId, invitedBy: invitation.invitedBy }));
      audit(organizationId, sourceOf(userId), {
        action: 'user.created',
        entityType: 'user',
        entityId: userId,
        after: { email: account.email, name: account.name, role: account.role, invitationId },
      });
      return { account, deviceName: device.deviceName ?? null, ...session };
    });
  } catch (error) {
    if (violatedConstraint(error) === 'users_email_key') {
      throw conflict('EMAIL_TAKEN', 'There is an account with this address already.');
    }
    throw error;
  }
}
