import {
  clippedEntries,
  dateOf,
  dayParams,
  type IntervalScope,
  inputMinutes,
  ofPeople,
  type Sql,
} from './intervals.ts';

/** What is known of one person's day, in the order of table `days`: the columns of every query of days. */
export const dayColumns = [
  'user_id',
  'date',
  'work_seconds',
  'active_seconds',
  'hosted_seconds',
  'keyboard_clicks',
  'mouse_movements',
  'apps',
  'app_seconds',
  'hosts',
  'host_seconds',
] as const;

/** Milliseconds as whole seconds, half up (rule Time: shown). */
const seconds = (ms: string): string => `toUInt32(intDiv(${ms} + 500, 1000))`;

/**
 * Parts as whole seconds that add up to the rounded whole: those with the greatest remainders are rounded up, of equal
 * ones the first (rule Time: shown).
 * @param ms an array, longest first; the result is in the same order, and longest first too.
 */
function secondsOfParts(ms: string): string {
  const missing = `${seconds(`arraySum(${ms})`)} - arraySum(m -> intDiv(m, 1000), ${ms})`;
  const byRemainder = `arraySort((i, m) -> (-toInt64(m % 1000), i), arrayEnumerate(${ms}), ${ms})`;
  // What stands at a part's own place is its rank: sorting the ranks by what has them turns the order round.
  const ranks = `arraySort((rank, i) -> i, arrayEnumerate(${ms}), ${byRemainder})`;
  return `arrayMap((m, rank) -> toUInt32(intDiv(m, 1000) + (rank <= ${missing})), ${ms}, ${ranks})`;
}

const noParts = "CAST([], 'Array(Tuple(String, UInt64))')";

/** The union of each app's or host's own active entries. */
const partsOf = (entries: string, column: 'app' | 'host'): string => `
    SELECT user_id, day, groupArray((name, ms)) AS parts
    FROM (
      SELECT user_id, day, ${column} AS name, toUInt64(intervalLengthSum(s, e)) AS ms FROM (${entries})
      WHERE state = 'active' AND ${column} != ''
      GROUP BY user_id, day, ${column}
    )
    GROUP BY user_id, day`;

export interface DayOptions {
  /** What of it is looked into, each half as much work again; apps and hosts unless said. */
  parts?: readonly ('app' | 'host')[];
  /** Rows of `user_id` and `day` that are wanted even where nothing is left of them. */
  also?: Sql;
}

/**
 * Days of people from what is stored, one row for each with any entry or counts: `dayColumns`. The one definition of work,
 * active and idle time; table `days` holds what it gave. A minute of counts belongs to the day on which it begins.
 */
export function liveDays(scope: IntervalScope, { parts = ['app', 'host'], also }: DayOptions = {}): Sql {
  const people = ofPeople(scope);
  const entries = clippedEntries(people, 'user_id, state, app, host');
  const none = 'toUInt64(0)';
  const noTime = [none, none, none, none, none].join(', ');
  const partRows = (column: 'app' | 'host'): string => `
    UNION ALL SELECT user_id, day, ${noTime}, ${column === 'app' ? `parts, ${noParts}` : `${noParts}, parts`}
      FROM (${partsOf(entries, column)})`;
  return {
    params: { ...people.params, ...also?.params, ...dayParams(scope.days) },
    sql: `
SELECT user_id, ${dateOf} AS date, ${seconds('work')} AS work_seconds, ${seconds('active')} AS active_seconds,
  ${seconds('hosted')} AS hosted_seconds, keyboard AS keyboard_clicks, mouse AS mouse_movements,
  app_parts.1 AS apps, ${secondsOfParts('app_parts.2')} AS app_seconds,
  host_parts.1 AS hosts, ${secondsOfParts('host_parts.2')} AS host_seconds
FROM (
  SELECT user_id, day, sum(work) AS work, sum(active) AS active, sum(hosted) AS hosted, sum(keyboard) AS keyboard,
    sum(mouse) AS mouse, arraySort(p -> (-toInt64(p.2), p.1), groupArrayArray(app_parts)) AS app_parts,
    arraySort(p -> (-toInt64(p.2), p.1), groupArrayArray(host_parts)) AS host_parts
  FROM (
    SELECT user_id, day, toUInt64(intervalLengthSum(s, e)) AS work,
      toUInt64(intervalLengthSumIf(s, e, state = 'active')) AS active,
      toUInt64(intervalLengthSumIf(s, e, state = 'active' AND host != '')) AS hosted,
      ${none} AS keyboard, ${none} AS mouse, ${noParts} AS app_parts, ${noParts} AS host_parts
    FROM (${entries})
    GROUP BY user_id, day
    ${parts.map(partRows).join('')}
    UNION ALL
    SELECT user_id, roundDown(toUnixTimestamp64Milli(minute), {boundaries:Array(Int64)}) AS day, ${none}, ${none}, ${none},
      sum(clicks), sum(movements), ${noParts}, ${noParts}
    FROM (${inputMinutes(people)})
    GROUP BY user_id, day
    ${also ? `UNION ALL SELECT user_id, day, ${noTime}, ${noParts}, ${noParts} FROM (${also.sql})` : ''}
  )
  GROUP BY user_id, day
)`,
  };
}
