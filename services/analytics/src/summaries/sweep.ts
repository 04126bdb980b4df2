import type { ClickHouse } from '@worktide/clickhouse';
import { localDate } from '@worktide/runtime';
import { reportSettings } from '../reports/settings.ts';
import type { PeopleDays } from './summarize.ts';

/** People whose days are looked for in one step. */
const peopleEach = 2_000;
const nobody = '00000000-0000-0000-0000-000000000000';

interface Person {
  organizationId: string;
  userId: string;
}

/**
 * Finds days whose sums are older than what is stored of them, or not there, in the zone that each person is in now: after a
 * crash, a change of a zone, a restore. Month by month, so that its memory is a month's, and in each person by person, so that
 * whose days can never be summed up are passed by: everybody comes to their turn.
 * @returns one step of it, which finds days of so many people, or less; `found` is told of those of one organisation after the
 *   other. Its answer is whether there may be more. After the last one it begins anew; one that rejects (503) is done again.
 */
export function createSweep(
  clickhouse: Pick<ClickHouse, 'query'>,
  found: (days: PeopleDays, signal: AbortSignal) => Promise<void>,
  people = peopleEach,
): (signal: AbortSignal) => Promise<boolean> {
  const settings = reportSettings;
  let months: number[] | undefined;
  let after: Person = { organizationId: nobody, userId: nobody };

  async function staleOf(month: number, limit: number, signal: AbortSignal) {
    const { organizationId: organization, userId: user } = after;
    // The organisation by itself, too: by that the index is used.
    const next = `organization_id >= {organization:UUID} AND (organization_id > {organization:UUID} OR user_id > {user:UUID})`;
    const zones = (
      await clickhouse.query<{ timezone: string }>('SELECT DISTINCT timezone FROM people', { settings, signal })
    ).map(({ timezone }) => timezone);
    const sums = `SELECT organization_id, user_id, date, timezone, max(version) AS version FROM days
      WHERE date BETWEEN addDays({begin:Date32}, -1) AND addDays({begin:Date32}, 31) AND ${next}
      GROUP BY organization_id, user_id, date, timezone`;
    const touched = (which: string): string =>
      `addDays(utc_date, {${which}:Array(Int8)}[(indexOf({zones:Array(String)}, toString(timezone)) - 1) * 31 + toDayOfMonth(utc_date)])`;
    return clickhouse.query<Person & { days: number[] }>(
      `SELECT organization_id AS organizationId, user_id AS userId, groupArray(toInt32(utc_date)) AS days
       FROM (
         SELECT organization_id, user_id, utc_date, changed, timezone, ${touched('firsts')} AS first, ${touched('lasts')} AS last
         FROM (
           SELECT organization_id, user_id, utc_date, max(changed_at) AS changed FROM day_changes
           WHERE toYYYYMM(utc_date) = {month:UInt32} AND ${next} GROUP BY organization_id, user_id, utc_date
         ) AS changes
         INNER JOIN (SELECT organization_id, id AS user_id, timezone FROM people FINAL) AS people
           USING (organization_id, user_id)
       ) AS changes
       LEFT JOIN (SELECT organization_id, user_id, date AS first, timezone, version AS first_version FROM (${sums}))
         AS firsts USING (organization_id, user_id, first, timezone)
       LEFT JOIN (SELECT organization_id, user_id, date AS last, timezone, version AS last_version FROM (${sums}))
         AS lasts USING (organization_id, user_id, last, timezone)
       WHERE changed >= least(first_version, last_version)
       GROUP BY organization_id, user_id ORDER BY organization_id, user_id LIMIT {limit:UInt32}`,
      { params: { month, limit, organization, user, zones, ...touchedDays(month, zones) }, settings, signal },
    );
  }

  return async function step(signal) {
    months ??= (
      await clickhouse.query<{ month: number }>(
        'SELECT DISTINCT toYYYYMM(utc_date) AS month FROM day_changes ORDER BY month DESC',
        { settings, signal },
      )
    ).map(({ month }) => month);
    for (let left = people; left > 0; ) {
      signal.throwIfAborted();
      const [month] = months;
      if (month === undefined) {
        months = undefined;
        return false;
      }
      const rows = await staleOf(month, left, signal);
      for (const [organizationId, list] of Map.groupBy(rows, (row) => row.organizationId)) {
        await found(
          { organizationId, users: new Map(list.map(({ userId, days }) => [userId, new Set(days)])) },
          signal,
        );
      }
      const last = rows.at(-1);
      if (last && rows.length === left) after = last;
      else {
        months.shift();
        after = { organizationId: nobody, userId: nobody };
      }
      left -= rows.length;
    }
    return true;
  };
}

const dayMs = 86_400_000;

/**
 * How far the local days at the beginning and the end of each UTC day of a month are from it, zone by zone: the sums of both have to
 * be younger than what has changed. One of them alone may have been summed up for the sake of the day before or after.
 */
function touchedDays(month: number, zones: readonly string[]): { begin: string; firsts: number[]; lasts: number[] } {
  const begin = Date.UTC(Math.floor(month / 100), (month % 100) - 1, 1);
  const firsts: number[] = [];
  const lasts: number[] = [];
  for (const zone of zones) {
    for (let at = begin; at < begin + 31 * dayMs; at += dayMs) {
      firsts.push((Date.parse(localDate(at, zone)) - at) / dayMs);
      lasts.push((Date.parse(localDate(at + dayMs - 1, zone)) - at) / dayMs);
    }
  }
  return { begin: new Date(begin).toISOString().slice(0, 10), firsts, lasts };
}

/** All of it. */
export async function sweep(
  clickhouse: Pick<ClickHouse, 'query'>,
  found: (days: PeopleDays) => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  const step = createSweep(clickhouse, found);
  while (await step(signal));
}
