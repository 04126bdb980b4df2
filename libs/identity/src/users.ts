import type { KnownUser } from '@worktide/schemas';
import type { AuthClient, Revocation } from './auth-client.ts';
import { createCache } from './cache.ts';

/** Settings take effect within 5 s (docs/rules.md, Identity), also where a revocation was not pushed. */
const believedMs = 3_000;

export interface Users {
  /** Undefined where this organisation has no such user. Rejects 503 where auth cannot be asked. */
  find(organizationId: string, userId: string): Promise<KnownUser | undefined>;
  forget(items: readonly Revocation[]): void;
}

export function createUsers({ auth, maxEntries }: { auth: AuthClient; maxEntries: number }): Users {
  const cache = createCache<{ id: string; answer: Promise<KnownUser | undefined>; until: number }>(maxEntries);
  return {
    find(organizationId, userId) {
      const key = `${organizationId}/${userId}`;
      const known = cache.get(key);
      if (known && known.until > Date.now()) return known.answer;
      const entry = { id: userId, answer: auth.findUser(organizationId, userId), until: Date.now() + believedMs };
      cache.set(key, entry);
      // A failure is not an answer: the next asks again.
      entry.answer.catch(() => {
        entry.until = 0;
      });
      return entry.answer;
    },
    forget(items) {
      const users = new Set(items.filter((item) => item.kind === 'user').map((item) => item.id));
      if (users.size > 0) cache.deleteWhere(({ id }) => users.has(id));
    },
  };
}
