import type { ObjectStore } from '@worktide/object-store';
import { transaction } from '@worktide/postgres';
import {
  AppError,
  backoffMs,
  describeError,
  holdLease,
  type Lifecycle,
  type Logger,
  stopWith,
} from '@worktide/runtime';
import { type BringDependencies, bring, ClaimLost, type Reached } from './bring.ts';
import {
  type Claim,
  claimImport,
  type Failure,
  makeWay,
  measureQueue,
  named,
  ours,
  putBack,
  renewClaim,
  settleFailed,
} from './claims.ts';
import type { Judged } from './items.ts';
import type { ImportMetrics } from './metrics.ts';
import { type PreviewDependencies, previewFile } from './preview.ts';
import { judgeRows, openFile } from './read-file.ts';
import { removeFile } from './remove.ts';
import { keptDays, settleDone, settledPlan } from './store.ts';

export interface ImportWorkers {
  /** There is something to do: call it after the commit. Without it, it is seen within a second. */
  wake(): void;
}

export interface ImportWorkersOptions extends BringDependencies, PreviewDependencies {
  store: ObjectStore;
  concurrency: number;
  metrics: ImportMetrics;
  log: Logger;
  lifecycle: Lifecycle;
  /** How soon what other replicas left is seen; 1 s unless said. */
  pollMs?: number;
  /** How soon the work of a dead process is taken over, 12 s unless said: who loses it while it lives goes on where it was. */
  leaseMs?: number;
  /** First pause after a failure, 5 s unless said; then longer ones. */
  retryMs?: number;
  /** Rows of one transaction; 1,000 unless said. */
  rowsAtOnce?: number;
  /** For how long rows are brought while other organisations wait, 10 s unless said; longer where it took longer to come to them. */
  turnMs?: number;
  /** A file of no more bytes finds a place of its own where large ones have the others; 8 MB unless said. */
  smallBytes?: number;
}

const maxAttempts = 4;
const maxRetryMs = 60_000;
const measureEveryMs = 5_000;
const beatMs = 1_500;
const closeGraceMs = 8_000;

/** What failed is away: the import has no part in it, and is tried for as long as it takes. */
const isAway = (error: unknown): boolean => error instanceof AppError && error.statusCode === 503;
/** What will be so the next time as well: the file is not what it is said to be. */
const isForGood = (error: unknown): error is AppError => error instanceof AppError && error.statusCode === 400;

/**
 * Reads uploaded files and imports those that were started, `concurrency` at a time and a small one beside them, for as long as the
 * service runs; several replicas share the work. While others wait an import is put back after its turn. The lease holds an import for one of them, and each transaction says how far it is, so that what a killed
 * process left goes on in another where it was.
 */
export function startImportWorkers(options: ImportWorkersOptions): ImportWorkers {
  const { pool, store, concurrency, metrics, log, lifecycle } = options;
  const { pollMs = 1_000, leaseMs = 12_000, retryMs = 5_000, rowsAtOnce = 1_000 } = options;
  const { turnMs = 10_000, smallBytes = 8_000_000 } = options;
  const stop = new AbortController();
  const running = new Set<Promise<void>>();
  const small = new Set<Promise<void>>();
  let measuredAt = Number.NEGATIVE_INFINITY;

  /** Never rejects. */
  async function work(claim: Claim): Promise<void> {
    const { organizationId, id, kind, status, attempts } = claim;
    const how = { progress: claim.progress };
    const lease = holdLease(
      () => renewClaim(pool, claim, how.progress, leaseMs),
      leaseMs,
      Math.min(beatMs, leaseMs / 6),
    );
    const signal = AbortSignal.any([lease.signal, stop.signal]);
    const about = { organizationId, id, kind, status, attempts };
    log.info(about, 'an import is gone on with');
    try {
      if (attempts > maxAttempts) {
        return await fail(claim, {
          code: 'IMPORT_CRASHED',
          message: 'The work on it ended without a word, several times.',
        });
      }
      if (status === 'reading') await look(claim, how, signal);
      else await importAll(claim, how, signal);
    } catch (error) {
      await judge(claim, error, lease.signal.aborted || error instanceof ClaimLost);
    } finally {
      lease.release();
    }
  }

  async function look(claim: Claim, how: { progress: number }, signal: AbortSignal): Promise<void> {
    let read = 0;
    // The order of dates is told by all of them.
    const passes = (claim.kind === 'toggl' || claim.kind === 'clockify') && claim.dateOrder === null ? 2 : 1;
    const onBytes = (count: number): void => {
      read += count;
      how.progress = Math.min(0.99, read / Math.max(1, claim.bytes * passes));
    };
    const { preview, plan } = await previewFile(options, claim, { onBytes, signal });
    const { rowCount } = await pool.query(
      `UPDATE agent_protocols.imports
       SET status = 'ready', progress = 1, preview = $4, plan = $5, due_at = NULL, lease = NULL, attempts = 0, postponed = 0,
         expires_at = now() + interval '${keptDays} days' WHERE ${ours}`,
      [...named(claim), JSON.stringify(preview), JSON.stringify(plan)],
    );
    if (rowCount !== 1) throw new ClaimLost('the import is not ours any more');
    metrics.read.inc({ kind: claim.kind });
  }

  async function importAll(claim: Claim, how: { progress: number }, signal: AbortSignal): Promise<void> {
    const plan = claim.plan!;
    let reached: Reached = { position: claim.position, parts: claim.parts, problems: claim.problems };
    let published: Promise<void> = Promise.resolve();
    let some: Judged[] = [];
    const begunAt = performance.now();
    let turnAt: number | undefined;
    const flush = async (): Promise<void> => {
      turnAt ??= performance.now();
      const position = some.at(-1)!.row;
      // The log's pressure is felt one transaction later, so that it is not waited for while there is work.
      const brought = await bring(options, claim, { judged: some, position, plan, before: reached });
      metrics.rows.inc({ kind: claim.kind }, position - reached.position);
      reached = brought.reached;
      how.progress = Math.min(0.99, position / Math.max(1, plan.rows));
      await published;
      published = brought.published;
      some = [];
    };
    const file = await openFile(store, claim, () => {}, signal);
    for await (const judged of await judgeRows(options, claim, file, { plan, from: reached.position })) {
      signal.throwIfAborted();
      for (const one of judged) {
        some.push(one);
        if (some.length < rowsAtOnce) continue;
        await flush();
        // What was passed over is passed over again next time: no less of a turn than that goes to what is new.
        if (performance.now() - turnAt! < Math.max(turnMs, turnAt! - begunAt)) continue;
        if (await makeWay(pool, claim)) return void (await published);
      }
    }
    if (some.length > 0) await flush();
    await published;
    signal.throwIfAborted();
    await transaction(pool, async (client) => {
      const { rowCount } = await client.query(
        `UPDATE agent_protocols.imports SET all_sent = true, lease = NULL, due_at = NULL, status = 'running', plan = $4 WHERE ${ours}`,
        [...named(claim), settledPlan(plan)],
      );
      if (rowCount !== 1) throw new ClaimLost('the import is not ours any more');
      await settleDone(client, claim.organizationId, claim.id);
    });
    metrics.imported.inc({ kind: claim.kind });
    const { organizationId, id } = claim;
    log.info({ organizationId, id, rows: reached.position, parts: reached.parts }, 'an import is on the log');
    await removeFile({ pool, store }, claim).catch((error: unknown) => {
      log.warn({ err: error, organizationId, id }, `the file of an import is left: ${describeError(error)}`);
    });
  }

  async function fail(claim: Claim, failure: Failure): Promise<void> {
    const { organizationId, id } = claim;
    if (!(await settleFailed(pool, claim, failure))) return;
    metrics.failed.inc({ code: failure.code });
    log.warn({ organizationId, id, code: failure.code }, 'an import has failed');
    await removeFile({ pool, store }, claim);
  }

  /** What becomes of an import whose try has ended. Where the database is away its lease ends by itself. */
  async function judge(claim: Claim, error: unknown, isLost: boolean): Promise<void> {
    const { organizationId, id, attempts, postponed } = claim;
    const about = { organizationId, id, attempts };
    try {
      if (isLost) return void log.info(about, 'an import was taken out, or by others, while in work');
      if (stop.signal.aborted) return await putBack(pool, claim, 0, false);
      if (isForGood(error)) return await fail(claim, { code: error.code, message: error.message });
      if (isAway(error)) {
        metrics.postponed.inc();
        log.warn({ err: error, ...about }, `an import is put back: ${describeError(error)}`);
        return await putBack(pool, claim, backoffMs(postponed, retryMs / 5, maxRetryMs), false);
      }
      log.warn({ err: error, ...about }, `an import went wrong: ${describeError(error)}`);
      if (attempts >= maxAttempts) {
        return await fail(claim, { code: 'IMPORT_FAILED', message: 'Something went wrong on our side.' });
      }
      await putBack(pool, claim, backoffMs(attempts, retryMs, maxRetryMs), true);
    } catch (cause) {
      log.warn({ err: cause, ...about }, `an import is left to its lease: ${describeError(cause)}`);
    }
  }

  async function pass(): Promise<void> {
    if (performance.now() - measuredAt >= measureEveryMs) {
      const { waiting, oldestSeconds } = await measureQueue(pool);
      metrics.waiting.set(waiting);
      metrics.oldest.set(oldestSeconds);
      measuredAt = performance.now();
    }
    await fill(running, concurrency);
    // Of large files two organisations could have all places, for as long as it takes to read them.
    await fill(small, 1, smallBytes);
  }

  async function fill(places: Set<Promise<void>>, most: number, mostBytes?: number): Promise<void> {
    while (places.size < most && !stop.signal.aborted) {
      const claim = await claimImport(pool, leaseMs, mostBytes);
      if (!claim) return;
      const ended: Promise<void> = work(claim).finally(() => {
        places.delete(ended);
        looking.wake();
      });
      places.add(ended);
    }
  }

  const looking = lifecycle.every(
    'imports to be done',
    { everyMs: pollMs, retryMs: (failures) => backoffMs(failures, pollMs, 15_000), graceMs: 0 },
    pass,
  );
  lifecycle.onClose('import workers', async () => {
    stop.abort(new Error('the service stops'));
    await stopWith(looking, () => [...running, ...small], closeGraceMs);
  });
  return { wake: looking.wake };
}
