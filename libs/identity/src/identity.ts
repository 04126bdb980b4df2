import { hash } from 'node:crypto';
import type { KeyValue } from '@worktide/key-value';
import {
  type Authenticate,
  type Caller,
  describeError,
  type Lifecycle,
  type Logger,
  type Metrics,
  type ReadinessCheck,
  unauthorized,
} from '@worktide/runtime';
import {
  type AccessTokenClaims,
  type KnownOrganization,
  type KnownUser,
  revocationChannel,
  revocationMessage,
  type SubscriptionStatus,
} from '@worktide/schemas';
import { createAgentKeys } from './agent-keys.ts';
import { createAuthClient, type Revocation } from './auth-client.ts';
import { createCache } from './cache.ts';
import { bearerOf, isAgentKey } from './credential.ts';
import { followRevocations } from './feed.ts';
import { createOrganizations } from './organizations.ts';
import { createRevocationList } from './revocations.ts';
import { createKeySet, verifyAccessToken } from './tokens.ts';
import { createUsers } from './users.ts';

export interface IdentityOptions {
  /** Base URL of the auth service, e.g. `http://auth:8081`. */
  authUrl: string;
  internalToken: string;
  log: Logger;
  metrics: Metrics;
  lifecycle: Lifecycle;
  /** Where auth pushes revocations to; without it they are known within two seconds. */
  keyValue?: Pick<KeyValue, 'subscribe'>;
  /** Credentials of each kind remembered at most; 50,000 unless said, about 25 MB when full. */
  maxEntries?: number;
  /** How often revocations are read; every two seconds unless said (docs/rules.md, Identity). */
  pollMs?: number;
}

export interface Identity {
  /**
   * The caller behind an `Authorization` header: an access token, verified here, or an agent key, resolved by auth.
   * About a microsecond for a credential seen before. Throws 401 for a missing, bad, expired or revoked one,
   * 503 where it cannot be checked now.
   */
  authenticate: Authenticate;
  /**
   * Fails until keys and revocations were had once. Later outages of auth do not make this service unready: whom it
   * knows it goes on serving (`worktide_identity_feed_age_seconds` tells).
   */
  check: ReadinessCheck;
  /** A user of the organisation, from auth, believed for three seconds; undefined where there is none. Rejects 503. */
  findUser(organizationId: string, userId: string): Promise<KnownUser | undefined>;
  /**
   * Plan and settings of an organisation, remembered until the feed tells of a change; undefined where there is none.
   * While auth is away what was last known goes on; rejects 503 only where nothing was ever known.
   */
  organization(organizationId: string): Promise<KnownOrganization | undefined>;
  /** The plan as far as it is known, without waiting; where it is not, it is asked for in the background. */
  planOf(organizationId: string): SubscriptionStatus | undefined;
}

interface Verified {
  claims: AccessTokenClaims;
  caller: Caller;
  expiresAt: number;
}

const pruneMs = 60_000;

/** Who is calling, without a lookup per request; see docs/rules.md, Identity. */
export function createIdentity(options: IdentityOptions): Identity {
  const { log, metrics, lifecycle, keyValue, maxEntries = 50_000, pollMs = 2_000 } = options;
  const auth = createAuthClient(options);
  const keys = createKeySet(() => auth.jwks());
  const revocations = createRevocationList();
  const agentKeys = createAgentKeys({ auth, revocations, metrics, maxEntries });
  const users = createUsers({ auth, maxEntries: Math.min(maxEntries, 10_000) });
  const organizations = createOrganizations({ auth, log, maxEntries: Math.min(maxEntries, 10_000) });
  const tokens = createCache<Verified>(maxEntries);
  const remembered = metrics.gauge('worktide_identity_remembered', 'Credentials in the cache', ['kind']);

  function callerOf(claims: AccessTokenClaims): Caller | undefined {
    const { refused, role, timezone, unverified, pause } = revocations.judge(claims);
    if (refused) return undefined;
    return {
      organizationId: claims.org,
      userId: claims.sub,
      role,
      timezone,
      sessionId: claims.sid,
      ...(claims.dev === undefined ? {} : { deviceId: claims.dev }),
      ...(unverified ? { unverified } : {}),
      ...(pause ? { pause } : {}),
    };
  }

  function apply(items: readonly Revocation[]): void {
    const fresh = revocations.add(items);
    if (fresh.length === 0) return;
    const sessions = new Set<string>();
    const changed = new Set<string>();
    for (const { kind, id } of fresh) {
      if (kind === 'session') sessions.add(id);
      else if (kind === 'user') changed.add(id);
    }
    // Verified again at the next use, which takes what is known now into account.
    tokens.deleteWhere(({ claims }) => sessions.has(claims.sid) || changed.has(claims.sub));
    agentKeys.forget(fresh);
    users.forget(fresh);
    organizations.forget(fresh);
  }

  const feed = followRevocations({ auth, apply, log, metrics, lifecycle, pollMs });

  if (keyValue) {
    const push = (message: string): void => {
      try {
        apply(revocationMessage.parse(JSON.parse(message)));
      } catch (error) {
        log.warn({ err: error }, 'identity: a pushed message was not understood');
      }
    };
    // The feed has everything too: without the push it only takes two seconds longer.
    keyValue
      .subscribe(revocationChannel, push)
      .catch((error: unknown) => log.warn({ err: error }, `identity: no pushes: ${describeError(error)}`));
  }

  lifecycle.every('identity pruning', { everyMs: pruneMs, first: 'later' }, () => {
    revocations.prune(Date.now());
    remembered.set({ kind: 'token' }, tokens.size);
    remembered.set({ kind: 'agent-key' }, agentKeys.size);
  });

  async function verify(token: string, key: string): Promise<Caller> {
    await feed.ready();
    const claims = await verifyAccessToken(token, keys);
    // Judged after the wait, in one step with remembering: a revocation from meanwhile counts.
    const caller = callerOf(claims);
    if (!caller) throw unauthorized();
    tokens.set(key, { claims, caller, expiresAt: claims.exp * 1000 });
    return caller;
  }

  return {
    async authenticate(authorization, sender) {
      const credential = bearerOf(authorization);
      if (isAgentKey(credential)) return agentKeys.resolve(credential, sender);
      const key = hash('sha256', credential, 'base64');
      const known = tokens.get(key);
      if (!known) return verify(credential, key);
      if (known.expiresAt > Date.now()) return known.caller;
      tokens.delete(key);
      throw unauthorized('The access token has expired.', 'TOKEN_EXPIRED');
    },
    async check() {
      feed.check();
      await keys.prepare();
    },
    findUser: users.find,
    organization: organizations.find,
    planOf: organizations.planOf,
  };
}
