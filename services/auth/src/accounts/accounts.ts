import type { Queryable } from '@worktide/postgres';
import {
  type Account,
  organizationSettings,
  type Pause,
  type Revocation,
  type SubscriptionStatus,
  type User,
} from '@worktide/schemas';

/** Columns of `users u JOIN organizations o` that make an account, and the database's time of reading them. */
export const accountColumns = `
  u.organization_id, u.id AS user_id, u.email, u.name, u.role, u.status, u.timezone, u.profile,
  u.verified_at IS NOT NULL AS verified, u.last_seen_at, u.created_at, u.paused_from, u.paused_until,
  o.name AS organization_name, o.timezone AS organization_timezone, o.subscription_status, o.settings,
  o.deletion_at, o.created_at AS organization_created_at,
  floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint AS read_at_ms`;

/** Columns of `users` that make a user. */
export const userColumns = `organization_id, id, email, name, role, status, timezone, profile,
  verified_at IS NOT NULL AS verified, last_seen_at, created_at, paused_from, paused_until`;

export interface UserRow {
  organization_id: string;
  id: string;
  /** Null of a deleted user, who is never a caller: only `/internal/users` finds those, and shows no address. */
  email: string;
  name: string;
  role: User['role'];
  status: User['status'];
  timezone: string;
  profile: User['profile'];
  verified: boolean;
  last_seen_at: Date | null;
  created_at: Date;
  paused_from: Date | null;
  paused_until: Date | null;
}

export interface AccountRow extends Omit<UserRow, 'id'> {
  user_id: string;
  organization_name: string;
  organization_timezone: string;
  subscription_status: SubscriptionStatus;
  settings: unknown;
  deletion_at: Date | null;
  organization_created_at: Date;
  read_at_ms: number;
}

/** As the public interface shows it. */
export const toUser = (row: UserRow): User => ({
  id: row.id,
  organizationId: row.organization_id,
  email: row.email,
  name: row.name,
  role: row.role,
  status: row.status,
  verified: row.verified,
  timezone: row.timezone,
  profile: row.profile,
  lastSeenAt: row.last_seen_at?.toISOString() ?? null,
  createdAt: row.created_at.toISOString(),
});

/** The user's last pause. */
export const pauseOf = (row: Pick<UserRow, 'paused_from' | 'paused_until'>): Pause | undefined =>
  row.paused_from && row.paused_until
    ? { from: row.paused_from.getTime(), until: row.paused_until.getTime() }
    : undefined;

type UserState = Omit<Extract<Revocation, { kind: 'user' }>, 'kind' | 'id' | 'organizationId' | 'at'>;

/** What the feed tells of a user: all of it each time, for the newest counts alone. */
export function userState(
  row: Pick<UserRow, 'role' | 'timezone' | 'status' | 'verified' | 'paused_from' | 'paused_until'>,
): UserState {
  const { role, timezone, status, verified } = row;
  const pause = pauseOf(row);
  return { role, timezone, status, ...(verified ? {} : { unverified: true as const }), ...(pause ? { pause } : {}) };
}

/** As the public interface shows it. */
export function toAccount(row: AccountRow): Account {
  return {
    user: toUser({ ...row, id: row.user_id }),
    organization: {
      id: row.organization_id,
      name: row.organization_name,
      timezone: row.organization_timezone,
      subscriptionStatus: row.subscription_status,
      settings: organizationSettings.parse(row.settings),
      deletionAt: row.deletion_at?.toISOString() ?? null,
      createdAt: row.organization_created_at.toISOString(),
    },
  };
}

/**
 * A user with their organisation; undefined where there is none.
 * @param lock either holds off changes of the user (status, role, password) until the transaction ends; a transaction
 *   that goes on to change the user itself takes the second, else two of them wait for each other.
 */
export async function findAccount(
  client: Queryable,
  organizationId: string,
  userId: string,
  lock: '' | 'FOR SHARE OF u' | 'FOR NO KEY UPDATE OF u' = '',
): Promise<AccountRow | undefined> {
  const { rows } = await client.query<AccountRow>(
    `SELECT ${accountColumns} FROM auth.users u JOIN auth.organizations o ON o.id = u.organization_id
     WHERE u.organization_id = $1 AND u.id = $2 ${lock}`,
    [organizationId, userId],
  );
  return rows[0];
}
