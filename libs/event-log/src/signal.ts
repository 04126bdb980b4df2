/** Wakes whoever waits; nothing is remembered, so look at the condition before and after waiting. */
export interface Signal {
  notify(): void;
  /** Resolves at the next `notify`, or after `ms`. */
  wait(ms?: number): Promise<void>;
}

export function createSignal(): Signal {
  const waiters = new Set<() => void>();
  return {
    notify() {
      for (const wake of [...waiters]) wake();
    },
    wait(ms) {
      return new Promise((resolve) => {
        const timer = ms === undefined ? undefined : setTimeout(wake, ms);
        function wake(): void {
          clearTimeout(timer);
          waiters.delete(wake);
          resolve();
        }
        waiters.add(wake);
      });
    },
  };
}
