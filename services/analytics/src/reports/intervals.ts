import type { LocalDay } from '@worktide/runtime';

/** A part of a query and the values of its `{name:Type}`. */
export interface Sql {
  sql: string;
  params: Record<string, unknown>;
}

/** Of whom: an organisation, or some people of it. */
export interface People {
  organizationId: string;
  /** Which user ids, as a condition on `user_id`; all of the organisation when absent. */
  which?: Sql;
}

/** Whose time, and when. */
export interface IntervalScope extends People {
  /** At least one, without gap, at least one not empty; see `localDays`. */
  days: readonly LocalDay[];
}

/** People named one by one. */
export const named = (userIds: readonly string[]): Sql => ({
  sql: 'user_id IN {users:Array(UUID)}',
  params: { users: userIds },
});

/** The condition that begins every query: the organisation, and then who of it. */
export const ofPeople = ({ organizationId, which }: People): Sql => ({
  sql: `organization_id = {organization:UUID} ${which ? `AND ${which.sql}` : ''}`,
  params: { organization: organizationId, ...which?.params },
});

/** The days that have any length: a zone that skips a day gives two equal boundaries, which would only be in the way. */
export const daysWithTime = (days: readonly LocalDay[]): LocalDay[] => days.filter(({ start, end }) => start < end);

/** Their boundaries, ascending, each once; the last ends the last day. */
const boundariesOf = (days: readonly LocalDay[]): number[] => [
  ...new Set([...days.map(({ start }) => start), days.at(-1)!.end]),
];

/** Entries never cross a UTC month (the writer cuts there), so none that began before this month reaches into it. */
function startOfUtcMonth(instant: number): number {
  const date = new Date(instant);
  return Date.UTC(date.getUTCFullYear(), date.getUTCMonth(), 1);
}

/** What the queries below take of days, and how they name a day: by its date. */
export function dayParams(days: readonly LocalDay[]): Record<string, unknown> {
  const boundaries = boundariesOf(days);
  return {
    boundaries,
    negated: boundaries.map((boundary) => -boundary).reverse(),
    dates: daysWithTime(days).map(({ date }) => date),
    from: boundaries[0],
    to: boundaries.at(-1),
    month: startOfUtcMonth(boundaries[0]!),
  };
}

/** The date of a day that begins at `day`. */
export const dateOf = 'toDate32({dates:Array(String)}[indexOf({boundaries:Array(Int64)}, day)])';

/**
 * Spans cut at the days' boundaries: one row for each day that a span touches. Columns: those asked for, `day` (the day's
 * start), `s` and `e`: Int64 epoch milliseconds. s < e always, since a span without length is left out at once and only
 * days that it touches are taken; `intervalLengthSum` would take a reversed pair as if it were straight.
 * @param spans a query of `columns`, `span_start` and `span_end` (Int64), with `dayParams` among its params.
 */
export function cutAtDays(spans: string, columns: string): string {
  // roundDown is a binary search in a sorted array; of the negated array it is the next boundary above.
  return `
  SELECT ${columns}, day, greatest(started, day) AS s, least(ended, -roundDown(-day - 1, {negated:Array(Int64)})) AS e
  FROM (
    SELECT ${columns}, greatest(span_start, {from:Int64}) AS started, least(span_end, {to:Int64}) AS ended,
      roundDown(started, {boundaries:Array(Int64)}) AS first_day,
      roundDown(ended - 1, {boundaries:Array(Int64)}) AS last_day,
      arrayJoin(if(first_day = last_day, [first_day],
        arrayFilter(b -> b >= first_day AND b <= last_day, {boundaries:Array(Int64)}))) AS day
    FROM (${spans})
    WHERE span_start < span_end AND span_start < {to:Int64} AND span_end > {from:Int64}
  )`;
}

/** The entries of the scope, latest states only, cut at the days' boundaries; see `cutAtDays`. */
export function clippedEntries(people: Sql, columns: string): string {
  return cutAtDays(
    `SELECT ${columns}, toUnixTimestamp64Milli(started_at) AS span_start, toUnixTimestamp64Milli(ended_at) AS span_end
    FROM usage FINAL
    WHERE ${people.sql}
      AND started_at >= fromUnixTimestamp64Milli({month:Int64}, 'UTC')
      AND started_at < fromUnixTimestamp64Milli({to:Int64}, 'UTC')
      AND ended_at > fromUnixTimestamp64Milli({from:Int64}, 'UTC')`,
    columns,
  );
}

/** The counts of each minute and device: the greatest that came, whatever the engine has merged. */
export function inputMinutes(people: Sql): string {
  return `
  SELECT user_id, minute, max(keyboard_clicks) AS clicks, max(mouse_movements) AS movements
  FROM input_minutes
  WHERE ${people.sql}
    AND minute >= fromUnixTimestamp64Milli({from:Int64}, 'UTC') AND minute < fromUnixTimestamp64Milli({to:Int64}, 'UTC')
  GROUP BY user_id, minute, device_id`;
}
