import { type AuditSource, systemSource } from '@worktide/audit';
import { type Caller, conflict, forbidden, notFound } from '@worktide/runtime';
import type { Organization } from '@worktide/schemas';
import { findAccount } from '../accounts/accounts.ts';
import type { Act, Action } from '../action.ts';
import type { Applicant } from '../applicant.ts';
import type { AuthContext } from '../context.ts';
import { queueMail } from '../mail/queue.ts';
import { provePassword } from '../password-change/current.ts';
import type { Deleted, PeopleTeller } from '../people/tell.ts';
import { type OrganizationRow, organizationColumns, toOrganization } from './organization.ts';
import { lockOrganization } from './plans.ts';

/** Long enough for somebody who was on a journey, or whose session was stolen, to take it back. */
export const deletionDays = 7;

/**
 * Has the caller's organisation deleted in seven days, with everything in it. Who is asked for again keeps the first time.
 * @throws 400 `WRONG_PASSWORD`; 409 `OTHER_ADMINS` where the caller is not the last one; 403 for one who is none any
 *   more; 503.
 */
export async function requestDeletion(
  context: AuthContext,
  caller: Caller,
  password: string,
  applicant: Applicant,
  source: AuditSource,
): Promise<Organization> {
  const { organizationId, userId } = caller;
  const { email } = await provePassword(context, caller, password, applicant);
  const organization = await context.act(organizationId, async (action) => {
    await lockForAdmin(action, caller);
    const { client, audit } = action;
    const { rowCount: others } = await client.query(
      `SELECT 1 FROM auth.users
       WHERE organization_id = $1 AND id <> $2 AND role = 'admin' AND status = 'active' AND deleted_at IS NULL LIMIT 1`,
      [organizationId, userId],
    );
    if (others) throw conflict('OTHER_ADMINS', 'Only the last administrator can delete the organisation.');
    const before = await read(action, organizationId);
    if (before.deletion_at) return toOrganization(before);
    const { rows } = await client.query<OrganizationRow>(
      `UPDATE auth.organizations
       SET deletion_at = date_trunc('milliseconds', clock_timestamp()) + interval '${deletionDays} days', updated_at = now()
       WHERE id = $1 RETURNING ${organizationColumns}`,
      [organizationId],
    );
    await queueMail(client, { organizationId, kind: 'deletion-requested', subjectId: userId, recipient: email });
    const after = toOrganization(rows[0]!);
    audit(organizationId, source, {
      action: 'organization.deletion-requested',
      entityType: 'organization',
      entityId: organizationId,
      after: { deletionAt: after.deletionAt },
    });
    return after;
  });
  context.mailer.wake();
  return organization;
}

/** Takes a deletion back. @throws 404 where none was asked for; 403 for a caller who is no admin any more; 503. */
export function revokeDeletion(context: AuthContext, caller: Caller, source: AuditSource): Promise<void> {
  const { organizationId } = caller;
  return context.act(organizationId, async (action) => {
    await lockForAdmin(action, caller);
    const before = await read(action, organizationId);
    if (!before.deletion_at) throw notFound();
    await action.client.query('UPDATE auth.organizations SET deletion_at = NULL, updated_at = now() WHERE id = $1', [
      organizationId,
    ]);
    action.audit(organizationId, source, {
      action: 'organization.deletion-revoked',
      entityType: 'organization',
      entityId: organizationId,
      before: { deletionAt: before.deletion_at.toISOString() },
      after: { deletionAt: null },
    });
  });
}

async function lockForAdmin({ client }: Action, { organizationId, userId }: Caller): Promise<void> {
  await lockOrganization(client, organizationId);
  const asking = await findAccount(client, organizationId, userId);
  if (asking?.role !== 'admin' || asking.status !== 'active') throw forbidden();
}

async function read({ client }: Action, organizationId: string): Promise<OrganizationRow> {
  const { rows } = await client.query<OrganizationRow>(
    `SELECT ${organizationColumns} FROM auth.organizations WHERE id = $1`,
    [organizationId],
  );
  if (!rows[0]) throw notFound();
  return rows[0];
}

/** Deletes organisations whose time has come, each in a transaction of its own. Several replicas may do it at once. */
export async function deleteDueOrganizations(act: Act, people: Pick<PeopleTeller, 'deleted'>): Promise<void> {
  while (await act(null, (action) => deleteDue(action, people)));
}

async function deleteDue(action: Action, teller: Pick<PeopleTeller, 'deleted'>): Promise<boolean> {
  const { client } = action;
  const { rows } = await client.query<Deleted>(
    `SELECT id, name, timezone, subscription_status AS "subscriptionStatus" FROM auth.organizations WHERE deletion_at <= clock_timestamp()
     ORDER BY deletion_at LIMIT 1 FOR UPDATE`,
  );
  const [organization] = rows;
  if (!organization) return false;
  const organizationId = organization.id;
  // What its people hold is refused everywhere: tokens by the state of their user, keys because they are asked for again.
  const { rows: people } = await client.query<Person>(
    `SELECT id, role, timezone, floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint AS at FROM auth.users
     WHERE organization_id = $1 AND deleted_at IS NULL`,
    [organizationId],
  );
  action.revoke(people.map((person) => ({ kind: 'user', organizationId, status: 'inactive', ...person })));
  await client.query('DELETE FROM auth.organizations WHERE id = $1', [organizationId]);
  // Every service erases what it has.
  action.publish(await teller.deleted(client, organization));
  action.audit(organizationId, systemSource, {
    action: 'organization.deleted',
    entityType: 'organization',
    entityId: organizationId,
    before: { name: organization.name, people: people.length },
    after: null,
  });
  return true;
}

interface Person {
  id: string;
  role: 'admin' | 'manager' | 'employee';
  timezone: string;
  at: number;
}
