/**
 * Rows that merging reads beside what ordinary pings meet. Of these an organisation has so many at once, about a fifth
 * of a second of one transaction after the other, and so many more each second.
 */
const rowsAtOnce = 20_000;
const rowsPerSecond = 2_000;
/** A ping meets the entry before it and the one behind it; one of some seconds that comes late, a few more. */
const rowsPerPing = 16;
/** Whoever used them up is slow for this long, and then looked at anew. */
const slowMs = 60_000;
/** With more than so many known, those who could not be told from newcomers are forgotten, once a second. */
const manyKnown = 10_000;
const forgetMs = 1_000;

interface Account {
  rows: number;
  at: number;
  slowUntil: number;
}

/** What merging costs whom, in rows read, so that nobody waits for what is much work of somebody else. */
export interface Costs {
  /** @returns whether that made it slow. */
  charge(organizationId: string, rows: number, pings: number): boolean;
  isSlow(organizationId: string): boolean;
}

/**
 * Rows and not time: a database that is slow today makes nobody slow, and the same pings are judged alike everywhere.
 * Each process learns for itself.
 */
export function createCosts(now: () => number = performance.now.bind(performance)): Costs {
  const accounts = new Map<string, Account>();
  let forgotAt = 0;

  const refilled = ({ rows, at }: Account, time: number): number =>
    Math.min(rowsAtOnce, rows + ((time - at) / 1000) * rowsPerSecond);

  function forget(time: number): void {
    if (accounts.size < manyKnown || time - forgotAt < forgetMs) return;
    forgotAt = time;
    for (const [name, account] of accounts) {
      if (time >= account.slowUntil && refilled(account, time) >= rowsAtOnce) accounts.delete(name);
    }
  }

  return {
    charge(organizationId, rows, pings) {
      const extra = rows - rowsPerPing * pings;
      if (extra <= 0) return false;
      const time = now();
      let account = accounts.get(organizationId);
      if (!account) {
        forget(time);
        account = { rows: rowsAtOnce, at: time, slowUntil: 0 };
        accounts.set(organizationId, account);
      }
      account.rows = refilled(account, time) - extra;
      account.at = time;
      if (account.rows >= 0) return false;
      const wasSlow = time < account.slowUntil;
      account.slowUntil = time + slowMs;
      account.rows = 0;
      return !wasSlow;
    },
    isSlow(organizationId) {
      const account = accounts.get(organizationId);
      return account !== undefined && now() < account.slowUntil;
    },
  };
}
