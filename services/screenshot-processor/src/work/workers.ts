import type { Pool } from '@worktide/postgres';
import {
  backoffMs,
  createPeopleTurns,
  describeError,
  holdLease,
  type Lifecycle,
  type Logger,
  type Metrics,
  sleep,
  stopWith,
} from '@worktide/runtime';
import {
  type Claim,
  claimRow,
  claimSuspect,
  createLookout,
  measureQueue,
  type Person,
  postponeClaim,
  renewClaim,
} from './claims.ts';

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
  /** Where the turns show. */
  registry: Metrics;
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

/** One of each person stands in line, for as long as it takes. */
const patient = {
  maxWaiting: Number.POSITIVE_INFINITY,
  maxWaitingEach: Number.POSITIVE_INFINITY,
  maxWaitMs: 3_600_000,
};

/**
 * Works on what is due, for as long as the service runs; several replicas share it. It goes by turns: of organisations, by
 * the time that their pictures have taken, and within each of people, none of whom has all places. A picture's own failure
 * is a verdict and over at once. While something else is away rows are put back, to be tried for ever, ever more slowly.
 */
export function startWorkers(options: WorkersOptions): Workers {
  const { pool, workOn, concurrency, metrics, registry, log, lifecycle } = options;
  const { pollMs = 1_000, leaseMs = 30_000, retryMs = 500 } = options;
  const turns = createPeopleTurns({
    name: 'pictures',
    places: concurrency,
    // An organisation alone has all places, and who comes next waits for one of its pictures to end; a person has not.
    placesEach: concurrency,
    placesPerson: Math.max(1, concurrency - 1),
    ...patient,
    metrics: registry,
  });
  const lookOut = createLookout(pool);
  /** Works from before their claim to their end. */
  const running = new Set<Promise<void>>();
  /** Whose next row waits for its turn. */
  const inLine = new Set<string>();
  /** Until it ends nothing else begins. */
  let alone: Promise<unknown> | undefined;
  /** Failures since the last success: while all fails, there is no use in trying the next. */
  let troubles = 0;
  const stop = new AbortController();
  let measuredAt = Number.NEGATIVE_INFINITY;
  let suspectedAt = Number.NEGATIVE_INFINITY;

  function track(work: Promise<void>): Promise<void> {
    const tracked = work.finally(() => {
      running.delete(tracked);
      metrics.running.set(running.size);
    });
    running.add(tracked);
    metrics.running.set(running.size);
    return tracked;
  }

  /** @param others what has to end before. */
  async function work(claim: Claim, others?: Promise<unknown>): Promise<void> {
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

  /** Puts the next row of a person in line, and when its turn has come the one after it. */
  function enqueue(person: Person): void {
    const name = `${person.organizationId}/${person.userId}`;
    if (inLine.has(name) || stop.signal.aborted) return;
    inLine.add(name);
    const turn = async (): Promise<void> => {
      inLine.delete(name);
      if (troubles > 0) await sleep(backoffMs(troubles, retryMs / 2, maxRetryMs / 2), stop.signal);
      while (alone) await alone;
      if (stop.signal.aborted) return;
      await track(claimAndWork(person));
    };
    turns.run(person, turn, { signal: stop.signal }).catch((error: unknown) => {
      inLine.delete(name);
      if (stop.signal.aborted || troubles++ > 0) return;
      log.warn({ err: error }, `screenshots cannot be looked at: ${describeError(error)}`);
    });
  }

  async function claimAndWork(person: Person): Promise<void> {
    const claim = await claimRow(pool, person, leaseMs);
    if (!claim) return;
    enqueue(person);
    await work(claim);
  }

  async function workAlone(suspect: Claim): Promise<void> {
    const { organizationId, id, takes } = suspect;
    log.warn({ organizationId, id, takes }, 'work on a screenshot ended without a word, more than once');
    const others = Promise.allSettled(running);
    alone = track(work(suspect, others));
    await alone;
    alone = undefined;
  }

  async function look(): Promise<void> {
    if (performance.now() - measuredAt >= measureEveryMs) {
      const { waiting, oldestSeconds } = await measureQueue(pool);
      metrics.waiting.set(waiting);
      metrics.oldest.set(oldestSeconds);
      measuredAt = performance.now();
    }
    if (performance.now() - suspectedAt >= pollMs) {
      const suspect = await claimSuspect(pool, leaseMs);
      if (suspect) await workAlone(suspect);
      // From its end on: the others have their turn before the next.
      suspectedAt = performance.now();
    }
    for (const person of await lookOut()) enqueue(person);
  }

  const looking = lifecycle.every(
    'screenshots to be done',
    {
      everyMs: pollMs,
      retryMs: (failures) => backoffMs(failures, retryMs / 2, maxRetryMs / 2),
      // The closer below has waited for it.
      graceMs: 0,
    },
    () =>
      look().catch((error: unknown) => {
        troubles++;
        throw error;
      }),
  );
  lifecycle.onClose('screenshot workers', async () => {
    stop.abort();
    // What is being claimed now is waited for, too.
    await stopWith(looking, () => running, closeGraceMs);
  });

  return { wake: looking.wake };
}
