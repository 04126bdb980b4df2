import type { AuditSource } from '@worktide/audit';
import { type Pool, type Queryable, tenantTransaction } from '@worktide/postgres';
import { type Caller, conflict, decodeCursor, forbidden, notFound, pageOf, type Role, uuidv7 } from '@worktide/runtime';
import type { Invitation, invitationPage, listQuery } from '@worktide/schemas';
import type { z } from 'zod';
import type { AuthContext } from '../context.ts';
import { queueMail } from '../mail/queue.ts';
import { dropTokens, tokenHours } from '../mail/tokens.ts';
import { lockOrganization } from '../organization/plans.ts';

/** More than any company sends at a time, and a bound on who would send mail to the world through us. */
export const maxPendingInvitations = 1_000;

interface InvitationRow {
  id: string;
  email: string;
  role: Role;
  invited_by: string;
  created_at: Date;
  expires_at: Date;
  is_pending: boolean;
}

const columns = 'id, email, role, invited_by, created_at, expires_at, expires_at > clock_timestamp() AS is_pending';

const toInvitation = (row: InvitationRow): Invitation => ({
  id: row.id,
  email: row.email,
  role: row.role,
  status: row.is_pending ? 'pending' : 'expired',
  invitedBy: row.invited_by,
  createdAt: row.created_at.toISOString(),
  expiresAt: row.expires_at.toISOString(),
});

// Also for renewing and revoking: what a manager may not give, a manager may not take either.
function requireRight(caller: Caller, role: Role): void {
  if (role === 'admin' && caller.role !== 'admin') throw forbidden('Only an administrator invites administrators.');
}

/**
 * Invites an address, or renews the open invitation for it: the same id, another mail, the role as given now, and links
 * sent before are dead. Only the caller's organisation is looked at, so an address with an account elsewhere is like
 * one without; who accepts is told.
 * @throws 403 for a manager and the role admin; 409 `ALREADY_MEMBER`, `SEAT_LIMIT`, `TOO_MANY_INVITATIONS`; 503.
 */
export async function invite(
  context: AuthContext,
  caller: Caller,
  { email, role }: { email: string; role: Role },
  source: AuditSource,
): Promise<Invitation> {
  requireRight(caller, role);
  const { organizationId } = caller;
  const invitation = await context.act(organizationId, async ({ client, audit }) => {
    // One organisation's invitations are made one after the other, so that the count holds.
    await lockOrganization(client, organizationId);
    await requireRole(client, caller, role);
    const { rowCount: isMember } = await client.query(
      'SELECT 1 FROM auth.users WHERE organization_id = $1 AND email = $2',
      [organizationId, email],
    );
    if (isMember) throw conflict('ALREADY_MEMBER', 'This address belongs to somebody in your organisation.');
    await context.requireSeat(client, organizationId);
    const before = await findOpen(client, organizationId, 'email', email);
    if (before) requireRight(caller, before.role);
    if (!before?.is_pending) await requireRoom(client, organizationId);
    const after = before ? await renew(client, caller, before.id, role) : await insert(client, caller, email, role);
    if (before) await dropTokens(client, 'invitation', { organizationId, subjectId: before.id });
    await queueMail(client, { organizationId, kind: 'invitation', subjectId: after.id, recipient: email });
    audit(organizationId, source, {
      action: before ? 'invitation.renewed' : 'invitation.created',
      entityType: 'invitation',
      entityId: after.id,
      ...(before ? { before: { role: before.role } } : {}),
      after: { email, role },
    });
    return toInvitation(after);
  });
  context.mailer.wake();
  return invitation;
}

// Under the lock of all who change roles: who was demoted or suspended a moment ago invites nobody any more.
async function requireRole(client: Queryable, { organizationId, userId }: Caller, invited: Role): Promise<void> {
  const { rows } = await client.query<{ role: Role }>(
    `SELECT role FROM auth.users WHERE organization_id = $1 AND id = $2 AND status = 'active' AND deleted_at IS NULL`,
    [organizationId, userId],
  );
  const role = rows[0]?.role ?? 'employee';
  if (role === 'employee' || (role === 'manager' && invited === 'admin')) throw forbidden();
}

async function findOpen(
  client: Queryable,
  organizationId: string,
  by: 'id' | 'email',
  value: string,
): Promise<InvitationRow | undefined> {
  const { rows } = await client.query<InvitationRow>(
    `SELECT ${columns} FROM auth.invitations
     WHERE organization_id = $1 AND ${by} = $2 AND accepted_at IS NULL AND revoked_at IS NULL FOR NO KEY UPDATE`,
    [organizationId, value],
  );
  return rows[0];
}

async function requireRoom(client: Queryable, organizationId: string): Promise<void> {
  const { rows } = await client.query<{ pending: number }>(
    `SELECT count(*) AS pending FROM auth.invitations
     WHERE organization_id = $1 AND accepted_at IS NULL AND revoked_at IS NULL AND expires_at > clock_timestamp()`,
    [organizationId],
  );
  if (rows[0]!.pending < maxPendingInvitations) return;
  throw conflict(
    'TOO_MANY_INVITATIONS',
    `An organisation has at most ${maxPendingInvitations} pending invitations; revoke some first.`,
  );
}

// The mail's sending moves the expiry ahead once more, so that a mail that waited is good for as long.
const expiry = `clock_timestamp() + interval '${tokenHours.invitation} hours'`;

async function insert(client: Queryable, caller: Caller, email: string, role: Role): Promise<InvitationRow> {
  const { rows } = await client.query<InvitationRow>(
    `INSERT INTO auth.invitations (organization_id, id, email, role, invited_by, expires_at)
     VALUES ($1, $2, $3, $4, $5, ${expiry}) RETURNING ${columns}`,
    [caller.organizationId, uuidv7(), email, role, caller.userId],
  );
  return rows[0]!;
}

async function renew(client: Queryable, caller: Caller, id: string, role: Role): Promise<InvitationRow> {
  const { rows } = await client.query<InvitationRow>(
    `UPDATE auth.invitations SET role = $3, invited_by = $4, expires_at = ${expiry}
     WHERE organization_id = $1 AND id = $2 RETURNING ${columns}`,
    [caller.organizationId, id, role, caller.userId],
  );
  return rows[0]!;
}

/** Invitations that are neither accepted nor revoked, newest first. Rejects 400 for a bad cursor, 503. */
export async function listInvitations(
  pool: Pool,
  { organizationId }: Caller,
  query: z.output<typeof listQuery>,
  signal: AbortSignal,
): Promise<z.output<typeof invitationPage>> {
  const list = ['invitations', organizationId];
  const after = decodeCursor(query.cursor, list);
  const { rows } = await tenantTransaction(
    pool,
    organizationId,
    (client) =>
      client.query<InvitationRow>(
        `SELECT ${columns} FROM auth.invitations
       WHERE organization_id = $1 AND accepted_at IS NULL AND revoked_at IS NULL AND ($2::uuid IS NULL OR id < $2)
       ORDER BY id DESC LIMIT $3`,
        [organizationId, after, query.limit + 1],
      ),
    { signal },
  );
  return pageOf(rows, query.limit, list, { idOf: ({ id }) => id, show: toInvitation });
}

/** Revokes an open invitation: its links are dead. @throws 403 for a manager and the role admin; 404; 503. */
export async function revokeInvitation(
  context: AuthContext,
  caller: Caller,
  id: string,
  source: AuditSource,
): Promise<void> {
  const { organizationId } = caller;
  await context.act(organizationId, async ({ client, audit }) => {
    const before = await findOpen(client, organizationId, 'id', id);
    if (!before) throw notFound();
    requireRight(caller, before.role);
    await client.query(
      'UPDATE auth.invitations SET revoked_at = clock_timestamp() WHERE organization_id = $1 AND id = $2',
      [organizationId, id],
    );
    await dropTokens(client, 'invitation', { organizationId, subjectId: id });
    audit(organizationId, source, {
      action: 'invitation.revoked',
      entityType: 'invitation',
      entityId: id,
      before: { email: before.email, role: before.role },
    });
  });
}

/** Invitations that nobody asks about any more: a month after they were accepted, revoked, or expired. */
export async function pruneInvitations(client: Queryable): Promise<void> {
  await client.query(
    `DELETE FROM auth.invitations WHERE coalesce(accepted_at, revoked_at, expires_at) < now() - interval '30 days'`,
  );
}
