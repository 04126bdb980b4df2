import { describeError, type Lifecycle, type Logger, type Metrics, unavailable } from '@worktide/runtime';
import type { AuthClient, Revocation } from './auth-client.ts';

export interface Feed {
  /** Resolves when the list is complete for the first time; rejects 503 where that takes longer than two seconds. */
  ready(): Promise<void> | undefined;
  /** Throws until the list was complete once. */
  check(): void;
}

const firstPollMs = 200;
const readyTimeoutMs = 2_000;
/** An outage of auth is told once when it begins to matter, not every two seconds. */
const staleAfterMs = 10_000;

/**
 * Follows auth's revocations for as long as the lifecycle lasts. Auth being away leaves the list as it is.
 * @param apply takes entries, some of which it may have had before.
 */
export function followRevocations(options: {
  auth: AuthClient;
  apply: (items: readonly Revocation[]) => void;
  log: Logger;
  metrics: Metrics;
  lifecycle: Lifecycle;
  pollMs: number;
}): Feed {
  const { auth, apply, log, lifecycle, pollMs } = options;
  const age = options.metrics.gauge('worktide_identity_feed_age_seconds', 'Time since revocations were last read');
  let cursor: string | undefined;
  let lastAt: number | undefined;
  let failure: unknown;
  let becameReady = (): void => {};
  const first = new Promise<void>((resolve) => {
    becameReady = resolve;
  });

  let warned = false;
  let since = performance.now();
  /** Tells of failures by itself, later than others. */
  async function read(): Promise<void> {
    try {
      const answer = await auth.revocations(cursor);
      apply(answer.items);
      cursor = answer.cursor;
      lastAt = since = performance.now();
      failure = undefined;
      becameReady();
      if (warned) log.info('identity: revocations are read again');
      warned = false;
    } catch (error) {
      failure = error;
      if (!warned && performance.now() - since > staleAfterMs) {
        warned = true;
        log.warn({ err: error }, `identity: revocations cannot be read: ${describeError(error)}`);
      }
    }
    age.set((performance.now() - since) / 1000);
  }
  const everyMs = (): number => (lastAt === undefined ? Math.min(firstPollMs, pollMs) : pollMs);
  lifecycle.every('identity', { everyMs }, read);

  return {
    ready() {
      if (lastAt !== undefined) return undefined;
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<never>((_, reject) => {
        timer = setTimeout(() => reject(unavailable('auth', failure)), readyTimeoutMs);
      });
      return Promise.race([first, late]).finally(() => clearTimeout(timer));
    },
    check() {
      if (lastAt === undefined) throw unavailable('auth', failure);
    },
  };
}
