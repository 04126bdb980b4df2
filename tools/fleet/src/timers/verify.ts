import { setTimeout as sleep } from 'node:timers/promises';
import { type Account, inParallel } from '../accounts.ts';
import { localDate } from '../oracle/days.ts';
import type { ExpectedEntry, Ledger } from '../oracle/ledger.ts';
import type { AlertItem, Reader, TimeEntryItem } from '../verify/read.ts';
import type { ExpectedTime, TimeLedger } from './ledger.ts';
import { countsByDay, secondsOf, workedByDay } from './oracle.ts';

export interface TimeVerification {
  equal: boolean;
  /** Entries that there must be, over all users. */
  entries: number;
  /** Days that are too long. */
  longDays: number;
  differences: { userId: string; count: number; first: string[] }[];
  /** From the first comparison to the last one, seconds. */
  tookSeconds: number;
}

export interface TimeVerifyOptions {
  ledger: TimeLedger;
  /** Of pings: what of an entry was active. */
  usage: Pick<Ledger, 'entries'>;
  reader: Pick<Reader, 'timeEntries' | 'alerts' | 'daily'>;
  accounts: readonly Account[];
  settleSeconds: number;
}

const dayMs = 24 * 3_600_000;
const parallelUsers = 4;
const differencesKept = 5;
const pollMs = 500;
/** What an organisation has unless it sets another. */
const overtimeMs = 9 * 3_600_000;
/** A timer that runs makes a day longer while it is compared. */
const unsureMs = 3 * 3_600_000;

const iso = (ms: number): string => new Date(ms).toISOString();

const lineOf = (entry: Omit<TimeEntryItem, 'id' | 'userId'>): string =>
  [
    entry.kind,
    entry.status,
    `${entry.startTime} … ${entry.endTime}`,
    `worked ${entry.workedSeconds} (${entry.activeSeconds} + ${entry.idleSeconds} + ${entry.untrackedSeconds}) s`,
    `last ${entry.lastActivityAt}`,
    `version ${entry.version}`,
    entry.description ?? '-',
  ].join(' | ');

/** @returns one sentence per difference between what was acknowledged and what is listed. */
export function compareTimes(
  expected: readonly ExpectedTime[],
  running: { entryId: string; from: number } | undefined,
  usage: readonly ExpectedEntry[],
  items: readonly TimeEntryItem[],
  userId: string,
): string[] {
  const differences: string[] = [];
  const wanted = new Set(
    expected.map((entry) =>
      lineOf({
        ...secondsOf(entry, usage),
        kind: entry.kind,
        status: 'STOPPED',
        startTime: iso(entry.from),
        endTime: iso(entry.to),
        description: entry.description,
        version: entry.version,
      }),
    ),
  );
  const ids = new Set<string>();
  let last: string | undefined;
  for (const item of items) {
    if (ids.has(item.id)) differences.push(`time entry ${item.id} comes twice`);
    ids.add(item.id);
    if (item.userId !== userId) differences.push(`time entry ${item.id}: of another user (${item.userId})`);
    if (last !== undefined && item.startTime > last) differences.push(`time entry ${item.id}: not newest first`);
    last = item.startTime;
    if (item.id === running?.entryId) {
      if (item.status !== 'RUNNING' || Date.parse(item.startTime) !== running.from || item.version !== 1) {
        differences.push(`time entry: must run since ${iso(running.from)}: ${lineOf(item)}`);
      }
    } else if (!wanted.delete(lineOf(item))) differences.push(`time entry: must not be there: ${lineOf(item)}`);
  }
  if (running && !ids.has(running.entryId)) differences.push(`time entry: missing, runs since ${iso(running.from)}`);
  for (const line of wanted) differences.push(`time entry: missing: ${line}`);
  return differences;
}

/**
 * A day that is too long has one alert, open. While a timer is on its way from a start in the past to its stop, scans may see
 * days that are too long and empty chairs: of those alerts each must have resolved itself.
 */
export function compareAlerts(
  expected: readonly ExpectedTime[],
  running: { entryId: string; from: number } | undefined,
  isAlone: boolean,
  items: readonly AlertItem[],
  zone: string,
): string[] {
  const differences: string[] = [];
  const days = workedByDay(expected, zone);
  const today = running && localDate(running.from, zone);
  const overtime = new Map<string, AlertItem[]>();
  const idle = items.filter(({ type, timeEntryId }) => type === 'idle' && timeEntryId === running?.entryId);
  for (const item of items) {
    if (item.type === 'overtime') overtime.set(item.date, [...(overtime.get(item.date) ?? []), item]);
    else if (!idle.includes(item) && item.resolvedAt === null) {
      differences.push(`alert: idle since ${item.message} of ${item.timeEntryId} must be resolved`);
    }
    if (item.resolvedBy !== null) differences.push(`alert ${item.id}: resolved by ${item.resolvedBy}`);
  }
  for (const [date, found] of overtime) {
    if (found.length > 1) differences.push(`alert: overtime of ${date} comes ${found.length} times`);
  }
  for (const date of new Set([...days.keys(), ...overtime.keys()])) {
    const ms = days.get(date) ?? 0;
    if (today !== undefined && date >= today && ms > overtimeMs - unsureMs && ms <= overtimeMs) continue;
    const isOpen = overtime.get(date)?.some(({ resolvedAt }) => resolvedAt === null) ?? false;
    if (isOpen !== ms > overtimeMs) {
      differences.push(
        `alert: overtime of ${date} is ${isOpen ? '' : 'not '}open, ${Math.round(ms / 1000)} s were worked`,
      );
    }
  }
  if (running && isAlone) {
    const shown = idle.map(({ date, resolvedAt }) => `${date} ${resolvedAt === null ? 'open' : 'resolved'}`).join(', ');
    const must = `${localDate(running.from, zone)} open`;
    if (shown !== must) differences.push(`alert: of the timer that runs: ${shown || 'none'}, must be ${must}`);
  }
  return differences;
}

async function compareUser(account: Account, { ledger, usage, reader }: TimeVerifyOptions): Promise<string[]> {
  const { userId, timezone } = account;
  const expected = ledger.entries(userId);
  const running = ledger.running(userId);
  const minutes = ledger.minutes(userId);
  const seen = usage.entries(userId);
  const now = Date.now();
  const from =
    Math.min(now, ...expected.map((entry) => entry.from), ...minutes.map(({ minute }) => minute)) - 2 * dayMs;
  const differences = compareTimes(
    expected,
    running,
    seen,
    await reader.timeEntries(account, from, now + dayMs),
    userId,
  );
  if (differences.length > 0) return differences;
  const isAlone = !seen.some(({ endedAt }) => running && endedAt > running.from);
  differences.push(...compareAlerts(expected, running, isAlone, await reader.alerts(account), timezone));

  const counts = countsByDay(minutes, timezone);
  const daily = await reader.daily(account, { from: localDate(from, timezone), to: localDate(now, timezone) });
  for (const { date, keyboardClicks, mouseMovements } of daily) {
    const must = counts.get(date) ?? { keyboardClicks: 0, mouseMovements: 0 };
    if (keyboardClicks !== must.keyboardClicks || mouseMovements !== must.mouseMovements) {
      differences.push(
        `daily ${date}: ${keyboardClicks} clicks and ${mouseMovements} movements, must be ${must.keyboardClicks} and ${must.mouseMovements}`,
      );
    }
  }
  return differences;
}

/** Compares every user until all are equal or the deadline passes. */
export async function verifyTimes(options: TimeVerifyOptions): Promise<TimeVerification> {
  const { ledger, accounts } = options;
  const startedAt = Date.now();
  const deadline = startedAt + options.settleSeconds * 1000;
  const differences = new Map<string, string[]>();
  for (let left = accounts; ; await sleep(pollMs)) {
    await inParallel(left, parallelUsers, async (account) => {
      const found = await compareUser(account, options).catch((error: unknown) => [String(error)]);
      if (found.length > 0) differences.set(account.userId, found);
      else differences.delete(account.userId);
    });
    left = left.filter(({ userId }) => differences.has(userId));
    if (left.length === 0 || Date.now() > deadline) break;
  }
  const days = accounts.flatMap(({ userId, timezone }) => [...workedByDay(ledger.entries(userId), timezone).values()]);
  return {
    equal: differences.size === 0,
    entries: accounts.reduce((sum, { userId }) => sum + ledger.entries(userId).length, 0),
    longDays: days.filter((ms) => ms > overtimeMs).length,
    differences: [...differences].map(([userId, found]) => ({
      userId,
      count: found.length,
      first: found.slice(0, differencesKept),
    })),
    tookSeconds: (Date.now() - startedAt) / 1000,
  };
}
