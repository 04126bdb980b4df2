import type { LocalDay } from '@worktide/runtime';

/** Which entries: of an organisation, of some of its users, on consecutive local days. */
export interface IntervalScope {
  organizationId: string;
  /** All of the organisation when absent. */
  userIds?: readonly string[];
  /** At least one, without gap, at least one not empty; see `localDays`. */
  days: readonly LocalDay[];
}

export interface IntervalQuery {
  sql: string;
  params: Record<string, unknown>;
}

/**
 * The boundaries of the days that have any length, ascending, each once; the last ends the last day. A zone that
 * skips a day gives two equal boundaries, which would only be in the way.
 */
const boundariesOf = (days: readonly LocalDay[]): number[] => [
  ...new Set([...days.map(({ start }) => start), days.at(-1)!.end]),
];

/** Entries never cross a UTC month (the writer cuts there), so none that began before this month reaches into it. */
function startOfUtcMonth(instant: number): number {
  const date = new Date(instant);
  return Date.UTC(date.getUTCFullYear(), date.getUTCMonth(), 1);
}

/**
 * The entries of the scope, latest states only, cut at the days' boundaries: one row for each day that an entry touches.
 * Columns: those asked for, `day` (the day's start), `s` and `e`: Int64 epoch milliseconds. s < e always, since an entry
 * without length is left out at once and only days that it touches are taken; `intervalLengthSum` would take a reversed
 * pair as if it were straight.
 */
function clipped(scope: IntervalScope, columns: string): IntervalQuery {
  const boundaries = boundariesOf(scope.days);
  const user = scope.userIds ? 'AND user_id IN {users:Array(UUID)}' : '';
  // roundDown is a binary search in a sorted array; of the negated array it is the next boundary above.
  const sql = `
  SELECT ${columns}, day, greatest(started, day) AS s, least(ended, -roundDown(-day - 1, {negated:Array(Int64)})) AS e
  FROM (
    SELECT ${columns},
      greatest(toUnixTimestamp64Milli(started_at), {from:Int64}) AS started,
      least(toUnixTimestamp64Milli(ended_at), {to:Int64}) AS ended,
      roundDown(started, {boundaries:Array(Int64)}) AS first_day,
      roundDown(ended - 1, {boundaries:Array(Int64)}) AS last_day,
      arrayJoin(if(first_day = last_day, [first_day],
        arrayFilter(b -> b >= first_day AND b <= last_day, {boundaries:Array(Int64)}))) AS day
    FROM usage FINAL
    WHERE organization_id = {organization:UUID} ${user}
      AND started_at >= fromUnixTimestamp64Milli({month:Int64}, 'UTC')
      AND started_at < fromUnixTimestamp64Milli({to:Int64}, 'UTC')
      AND ended_at > fromUnixTimestamp64Milli({from:Int64}, 'UTC')
      AND ended_at > started_at
  )`;
  const params = {
    organization: scope.organizationId,
    ...(scope.userIds ? { users: scope.userIds } : {}),
    boundaries,
    negated: boundaries.map((boundary) => -boundary).reverse(),
    from: boundaries[0],
    to: boundaries.at(-1),
    month: startOfUtcMonth(boundaries[0]!),
  };
  return { sql, params };
}

/**
 * Rows `{userId, day, workMs, activeMs, keyboardClicks, mouseMovements}` for each user and day with any entry or counts;
 * `day` is the day's start. A minute belongs to the day on which it begins. One query, so that both have one time limit
 * and one place.
 */
export function byUserAndDay(scope: IntervalScope): IntervalQuery {
  const { sql, params } = clipped(scope, 'user_id, state');
  return {
    params,
    sql: `
SELECT user_id AS userId, day, sum(work) AS workMs, sum(active) AS activeMs, sum(keyboard) AS keyboardClicks,
  sum(mouse) AS mouseMovements
FROM (
  SELECT user_id, day, toInt64(intervalLengthSum(s, e)) AS work,
    toInt64(intervalLengthSumIf(s, e, state = 'active')) AS active, toUInt64(0) AS keyboard, toUInt64(0) AS mouse
  FROM (${sql})
  GROUP BY user_id, day
  UNION ALL
  SELECT user_id, roundDown(toUnixTimestamp64Milli(minute), {boundaries:Array(Int64)}) AS day, toInt64(0) AS work,
    toInt64(0) AS active, sum(clicks) AS keyboard, sum(movements) AS mouse
  FROM (${inputMinutes(scope)})
  GROUP BY user_id, day
)
GROUP BY user_id, day`,
  };
}

/** The counts of each minute and device: the greatest that came, whatever the engine has merged. */
function inputMinutes(scope: IntervalScope): string {
  return `
  SELECT user_id, minute, max(keyboard_clicks) AS clicks, max(mouse_movements) AS movements
  FROM input_minutes
  WHERE organization_id = {organization:UUID} ${scope.userIds ? 'AND user_id IN {users:Array(UUID)}' : ''}
    AND minute >= fromUnixTimestamp64Milli({from:Int64}, 'UTC') AND minute < fromUnixTimestamp64Milli({to:Int64}, 'UTC')
  GROUP BY user_id, minute, device_id`;
}

/**
 * Rows `{key, activeMs}`, the longest `limit` first, and before them one with `isTotal` 1 over all keys: active time,
 * each the union of its own entries. Without the empty key, which stands for "no host".
 */
export function byKey(scope: IntervalScope, column: 'app' | 'host', limit: number): IntervalQuery {
  const { sql, params } = clipped(scope, `${column}, state`);
  return {
    params: { ...params, limit: limit + 1 },
    sql: `
SELECT ${column} AS key, grouping(${column}) AS isTotal, toInt64(intervalLengthSum(s, e)) AS activeMs
FROM (${sql})
WHERE state = 'active' AND ${column} != ''
GROUP BY GROUPING SETS ((${column}), ())
ORDER BY isTotal DESC, activeMs DESC, key
LIMIT {limit:UInt32}`,
  };
}
