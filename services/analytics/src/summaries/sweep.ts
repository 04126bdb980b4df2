import type { ClickHouse } from '@worktide/clickhouse';
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
    return clickhouse.query<Person & { days: number[] }>(
      `SELECT organization_id AS organizationId, user_id AS userId, groupArray(toInt32(utc_date)) AS days
       FROM (
         SELECT organization_id, user_id, utc_date, max(changed_at) AS changed FROM day_changes
         WHERE toYYYYMM(utc_date) = {month:UInt32} AND ${next} GROUP BY organization_id, user_id, utc_date
       ) AS changes
       INNER JOIN (SELECT organization_id, id AS user_id, timezone FROM people FINAL) AS people
         USING (organization_id, user_id)
       LEFT JOIN (
         SELECT organization_id, user_id, date AS utc_date, timezone, max(version) AS version FROM days
         WHERE toYYYYMM(date) = {month:UInt32} AND ${next} GROUP BY organization_id, user_id, date, timezone
       ) AS sums USING (organization_id, user_id, utc_date, timezone)
       WHERE changed >= version
       GROUP BY organization_id, user_id ORDER BY organization_id, user_id LIMIT {limit:UInt32}`,
      { params: { month, limit, organization, user }, settings, signal },
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

/** All of it. */
export async function sweep(
  clickhouse: Pick<ClickHouse, 'query'>,
  found: (days: PeopleDays) => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  const step = createSweep(clickhouse, found);
  while (await step(signal));
}
