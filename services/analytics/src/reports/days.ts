import type { LocalDay } from '@worktide/runtime';
import { daysWithTime, type IntervalScope, ofPeople, type Sql } from './intervals.ts';
import { type DayOptions, dayColumns, liveDays } from './live-days.ts';

/** On which days of a zone people's time is asked for. */
export interface DaysScope extends IntervalScope {
  /** IANA zone whose days they are. */
  timezone: string;
}

const utcDay = 86_400_000;
const dateText = (instant: number): string => new Date(instant).toISOString().slice(0, 10);

/** The UTC dates that the scope touches, and for each the dates of the zone that it touches. */
function utcDates(scope: DaysScope): { utc: string[]; locals: string[][] } {
  const days = daysWithTime(scope.days);
  const utc: string[] = [];
  const locals: string[][] = [];
  for (let start = Math.floor(days[0]!.start / utcDay) * utcDay; start < days.at(-1)!.end; start += utcDay) {
    utc.push(dateText(start));
    locals.push(days.filter((day) => day.start < start + utcDay && day.end > start).map(({ date }) => date));
  }
  return { utc, locals };
}

/** The query of the dates on which somebody's sums are older than what is stored of them, or not there. Rows `{date}`. */
export function staleDates(scope: DaysScope): Sql {
  const people = ofPeople(scope);
  const { utc, locals } = utcDates(scope);
  return {
    params: {
      ...people.params,
      utc,
      locals,
      timezone: scope.timezone,
      firstDate: scope.days[0]!.date,
      lastDate: scope.days.at(-1)!.date,
    },
    sql: `
SELECT DISTINCT toString(date) AS date
FROM (
  SELECT user_id, toDate32(arrayJoin({locals:Array(Array(String))}[indexOf({utc:Array(String)}, toString(utc_date))])) AS date,
    max(changed_at) AS changed
  FROM day_changes
  WHERE ${people.sql} AND utc_date BETWEEN {utc:Array(String)}[1] AND {utc:Array(String)}[-1]
  GROUP BY user_id, date
) AS changes
LEFT JOIN (
  SELECT user_id, date, max(version) AS version FROM days
  WHERE ${people.sql} AND date BETWEEN {firstDate:Date32} AND {lastDate:Date32} AND timezone = {timezone:String}
  GROUP BY user_id, date
) AS sums USING (user_id, date)
WHERE changed >= version
ORDER BY date`,
  };
}

/** Days in rows: what lies between two of them is none of theirs. */
function runsOf(days: readonly LocalDay[], dates: ReadonlySet<string>): LocalDay[][] {
  const runs: LocalDay[][] = [];
  let run: LocalDay[] | undefined;
  for (const day of days) {
    if (!dates.has(day.date)) run = undefined;
    else if (run) run.push(day);
    else {
      run = [day];
      runs.push(run);
    }
  }
  return runs;
}

/** Live queries in one report; more runs than these become one from the first day to the last. */
const maxRuns = 3;

/**
 * The query of days of people: `dayColumns`, one row for each person and day with anything. From table `days`, and live
 * on the dates that are stale.
 */
export function daysSql(scope: DaysScope, stale: ReadonlySet<string>, options: DayOptions = {}): Sql {
  const withTime = daysWithTime(scope.days);
  let runs = runsOf(withTime, stale);
  if (runs.length > maxRuns) {
    const [first, last] = [runs[0]![0]!.date, runs.at(-1)!.at(-1)!.date];
    runs = [withTime.filter(({ date }) => date >= first && date <= last)];
  }
  const live = new Set(runs.flat().map(({ date }) => date));
  const people = ofPeople(scope);
  const params: Record<string, unknown> = { ...people.params };
  const parts: string[] = [];
  for (const [i, days] of runs.entries()) {
    const part = liveDays({ ...scope, days }, options);
    parts.push(withOwnNames(part, `run${i}_`, params));
  }
  if (withTime.some(({ date }) => !live.has(date))) {
    Object.assign(params, {
      timezone: scope.timezone,
      firstDate: scope.days[0]!.date,
      lastDate: scope.days.at(-1)!.date,
      live: [...live],
    });
    parts.push(`SELECT ${dayColumns(options).join(', ')} FROM days FINAL
WHERE ${people.sql} AND date BETWEEN {firstDate:Date32} AND {lastDate:Date32} AND timezone = {timezone:String}
  AND NOT has({live:Array(String)}, toString(date))`);
  }
  return { sql: parts.join('\nUNION ALL\n'), params };
}

/** The part's query with its own names of values, which are put among the others. */
function withOwnNames({ sql, params }: Sql, prefix: string, others: Record<string, unknown>): string {
  for (const [name, value] of Object.entries(params)) others[prefix + name] = value;
  return sql.replace(/\{(\w+):/g, `{${prefix}$1:`);
}
