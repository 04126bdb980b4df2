import { unavailable } from '@worktide/runtime';
import {
  foundOrganization,
  foundUser,
  type KnownOrganization,
  type KnownUser,
  type resolvedAgentKey,
  resolvedCredentials,
  type revocation,
  revocationPage,
} from '@worktide/schemas';
import type { JWK } from 'jose';
import { z } from 'zod';
import { askInternal } from './ask-internal.ts';

export type ResolvedAgentKey = z.output<typeof resolvedAgentKey>;
export type Revocation = z.output<typeof revocation>;

/** A key by its hash, and from where it was used, as `addressGroup`. */
export interface UsedKey {
  keyHash: string;
  from: string;
}

/** Auth's internal routes. Every call rejects 503 `DEPENDENCY_UNAVAILABLE` where auth gives no proper answer. */
export interface AuthClient {
  jwks(): Promise<JWK[]>;
  /** In the order asked; no more than `maxResolvedCredentials`. */
  resolveAgentKeys(used: UsedKey[]): Promise<(ResolvedAgentKey | null)[]>;
  findUser(organizationId: string, userId: string): Promise<KnownUser | undefined>;
  findOrganization(organizationId: string): Promise<KnownOrganization | undefined>;
  /** What was revoked since `after`, all pages of it, and the cursor to go on from. */
  revocations(after: string | undefined): Promise<{ items: Revocation[]; cursor: string }>;
}

/** The routes as auth has them: fixed by services/auth/src/internal. */
const jwksPath = '/.well-known/jwks.json';
const jwksAnswer = z.object({ keys: z.array(z.looseObject({ kty: z.string() })) });

export function createAuthClient({ authUrl, internalToken }: { authUrl: string; internalToken: string }): AuthClient {
  const auth = { service: 'auth', url: authUrl, internalToken };
  const call = <S extends z.ZodType>(schema: S, path: string, body?: unknown): Promise<z.output<S>> =>
    askInternal(auth, schema, path, body);

  return {
    async jwks() {
      return (await call(jwksAnswer, jwksPath)).keys as JWK[];
    },
    async resolveAgentKeys(used) {
      const { credentials } = await call(resolvedCredentials, '/internal/credentials/resolve', {
        keyHashes: used.map(({ keyHash }) => keyHash),
        from: used.map(({ from }) => from),
      });
      if (credentials.length !== used.length) throw unavailable('auth', new Error('not an answer for each key'));
      return credentials;
    },
    async findUser(organizationId, userId) {
      const path = `/internal/users/${encodeURIComponent(organizationId)}/${encodeURIComponent(userId)}`;
      return (await call(foundUser, path)).user ?? undefined;
    },
    async findOrganization(organizationId) {
      const path = `/internal/organizations/${encodeURIComponent(organizationId)}`;
      return (await call(foundOrganization, path)).organization ?? undefined;
    },
    async revocations(after) {
      const items: Revocation[] = [];
      let cursor: string | undefined;
      let page: string | null = null;
      do {
        const query = new URLSearchParams();
        if (after !== undefined) query.set('after', after);
        if (page !== null) query.set('page', page);
        const answer: z.output<typeof revocationPage> = await call(revocationPage, `/internal/revocations?${query}`);
        items.push(...answer.items);
        // The first page's: what commits while later pages are read is newer than it, and comes with the next poll.
        cursor ??= answer.cursor;
        page = answer.nextPage;
      } while (page !== null);
      return { items, cursor };
    },
  };
}
