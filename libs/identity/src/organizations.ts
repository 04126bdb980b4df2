import { describeError, type Logger } from '@worktide/runtime';
import type { KnownOrganization, SubscriptionStatus } from '@worktide/schemas';
import type { AuthClient, Revocation } from './auth-client.ts';
import { createCache } from './cache.ts';

/** The feed tells of changes within two seconds; this is for what it could not tell. */
const believedMs = 600_000;
/** Auth being away is asked again no sooner. */
const retryMs = 2_000;

export interface Organizations {
  /**
   * Plan and settings of an organisation; undefined where there is none. While auth is away what was last known goes
   * on. Rejects 503 only where nothing was ever known.
   */
  find(organizationId: string): Promise<KnownOrganization | undefined>;
  /** The plan as far as it is known, without waiting; asks in the background where it is not. */
  planOf(organizationId: string): SubscriptionStatus | undefined;
  forget(items: readonly Revocation[]): void;
}

interface Entry {
  id: string;
  /** What auth said last. */
  known: KnownOrganization | undefined;
  everKnown: boolean;
  until: number;
  asking: Promise<KnownOrganization | undefined> | undefined;
  /** Rises when the feed tells of a change: an answer that was on its way meanwhile may be from before. */
  generation: number;
}

export function createOrganizations(options: { auth: AuthClient; log: Logger; maxEntries: number }): Organizations {
  const { auth, log } = options;
  const cache = createCache<Entry>(options.maxEntries);

  function entryOf(id: string): Entry {
    const found = cache.get(id);
    if (found) return found;
    const entry: Entry = { id, known: undefined, everKnown: false, until: 0, asking: undefined, generation: 0 };
    cache.set(id, entry);
    return entry;
  }

  function ask(entry: Entry): Promise<KnownOrganization | undefined> {
    const { generation } = entry;
    entry.asking ??= auth
      .findOrganization(entry.id)
      .then((organization) => {
        entry.known = organization;
        entry.everKnown = true;
        entry.until = generation === entry.generation ? Date.now() + believedMs : 0;
        return organization;
      })
      .catch((error: unknown) => {
        entry.until = Date.now() + retryMs;
        if (!entry.everKnown) throw error;
        return entry.known;
      })
      .finally(() => {
        entry.asking = undefined;
      });
    return entry.asking;
  }

  return {
    async find(organizationId) {
      const entry = entryOf(organizationId);
      return entry.everKnown && entry.until > Date.now() ? entry.known : ask(entry);
    },
    planOf(organizationId) {
      const entry = entryOf(organizationId);
      if (entry.until <= Date.now() && !entry.asking) {
        ask(entry).catch((error: unknown) => log.debug({ err: error }, `plan not known: ${describeError(error)}`));
      }
      return entry.known?.subscriptionStatus;
    },
    forget(items) {
      for (const { kind, id } of items) {
        const entry = kind === 'organization' ? cache.get(id) : undefined;
        if (!entry) continue;
        entry.generation++;
        entry.until = 0;
      }
    },
  };
}
