import { cutAtDays, dateOf, dayParams, type IntervalScope, ofPeople, type Sql } from './intervals.ts';

/**
 * Time of time entries by person, day and project: rows `user_id`, `date`, `project_id`, `seconds`, rounded here and summed
 * from here on. Pauses are left out; what runs has run until `now`.
 */
export function trackedDays(scope: IntervalScope, now: number): Sql {
  const people = ofPeople(scope);
  // Before the first pause, between them, and after the last, which began nothing where it goes on.
  const spans = `
    SELECT user_id, project_id, toUnixTimestamp64Milli(assumeNotNull(piece.1)) AS span_start,
      ifNull(toUnixTimestamp64Milli(piece.2), {now:Int64}) AS span_end
    FROM time_entries FINAL
    ARRAY JOIN arrayZip(arrayConcat([toNullable(started_at)], pause_ends),
      arrayConcat(arrayMap(start -> toNullable(start), pause_starts), [ended_at])) AS piece
    WHERE ${people.sql} AND piece.1 IS NOT NULL AND started_at < fromUnixTimestamp64Milli({to:Int64}, 'UTC')
      AND (ended_at IS NULL OR ended_at > fromUnixTimestamp64Milli({from:Int64}, 'UTC'))`;
  return {
    params: { ...people.params, ...dayParams(scope.days), now },
    sql: `
SELECT user_id, ${dateOf} AS date, project_id, toUInt32(intDiv(sum(e - s) + 500, 1000)) AS seconds
FROM (${cutAtDays(spans, 'user_id, project_id')})
GROUP BY user_id, day, project_id`,
  };
}
