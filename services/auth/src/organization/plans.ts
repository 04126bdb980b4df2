import type { Queryable } from '@worktide/postgres';
import { conflict, notFound } from '@worktide/runtime';
import { type SubscriptionStatus, subscriptionStatus } from '@worktide/schemas';
import { z } from 'zod';

/** People that an organisation may have at once, by its plan; null is unlimited. */
export type Seats = Readonly<Record<SubscriptionStatus, number | null>>;

/** U7. */
export const defaultSeats: Seats = { free: 5, trial: 500, pro: 500, enterprise: null };

const seatChanges = z.partialRecord(subscriptionStatus, z.int().min(1).nullable());

/** The table as an operator may set it: JSON of the plans that differ, `{"free": 10, "pro": null}`. */
export const planSeats = z
  .string()
  .default('{}')
  .transform((text, problems): unknown => {
    try {
      return JSON.parse(text);
    } catch {
      problems.addIssue({ code: 'custom', message: 'not JSON, like {"free": 10}' });
      return z.NEVER;
    }
  })
  .pipe(seatChanges)
  .transform((changes): Seats => ({ ...defaultSeats, ...changes }));

/**
 * For a transaction about to let somebody in: resolves where the plan has a seat left, and keeps it until the
 * transaction ends, since all who come in, or change who is in, take turns on the organisation's row. Everybody who is
 * not `inactive` or deleted has a seat. Call it before any user is locked.
 * @throws 409 `SEAT_LIMIT`; 404 where there is no such organisation.
 */
export type RequireSeat = (client: Queryable, organizationId: string) => Promise<void>;

export const createRequireSeat =
  (seats: Seats): RequireSeat =>
  async (client, organizationId) => {
    const plan = await lockOrganization(client, organizationId);
    if (plan === undefined) throw notFound();
    const limit = seats[plan];
    if (limit === null) return;
    // A statement of its own: its snapshot is from after the wait, and sees whom others let in meanwhile.
    const { rows } = await client.query<{ taken: number }>(
      `SELECT count(*) AS taken FROM auth.users
       WHERE organization_id = $1 AND deleted_at IS NULL AND status <> 'inactive'`,
      [organizationId],
    );
    if (rows[0]!.taken >= limit) {
      throw conflict('SEAT_LIMIT', `The plan of this organisation has ${limit} seats, and all are taken.`);
    }
  };

/** Makes all who change an organisation, its plan or who is in it take turns. Gives its plan; undefined for none. */
export async function lockOrganization(
  client: Queryable,
  organizationId: string,
): Promise<SubscriptionStatus | undefined> {
  // Not FOR UPDATE: that would hold up log-ins, whose rows refer to the organisation.
  const { rows } = await client.query<{ plan: SubscriptionStatus }>(
    'SELECT subscription_status AS plan FROM auth.organizations WHERE id = $1 FOR NO KEY UPDATE',
    [organizationId],
  );
  return rows[0]?.plan;
}
