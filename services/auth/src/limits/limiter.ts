import type { KeyValue } from '@worktide/key-value';
import { AppError, describeError, type Logger } from '@worktide/runtime';

export interface Limiter {
  /**
   * Counts one attempt. Attempts that are refused do not count, so nobody is kept out for longer by trying.
   * @throws AppError `RATE_LIMITED` (429) with the seconds after which the next one is taken.
   */
  take(kind: string, subject: string, perMinute: number): Promise<void>;
}

const windowMs = 60_000;
/** A log-in waits no longer than this for a shared counter before it is counted locally. */
const patienceMs = 300;

/**
 * A sliding window of a minute: this minute's attempts and, by the share of it that is still within the last 60 s, the
 * minute's before. Counted in key-value for all replicas together; while that is away, by this process alone.
 */
export function createLimiter(options: { keyValue: KeyValue; local: KeyValue; log: Logger }): Limiter {
  const { keyValue, local, log } = options;
  let away = false;

  async function shared<T>(work: (store: KeyValue) => Promise<T>): Promise<T> {
    let timer: NodeJS.Timeout | undefined;
    try {
      const late = new Promise<never>((_, reject) => {
        timer = setTimeout(() => reject(new Error(`no answer within ${patienceMs} ms`)), patienceMs);
      });
      const result = await Promise.race([work(keyValue), late]);
      away = false;
      return result;
    } catch (error) {
      if (!away) log.warn({ err: error }, `limits are counted locally: ${describeError(error)}`);
      away = true;
      return work(local);
    } finally {
      clearTimeout(timer);
    }
  }

  return {
    async take(kind, subject, perMinute) {
      const now = Date.now();
      const window = Math.floor(now / windowMs);
      const elapsed = (now % windowMs) / windowMs;
      const keyOf = (n: number): string => `limit:${kind}:${subject}:${n}`;
      const waitSeconds = await shared(async (store) => {
        const [before, current] = await Promise.all([countOf(store, keyOf(window - 1)), countOf(store, keyOf(window))]);
        const wait = secondsToWait(before, current, elapsed, perMinute);
        if (wait > 0) return wait;
        // Others may have counted since the look: who is over the line by that is refused too.
        const counted = await store.increment(keyOf(window), 1, 2 * windowMs);
        return secondsToWait(before, counted - 1, elapsed, perMinute);
      });
      if (waitSeconds > 0) {
        throw new AppError('RATE_LIMITED', 'Too many attempts; wait a little.', {
          statusCode: 429,
          retryAfterSeconds: waitSeconds,
        });
      }
    },
  };
}

const countOf = async (store: KeyValue, key: string): Promise<number> => Number((await store.get(key)) ?? 0);

/** Seconds until one more attempt fits under the limit, 0 where it does now. `elapsed` is this minute's share, 0–1. */
export function secondsToWait(before: number, current: number, elapsed: number, limit: number): number {
  if (before * (1 - elapsed) + current + 1 <= limit) return 0;
  const seconds = windowMs / 1000;
  // Within this minute, as the one before slides out …
  if (current + 1 <= limit) return Math.max(1, Math.ceil(seconds * (1 - (limit - 1 - current) / before - elapsed)));
  // … or within the next, as this one does.
  return Math.max(1, Math.ceil(seconds * (1 - elapsed + 1 - (limit - 1) / current)));
}

/** What is counted as one address: IPv4 as it is, IPv6 by its /64, which is what one household or machine has. */
export function addressGroup(ip: string | undefined): string {
  if (ip === undefined) return 'unknown';
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(ip);
  if (mapped) return mapped[1]!;
  if (!ip.includes(':')) return ip;
  const [head = '', tail] = ip.toLowerCase().split('%')[0]!.split('::');
  const left = head === '' ? [] : head.split(':');
  const right = tail === undefined || tail === '' ? [] : tail.split(':');
  const zeros = tail === undefined ? 0 : 8 - left.length - right.length;
  const groups = [...left, ...Array<string>(Math.max(0, zeros)).fill('0'), ...right];
  return `${groups.slice(0, 4).join(':')}::/64`;
}
