import {
  clippedEntries,
  dateOf,
  dayParams,
  type IntervalScope,
  inputMinutes,
  ofPeople,
  type Sql,
} from './intervals.ts';

const sumColumns = ['work_seconds', 'active_seconds', 'hosted_seconds', 'keyboard_clicks', 'mouse_movements'];
const allParts = ['app', 'host'] as const;

export interface DayOptions {
  /** Whether the sums of a day are looked into; unless said they are. */
  sums?: boolean;
  /** What of it else is, each half as much work again; apps and hosts unless said. */
  parts?: readonly ('app' | 'host')[];
  /** Rows of `user_id` and `day` that are wanted even where nothing is left of them. */
  also?: Sql;
}

/** The columns of a query of days, one row for each person and day: all are in the order of table `days`. */
export const dayColumns = ({ sums = true, parts = allParts }: DayOptions = {}): string[] => [
  'user_id',
  'date',
  ...(sums ? sumColumns : []),
  ...parts.flatMap((part) => [`${part}s`, `${part}_seconds`]),
];

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

/** The union of each app's or host's own active entries. A watcher of input is no application that anybody works with. */
const partsOf = (entries: string, column: 'app' | 'host'): string => `(
    SELECT user_id, day, groupArray((name, ms)) AS parts
    FROM (
      SELECT user_id, day, ${column} AS name, toUInt64(intervalLengthSum(s, e)) AS ms FROM (${entries})
      WHERE state = 'active' AND ${column} != '' AND source != 'afk'
      GROUP BY user_id, day, ${column}
    )
    GROUP BY user_id, day)`;

/**
 * Days of people from what is stored, one row for each with any entry or counts: `dayColumns`. The one definition of work,
 * active and idle time; table `days` holds what it gave. A minute of counts belongs to the day on which it begins.
 */
export function liveDays(scope: IntervalScope, options: DayOptions = {}): Sql {
  const { sums = true, parts = allParts, also } = options;
  const people = ofPeople(scope);
  const entries = clippedEntries(people, 'user_id, state, source, app, host');
  // What is not asked for costs nothing, not even to be understood: the texts of parts are most of the query.
  const zeros: Record<string, string> = {
    ...(sums
      ? Object.fromEntries(['work', 'active', 'hosted', 'keyboard', 'mouse'].map((name) => [name, 'toUInt64(0)']))
      : {}),
    ...Object.fromEntries(parts.map((part) => [`${part}_parts`, "CAST([], 'Array(Tuple(String, UInt64))')"])),
  };
  const rows = (values: Record<string, string>, from: string): string =>
    `SELECT user_id, day, ${Object.entries(zeros).map(([name, zero]) => `${values[name] ?? zero} AS ${name}`)} FROM ${from}`;
  const work = {
    work: 'toUInt64(intervalLengthSum(s, e))',
    active: "toUInt64(intervalLengthSumIf(s, e, state = 'active'))",
    hosted: "toUInt64(intervalLengthSumIf(s, e, state = 'active' AND host != ''))",
  };
  const counts = `(SELECT user_id, roundDown(toUnixTimestamp64Milli(minute), {boundaries:Array(Int64)}) AS day, clicks, movements
    FROM (${inputMinutes(people)}))`;
  const found = [
    ...(sums ? [`${rows(work, `(${entries})`)} GROUP BY user_id, day`] : []),
    ...parts.map((part) => rows({ [`${part}_parts`]: 'parts' }, partsOf(entries, part))),
    ...(sums ? [`${rows({ keyboard: 'sum(clicks)', mouse: 'sum(movements)' }, counts)} GROUP BY user_id, day`] : []),
    ...(also ? [rows({}, `(${also.sql})`)] : []),
  ];
  const summed = Object.keys(zeros).map((name) =>
    name.endsWith('_parts')
      ? `arraySort(p -> (-toInt64(p.2), p.1), groupArrayArray(${name})) AS ${name}`
      : `sum(${name}) AS ${name}`,
  );
  const shown = [
    'user_id',
    `${dateOf} AS date`,
    ...(sums ? ['work', 'active', 'hosted'].map((name) => `${seconds(name)} AS ${name}_seconds`) : []),
    ...(sums ? ['keyboard AS keyboard_clicks', 'mouse AS mouse_movements'] : []),
    ...parts.flatMap((part) => [
      `${part}_parts.1 AS ${part}s`,
      `${secondsOfParts(`${part}_parts.2`)} AS ${part}_seconds`,
    ]),
  ];
  return {
    params: { ...people.params, ...also?.params, ...dayParams(scope.days) },
    sql: `
SELECT ${shown.join(', ')}
FROM (SELECT user_id, day, ${summed.join(', ')}
  FROM (${found.join('\nUNION ALL\n')})
  GROUP BY user_id, day)`,
  };
}
