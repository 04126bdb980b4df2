import { createTenantCache, type KeyValue } from '@worktide/key-value';
import { describeError, type Lifecycle, type Logger, type Metrics, sleep } from '@worktide/runtime';
import { z } from 'zod';

/** What an answer that nobody could take back is old at most; and how far a running timer in one is behind. */
const ttlMs = 10_000;
/** Between two rounds of taking back. */
const pauseMs = 250;

export interface ReportCache {
  /**
   * The report that is remembered for these parameters, else what `load` gives. Who may read it is the caller's to ask
   * first: the answer is the same whoever asks.
   */
  get<T>(organizationId: string, report: string, params: object, load: () => Promise<T>): Promise<T>;
  /** Something of these organisations was stored: what is remembered of them is taken back, soon. */
  stored(organizationIds: Iterable<string>): void;
}

/**
 * Answers of reports, shared by replicas. What ingest stores takes back all of its organisation's; key-value being away means
 * that every report is worked out.
 */
export function createReportCache(options: {
  keyValue: Pick<KeyValue, 'get' | 'set' | 'increment'>;
  lifecycle: Lifecycle;
  log: Logger;
  metrics: Metrics;
}): ReportCache {
  const { lifecycle, log } = options;
  const cache = createTenantCache({ ...options, name: 'reports', schema: z.unknown(), ttlMs });
  let changed = new Set<string>();

  const loop = lifecycle.every('report cache', { everyMs: 60_000, graceMs: 1_000 }, async (signal) => {
    const some = changed;
    changed = new Set();
    let failure: unknown;
    // Some at a time: thousands of organisations report within a second.
    const ids = [...some];
    for (let i = 0; i < ids.length && !failure; i += 100) {
      const round = await Promise.allSettled(ids.slice(i, i + 100).map((id) => cache.invalidate(id)));
      failure = round.find((one) => one.status === 'rejected')?.reason;
    }
    // Not tried again: what is remembered is over by then.
    if (failure) log.debug({ err: failure }, `report cache: ${describeError(failure)}`);
    if (!signal.aborted && some.size > 0) await sleep(pauseMs, signal);
    return changed.size > 0;
  });

  return {
    get: <T>(organizationId: string, report: string, params: object, load: () => Promise<T>) =>
      cache.get(organizationId, JSON.stringify([report, params]), load) as Promise<T>,
    stored(organizationIds) {
      const before = changed.size;
      for (const id of organizationIds) changed.add(id);
      if (before === 0 && changed.size > 0) loop.wake();
    },
  };
}
