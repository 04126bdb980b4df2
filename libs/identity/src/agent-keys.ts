import { hash } from 'node:crypto';
import { type Caller, createTurns, type Metrics, type Sender, unauthorized } from '@worktide/runtime';
import { maxResolvedCredentials } from '@worktide/schemas';
import type { AuthClient, Revocation, UsedKey } from './auth-client.ts';
import { createBatches } from './batches.ts';
import { type Cache, createCache } from './cache.ts';
import type { RevocationList } from './revocations.ts';

/**
 * An outage of auth of an hour must stop no known agent: two hours, so that an hour and more is left also for an agent
 * that was quiet for a while before auth went away. Revocations come by the feed, not by this running out.
 */
const believedMs = 2 * 3_600_000;
/** After this a key in use is asked about again in the background. */
const refreshAfterMs = 600_000;
/** A key may have been made just now; a wrong one must not cost auth a query for each attempt. */
const refusedMs = 5_000;
/** Keys asked about at once, of which one address has half; the rest wait, in lines of their own. */
const maxInFlight = 256;
/** A restarted gateway with 10,000 agents gets through in seconds: whose turn does not come is told 503. */
const maxWaiting = 5_000;
const maxWaitingEach = 1_000;
const maxWaitMs = 3_000;
/** As many keys as are wanted go in one request: who tries keys costs auth next to nothing. */
const maxQuestions = 4;
const maxRefused = 10_000;
const maxBackground = 16;
const maxAttempts = 3;

interface Known {
  caller: Caller;
  /** When the key ends by itself, whether auth can be asked or not. */
  expiresAt: number;
  until: number;
  refreshAt: number;
}

export interface AgentKeys {
  /** @param sender whose line a look-up waits in. */
  resolve(credential: string, sender: Sender): Promise<Caller>;
  /** Drops what changes of users make wrong; revoked keys are looked for in the list. */
  forget(items: readonly Revocation[]): void;
  readonly size: number;
}

export function createAgentKeys(options: {
  auth: AuthClient;
  revocations: RevocationList;
  metrics: Metrics;
  maxEntries: number;
}): AgentKeys {
  const { auth, revocations } = options;
  const lookups = options.metrics.counter('worktide_identity_key_lookups_total', 'Agent keys asked of auth', [
    'outcome',
  ]);
  const cache: Cache<Known> = createCache(options.maxEntries);
  /** Until when, apart from the known: whoever tries keys must not push them out. */
  const refused: Cache<number> = createCache(maxRefused);
  const asking = new Map<string, Promise<Caller | undefined>>();
  const turns = createTurns({
    name: 'agent keys',
    places: maxInFlight,
    placesEach: maxInFlight / 2,
    maxWaiting,
    maxWaitingEach,
    maxWaitMs,
    metrics: options.metrics,
    message: 'Too many credentials are being checked.',
  });
  const find = createBatches({
    ask: (used: UsedKey[]) => auth.resolveAgentKeys(used),
    maxKeys: maxResolvedCredentials,
    maxQuestions,
  });
  let background = 0;
  /** Rises with every change of a user: an answer that was on its way meanwhile may be from before. */
  let generation = 0;

  async function ask(keyHash: string, from: string): Promise<Caller | undefined> {
    for (let attempt = 1; ; attempt++) {
      const before = generation;
      const found = await find({ keyHash, from }).catch((error: unknown) => {
        lookups.inc({ outcome: 'failed' });
        throw error;
      });
      const outdated = before !== generation;
      if (outdated && attempt < maxAttempts) continue;
      const good = found !== null && !revocations.isRefusedKey(found.agentKeyId);
      lookups.inc({ outcome: good ? 'known' : 'refused' });
      const now = Date.now();
      if (!good) {
        cache.delete(keyHash);
        refused.set(keyHash, outdated ? 0 : now + refusedMs);
        return undefined;
      }
      const { expiresAt, ...caller } = found;
      // Where revocations keep pouring in the answer serves this request alone.
      cache.set(keyHash, {
        caller,
        expiresAt: expiresAt ?? Number.POSITIVE_INFINITY,
        until: outdated ? 0 : now + believedMs,
        refreshAt: now + refreshAfterMs,
      });
      return caller;
    }
  }

  function askOnce(keyHash: string, from: string, subject = from): Promise<Caller | undefined> {
    const running = asking.get(keyHash);
    if (running) return running;
    const asked = turns.run(subject, () => ask(keyHash, from), { cost: 1 }).finally(() => asking.delete(keyHash));
    asking.set(keyHash, asked);
    return asked;
  }

  function refreshInBackground(keyHash: string, known: Known, sender: Sender, now: number): void {
    if (background >= maxBackground) return;
    // Also after a failure: an auth that is away is not asked at every request.
    known.refreshAt = now + 30_000;
    background++;
    askOnce(keyHash, sender(), known.caller.organizationId)
      .catch(() => {})
      .finally(() => background--);
  }

  return {
    async resolve(credential, sender) {
      // Auth stores the hash of the key in lower case, as it makes them.
      const keyHash = hash('sha256', credential.toLowerCase(), 'hex');
      const now = Date.now();
      const known = cache.get(keyHash);
      if (known && known.until > now) {
        // Kept, not forgotten, so that it is refused also while auth cannot be asked.
        if (known.expiresAt <= now || revocations.isRefusedKey(known.caller.agentKeyId ?? '')) throw unauthorized();
        if (known.refreshAt <= now) refreshInBackground(keyHash, known, sender, now);
        return known.caller;
      }
      if ((refused.get(keyHash) ?? 0) > now) throw unauthorized();
      const caller = await askOnce(keyHash, sender());
      if (!caller) throw unauthorized();
      return caller;
    },
    forget(items) {
      const users = new Set<string>();
      for (const item of items) if (item.kind === 'user') users.add(item.id);
      if (users.size === 0) return;
      generation++;
      cache.deleteWhere(({ caller }) => users.has(caller.userId));
    },
    get size() {
      return cache.size;
    },
  };
}
