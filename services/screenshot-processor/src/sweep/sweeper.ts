import type { ObjectStore } from '@worktide/object-store';
import { describeError, type Logger, type Metrics } from '@worktide/runtime';
import { createWalk, objectRules } from './objects.ts';
import { createLossFinder, createRetention, forgetDeleted, type RowRulesOptions } from './rows.ts';

export interface SweeperOptions extends Omit<RowRulesOptions, 'now' | 'store'> {
  store: Pick<ObjectStore, 'check' | 'head' | 'list' | 'deleteMany'>;
  /** Records of topic `screenshots` that are not in the database yet. */
  lag: () => Promise<number>;
  /** There are objects to be removed. */
  onDeleted: () => void;
  log: Logger;
  metrics: Metrics;
  now?: () => number;
  /** What one pass looks at. */
  bounds?: Partial<typeof defaultBounds>;
}

const defaultBounds = { pageSize: 500, pages: 10, organizations: 100, heads: 200 };

/**
 * Settles what no single piece of work could: uploads that were never confirmed or whose record was refused, results
 * without rows, rows without results, and what is too old. One pass looks at a bounded part, and the next goes on from
 * there; several replicas doing it at once do no harm.
 */
export function createSweeper(options: SweeperOptions) {
  const { pool, store, lag, onDeleted, log, now = Date.now } = options;
  const bounds = { ...defaultBounds, ...options.bounds };
  const swept = options.metrics.counter('worktide_screenshots_swept_total', 'What a sweep removed or settled', [
    'kind',
  ]);
  const failures = options.metrics.counter('worktide_screenshots_sweep_failures_total', 'Parts of sweeps that failed', [
    'part',
  ]);
  let caughtUpAt: number | undefined;
  const rules = { ...options, now };
  const walks = objectRules({ pool, now, caughtUpAt: () => caughtUpAt }).map((rule) => ({
    part: rule.prefix,
    walk: createWalk(store, rule, bounds.pageSize),
  }));
  const retain = createRetention(rules);
  const findLosses = createLossFinder(rules);

  function count(kind: string, things: number): void {
    if (things === 0) return;
    swept.inc({ kind }, things);
    log.info({ kind, things }, 'swept');
  }

  /** A part that fails does not keep the others from their work. */
  async function attempt(part: string, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      failures.inc({ part });
      log.warn({ err: error, part }, `sweep: ${describeError(error)}`);
    }
  }

  /** One pass. Never throws: what fails is logged, counted and tried in the next. */
  return async function sweep(): Promise<void> {
    await attempt('lag', async () => {
      const askedAt = now();
      if ((await lag()) === 0) caughtUpAt = askedAt;
    });
    for (const { part, walk } of walks) await attempt(part, () => walk(bounds.pages, count));
    await attempt('retention', async () => {
      const deleted = await retain(bounds);
      count('expired', deleted);
      if (deleted > 0) onDeleted();
    });
    await attempt('losses', async () => {
      const lost = await findLosses(bounds.heads);
      count('lost-picture', lost);
      if (lost > 0) onDeleted();
    });
    await attempt('deleted rows', async () => count('deleted-row', await forgetDeleted(rules, bounds.pageSize)));
  };
}
