import { z } from 'zod';
import { organizationSettings, role, subscriptionStatus, userStatus } from './auth.ts';
import { eventDeviceId, id, instantMs } from './common.ts';
import { pause, privacyRules } from './privacy.ts';

/** What auth tells the other services, and what an access token says. Not part of the public interface. */

export const tokenIssuer = 'worktide';

/** Claims of an access token (JWT, EdDSA). */
export const accessTokenClaims = z.object({
  iss: z.literal(tokenIssuer),
  sub: id,
  org: id,
  role,
  sid: id,
  /** IANA zone of the user. */
  tz: z.string().min(1).max(64),
  /** Device that pings of this session belong to where they name none. */
  dev: eventDeviceId.optional(),
  /** Set where the address was not proven when it was made. */
  unv: z.literal(true).optional(),
  /** The last pause that the user set, as it was when this was made. */
  pse: pause.optional(),
  /** Seconds, with a fraction: a token made just after a revocation must be told from one made just before. */
  iat: z.number().positive(),
  exp: z.number().positive(),
});
export type AccessTokenClaims = z.output<typeof accessTokenClaims>;

/** Keys asked about in one request. */
export const maxResolvedCredentials = 200;
/** SHA-256 of agent keys in hex: the keys themselves stay in the service they were sent to. */
export const resolveCredentials = z.object({
  keyHashes: z
    .array(z.string().regex(/^[0-9a-f]{64}$/))
    .min(1)
    .max(maxResolvedCredentials),
  /** For each, from where it was used, as `addressGroup`; its owner is shown the last. */
  from: z.array(z.string().max(64)).max(maxResolvedCredentials).default([]),
});

export const resolvedAgentKey = z.object({
  agentKeyId: id,
  organizationId: id,
  userId: id,
  role,
  timezone: z.string(),
  deviceId: eventDeviceId,
  /** Epoch milliseconds; null for never. */
  expiresAt: z.number().nullable().default(null),
  pause: pause.optional(),
});
/** In the order asked. `null`: no such key, revoked, expired, or its user is not active. */
export const resolvedCredentials = z.object({ credentials: z.array(resolvedAgentKey.nullable()) });

/** Also a deleted user, as `inactive`: reports of former colleagues stay readable. */
export const knownUser = z.object({
  id,
  organizationId: id,
  name: z.string(),
  role,
  timezone: z.string(),
  status: userStatus,
});
export type KnownUser = z.output<typeof knownUser>;
export const foundUser = z.object({ user: knownUser.nullable() });

/** Addresses asked about in one request. */
export const maxAskedAddresses = 200;
export const askPeople = z.object({ organizationId: id, emails: z.array(z.string().max(320)).max(maxAskedAddresses) });
/** Who of the organisation has a proven address of those asked, as it was asked. */
export const foundPeople = z.object({
  people: z.array(z.object({ email: z.string(), id, name: z.string(), timezone: z.string() })),
});

/** What other services know of an organisation: its plan and its settings. */
export const knownOrganization = z.object({
  id,
  timezone: z.string(),
  subscriptionStatus,
  settings: organizationSettings,
  /** An auth from before there were any knows of none. */
  privacy: privacyRules.optional(),
});
export type KnownOrganization = z.output<typeof knownOrganization>;
export const foundOrganization = z.object({ organization: knownOrganization.nullable() });

/**
 * One entry of the revocation feed. Applying it twice, or late, changes nothing.
 * - `session`, `agent-key`: `id` is refused from now on.
 * - `user`: the user `id` is now as said; access tokens from before `at` are to be read so, or refused if not active.
 * - `organization`: plan or settings of the organisation `id` have changed; whoever remembers them asks again.
 */
export const revocation = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('session'), id, organizationId: id, at: instantMs }),
  z.object({ kind: z.literal('agent-key'), id, organizationId: id, at: instantMs }),
  z.object({ kind: z.literal('organization'), id, organizationId: id, at: instantMs }),
  z.object({
    kind: z.literal('user'),
    id,
    organizationId: id,
    at: instantMs,
    role,
    timezone: z.string(),
    status: userStatus,
    /** Absent where the address is proven. */
    unverified: z.literal(true).optional(),
    /** Absent where they never paused. */
    pause: pause.optional(),
  }),
]);
export type Revocation = z.output<typeof revocation>;

export const revocationQuery = z.object({
  /** `cursor` of an earlier answer; without it the answer is everything still of interest. */
  after: z
    .string()
    .regex(/^\d{1,19}$/)
    .optional(),
  /** `nextPage` of the answer before, with the same `after`. */
  page: z
    .string()
    .regex(/^\d{1,18}$/)
    .optional(),
});

export const revocationPage = z.object({
  items: z.array(revocation),
  /** To go on from, once every page has been read; that of the first page counts. */
  cursor: z.string(),
  nextPage: z.string().nullable(),
});

/** When people were last seen at work, from whoever follows what their devices send. An older one changes nothing. */
export const maxPeopleSeen = 1_000;
export const peopleSeen = z.object({
  people: z.array(z.object({ organizationId: id, userId: id, at: instantMs })).max(maxPeopleSeen),
});
export const peopleSeenAnswer = z.object({ noted: z.int() });

/** Key-value channel on which auth pushes `revocation[]` after the commit; the feed has them too. */
export const revocationChannel = 'revocations';
export const revocationMessage = z.array(revocation);
