/** One of `States`. */
export interface State {
  /** Rises with every change; 0 where there is none. */
  revision: number;
  value: string;
}

export interface StateChange {
  id: string;
  /** That of the state it was made from: where another has been written since, nothing happens. */
  revision: number;
  value: string;
  /** It is forgotten so long after its last change; beyond `dueAt`. */
  ttlMs: number;
  /** When `claim` is to give it, in epoch milliseconds; null: not of itself. */
  dueAt: number | null;
}

/**
 * Small states that replicas change by comparing, and that fall due. Like all in key-value they may be gone at any time. All
 * methods reject 503 while the store is away, soon.
 */
export interface States {
  /** In the order asked. */
  read(ids: readonly string[]): Promise<(State | undefined)[]>;
  /** @returns for each change whether it was made; the others met a newer state, and are to be made anew from it. */
  write(changes: readonly StateChange[]): Promise<boolean[]>;
  /**
   * What is due, the longest due first. Each is put off by `leaseMs`, so that nobody else is given it meanwhile: whoever has
   * it writes it with when it is due next, or dies and somebody else is given it then.
   */
  claim(options: { now: number; limit: number; leaseMs: number }): Promise<(State & { id: string })[]>;
  /** How many are to fall due, and how many have by now. */
  waiting(now: number): Promise<{ all: number; due: number }>;
  close(): Promise<void>;
}
