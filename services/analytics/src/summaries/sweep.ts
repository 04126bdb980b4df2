import type { ClickHouse } from '@worktide/clickhouse';
import { reportSettings } from '../reports/settings.ts';
import type { PeopleDays } from './summarize.ts';

/** People whose days are looked for at a time. */
const maxPeople = 10_000;

/**
 * Finds days whose sums are older than what is stored of them, or not there, in the zone that each person is in now: after a
 * crash, a change of a zone, a restore. Month by month, so that its memory is a month's. Rejects 503.
 * @param found told of some people's days at a time.
 */
export async function sweep(
  clickhouse: Pick<ClickHouse, 'query'>,
  found: (days: PeopleDays) => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  const settings = reportSettings;
  const months = await clickhouse.query<{ month: number }>(
    'SELECT DISTINCT toYYYYMM(utc_date) AS month FROM day_changes ORDER BY month DESC',
    { settings, signal },
  );
  for (const { month } of months) {
    signal.throwIfAborted();
    const rows = await clickhouse.query<{ organizationId: string; userId: string; days: number[] }>(
      `SELECT organization_id AS organizationId, user_id AS userId, groupArray(toInt32(utc_date)) AS days
       FROM (
         SELECT organization_id, user_id, utc_date, max(changed_at) AS changed FROM day_changes
         WHERE toYYYYMM(utc_date) = {month:UInt32} GROUP BY organization_id, user_id, utc_date
       ) AS changes
       INNER JOIN (SELECT organization_id, id AS user_id, timezone FROM people FINAL) AS people
         USING (organization_id, user_id)
       LEFT JOIN (
         SELECT organization_id, user_id, date AS utc_date, timezone, max(version) AS version FROM days
         WHERE toYYYYMM(date) = {month:UInt32} GROUP BY organization_id, user_id, date, timezone
       ) AS sums USING (organization_id, user_id, utc_date, timezone)
       WHERE changed >= version
       GROUP BY organization_id, user_id ORDER BY organization_id LIMIT ${maxPeople}`,
      { params: { month }, settings, signal },
    );
    for (const [organizationId, list] of Map.groupBy(rows, (row) => row.organizationId)) {
      await found({ organizationId, users: new Map(list.map(({ userId, days }) => [userId, new Set(days)])) });
    }
  }
}
