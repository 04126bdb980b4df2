import type { Producer } from '@worktide/event-log';

/** Whoever used them up is slow for this long, and then looked at anew. */
const slowMs = 60_000;
/** With more than so many known, those who could not be told from newcomers are forgotten, once a second. */
const manyKnown = 10_000;
const forgetMs = 1_000;

/** What an organisation has at once, and how much more each second. */
export interface Allowance {
  atOnce: number;
  perSecond: number;
}

/** What takes the records of one organisation out of everybody else's way. */
export interface SlowLane {
  costs: Costs;
  /** Of the topic that they go on by. */
  producer: Producer;
}

interface Account {
  left: number;
  at: number;
  slowUntil: number;
}

/** What whose records cost, so that nobody waits for what is much work of somebody else. */
export interface Costs {
  /** @returns whether that made it slow. */
  charge(organizationId: string, cost: number): boolean;
  isSlow(organizationId: string): boolean;
}

/**
 * Counted in rows and not in time: a database that is slow today makes nobody slow, and the same records are judged alike
 * everywhere. Each process learns for itself.
 */
export function createCosts(
  { atOnce, perSecond }: Allowance,
  now: () => number = performance.now.bind(performance),
): Costs {
  const accounts = new Map<string, Account>();
  let forgotAt = 0;

  const refilled = ({ left, at }: Account, time: number): number =>
    Math.min(atOnce, left + ((time - at) / 1000) * perSecond);

  function forget(time: number): void {
    if (accounts.size < manyKnown || time - forgotAt < forgetMs) return;
    forgotAt = time;
    for (const [name, account] of accounts) {
      if (time >= account.slowUntil && refilled(account, time) >= atOnce) accounts.delete(name);
    }
  }

  return {
    charge(organizationId, cost) {
      if (cost <= 0) return false;
      const time = now();
      let account = accounts.get(organizationId);
      if (!account) {
        forget(time);
        account = { left: atOnce, at: time, slowUntil: 0 };
        accounts.set(organizationId, account);
      }
      account.left = refilled(account, time) - cost;
      account.at = time;
      if (account.left >= 0) return false;
      const wasSlow = time < account.slowUntil;
      account.slowUntil = time + slowMs;
      account.left = 0;
      return !wasSlow;
    },
    isSlow(organizationId) {
      const account = accounts.get(organizationId);
      return account !== undefined && now() < account.slowUntil;
    },
  };
}
