import { type AuditSource, auditChange } from '@worktide/audit';
import { type Pool, type Queryable, tenantTransaction } from '@worktide/postgres';
import { type Caller, forbidden, notFound } from '@worktide/runtime';
import {
  type KnownOrganization,
  type Organization,
  type OrganizationChange,
  organizationSettings,
  privacyRules,
  type SubscriptionStatus,
} from '@worktide/schemas';
import { findAccount } from '../accounts/accounts.ts';
import type { AuthContext } from '../context.ts';
import { lockOrganization } from './plans.ts';

export interface OrganizationRow {
  id: string;
  name: string;
  timezone: string;
  subscription_status: SubscriptionStatus;
  settings: unknown;
  privacy: unknown;
  deletion_at: Date | null;
  created_at: Date;
}

export const organizationColumns =
  'id, name, timezone, subscription_status, settings, privacy, deletion_at, created_at';
const columns = organizationColumns;

export const toOrganization = (row: OrganizationRow): Organization => ({
  id: row.id,
  name: row.name,
  timezone: row.timezone,
  subscriptionStatus: row.subscription_status,
  settings: organizationSettings.parse(row.settings),
  deletionAt: row.deletion_at?.toISOString() ?? null,
  createdAt: row.created_at.toISOString(),
});

async function findRow(client: Queryable, organizationId: string): Promise<OrganizationRow | undefined> {
  const { rows } = await client.query<OrganizationRow>(`SELECT ${columns} FROM auth.organizations WHERE id = $1`, [
    organizationId,
  ]);
  return rows[0];
}

async function find(client: Queryable, organizationId: string): Promise<Organization | undefined> {
  const row = await findRow(client, organizationId);
  return row && toOrganization(row);
}

/** The caller's organisation. Rejects 503. */
export async function getOrganization(pool: Pool, caller: Caller): Promise<Organization> {
  const { organizationId } = caller;
  const found = await tenantTransaction(pool, organizationId, (client) => find(client, organizationId));
  if (!found) throw notFound();
  return found;
}

/** For other services: undefined where there is none. Rejects 503. */
export async function findOrganization(pool: Pool, organizationId: string): Promise<KnownOrganization | undefined> {
  const found = await tenantTransaction(pool, organizationId, (client) => findRow(client, organizationId));
  if (!found) return undefined;
  const { id, timezone, subscriptionStatus, settings } = toOrganization(found);
  return { id, timezone, subscriptionStatus, settings, privacy: privacyRules.parse(found.privacy) };
}

/**
 * Changes what is named of the caller's organisation; of the settings only what was ever changed is stored, so that
 * defaults may move. Others learn of it by the feed. Rejects 403 for a caller who is no admin any more, 503.
 */
export function changeOrganization(
  context: AuthContext,
  caller: Caller,
  change: OrganizationChange,
  source: AuditSource,
): Promise<Organization> {
  const { organizationId } = caller;
  return context.act(organizationId, async ({ client, audit, revoke }) => {
    await lockOrganization(client, organizationId);
    const asking = await findAccount(client, organizationId, caller.userId);
    if (asking?.role !== 'admin' || asking.status !== 'active') throw forbidden();
    const before = (await find(client, organizationId))!;
    const { rows } = await client.query<OrganizationRow & { at: number }>(
      `UPDATE auth.organizations
       SET name = coalesce($2, name), timezone = coalesce($3, timezone), settings = settings || $4,
         privacy_version = privacy_version + ($5::int <> $6::int)::int, updated_at = now()
       WHERE id = $1
       RETURNING ${columns}, floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint AS at`,
      [
        organizationId,
        change.name ?? null,
        change.timezone ?? null,
        JSON.stringify(change.settings ?? {}),
        // The blur is shown among the rules of privacy: who read these before is told so.
        before.settings.minimumBlurLevel,
        change.settings?.minimumBlurLevel ?? before.settings.minimumBlurLevel,
      ],
    );
    const { at } = rows[0]!;
    const after = toOrganization(rows[0]!);
    const changed = auditChange(flat(before), flat(after));
    if (Object.keys(changed.after).length === 0) return after;
    revoke([{ kind: 'organization', id: organizationId, organizationId, at }]);
    audit(organizationId, source, {
      action: 'organization.changed',
      entityType: 'organization',
      entityId: organizationId,
      ...changed,
    });
    return after;
  });
}

/** Setting by setting, so that the audit trail shows the one that changed. */
const flat = ({ name, timezone, settings }: Organization): Record<string, unknown> => ({
  name,
  timezone,
  ...Object.fromEntries(Object.entries(settings).map(([key, value]) => [`settings.${key}`, value])),
});
