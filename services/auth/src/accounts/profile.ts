import { type AuditSource, auditChange } from '@worktide/audit';
import { type Caller, unauthorized } from '@worktide/runtime';
import type { ProfileChange } from '@worktide/schemas';
import type { AuthContext } from '../context.ts';
import { type AccountRow, findAccount, userState } from './accounts.ts';

/**
 * Changes the caller's own name, timezone or profile. A new timezone goes out with the revocation feed, so that tokens and keys
 * in use have it within seconds. Rejects 503.
 */
export function changeProfile(
  context: AuthContext,
  caller: Caller,
  change: ProfileChange,
  source: AuditSource,
): Promise<AccountRow> {
  const { organizationId, userId } = caller;
  return context.act(organizationId, async ({ client, audit, revoke }) => {
    const before = await findAccount(client, organizationId, userId, 'FOR NO KEY UPDATE OF u');
    // Deleted since the credential was checked.
    if (before?.status !== 'active') throw unauthorized();
    const { rows } = await client.query<{ at: number }>(
      `UPDATE auth.users SET name = coalesce($3, name), timezone = coalesce($4, timezone),
         profile = jsonb_strip_nulls(profile || $5)
       WHERE organization_id = $1 AND id = $2
       RETURNING floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint AS at`,
      [organizationId, userId, change.name ?? null, change.timezone ?? null, JSON.stringify(change.profile ?? {})],
    );
    const account = (await findAccount(client, organizationId, userId))!;
    if (account.timezone !== before.timezone) {
      revoke([{ kind: 'user', id: userId, organizationId, at: rows[0]!.at, ...userState(account) }]);
    }
    const changed = auditChange(shown(before), shown(account));
    if (Object.keys(changed.after).length > 0) {
      audit(organizationId, source, { action: 'user.changed', entityType: 'user', entityId: userId, ...changed });
    }
    return account;
  });
}

const profileFields = ['firstName', 'lastName', 'avatarUrl'] as const;

const shown = ({ name, timezone, profile }: AccountRow): Record<string, unknown> => ({
  name,
  timezone,
  ...Object.fromEntries(profileFields.map((field) => [`profile.${field}`, profile[field] ?? null])),
});
