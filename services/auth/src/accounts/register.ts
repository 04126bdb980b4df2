import { type PoolClient, violatedConstraint } from '@worktide/postgres';
import { conflict, uuidv7 } from '@worktide/runtime';
import type { Registration } from '@worktide/schemas';
import type { Applicant } from '../applicant.ts';
import type { AuthContext } from '../context.ts';
import { type DeviceInfo, openSession } from '../sessions/sessions.ts';
import { findAccount } from './accounts.ts';
import type { LoggedIn, SourceOf } from './login.ts';

/**
 * A new organisation, on trial, with its first admin, logged in. An open invitation to another organisation is no
 * hindrance: it can then no longer be accepted with this address.
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
  try {
    // As the service itself: there is no tenant yet.
    return await context.act(applicant, async ({ client, audit }) => {
      await insertOrganization(client, organizationId, body);
      await client.query(
        `INSERT INTO auth.users (organization_id, id, email, name, password_hash, role, timezone)
         VALUES ($1, $2, $3, $4, $5, 'admin', $6)`,
        [organizationId, userId, body.email, body.name, passwordHash, body.timezone],
      );
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
  } catch (error) {
    if (violatedConstraint(error) === 'users_email_key') {
      throw conflict('EMAIL_TAKEN', 'There is an account with this address already.');
    }
    throw error;
  }
}

async function insertOrganization(client: PoolClient, id: string, body: Registration): Promise<void> {
  await client.query('INSERT INTO auth.organizations (id, name, timezone) VALUES ($1, $2, $3)', [
    id,
    body.organizationName,
    body.timezone,
  ]);
}
