import { isTooExpensive } from '@worktide/clickhouse';
import type { ObjectStore } from '@worktide/object-store';
import type { Pool } from '@worktide/postgres';
import {
  AppError,
  backoffMs,
  describeError,
  holdLease,
  type Lifecycle,
  type Logger,
  stopWith,
} from '@worktide/runtime';
import { type Claim, claimExport, type Failure, measureQueue, type Progress, putBack, renewClaim } from './claims.ts';
import type { ExportMetrics } from './metrics.ts';
import { removeFiles } from './remove.ts';
import type { Settle } from './settle.ts';
import { storedBytes } from './store.ts';
import { isTooLarge, type WriteDeps, writeFile } from './write-file.ts';

export interface ExportWorkers {
  /** There is something to do: call it after the commit. Without it, it is seen within a second. */
  wake(): void;
  /** It is not wanted any more: where it is in work in this process it ends at once, in others within two seconds. */
  cancel(id: string): void;
}

export interface ExportWorkersOptions extends WriteDeps {
  pool: Pool;
  settle: Settle;
  store: Pick<ObjectStore, 'put' | 'list' | 'deleteMany'>;
  concurrency: number;
  metrics: ExportMetrics;
  log: Logger;
  lifecycle: Lifecycle;
  /** How soon what other replicas left is seen; 1 s unless said. */
  pollMs?: number;
  /** How soon the work of a dead process is taken over, 30 s unless said. */
  leaseMs?: number;
  /** First pause after a failure, 5 s unless said; then longer ones. */
  retryMs?: number;
}

const maxAttempts = 3;
const maxRetryMs = 60_000;
const measureEveryMs = 5_000;
/** How often a job in work tells how far it is, and learns that it was cancelled. */
const beatMs = 1_500;
/** Closing gives work this long to end itself, and to give its leases back. */
const closeGraceMs = 8_000;

/** What failed is away: the export has no part in it, and is tried for as long as it is kept. */
const isAway = (error: unknown): boolean =>
  error instanceof AppError &&
  error.statusCode === 503 &&
  error.code !== 'DEPENDENCY_TIMEOUT' &&
  !isTooExpensive(error);

/** What a person is told; the rest is for the log. */
function failureOf(error: unknown): Failure {
  if (isTooLarge(error)) return error;
  if (isTooExpensive(error)) {
    return { code: 'EXPORT_TOO_EXPENSIVE', message: 'The export takes more than one may. Narrow it down.' };
  }
  if (error instanceof AppError && error.statusCode === 503) {
    return { code: 'EXPORT_WAITS', message: 'Something that the export needs did not answer.' };
  }
  return { code: 'EXPORT_FAILED', message: 'Something went wrong on our side.' };
}

/**
 * Does exports, `concurrency` at a time, for as long as the service runs; several replicas share the work. The lease holds a
 * job for one of them; only who has it can make it ready, so none is made ready twice, and what a killed process left goes
 * on in another. A stop gives jobs back.
 */
export function startExportWorkers(options: ExportWorkersOptions): ExportWorkers {
  const { pool, settle, store, concurrency, metrics, log, lifecycle } = options;
  const { pollMs = 1_000, leaseMs = 30_000, retryMs = 5_000 } = options;
  const stop = new AbortController();
  /** What ends it, and when it has. */
  const running = new Set<{ id: string; ender: AbortController; ended: Promise<void> }>();
  let measuredAt = Number.NEGATIVE_INFINITY;

  /** Never rejects. */
  async function work(claim: Claim, ender: AbortController): Promise<void> {
    const { organizationId, id, report, format, attempts } = claim;
    const progress: Progress = { progress: 0, rows: 0, bytes: 0 };
    const lease = holdLease(() => renewClaim(pool, claim, progress, leaseMs), leaseMs, Math.min(beatMs, leaseMs / 6));
    const signal = AbortSignal.any([lease.signal, ender.signal, stop.signal]);
    const end = metrics.seconds.startTimer({ format });
    const about = { organizationId, id, report, format, attempts };
    log.info(about, 'an export is begun');
    try {
      if (attempts > maxAttempts) {
        const message = 'The work on the export ended without a word, several times.';
        return await fail({ ...claim, attempts: maxAttempts }, { code: 'EXPORT_CRASHED', message });
      }
      if ((await storedBytes(pool, organizationId)) >= options.bounds.maxStoredBytes) {
        const message = 'The exports of your organisation take as much room as they may: delete some.';
        return await fail(claim, { code: 'EXPORTS_TAKE_TOO_MUCH', message });
      }
      const fileKey = await writeFile(options, claim, progress, signal);
      const { rows, bytes } = progress;
      // Where the answer is lost the file is the sweeper's to judge.
      if (await settle.ready(claim, { rows, bytes, fileKey })) {
        metrics.ready.inc({ report, format });
        metrics.rows.inc({ format }, rows);
        metrics.bytes.inc({ format }, bytes);
        log.info({ ...about, rows, bytes, seconds: end() }, 'an export is ready');
        await removeFiles(store, claim, fileKey);
      } else {
        lost(about);
        await store.deleteMany([fileKey]);
      }
    } catch (error) {
      await judge(claim, error, { lost: lease.signal.aborted || ender.signal.aborted });
    } finally {
      lease.release();
    }
  }

  function lost(about: object): void {
    metrics.lost.inc();
    log.info(about, 'an export was cancelled or taken by others while in work');
  }

  async function fail(claim: Claim, failure: Failure): Promise<void> {
    const { organizationId, id } = claim;
    if (!(await settle.failed(claim, failure))) return lost({ organizationId, id });
    metrics.failed.inc({ code: failure.code });
    log.warn({ organizationId, id, code: failure.code }, 'an export has failed');
    await removeFiles(store, claim);
  }

  /** What becomes of an export whose try has ended. Where the database is away its lease ends by itself. */
  async function judge(claim: Claim, error: unknown, { lost: isLost }: { lost: boolean }): Promise<void> {
    const { organizationId, id, attempts, postponed } = claim;
    const about = { organizationId, id, attempts };
    try {
      if (isLost) return lost(about);
      if (stop.signal.aborted) return await putBack(pool, claim, 0, { counts: false });
      const failure = failureOf(error);
      if (isAway(error)) {
        metrics.postponed.inc();
        log.warn({ err: error, ...about }, `an export is put back: ${describeError(error)}`);
        return await putBack(pool, claim, backoffMs(postponed, retryMs / 5, maxRetryMs), { failure, counts: false });
      }
      log.warn({ err: error, ...about }, `an export went wrong: ${describeError(error)}`);
      if (isTooLarge(error) || attempts >= maxAttempts) return await fail(claim, failure);
      metrics.retried.inc({ code: failure.code });
      await putBack(pool, claim, backoffMs(attempts, retryMs, maxRetryMs), { failure, counts: true });
    } catch (cause) {
      log.warn({ err: cause, ...about }, `an export is left to its lease: ${describeError(cause)}`);
    }
  }

  async function look(): Promise<void> {
    if (performance.now() - measuredAt >= measureEveryMs) {
      const { waiting, oldestSeconds } = await measureQueue(pool);
      metrics.waiting.set(waiting);
      metrics.oldest.set(oldestSeconds);
      measuredAt = performance.now();
    }
    while (running.size < concurrency && !stop.signal.aborted) {
      const claim = await claimExport(pool, leaseMs);
      if (!claim) return;
      const ender = new AbortController();
      const ended = work(claim, ender).finally(() => {
        running.delete(one);
        metrics.running.set(running.size);
        looking.wake();
      });
      const one = { id: claim.id, ender, ended };
      running.add(one);
      metrics.running.set(running.size);
    }
  }

  const looking = lifecycle.every(
    'exports to be done',
    { everyMs: pollMs, retryMs: (failures) => backoffMs(failures, pollMs, 15_000), graceMs: 0 },
    look,
  );
  lifecycle.onClose('export workers', async () => {
    stop.abort(new Error('the service stops'));
    // What is being claimed now is given back, too.
    await stopWith(looking, () => [...running].map(({ ended }) => ended), closeGraceMs);
  });

  return {
    wake: looking.wake,
    cancel(id) {
      for (const one of running) if (one.id === id) one.ender.abort(new Error('it was cancelled'));
    },
  };
}
