import type { LimitState, Logger, Metrics, RequestLimit } from '@worktide/runtime';

/**
 * Limits that all replicas with the same store count together. They never fail and hold up a call by a fifth of a
 * second at most: while the store is away or slow, each process counts for itself (`worktide_limits_local`, and the log
 * says so once), starting from what it knew of a bucket and from nothing in a window.
 *
 * A subject names its organisation first where it has one.
 */
export interface Limits {
  /** At most `points` within `seconds`, which begin with a subject's first. One name is one limit, wherever opened. */
  window(options: { name: string; points: number; seconds: number }): WindowLimit;
  /** Token buckets, one for each subject. @param options.code, options.message of the 429. */
  bucket(options: { name: string; code?: string; message?: string }): BucketLimit;
  /** Ends the connection. Calls that come later are counted locally. */
  close(): Promise<void>;
}

export interface WindowLimit extends RequestLimit {
  /**
   * Counts `points`, 1 unless said. What is refused is counted too, but nobody waits the longer for it.
   * @throws AppError `RATE_LIMITED` (429) with the seconds until the window ends.
   */
  take(subject: string, points?: number): Promise<LimitState>;
  /** Takes back what `take` counted and let pass, for what turned out not to count. */
  giveBack(subject: string, points?: number): Promise<void>;
}

/** A bucket holds `burst` tokens at most and gains `perSecond` a second. */
export interface Rate {
  perSecond: number;
  burst: number;
}

export interface BucketLimit {
  /**
   * Takes so many tokens, or none. Most calls are answered from a lease, with nothing to wait for.
   * @throws AppError 429 with the seconds until so many are there.
   */
  take(subject: string, rate: Rate, tokens: number): Promise<LimitState>;
}

export interface LimitsOptions {
  log: Logger;
  metrics: Metrics;
  /** How long one call may wait for the store, in milliseconds; 150 unless said. */
  patienceMs?: number;
}

/** Subjects that a process remembers of each limit; past it the one that came first is forgotten. */
export const maxSubjects = 100_000;
