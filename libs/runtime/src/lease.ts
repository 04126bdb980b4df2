/** Whether a row is still ours. */
export interface HeldLease {
  /** Aborted when it is not, or when that cannot be told any more, well before somebody else may take it. */
  readonly signal: AbortSignal;
  release(): void;
}

/**
 * Renews a lease for as long as the work takes, well within its time. Where the database does not answer the work ends
 * itself with a third to spare: a store takes an object that was under way a little later, and must not take it after
 * the next one's.
 * @param renew false where somebody else has it; may reject.
 * @param leaseMs counted from this call, and from the beginning of every renewal.
 * @param everyMs how often; a sixth of its time unless said.
 */
export function holdLease(renew: () => Promise<boolean>, leaseMs: number, everyMs = leaseMs / 6): HeldLease {
  const aborter = new AbortController();
  const third = leaseMs / 3;
  let sureUntil = performance.now() + 2 * third;
  let renewing = false;

  async function beat(): Promise<void> {
    const startedAt = performance.now();
    if (startedAt >= sureUntil) return lose();
    if (renewing) return;
    renewing = true;
    try {
      if (await renew()) sureUntil = startedAt + 2 * third;
      else lose();
    } catch {
      // The next beat tries again, or finds that it is too late.
    } finally {
      renewing = false;
    }
  }

  function lose(): void {
    clearInterval(timer);
    aborter.abort(new Error('the lease was lost'));
  }

  const timer = setInterval(() => void beat(), everyMs).unref();
  return { signal: aborter.signal, release: () => clearInterval(timer) };
}
