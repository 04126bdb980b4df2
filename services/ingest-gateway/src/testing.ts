import { type Caller, unavailable } from '@worktide/runtime';
import { type KnownOrganization, organizationSettings, type Pause, type PrivacyRules } from '@worktide/schemas';

/** Who calls in this service's tests. */

export const caller: Caller = {
  organizationId: '019cd7a0-0000-7000-8000-00000000000a',
  userId: '019cd7a0-0000-7000-8000-00000000000b',
  role: 'employee',
  timezone: 'UTC',
  agentKeyId: 'k',
  deviceId: 'laptop',
};

/** Somebody by number, in an organisation by number. */
export const bearer = (organization: number, user = 0): string => `Bearer ${organization}/${user}`;
const idOf = (n: string): string => `019cd7a0-0000-7000-8000-${n.padStart(12, '0')}`;

/** Who stands behind a `bearer`; undefined where it is none. */
export function numberedCaller(authorization = ''): Caller | undefined {
  const [, organization, user] = /^Bearer (\d+)\/(\d+)$/.exec(authorization) ?? [];
  if (!organization || !user) return undefined;
  return { ...caller, organizationId: idOf(organization), userId: idOf(`${organization}${user.padStart(6, '0')}`) };
}

/** What auth says of everybody in a test, which may change it. */
export interface PrivacyOfAll {
  rules?: PrivacyRules | undefined;
  pause?: Pause | undefined;
  /** Auth tells of no organisation. */
  away?: boolean;
}

export const organizationUnder =
  (given: PrivacyOfAll) =>
  async (id: string): Promise<KnownOrganization> => {
    if (given.away) throw unavailable('auth');
    const settings = organizationSettings.parse({});
    const { rules: privacy } = given;
    return { id, timezone: 'UTC', subscriptionStatus: 'pro', settings, ...(privacy ? { privacy } : {}) };
  };
