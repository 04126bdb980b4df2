import type { Logger, Metrics } from '@worktide/runtime';

/**
 * Short-lived values, counters and messages that replicas share. Nothing in it is the only copy of anything: it may
 * be emptied at any time, and every caller has an answer for its absence.
 *
 * Every method but `subscribe` and `close` rejects with AppError `DEPENDENCY_UNAVAILABLE` while the store is away, soon
 * (within `timeoutMs`) and without trying again, and with `KEY_VALUE_TOO_LARGE` past the limits. Keys name their
 * organisation first.
 */
export interface KeyValue {
  /** The value, or undefined when there is none or it has expired. */
  get(key: string): Promise<string | undefined>;
  /** Sets a value that expires after `ttlMs` milliseconds; there are none that stay for ever. */
  set(key: string, value: string, ttlMs: number): Promise<void>;
  delete(key: string): Promise<void>;
  /**
   * Adds to a counter and gives the sum. A counter that is not there starts at 0 and expires `ttlMs` milliseconds
   * after that, however often it is added to.
   * @param by a whole number, 0 and below as well.
   * @throws AppError `NOT_A_COUNTER` when the value under the key is not a whole number.
   */
  increment(key: string, by: number, ttlMs: number): Promise<number>;
  /**
   * Adds members to a set that never has more than `max`, those that come first. Expires `ttlMs` milliseconds after the
   * last call for it. Keys of sets are not to be used for values.
   * @param members 1 to `maxMemberLength` of the characters A–Z, a–z, 0–9, `-` and `_` each.
   * @returns for each member, whether it is in the set now.
   */
  addToSet(key: string, members: readonly string[], options: { max: number; ttlMs: number }): Promise<boolean[]>;
  /** Sends a message to those who listen now, in all processes. At most once: who is away misses it. */
  publish(channel: string, message: string): Promise<void>;
  /**
   * Listens until the returned function is called. Resolves when listening, or, while the store is away, at once: then
   * listening begins when it is back. A listener that throws is logged.
   */
  subscribe(channel: string, listener: (message: string) => void): Promise<() => Promise<void>>;
  /** For readiness. */
  check(): Promise<void>;
  /** Ends the connections; later calls reject, listeners hear nothing more. */
  close(): Promise<void>;
}

export interface KeyValueOptions {
  log: Logger;
  metrics: Metrics;
  /** How long a call may take before it counts as failed, in milliseconds; 500 unless said. */
  timeoutMs?: number;
}

/** Characters of a key or channel: longer ones are a mistake, they hold no content. */
export const maxKeyLength = 1_024;
export const maxMemberLength = 64;
/** Bytes of a value or message: they are read and copied whole. */
export const maxValueBytes = 1_048_576;
