import type { AuditSource } from '@worktide/audit';
import { type Caller, unauthorized } from '@worktide/runtime';
import type { Pause } from '@worktide/schemas';
import { findAccount, pauseOf, userState } from '../accounts/accounts.ts';
import type { AuthContext } from '../context.ts';

/**
 * Pauses what is recorded of the caller, from now on; a pause that lasts already goes on, to another end. Everybody who takes
 * pings learns of it by the feed. Rejects 503.
 */
export async function setPause(
  context: AuthContext,
  caller: Caller,
  untilMs: number,
  source: AuditSource,
): Promise<Pause> {
  // A pause that was over is not gone on with: what lies between is not part of it.
  return (await change(context, caller, source, {
    action: 'privacy.paused',
    set: `paused_from = CASE WHEN paused_until > clock_timestamp() THEN paused_from ELSE date_trunc('milliseconds', clock_timestamp()) END,
          paused_until = greatest(to_timestamp($3::float8 / 1000), date_trunc('milliseconds', clock_timestamp()))`,
    values: [untilMs],
    where: 'true',
  }))!;
}

/** Ends the caller's pause, if one lasts: what lies in it stays unrecorded, also where it comes later. Rejects 503. */
export async function endPause(context: AuthContext, caller: Caller, source: AuditSource): Promise<void> {
  await change(context, caller, source, {
    action: 'privacy.resumed',
    // The millisecond that has begun is part of it.
    set: `paused_until = date_trunc('milliseconds', clock_timestamp()) + interval '1 millisecond'`,
    values: [],
    where: 'paused_until > clock_timestamp()',
  });
}

function change(
  context: AuthContext,
  { organizationId, userId }: Caller,
  source: AuditSource,
  { action, set, values, where }: { action: string; set: string; values: unknown[]; where: string },
): Promise<Pause | undefined> {
  return context.act(organizationId, async ({ client, audit, revoke }) => {
    const before = await findAccount(client, organizationId, userId, 'FOR NO KEY UPDATE OF u');
    // Deleted since the credential was checked.
    if (before?.status !== 'active') throw unauthorized();
    const { rows } = await client.query<{ at: number }>(
      `UPDATE auth.users SET ${set} WHERE organization_id = $1 AND id = $2 AND ${where}
       RETURNING floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint AS at`,
      [organizationId, userId, ...values],
    );
    if (!rows[0]) return undefined;
    const account = (await findAccount(client, organizationId, userId))!;
    const pause = pauseOf(account)!;
    revoke([{ kind: 'user', id: userId, organizationId, at: rows[0].at, ...userState(account) }]);
    audit(organizationId, source, {
      action,
      entityType: 'user',
      entityId: userId,
      after: { pausedUntil: new Date(pause.until).toISOString() },
    });
    return pause;
  });
}
