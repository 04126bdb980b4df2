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

/**
 * Asked when somebody else needs the room: ends what is held for, as if it had been refused with this error. False where it
 * cannot be ended any more, for it will end soon by itself.
 */
export type GiveUp = (error: AppError) => boolean;

/** Something limited that is held for a while, e.g. bytes of request bodies, of which each subject has a share. */
export interface Budget {
  /**
   * Takes `amount` for a subject: an organisation, or an address before there is one.
   * @param giveUp for what may be held for long, as whoever sends it likes.
   * @throws AppError 503 with the budget's code where it is beyond the subject's share.
   */
  take(subject: string, amount: number, giveUp?: GiveUp): Holding;
  /** Units held by all. */
  readonly held: number;
}

interface Held {
  amount: number;
  giveUp: GiveUp | undefined;
  /** It had to give up: holds nothing any more, and gets nothing. */
  over: boolean;
}

interface Subject {
  amount: number;
  /** What may be asked to give up. */
  long: Set<Held>;
}

/**
 * Two rules. **Nobody holds more than is left for everybody else**: alone, a subject has up to half, and whoever comes next
 * finds room. **Who holds most gives back**: where many have come one after the other, each with half of what was left, there
 * is room for one more all the same, for the largest holding of whoever has most is ended as long as that one has more
 * than is asked for. (The first is Choudhury and Hahne's dynamic threshold, 1998, the second their pushout of the longest
 * queue.)
 */
export function createBudget(options: BudgetOptions): Budget {
  const { name, total, metrics, code = 'BUSY', message = 'Too much is in work at the moment; try again.' } = options;
  const refused = metrics.counter('worktide_budget_refused_total', 'Requests for more than a share.', ['budget']);
  const givenBack = metrics.counter('worktide_budget_given_back_total', 'Holdings ended for others.', ['budget']);
  const labels = { budget: name };
  const subjects = new Map<string, Subject>();
  let held = 0;
  // When it is asked for: a labelled gauge that followed every change would cost more than the budget.
  metrics.observed('worktide_budget_held', 'Units of a shared budget in use.', () => held, labels);

  function refusal(why: string): AppError {
    refused.inc(labels);
    return new AppError(code, message, { statusCode: 503, retryAfterSeconds: 1, cause: `budget ${name}: ${why}` });
  }

  function add(subjectName: string, one: Held, amount: number): void {
    let subject = subjects.get(subjectName);
    if (!subject) {
      subject = { amount: 0, long: new Set() };
      subjects.set(subjectName, subject);
    }
    subject.amount += amount;
    one.amount += amount;
    held += amount;
    if (one.amount > 0 && one.giveUp) subject.long.add(one);
    else subject.long.delete(one);
    if (subject.amount === 0) subjects.delete(subjectName);
  }

  /** Whether a subject that would then hold so much finds room for so much more, made by those who have more if need be. */
  function findRoom(subjectName: string, would: number, amount: number): boolean {
    while (would > total - held - amount) {
      let most: [string, Subject] | undefined;
      for (const each of subjects) {
        if (each[0] !== subjectName && each[1].long.size > 0 && each[1].amount > (most?.[1].amount ?? would))
          most = each;
      }
      if (!most) return false;
      let largest: Held | undefined;
      for (const one of most[1].long) if (one.amount > (largest?.amount ?? 0)) largest = one;
      most[1].long.delete(largest!);
      if (!largest!.giveUp!(refusal(`${most[0]} has most, and ${subjectName} needs some`))) {
        largest!.giveUp = undefined;
        continue;
      }
      givenBack.inc(labels);
      largest!.over = true;
      add(most[0], largest!, -largest!.amount);
    }
    return true;
  }

  return {
    take(subject, amount, giveUp) {
      const mine: Held = { amount: 0, giveUp, over: false };
      function set(all: number): void {
        const more = all - mine.amount;
        if (mine.over) {
          if (all > 0) throw refusal(`${subject} had to give back`);
          return;
        }
        if (more > 0) {
          const would = (subjects.get(subject)?.amount ?? 0) + more;
          if (!findRoom(subject, would, more)) {
            throw refusal(`${subject} would hold ${would} of ${total}, ${held} are in use`);
          }
        }
        if (more !== 0) add(subject, mine, more);
      }
      set(amount);
      return { grow: (more) => set(mine.amount + more), set, release: () => set(0) };
    },
    get held() {
      return held;
    },
  };
}
