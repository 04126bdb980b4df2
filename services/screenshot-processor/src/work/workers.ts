import type { Pool } from '@worktide/postgres';
import { backoffMs, describeError, type Lifecycle, type Logger, sleep } from '@worktide/runtime';
import { type Claim, claimRows, measureQueue, postponeClaim, renewClaim } from './claims.ts';
import { holdLease } from './lease.ts';
import type { WorkMetrics } from './metrics.ts';

export interface Workers {
  /** There is something due: call it after the commit. Without it, it is seen within a second. */
  wake(): void;
}

export interface WorkersOptions {
  pool: Pool;
  workOn: (claim: Claim, signal: AbortSignal) => Promise<void>;
  concurrency: number;
  metrics: WorkMetrics;
  log: Logger;
  lifecycle: Lifecycle;
  /** How soon what other replicas left is seen; 1 s unless said. */
  pollMs?: number;
  /** How soon the work of a dead process is taken over, 30 s unless said. */
  leaseMs?: number;
  /** First pause after a failure of something else than the picture, 500 ms unless said; then longer ones. */
  retryMs?: number;
}

const measureEveryMs = 5_000;
const maxRetryMs = 15_000;
/** Closing gives rows in work this long; the leases of what is left end by themselves. */
const closeGraceMs = 8_000;

/**
 * Works on what is due, for as long as the service runs; several replicas share it. A picture's own failure is a
 * verdict and over at once. While something else is away rows are put back, to be tried for ever, ever more slowly.
 */
export function startWorkers(options: WorkersOptions): Workers {
  const { pool, workOn, concurrency, metrics, log, lifecycle } = options;
  const { pollMs = 1_000, leaseMs = 30_000, retryMs = 500 } = options;
  const running = new Set<Promise<void>>();
  /** Failures since the last success: while all fails, there is no use in trying the next. */
  let troubles = 0;
  let stopped = false;
  let woken = false;
  let nap = new AbortController();
  let measuredAt = Number.NEGATIVE_INFINITY;
  let suspectedAt = Number.NEGATIVE_INFINITY;

  /** @param alone begins when nothing else is in work. */
  function start(claim: Claim, alone = false): Promise<void> {
    const others = alone ? Promise.all(running) : undefined;
    const work = (async () => {
      const lease = holdLease(() => renewClaim(pool, claim, leaseMs), leaseMs);
      try {
        await others;
        await workOn(claim, lease.signal);
        troubles = 0;
      } catch (error) {
        await putBack(claim, error, lease.signal.aborted);
      } finally {
        lease.release();
      }
    })();
    const tracked = work.finally(() => {
      running.delete(tracked);
      metrics.running.set(running.size);
    });
    running.add(tracked);
    metrics.running.set(running.size);
    return tracked;
  }

  async function putBack(claim: Claim, error: unknown, lost: boolean): Promise<void> {
    const { organizationId, id } = claim;
    if (lost) {
      metrics.lost.inc();
      log.info({ organizationId, id }, 'a screenshot was deleted or taken by others while in work');
    } else {
      metrics.postponed.inc();
      if (troubles++ === 0) {
        log.warn({ err: error, organizationId, id }, `a screenshot is put back: ${describeError(error)}`);
      }
    }
    // Does nothing where it was lost. Where the database is away the lease ends by itself.
    await postponeClaim(pool, claim, backoffMs(claim.postponed, retryMs, maxRetryMs)).catch(() => {});
  }

  /** Takes up what there is room for. @returns whether there may be more. */
  async function pass(): Promise<boolean> {
    if (performance.now() - measuredAt >= measureEveryMs) {
      const { waiting, oldestSeconds } = await measureQueue(pool);
      metrics.waiting.set(waiting);
      metrics.oldest.set(oldestSeconds);
      measuredAt = performance.now();
    }
    if (performance.now() - suspectedAt >= pollMs) {
      const [suspect] = await claimRows(pool, { limit: 1, leaseMs, suspects: true });
      if (suspect) {
        const { organizationId, id, takes } = suspect;
        log.warn({ organizationId, id, takes }, 'work on a screenshot ended without a word, more than once');
        await start(suspect, true);
      }
      // From its end on: the others have their turn before the next.
      suspectedAt = performance.now();
    }
    const room = concurrency - running.size;
    if (room <= 0) return true;
    const claims = await claimRows(pool, { limit: room, leaseMs, suspects: false });
    for (const claim of claims) void start(claim);
    return claims.length === room;
  }

  async function run(): Promise<void> {
    for (let failing = false; !stopped; ) {
      woken = false;
      let more = false;
      try {
        more = await pass();
        failing = false;
      } catch (error) {
        if (!failing && !stopped) log.warn({ err: error }, `screenshots cannot be looked at: ${describeError(error)}`);
        failing = true;
        troubles++;
      }
      if (stopped) break;
      if (running.size >= concurrency) await Promise.race(running);
      nap = new AbortController();
      if (troubles > 0) await pause(backoffMs(troubles, retryMs / 2, maxRetryMs / 2));
      else if (!more && !woken) await sleep(pollMs, nap.signal);
    }
  }

  /** Not cut short by more work: that would spin. */
  async function pause(ms: number): Promise<void> {
    await sleep(ms, lifecycle.signal);
  }

  const looping = run();
  lifecycle.onClose('screenshot workers', async () => {
    stopped = true;
    nap.abort();
    const grace = new AbortController();
    await Promise.race([Promise.all([looping, ...running]), sleep(closeGraceMs, grace.signal)]);
    grace.abort();
  });

  return {
    wake() {
      woken = true;
      nap.abort();
    },
  };
}
