import { type LocalDay, localDate } from '@worktide/runtime';
import type { Spent } from './durations.ts';
import { percentOf, shownTime } from './time.ts';

type Key = 'project' | 'language' | 'editor' | 'os' | 'machine' | 'category' | 'branch' | 'entity';

const sumOf = (spent: readonly Spent[]): number => spent.reduce((sum, { ms }) => sum + ms, 0);

/** Names of one thing that are told: nobody reads more, and a request could make tens of thousands. */
const mostNames = 500;

/** Time by one thing that it was spent on, longest first, the first 500. @param unnamed for what says nothing of it. */
export function by(
  spent: readonly Spent[],
  key: Key,
  unnamed: string,
  show: (name: string) => string = (name) => name,
) {
  const sums = new Map<string, number>();
  for (const one of spent) {
    const name = show(one[key] ?? unnamed);
    sums.set(name, (sums.get(name) ?? 0) + one.ms);
  }
  const total = sumOf(spent);
  return [...sums]
    .sort(([a, x], [b, y]) => y - x || (a < b ? -1 : 1))
    .slice(0, mostNames)
    .map(([name, ms]) => ({ name, ...shownTime(ms), percent: percentOf(ms, total) }));
}

const capitalized = (name: string): string => name.charAt(0).toUpperCase() + name.slice(1);

/** All that time was spent on. */
const parts = (spent: readonly Spent[]) => ({
  categories: by(spent, 'category', 'coding', capitalized),
  projects: by(spent, 'project', 'Unknown Project'),
  languages: by(spent, 'language', 'Other'),
  editors: by(spent, 'editor', 'Unknown editor'),
  operating_systems: by(spent, 'os', 'Unknown OS'),
  machines: by(spent, 'machine', 'Unknown machine'),
  dependencies: [],
});

function grandTotal(ms: number) {
  const { seconds: _, digital, ...time } = shownTime(ms);
  return { ...time, digital: digital.slice(0, -3) };
}

/** `2026-11-27T09:00:00Z` */
export const instantOf = (ms: number): string => `${new Date(ms).toISOString().slice(0, 19)}Z`;

const dayText = (date: string): string =>
  new Intl.DateTimeFormat('en-US', {
    weekday: 'short',
    month: 'short',
    day: 'numeric',
    year: 'numeric',
    timeZone: 'UTC',
  }).format(Date.parse(date));

/** One day as the protocol shows it. */
export function daySummary(
  day: LocalDay,
  all: readonly Spent[],
  timezone: string,
  withParts: { project?: string | undefined } = {},
) {
  const spent = all.filter(({ date }) => date === day.date);
  return {
    grand_total: grandTotal(sumOf(spent)),
    ...parts(spent),
    ...(withParts.project === undefined
      ? {}
      : { branches: by(spent, 'branch', 'Unknown'), entities: by(spent, 'entity', 'Unknown') }),
    range: {
      date: day.date,
      start: instantOf(day.start),
      end: instantOf(Math.max(day.start, day.end - 1_000)),
      text: dayText(day.date),
      timezone,
    },
  };
}

/** Over some days, and on an average day with anything. */
export function totals(days: readonly LocalDay[], spent: readonly Spent[]) {
  const ms = sumOf(spent);
  const holidays = days.length - new Set(spent.map(({ date }) => date)).size;
  const withTime = Math.max(1, days.length - holidays);
  const { text, digital, decimal, total_seconds: seconds } = shownTime(ms);
  const average = shownTime(ms / withTime);
  return {
    cumulative_total: { text, digital, decimal, seconds },
    daily_average: {
      holidays,
      days_including_holidays: days.length,
      days_minus_holidays: days.length - holidays,
      seconds: Math.round(average.total_seconds),
      text: average.text,
      seconds_including_other_language: Math.round(average.total_seconds),
      text_including_other_language: average.text,
    },
  };
}

/** Statistics over a range. */
export function statsOf(
  range: string,
  days: readonly LocalDay[],
  spent: readonly Spent[],
  timezone: string,
  username: string,
) {
  const ms = sumOf(spent);
  const { daily_average: average } = totals(days, spent);
  const byDay = new Map<string, number>();
  for (const one of spent) byDay.set(one.date, (byDay.get(one.date) ?? 0) + one.ms);
  const [best] = [...byDay].sort(([, a], [, b]) => b - a);
  return {
    ...parts(spent),
    best_day: best ? { date: best[0], text: shownTime(best[1]).text, total_seconds: best[1] / 1000 } : null,
    daily_average: average.seconds,
    daily_average_including_other_language: average.seconds,
    days_including_holidays: average.days_including_holidays,
    days_minus_holidays: average.days_minus_holidays,
    holidays: average.holidays,
    human_readable_daily_average: average.text,
    human_readable_daily_average_including_other_language: average.text,
    human_readable_range: range.replaceAll('_', ' '),
    human_readable_total: shownTime(ms).text,
    human_readable_total_including_other_language: shownTime(ms).text,
    total_seconds: ms / 1000,
    total_seconds_including_other_language: ms / 1000,
    range,
    start: instantOf(days[0]!.start),
    end: instantOf(Math.max(days[0]!.start, days.at(-1)!.end - 1_000)),
    timezone,
    timeout: 15,
    writes_only: false,
    status: 'ok',
    is_up_to_date: true,
    is_up_to_date_pending_future: false,
    percent_calculated: 100,
    is_already_updating: false,
    is_stuck: false,
    username,
  };
}

/** Dates of the ranges that plugins and badges ask for by name, both included; undefined for no such name. */
export function rangeNamed(name: string, timezone: string, nowMs: number, firstMs: number | undefined) {
  const today = localDate(nowMs, timezone);
  const back = (days: number): string => new Date(Date.parse(today) - days * 86_400_000).toISOString().slice(0, 10);
  const key = name.toLowerCase().replaceAll(' ', '_');
  const monday = (Number(new Date(Date.parse(today)).getUTCDay()) + 6) % 7;
  const month = today.slice(0, 8);
  const ranges: Record<string, [string, string]> = {
    today: [today, today],
    yesterday: [back(1), back(1)],
    last_7_days: [back(7), back(1)],
    last_7_days_from_yesterday: [back(7), back(1)],
    last_14_days: [back(14), back(1)],
    last_30_days: [back(30), back(1)],
    this_week: [back(monday), today],
    last_week: [back(monday + 7), back(monday + 1)],
    this_month: [`${month}01`, today],
    last_6_months: [back(182), back(1)],
    last_year: [back(365), back(1)],
    all_time: [firstMs === undefined ? today : localDate(firstMs, timezone), today],
  };
  return Object.hasOwn(ranges, key) ? ranges[key] : undefined;
}
