import { type LimitState, limitExceeded } from '@worktide/runtime';
import { type RateLimiterAbstract, RateLimiterMemory, RateLimiterRedis, RateLimiterRes } from 'rate-limiter-flexible';
import type { Shared } from './shared.ts';
import { maxSubjects, type WindowLimit } from './types.ts';

export interface WindowOptions {
  name: string;
  points: number;
  seconds: number;
  maxSubjects?: number;
}

interface Counted {
  result: RateLimiterRes;
  refused: boolean;
}
/** Negative points give back. */
type Count = (key: string, points: number) => Promise<Counted>;

/** @param shared where replicas count together; without it the window is this process's. */
export function windowLimit(options: WindowOptions, shared?: Shared): WindowLimit {
  const { name, points: limit, seconds } = options;
  const locally = countInMemory(options);
  const count = shared ? countShared(options, shared, locally) : locally;
  const keyOf = (subject: string): string => `${subject}:limit:${name}`;
  return {
    async take(subject, points = 1) {
      const { result, refused } = await count(keyOf(subject), points);
      const state: LimitState = {
        name,
        limit,
        remaining: result.remainingPoints,
        resetSeconds: Math.max(1, Math.ceil(result.msBeforeNext / 1000)),
        policySeconds: seconds,
      };
      if (refused) throw limitExceeded(state);
      return state;
    },
    async giveBack(subject, points = 1) {
      await count(keyOf(subject), -points);
    },
  };
}

/** The limiters throw a refusal; here it is an answer, to be told from failures. */
async function consume(limiter: RateLimiterAbstract, key: string, points: number): Promise<Counted> {
  try {
    const result = await (points < 0 ? limiter.reward(key, -points) : limiter.consume(key, points));
    return { result, refused: false };
  } catch (thrown) {
    if (thrown instanceof RateLimiterRes) return { result: thrown, refused: true };
    throw thrown;
  }
}

function countShared({ points, seconds }: WindowOptions, shared: Shared, locally: Count): Count {
  const limiter = new RateLimiterRedis({
    storeClient: shared.redis,
    keyPrefix: '',
    points,
    duration: seconds,
    // Who is over the limit is refused here until the window ends, however often they ask. Not who has just reached it:
    // some of that may be given back.
    inMemoryBlockOnConsumed: points + 1,
  });
  // Not the library's insurance limiter: it is asked only after Redis has failed, at every call again.
  return (key, n) =>
    shared.call(
      () => consume(limiter, key, n),
      () => locally(key, n),
    );
}

function countInMemory({ points, seconds, maxSubjects: most = maxSubjects }: WindowOptions): Count {
  const limiter = new RateLimiterMemory({ keyPrefix: '', points, duration: seconds });
  // The limiter forgets what has ended, but takes any number: addresses are cheap to whoever floods.
  const seen = new Set<string>();
  return (key, n) => {
    if (!seen.has(key)) {
      if (seen.size >= most) {
        const [first] = seen;
        seen.delete(first!);
        void limiter.delete(first!);
      }
      seen.add(key);
    }
    return consume(limiter, key, n);
  };
}
