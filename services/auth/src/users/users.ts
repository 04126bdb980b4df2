import { domainToASCII } from 'node:url';
import { type AuditAction, type AuditSource, auditChange } from '@worktide/audit';
import { type Pool, type Queryable, tenantTransaction } from '@worktide/postgres';
import { type Caller, conflict, decodeCursor, forbidden, notFound, pageOf } from '@worktide/runtime';
import type * as schemas from '@worktide/schemas';
import type { User, UserChange, UserStatus } from '@worktide/schemas';
import type { z } from 'zod';
import { toUser, type UserRow, userColumns, userState } from '../accounts/accounts.ts';
import { revokeAgentKeys } from '../agent-keys/agent-keys.ts';
import type { AuthContext } from '../context.ts';
import { dropTokens } from '../mail/tokens.ts';
import { lockOrganization } from '../organization/plans.ts';
import { endSessions } from '../sessions/sessions.ts';

/** An address or a part of its domain as they are stored, in ASCII; null for what is neither, or is so already. */
function storedForm(text: string): string | null {
  const at = text.lastIndexOf('@');
  const given = text.slice(at + 1);
  const domain = /\P{ASCII}/u.test(given) ? domainToASCII(given) : '';
  return domain === '' ? null : text.slice(0, at + 1).toLowerCase() + domain;
}

/** People of the caller's organisation, newest first; deleted ones are not there. Rejects 400 for a bad cursor, 503. */
export async function listUsers(
  pool: Pool,
  caller: Caller,
  query: z.output<typeof schemas.userQuery>,
  signal: AbortSignal,
): Promise<z.output<typeof schemas.userPage>> {
  const list = ['users', caller.organizationId, query.role, query.status, query.search];
  const after = decodeCursor(query.cursor, list);
  const search = query.search?.trim().normalize('NFC');
  const rows = await tenantTransaction(
    pool,
    caller.organizationId,
    async (client) => {
      const result = await client.query<UserRow>(
        // Compared as text, not as a pattern: people do look for an underscore.
        `SELECT ${userColumns} FROM auth.users
       WHERE organization_id = $1 AND deleted_at IS NULL AND ($2::uuid IS NULL OR id < $2)
         AND ($3::text IS NULL OR role = $3) AND ($4::text IS NULL OR status = $4)
         AND ($5::text IS NULL OR strpos(lower(name), lower($5)) > 0 OR strpos(email, lower($5)) > 0
           OR strpos(email, $7) > 0)
       ORDER BY id DESC LIMIT $6`,
        [
          caller.organizationId,
          after,
          query.role ?? null,
          query.status ?? null,
          search ?? null,
          query.limit + 1,
          search === undefined ? null : storedForm(search),
        ],
      );
      return result.rows;
    },
    { signal },
  );
  return pageOf(rows, query.limit, list, { idOf: ({ id }) => id, show: toUser });
}

/** Of the caller's organisation. Rejects 404, 403 for an employee who asks for somebody else, 503. */
export async function getUser(pool: Pool, caller: Caller, id: string): Promise<User> {
  const row = await tenantTransaction(pool, caller.organizationId, (client) => find(client, caller.organizationId, id));
  if (!row) throw notFound();
  if (caller.role === 'employee' && row.id !== caller.userId) throw forbidden();
  return toUser(row);
}

async function find(client: Queryable, organizationId: string, id: string, lock = ''): Promise<UserRow | undefined> {
  const { rows } = await client.query<UserRow>(
    `SELECT ${userColumns} FROM auth.users WHERE organization_id = $1 AND id = $2 AND deleted_at IS NULL ${lock}`,
    [organizationId, id],
  );
  return rows[0];
}

/**
 * Changes role or status of somebody in the caller's organisation. What they are now is in the feed; sessions of who is
 * no longer active end, their agent keys are refused for as long.
 * @throws 404; 409 `LAST_ADMIN`, `SEAT_LIMIT` for bringing back an inactive one; 403 for a caller who is no admin any
 *   more; 503.
 */
export function changeUser(
  context: AuthContext,
  caller: Caller,
  userId: string,
  change: UserChange,
  source: AuditSource,
): Promise<User> {
  const { organizationId } = caller;
  return context.act(organizationId, async (action) => {
    const { client } = action;
    const before = await lockUser(client, caller, userId, change);
    const { id } = before;
    const takesSeat = before.status === 'inactive' && (change.status ?? 'inactive') !== 'inactive';
    if (takesSeat) await context.requireSeat(client, organizationId);
    const now = { role: change.role ?? before.role, status: change.status ?? before.status };
    if (now.role === before.role && now.status === before.status) return toUser(before);

    const { rows } = await client.query<UserRow & { at: number }>(
      `UPDATE auth.users SET role = $3, status = $4 WHERE organization_id = $1 AND id = $2
       RETURNING ${userColumns}, floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint AS at`,
      [organizationId, id, now.role, now.status],
    );
    const after = rows[0]!;
    action.revoke([{ kind: 'user', id, organizationId, at: after.at, ...userState(after) }]);
    if (now.status !== 'active') await endSessions(action, { organizationId, userId: id }, 'all', 'not-active');
    action.audit(organizationId, source, ...auditActions(before, after));
    return toUser(after);
  });
}

const statusActions: Record<UserStatus, string> = {
  active: 'user.activated',
  inactive: 'user.deactivated',
  suspended: 'user.suspended',
};

function auditActions(before: UserRow, after: UserRow): AuditAction[] {
  const user = { entityType: 'user', entityId: after.id };
  const actions: AuditAction[] = [];
  if (before.role !== after.role) {
    actions.push({ action: 'user.role-changed', ...user, ...auditChange({ role: before.role }, { role: after.role }) });
  }
  if (before.status !== after.status) {
    const change = auditChange({ status: before.status }, { status: after.status });
    actions.push({ action: statusActions[after.status], ...user, ...change });
  }
  return actions;
}

/**
 * Deletes somebody: the address is free again, the password gone, sessions ended, keys revoked. The row stays, for what
 * they did has their name on it.
 * @throws 404, 409 `LAST_ADMIN`, 403 as `changeUser`, 503.
 */
export function deleteUser(context: AuthContext, caller: Caller, userId: string, source: AuditSource): Promise<void> {
  const { organizationId } = caller;
  return context.act(organizationId, async (action) => {
    const before = await lockUser(action.client, caller, userId, { status: 'inactive' });
    const { id, role, timezone, email, name, status } = before;
    const { rows } = await action.client.query<{ at: number }>(
      `UPDATE auth.users
       SET deleted_at = clock_timestamp(), email = NULL, password_hash = NULL, profile = '{}', status = 'inactive'
       WHERE organization_id = $1 AND id = $2
       RETURNING floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint AS at`,
      [organizationId, id],
    );
    action.revoke([{ kind: 'user', id, organizationId, at: rows[0]!.at, role, timezone, status: 'inactive' }]);
    await endSessions(action, { organizationId, userId: id }, 'all', 'deleted');
    await revokeAgentKeys(action, organizationId, id);
    await dropTokens(action.client, 'password-reset', { organizationId, subjectId: id });
    action.audit(organizationId, source, {
      action: 'user.deleted',
      entityType: 'user',
      entityId: id,
      before: { email, name, role, status },
      after: null,
    });
  });
}

/** The user to be changed, once nobody else changes who is in this organisation and as what. */
async function lockUser(client: Queryable, caller: Caller, id: string, change: UserChange): Promise<UserRow> {
  const { organizationId } = caller;
  await lockOrganization(client, organizationId);
  const before = await find(client, organizationId, id, 'FOR NO KEY UPDATE');
  if (!before) throw notFound();
  const isAdmin = before.role === 'admin' && before.status === 'active';
  const staysAdmin = (change.role ?? 'admin') === 'admin' && (change.status ?? 'active') === 'active';
  if (isAdmin && !staysAdmin) await requireOtherAdmin(client, organizationId, before.id);
  // The credential was checked before the wait: two admins may have demoted each other meanwhile.
  const asking = before.id === caller.userId ? before : await find(client, organizationId, caller.userId);
  if (asking?.role !== 'admin' || asking.status !== 'active') throw forbidden();
  return before;
}

async function requireOtherAdmin(client: Queryable, organizationId: string, id: string): Promise<void> {
  const { rowCount } = await client.query(
    `SELECT 1 FROM auth.users
     WHERE organization_id = $1 AND id <> $2 AND role = 'admin' AND status = 'active' AND deleted_at IS NULL LIMIT 1`,
    [organizationId, id],
  );
  if (!rowCount) throw conflict('LAST_ADMIN', 'An organisation keeps at least one active administrator.');
}
