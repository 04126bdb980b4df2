import { AppError } from '../errors.ts';
import type { Metrics } from '../metrics.ts';

export interface BudgetOptions {
  /** The metrics' label, e.g. `bodies`. */
  name: string;
  /** Units in all, e.g. bytes. */
  total: number;
  metrics: Metrics;
  /** What a caller is told who gets nothing; `BUSY` unless said. */
  code?: string;
  message?: string;
}

/** What one holder has of a budget, until it lets go. */
export interface Holding {
  /** Takes more, or all stays as it was. @throws AppError 503. */
  grow(amount: number): void;
  /** Holds so much from now on, whatever it was; more of it as `grow` does. @throws AppError 503. */
  set(amount: number): void;
  /** Gives everything back; again is harmless. */
  release(): void;
}

/** Something limited that is held for a while, e.g. bytes of request bodies, of which each subject has a share. */
export interface Budget {
  /**
   * Takes `amount` for a subject: an organisation, or an address before there is one.
   * @throws AppError 503 with the budget's code where it is beyond the subject's share.
   */
  take(subject: string, amount: number): Holding;
  /** Units held by all. */
  readonly held: number;
}

/**
 * One rule: **nobody holds more than is left for everybody else.** Alone, a subject has up to half; of n greedy ones each
 * has a part of n + 1, and as much is still free for the next who comes. So no number of them uses it up, and nobody
 * needs to know beforehand how many there will be. (Choudhury and Hahne, "Dynamic queue length thresholds for
 * shared-memory packet switches", 1998, with a factor of 1.)
 */
export function createBudget(options: BudgetOptions): Budget {
  const { name, total, metrics, code = 'BUSY', message = 'Too much is in work at the moment; try again.' } = options;
  const refused = metrics.counter('worktide_budget_refused_total', 'Requests for more than a share.', ['budget']);
  const labels = { budget: name };
  const holdings = new Map<string, number>();
  let held = 0;
  // When it is asked for: a labelled gauge that followed every change would cost more than the budget.
  metrics.observed('worktide_budget_held', 'Units of a shared budget in use.', () => held, labels);

  function add(subject: string, amount: number): void {
    const has = (holdings.get(subject) ?? 0) + amount;
    if (amount > 0 && has > total - held - amount) {
      refused.inc(labels);
      const cause = `budget ${name}: ${subject} would hold ${has} of ${total}, ${held} are in use`;
      throw new AppError(code, message, { statusCode: 503, retryAfterSeconds: 1, cause });
    }
    if (has === 0) holdings.delete(subject);
    else holdings.set(subject, has);
    held += amount;
  }

  return {
    take(subject, amount) {
      add(subject, amount);
      let mine = amount;
      function set(all: number): void {
        if (all !== mine) add(subject, all - mine);
        mine = all;
      }
      return { grow: (more) => set(mine + more), set, release: () => set(0) };
    },
    get held() {
      return held;
    },
  };
}
