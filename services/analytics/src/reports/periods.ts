import type { WeekStart } from '@worktide/schemas';
import type { GroupedRange, Range } from './reports.ts';

/** What the rows of a report are of: a day, or a week that is named by its first day. */
export interface Period {
  date: string;
  /** The week's last day. */
  until?: string;
}

export interface Periods {
  /** The days asked for, moved out to whole weeks where it goes by weeks. */
  range: Range;
  /** In order, without gap. */
  periods: Period[];
  /** The `date` of the period that a day of the range is in. */
  periodOf(date: string): string;
}

const dayMs = 86_400_000;
const plus = (date: string, days: number): string =>
  new Date(Date.parse(date) + days * dayMs).toISOString().slice(0, 10);
/** As `Date.getUTCDay` counts. */
const firstWeekday: Record<WeekStart, number> = { sunday: 0, monday: 1, saturday: 6 };

export function periodsOf({ from, to, weekStart }: GroupedRange): Periods {
  if (weekStart === undefined) {
    const periods: Period[] = [];
    for (let date = from; date <= to; date = plus(date, 1)) periods.push({ date });
    return { range: { from, to }, periods, periodOf: (date) => date };
  }
  const periodOf = (date: string): string =>
    plus(date, -((new Date(date).getUTCDay() - firstWeekday[weekStart] + 7) % 7));
  const range = { from: periodOf(from), to: plus(periodOf(to), 6) };
  const periods: Period[] = [];
  for (let date = range.from; date <= range.to; date = plus(date, 7)) periods.push({ date, until: plus(date, 6) });
  return { range, periods, periodOf };
}
