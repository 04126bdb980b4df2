import { type AppError, type LimitState, limitExceeded } from '@worktide/runtime';
import type { Shared } from './shared.ts';
import { createTokenStore } from './token-store.ts';
import { type BucketLimit, maxSubjects, type Rate } from './types.ts';

export interface BucketOptions {
  name: string;
  code?: string;
  message?: string;
  maxSubjects?: number;
}

/** The share of a second's tokens that a process takes ahead. */
const leaseSeconds = 0.1;

interface Bucket extends Rate {
  /**
   * What the bucket holds: exactly where this process is alone, else no less than what it really holds, since others
   * can only take. So what does not fit into it is refused without asking.
   */
  tokens: number;
  /** When it held them, on the monotonic clock. */
  at: number;
  /** Taken from the shared bucket and not used yet. */
  lease: number;
  waiting: { tokens: number; resolve(): void; reject(error: AppError): void }[];
  asking: boolean;
}

/**
 * Token buckets that replicas share. So that not every call is a round trip, a process takes up to a tenth of a
 * second's tokens more than it needs and uses them up by itself; they have left the shared bucket, so within any span of
 * T seconds all replicas together let pass at most `burst + T × perSecond`, and what was on lease when the span began:
 * `perSecond / 10` for each replica. Counted locally, while the store is away, the whole rate is each replica's.
 *
 * @param shared where replicas count together; without it the buckets are this process's.
 */
export function bucketLimit(options: BucketOptions, shared?: Shared): BucketLimit {
  const { name, maxSubjects: most = maxSubjects } = options;
  const buckets = new Map<string, Bucket>();
  const ask = shared && createTokenStore(shared.redis);

  function bucketOf(subject: string, rate: Rate): Bucket {
    const now = performance.now();
    let bucket = buckets.get(subject);
    if (!bucket) {
      if (buckets.size >= most) buckets.delete(buckets.keys().next().value!);
      bucket = { ...rate, tokens: rate.burst, at: now, lease: 0, waiting: [], asking: false };
      buckets.set(subject, bucket);
    }
    const gained = ((now - bucket.at) / 1000) * bucket.perSecond;
    bucket.perSecond = rate.perSecond;
    bucket.burst = rate.burst;
    bucket.tokens = Math.min(bucket.burst, bucket.tokens + gained);
    bucket.at = now;
    return bucket;
  }

  function stateOf({ perSecond, burst, tokens, lease }: Bucket): LimitState {
    const remaining = Math.min(burst, Math.max(0, Math.floor(tokens + lease)));
    return {
      name,
      limit: burst,
      remaining,
      resetSeconds: Math.ceil((burst - remaining) / perSecond),
      policySeconds: Math.max(1, Math.ceil(burst / perSecond)),
    };
  }

  function refusal(bucket: Bucket, tokens: number): AppError {
    const missing = Math.min(tokens, bucket.burst) - bucket.tokens;
    return limitExceeded(stateOf(bucket), { ...options, retryAfterSeconds: Math.ceil(missing / bucket.perSecond) });
  }

  /** Everything that came while the last answer was on its way goes into one question. */
  async function serve(subject: string, bucket: Bucket): Promise<void> {
    bucket.asking = true;
    while (bucket.waiting.length > 0) {
      const round = bucket.waiting.splice(0).filter((waiter) => !useLease(bucket, waiter));
      if (round.length === 0) break;
      const lease = Math.max(0, Math.floor(bucket.perSecond * leaseSeconds) - bucket.lease);
      const demands = round.map(({ tokens }) => tokens);
      const askedAt = performance.now();
      const granted = await shared!.call(
        async () => {
          const grant = await ask!(`${subject}:limit:${name}`, bucket, { demands, lease });
          bucket.lease += grant.lease;
          bucket.tokens = grant.tokens;
          bucket.at = askedAt;
          return grant.granted;
        },
        () => demands.map((demand) => takeLocally(bucket, demand)),
      );
      for (const [i, { tokens, resolve, reject }] of round.entries()) {
        if (granted[i]) resolve();
        else reject(refusal(bucket, tokens));
      }
    }
    bucket.asking = false;
  }

  /** The last answer may have brought more than was asked for. */
  function useLease(bucket: Bucket, { tokens, resolve }: Bucket['waiting'][number]): boolean {
    if (bucket.lease < tokens) return false;
    bucket.lease -= tokens;
    resolve();
    return true;
  }

  return {
    async take(subject, rate, tokens) {
      const bucket = bucketOf(subject, rate);
      if (bucket.lease >= tokens) {
        bucket.lease -= tokens;
        return stateOf(bucket);
      }
      if (bucket.tokens < tokens) throw refusal(bucket, tokens);
      if (!shared?.there()) {
        takeLocally(bucket, tokens);
        return stateOf(bucket);
      }
      await new Promise<void>((resolve, reject) => {
        bucket.waiting.push({ tokens, resolve, reject });
        if (!bucket.asking) void serve(subject, bucket);
      });
      return stateOf(bucket);
    },
  };
}

/** As the store does it: whole or not at all. */
function takeLocally(bucket: Bucket, tokens: number): boolean {
  if (bucket.tokens < tokens) return false;
  bucket.tokens -= tokens;
  return true;
}
