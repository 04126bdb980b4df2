import { type PoolClient, violatedConstraint } from '@worktide/postgres';
import { conflict, uuidv7 } from '@worktide/runtime';
import type { Registration } from '@worktide/schemas';
import type { Applicant } from '../applicant.ts';
import type { AuthContext } from '../context.ts';
import { queueMail } from '../mail/queue.ts';
import { type DeviceInfo, openSession } from '../sessions/sessions.ts';
import { findAccount } from './accounts.ts';
import type { LoggedIn, SourceOf } from './login.ts';
import { isTaken, removeOtherClaims } from './unverified.ts';

/**
 * A new organisation with its first admin, logged in. An open invitation to another organisation is no hindrance: it
 * can no longer be accepted once this address is proven to be this account's.
 * @throws 409 `EMAIL_TAKEN`, 503 where hashing or the database is not available; nothing is left behind then.
 */
export async function register(
  context: AuthContext,
  body: Registration,
  device: DeviceInfo,
  applicant: Applicant,
  sourceOf: SourceOf,
): Promise<LoggedIn> {
  const passwordHash = await context.passwords.hash(body.password, applicant);
  const organizationId = uuidv7();
  const userId = uuidv7();
  const verified = !context.verifiesAddresses;
  try {
    // As the service itself: there is no tenant yet.
    const loggedIn = await context.act(applicant, async (action) => {
      const { client, audit } = action;
      if (await isTaken(client, body.email)) throw taken();
      await insertOrganization(client, organizationId, body);
      await client.query(
        `INSERT INTO auth.users (organization_id, id, email, name, password_hash, role, timezone, verified_at)
         VALUES ($1, $2, $3, $4, $5, 'admin', $6, CASE WHEN $7 THEN clock_timestamp() END)`,
        [organizationId, userId, body.email, body.name, passwordHash, body.timezone, verified],
      );
      if (verified) await removeOtherClaims(action, body.email, { organizationId, userId });
      else await queueMail(client, { organizationId, kind: 'verification', subjectId: userId, recipient: body.email });
      const session = await openSession(client, { organizationId, userId }, device);
      const account = await findAccount(client, organizationId, userId);
      const { organizationName, timezone, email, name } = body;
      audit(
        organizationId,
        sourceOf({ userId }),
        {
          action: 'organization.created',
          entityType: 'organization',
          entityId: organizationId,
          after: { name: organizationName, timezone, subscriptionStatus: account!.subscription_status },
        },
        { action: 'user.created', entityType: 'user', entityId: userId, after: { email, name, role: 'admin' } },
      );
      return { account: account!, deviceName: device.deviceName ?? null, ...session };
    });
    if (!verified) context.mailer.wake();
    return loggedIn;
  } catch (error) {
    if (violatedConstraint(error) === 'users_email_key') throw taken();
    throw error;
  }
}

const taken = () => conflict('EMAIL_TAKEN', 'There is an account with this address already.');

async function insertOrganization(client: PoolClient, id: string, body: Registration): Promise<void> {
  await client.query(
    'INSERT INTO auth.organizations (id, name, timezone, subscription_status) VALUES ($1, $2, $3, $4)',
    [id, body.organizationName, body.timezone, body.plan],
  );
}
