import type { ClickHouse } from '@worktide/clickhouse';
import { type KnownDays, localDays } from '@worktide/runtime';
import type { DailyReport, KeyedReport } from '@worktide/schemas';

import { byKey, byUserAndDay, type IntervalScope } from './intervals.ts';
import { reportSettings } from './settings.ts';

/** Whose time: one user, on days of a zone. */
export interface Subject {
  organizationId: string;
  userId: string;
  /** IANA zone whose calendar days are meant. */
  timezone: string;
}

export interface UserDay {
  userId: string;
  date: string;
  workMs: number;
  activeMs: number;
  keyboardClicks: number;
  mouseMovements: number;
}

export interface Reports {
  apps(subject: Subject, date: string, signal?: AbortSignal): Promise<KeyedReport<'app'>>;
  domains(subject: Subject, date: string, signal?: AbortSignal): Promise<KeyedReport<'host'>>;
  /** Every day of the range, both ends included, also those without any entry. */
  daily(subject: Subject, from: string, to: string, signal?: AbortSignal): Promise<DailyReport>;
  /** Many users at once, all of the organisation unless some are named; only days with any entry or counts, in no order. */
  userDays(
    scope: { organizationId: string; userIds?: readonly string[]; timezone: string },
    from: string,
    to: string,
    signal?: AbortSignal,
  ): Promise<UserDay[]>;
}

/** Apps or hosts in one answer; the longest are kept. */
export const maxItems = 500;

/** Whole seconds, half up (rule Time: shown). */
const seconds = (ms: number): number => Math.round(ms / 1000);

/**
 * Parts as whole seconds that add up to the rounded whole: those with the greatest remainders are rounded up, of equal
 * ones the first (rule Time: shown).
 * @param ms longest first; the result is in the same order, and longest first too.
 */
export function secondsOfParts(ms: readonly number[]): number[] {
  const shown = ms.map((part) => Math.floor(part / 1000));
  const missing = seconds(ms.reduce((sum, part) => sum + part, 0)) - shown.reduce((sum, part) => sum + part, 0);
  const byRemainder = ms.map((part, i) => ({ i, remainder: part % 1000 })).sort((a, b) => b.remainder - a.remainder);
  for (const { i } of byRemainder.slice(0, missing)) shown[i]!++;
  return shown;
}

/** Reports from `usage` and `input_minutes`. Rejects with 503 when ClickHouse is away or refuses for want of memory or time. */
export function createReports({ clickhouse }: { clickhouse: Pick<ClickHouse, 'query'> }): Reports {
  const query = <T>({ sql, params }: { sql: string; params: Record<string, unknown> }, signal?: AbortSignal) =>
    clickhouse.query<T>(sql, { params, settings: reportSettings, ...(signal ? { signal } : {}) });
  const known: KnownDays = new Map();

  async function keyed<K extends 'app' | 'host'>(
    column: K,
    subject: Subject,
    date: string,
    signal?: AbortSignal,
  ): Promise<KeyedReport<K>> {
    const { organizationId, userId, timezone } = subject;
    const days = localDays(date, date, timezone, known);
    const scope = { organizationId, userIds: [userId], days };
    const rows = hasTime(scope)
      ? await query<{ key: string; isTotal: number; activeMs: number }>(byKey(scope, column, maxItems), signal)
      : [];
    const total = rows.find((row) => row.isTotal === 1)?.activeMs ?? 0;
    const parts = rows.filter((row) => row.isTotal === 0);
    const shown = secondsOfParts(parts.map(({ activeMs }) => activeMs));
    const items = parts.map(
      ({ key }, i) => ({ [column]: key, seconds: shown[i]! }) as { [k in K]: string } & { seconds: number },
    );
    return { date, timezone, totalSeconds: seconds(total), items };
  }

  async function userDays(
    { timezone, ...who }: { organizationId: string; userIds?: readonly string[]; timezone: string },
    from: string,
    to: string,
    signal?: AbortSignal,
  ): Promise<UserDay[]> {
    const scope = { ...who, days: localDays(from, to, timezone, known) };
    if (!hasTime(scope)) return [];
    const dates = new Map(scope.days.filter(({ start, end }) => start < end).map(({ start, date }) => [start, date]));
    const rows = await query<Omit<UserDay, 'date'> & { day: number }>(byUserAndDay(scope), signal);
    return rows.map(({ day, ...row }) => ({ ...row, date: dates.get(day)! }));
  }

  return {
    apps: (subject, date, signal) => keyed('app', subject, date, signal),
    domains: (subject, date, signal) => keyed('host', subject, date, signal),
    userDays,
    async daily({ organizationId, userId, timezone }, from, to, signal) {
      const scope = { organizationId, userIds: [userId], timezone };
      const found = new Map((await userDays(scope, from, to, signal)).map((row) => [row.date, row]));
      return {
        items: localDays(from, to, timezone, known).map(({ date }) => {
          const { workMs = 0, activeMs = 0, keyboardClicks = 0, mouseMovements = 0 } = found.get(date) ?? {};
          const [workSeconds, activeSeconds] = [seconds(workMs), seconds(activeMs)];
          return {
            date,
            workSeconds,
            activeSeconds,
            idleSeconds: workSeconds - activeSeconds,
            productivityScore: workMs > 0 ? Math.round((activeMs / workMs) * 1000) / 10 : null,
            keyboardClicks,
            mouseMovements,
          };
        }),
      };
    },
  };
}

/** False where the zone skipped all the days asked for. */
const hasTime = ({ days }: IntervalScope): boolean => days[0]!.start < days.at(-1)!.end;
