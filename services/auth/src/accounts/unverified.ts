import { systemSource } from '@worktide/audit';
import type { Queryable } from '@worktide/postgres';
import type { Act, Action } from '../action.ts';
import { endSessions } from '../sessions/sessions.ts';

/** How long an account may go without its address being proven; then it is gone. */
export const unverifiedHours = 24;

/** Accounts removed in one transaction. */
const batch = 100;

interface Unverified {
  organization_id: string;
  id: string;
  organization_name: string;
}

/**
 * Removes registrations that named an address which now is somebody else's, each with its organisation: it has nobody
 * and nothing else in it. Their sessions are over everywhere.
 * @param keep the account that has the address.
 */
export async function removeOtherClaims(
  action: Action,
  email: string,
  keep: { organizationId: string; userId: string },
): Promise<void> {
  const { rows } = await action.client.query<Unverified>(
    `SELECT ${columns} FROM ${tables}
     WHERE u.email = $1 AND u.verified_at IS NULL AND (u.organization_id, u.id) <> ($2, $3) FOR UPDATE`,
    [email, keep.organizationId, keep.userId],
  );
  for (const row of rows) await remove(action, row, 'the address is proven to be somebody else’s');
}

/** Removes accounts whose address was not proven in time. Several replicas may do it at once. */
export async function removeUnverified(act: Act): Promise<void> {
  for (let removed = batch; removed === batch; ) {
    removed = await act(null, async (action) => {
      const { rows } = await action.client.query<Unverified>(
        `SELECT ${columns} FROM ${tables}
         WHERE u.verified_at IS NULL AND u.created_at < clock_timestamp() - interval '${unverifiedHours} hours'
         ORDER BY u.organization_id LIMIT ${batch} FOR UPDATE`,
      );
      for (const row of rows) await remove(action, row, 'the address was not proven within a day');
      return rows.length;
    });
  }
}

const columns = 'u.organization_id, u.id, o.name AS organization_name';
const tables = 'auth.users u JOIN auth.organizations o ON o.id = u.organization_id';

async function remove(action: Action, row: Unverified, reason: string): Promise<void> {
  const { organization_id: organizationId, id: userId } = row;
  await endSessions(action, { organizationId, userId }, 'all', 'deleted');
  await action.client.query('DELETE FROM auth.organizations WHERE id = $1', [organizationId]);
  action.audit(organizationId, systemSource, {
    action: 'organization.deleted',
    entityType: 'organization',
    entityId: organizationId,
    before: { name: row.organization_name },
    after: { reason },
  });
}

/** The account that an address means: the one that has proven it, or else the newest that says so. For log-in and resets. */
export const firstOfAddress = 'ORDER BY verified_at IS NULL, id DESC LIMIT 1';

/** Whether an account has proven that the address is its own. */
export async function isTaken(client: Queryable, email: string): Promise<boolean> {
  const { rowCount } = await client.query('SELECT 1 FROM auth.users WHERE email = $1 AND verified_at IS NOT NULL', [
    email,
  ]);
  return rowCount !== 0;
}
