/** Tells those who wait for a batch in this process when something of it was committed here. */
export interface Arrivals {
  committed(batchId: string): void;
  /** Resolves at the next commit, after so long (another replica may have committed), or when the signal is aborted. */
  next(batchId: string, ms: number, signal: AbortSignal): Promise<void>;
}

export function createArrivals(): Arrivals {
  const waiting = new Map<string, Set<() => void>>();
  return {
    committed(batchId) {
      for (const wake of waiting.get(batchId) ?? []) wake();
    },
    next(batchId, ms, signal) {
      return new Promise((resolve) => {
        const wake = (): void => {
          clearTimeout(timer);
          signal.removeEventListener('abort', wake);
          all.delete(wake);
          if (all.size === 0) waiting.delete(batchId);
          resolve();
        };
        const all = waiting.get(batchId) ?? new Set();
        const timer = setTimeout(wake, ms);
        waiting.set(batchId, all.add(wake));
        if (signal.aborted) wake();
        else signal.addEventListener('abort', wake, { once: true });
      });
    },
  };
}
