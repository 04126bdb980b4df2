import { type AuditSource, auditChange } from '@worktide/audit';
import { type Pool, type Queryable, tenantTransaction } from '@worktide/postgres';
import { type Caller, conflict, forbidden, notFound } from '@worktide/runtime';
import { organizationSettings, type Privacy, type PrivacyChange, privacyRules } from '@worktide/schemas';
import { findAccount } from '../accounts/accounts.ts';
import type { AuthContext } from '../context.ts';
import { lockOrganization } from '../organization/plans.ts';

interface Row {
  privacy: unknown;
  privacy_version: number;
  settings: unknown;
}

const columns = 'privacy, privacy_version, settings';

const toPrivacy = ({ privacy, privacy_version: version, settings }: Row): Privacy => ({
  ...privacyRules.parse(privacy),
  minimumBlurLevel: organizationSettings.parse(settings).minimumBlurLevel,
  version,
});

async function find(client: Queryable, organizationId: string): Promise<Privacy> {
  const { rows } = await client.query<Row>(`SELECT ${columns} FROM auth.organizations WHERE id = $1`, [organizationId]);
  if (!rows[0]) throw notFound();
  return toPrivacy(rows[0]);
}

/** What the caller's organisation decided. Rejects 503. */
export const getPrivacy = (pool: Pool, { organizationId }: Caller): Promise<Privacy> =>
  tenantTransaction(pool, organizationId, (client) => find(client, organizationId));

/**
 * Puts other rules in the place of all that there are. Others learn of it by the feed of settings.
 * @throws 409 `STALE_VERSION` where they were changed since they were read; 403 for a caller who is no admin any more; 503.
 */
export function changePrivacy(
  context: AuthContext,
  caller: Caller,
  { version, minimumBlurLevel, ...rules }: PrivacyChange,
  source: AuditSource,
): Promise<Privacy> {
  const { organizationId } = caller;
  return context.act(organizationId, async ({ client, audit, revoke }) => {
    await lockOrganization(client, organizationId);
    const asking = await findAccount(client, organizationId, caller.userId);
    if (asking?.role !== 'admin' || asking.status !== 'active') throw forbidden();
    const before = await find(client, organizationId);
    if (before.version !== version) {
      throw conflict('STALE_VERSION', `It has changed since: version ${before.version} is the present one.`);
    }
    const settings = minimumBlurLevel === undefined ? {} : { minimumBlurLevel };
    const { rows } = await client.query<Row & { at: number }>(
      `UPDATE auth.organizations
       SET privacy = $2, settings = settings || $3, privacy_version = privacy_version + 1, updated_at = now()
       WHERE id = $1
       RETURNING ${columns}, floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint AS at`,
      [organizationId, JSON.stringify(rules), JSON.stringify(settings)],
    );
    const after = toPrivacy(rows[0]!);
    revoke([{ kind: 'organization', id: organizationId, organizationId, at: rows[0]!.at }]);
    audit(organizationId, source, {
      action: 'privacy.changed',
      entityType: 'organization',
      entityId: organizationId,
      ...auditChange(flat(before), flat(after)),
    });
    return after;
  });
}

const flat = ({ version, ...privacy }: Privacy): Record<string, unknown> => ({ version, ...privacy });
