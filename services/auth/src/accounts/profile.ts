import { transaction } from '@worktide/postgres';
import { type Caller, unauthorized } from '@worktide/runtime';
import type { ProfileChange, Revocation } from '@worktide/schemas';
import type { AuthContext } from '../context.ts';
import { pushRevocations, recordRevocations } from '../revocations/revocations.ts';
import { type AccountRow, findAccount } from './accounts.ts';

/**
 * Changes the caller's own name or timezone. A new timezone goes out with the revocation feed, so that tokens and keys
 * in use have it within seconds. Rejects 503.
 */
export async function changeProfile(context: AuthContext, caller: Caller, change: ProfileChange): Promise<AccountRow> {
  const { organizationId, userId } = caller;
  const { account, revocations } = await transaction(context.pool, async (client) => {
    const before = await findAccount(client, organizationId, userId, 'FOR NO KEY UPDATE OF u');
    if (!before) throw unauthorized();
    const { rows } = await client.query<{ at: number }>(
      `UPDATE auth.users SET name = coalesce($3, name), timezone = coalesce($4, timezone)
       WHERE organization_id = $1 AND id = $2
       RETURNING floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint AS at`,
      [organizationId, userId, change.name ?? null, change.timezone ?? null],
    );
    const account = (await findAccount(client, organizationId, userId))!;
    const { role, timezone, status } = account;
    const state: Revocation = { kind: 'user', id: userId, organizationId, at: rows[0]!.at, role, timezone, status };
    const revocations = timezone === before.timezone ? [] : [state];
    await recordRevocations(client, revocations);
    return { account, revocations };
  });
  pushRevocations(context.keyValue, context.log, revocations);
  return account;
}
