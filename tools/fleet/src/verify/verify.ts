import { setTimeout as sleep } from 'node:timers/promises';
import { type Account, inParallel } from '../accounts.ts';
import type { Ledger } from '../oracle/ledger.ts';
import { dayReport, daysTouched } from '../oracle/reports.ts';
import { compareDaily, compareShares, compareSums, compareUsage } from './compare.ts';
import type { Reader } from './read.ts';

export interface UserDifferences {
  userId: string;
  timezone: string;
  /** How many there are; `first` names a few of them. */
  count: number;
  first: string[];
}

/** What the public interface shows against what it must show. */
export interface Verification {
  equal: boolean;
  users: number;
  entries: number;
  /** Local days compared, over all users. */
  days: number;
  differences: UserDifferences[];
  /** From the first comparison to the last one, seconds. */
  tookSeconds: number;
}

export interface VerifyOptions {
  ledger: Ledger;
  reader: Reader;
  accounts: readonly Account[];
  /** How long results may take to become equal, seconds. */
  settleSeconds: number;
  signal?: AbortSignal;
  /** Told how many users are equal, whenever a round has changed that. */
  onProgress?: (equal: number, users: number) => void;
}

const dayMs = 24 * 3_600_000;
/** Users compared at once: reports are what the service works hardest for. */
const parallelUsers = 6;
const differencesKept = 5;
const pollMs = 250;

/**
 * Compares every user until all are equal or the deadline passes. A user that was equal is not asked again, until
 * all are: then once more, since a late repeat must not have changed anything either; without the two reports of each
 * single day, which say little that the daily one does not.
 */
export async function verify(options: VerifyOptions): Promise<Verification> {
  const startedAt = Date.now();
  const deadline = startedAt + options.settleSeconds * 1000;
  const differences = new Map<string, string[]>();
  let told: number | undefined;
  let entries = 0;
  let days = 0;
  for (const account of options.accounts) {
    const expected = options.ledger.entries(account.userId);
    entries += expected.length;
    days += daysTouched(expected, account.timezone).length;
  }

  /** One round over these users. @returns those that differ. */
  async function round(accounts: readonly Account[], depth: 'all' | 'totals'): Promise<Account[]> {
    await inParallel(accounts, parallelUsers, async (account) => {
      const found = options.signal?.aborted
        ? ['not compared: interrupted']
        : await compareUser(account, depth, options).catch((error: unknown) => [String(error)]);
      if (found.length > 0) differences.set(account.userId, found);
      else differences.delete(account.userId);
    });
    const equal = options.accounts.length - differences.size;
    if (equal !== told) options.onProgress?.(equal, options.accounts.length);
    told = equal;
    return accounts.filter((account) => differences.has(account.userId));
  }

  let rounds = 0;
  for (let left = await round(options.accounts, 'all'); ; rounds++) {
    if (left.length === 0) {
      // A first round that found all equal was itself the whole at rest.
      if (rounds === 0) break;
      left = await round(options.accounts, 'totals');
      if (left.length === 0) break;
    }
    if (Date.now() > deadline || options.signal?.aborted) break;
    await sleep(pollMs);
    left = await round(left, 'all');
  }

  return {
    equal: differences.size === 0,
    users: options.accounts.length,
    entries,
    days,
    differences: options.accounts.flatMap(({ userId, timezone }) => {
      const found = differences.get(userId);
      return found ? [{ userId, timezone, count: found.length, first: found.slice(0, differencesKept) }] : [];
    }),
    tookSeconds: (Date.now() - startedAt) / 1000,
  };
}

/** All differences of one user; the reports only where the entries are right, since they follow from them. */
async function compareUser(
  account: Account,
  depth: 'all' | 'totals',
  { ledger, reader }: VerifyOptions,
): Promise<string[]> {
  const expected = ledger.entries(account.userId);
  if (expected.length === 0) {
    const unwanted = await reader.usage(account, Date.now() - 90 * dayMs, Date.now());
    return compareUsage([], unwanted, account.userId);
  }
  const from = expected.reduce((least, e) => Math.min(least, e.startedAt), Number.POSITIVE_INFINITY);
  const to = expected.reduce((most, e) => Math.max(most, e.endedAt), 0);
  // A day more on both sides: what must not be there would be near.
  const usage = compareUsage(expected, await reader.usage(account, from - dayMs, to + dayMs), account.userId);
  if (usage.length > 0) return usage;

  const zone = account.timezone;
  const dates = daysTouched(expected, zone);
  const reports = dates.map((date) => dayReport(expected, date, zone));
  const daily = await reader.daily(account, { from: dates[0]!, to: dates.at(-1)! });
  const differences = compareDaily(reports, daily);
  if (differences.length === 0) {
    const sums = await reader.sums(account, { from: dates[0]!, to: dates.at(-1)! });
    if (sums) differences.push(...compareSums(reports, sums, account.userId));
  }
  for (const day of reports) {
    if (differences.length > 0 || depth === 'totals') break;
    // The zone is the user's own where none is given; one of the two reports gives it.
    const apps = await reader.share(account, 'apps', { date: day.date });
    const domains = await reader.share(account, 'domains', { date: day.date, timezone: zone });
    differences.push(...compareShares('apps', day, apps, zone), ...compareShares('domains', day, domains, zone));
  }
  return differences;
}
