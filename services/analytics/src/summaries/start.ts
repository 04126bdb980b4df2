import type { ClickHouse } from '@worktide/clickhouse';
import type { Lifecycle, Logger, Metrics } from '@worktide/runtime';
import type { DayChanges } from '../ingest/changes.ts';
import { createDirtyDays } from './dirty.ts';
import { createSummarize } from './summarize.ts';
import { createSweep } from './sweep.ts';

export interface Summaries {
  /** What was stored anew: summed up within a minute, by this process or by the sweep of any. */
  changed(changes: DayChanges): void;
  /** Somebody may be in another zone now: the next pass looks for days that are not there. */
  peopleChanged(): void;
}

/** How soon changed days are summed up. Every pass reads all of a changed day again, so not at once. */
const everyMs = 10_000;
const sweepEveryMs = 3_600_000;
const sweepSoonMs = 30_000;
const peopleAtOnce = 500;
/** People whose days wait, a few hundred bytes each; more are left to the sweep. */
const maxPeople = 200_000;

/**
 * Keeps table `days` as new as what it sums up. Any number of replicas do it at once: each sums up what it has stored itself,
 * and of two rows the one that was begun later counts.
 */
export function startSummaries(options: {
  clickhouse: ClickHouse;
  lifecycle: Lifecycle;
  log: Logger;
  metrics: Metrics;
  /** How often, for tests. */
  passEveryMs?: number;
}): Summaries {
  const { clickhouse, lifecycle, log, metrics, passEveryMs = everyMs } = options;
  const summarize = createSummarize({ clickhouse, log });
  const dirty = createDirtyDays(maxPeople);
  const waiting = metrics.gauge('worktide_analytics_days_waiting', 'People whose changed days wait to be summed up');
  waiting.set(0);
  const sweep = createSweep(clickhouse, summarize);
  let sweepAt = 0;
  let sweeping = false;
  let took = 0;

  async function pass(signal: AbortSignal): Promise<boolean> {
    const startedAt = performance.now();
    const taken = dirty.take(peopleAtOnce);
    for (const [i, days] of taken.entries()) {
      try {
        await summarize(days, signal);
      } catch (error) {
        dirty.add({ found: new Map(taken.slice(i).map(({ organizationId, users }) => [organizationId, users])) });
        throw error;
      }
    }
    waiting.set(dirty.users);
    // After what is known, which a sweep that is long, or never succeeds, must not hold up.
    if (!sweeping && startedAt >= sweepAt) {
      sweeping = true;
      // Before, so that people who change during the sweep have the next one soon.
      sweepAt = startedAt + sweepEveryMs;
    }
    if (sweeping) sweeping = await sweep(signal);
    took = performance.now() - startedAt;
    return taken.length > 0 && dirty.users > 0;
  }

  // Where a pass takes long there is much of it, or the store is busy: half of the time is left to others.
  lifecycle.every(
    'summaries',
    { everyMs: () => Math.min(30_000, Math.max(passEveryMs, took)), retryMs: 5_000, graceMs: 5_000 },
    pass,
  );
  return {
    changed(changes) {
      dirty.add(changes);
      waiting.set(dirty.users);
    },
    peopleChanged() {
      sweepAt = Math.min(sweepAt, performance.now() + sweepSoonMs);
    },
  };
}
