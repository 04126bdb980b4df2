import type { Pool } from '@worktide/postgres';
import type { NotificationMetrics } from './tell.ts';

export const keptDays = 90;
/** Of a person, beyond what is new. */
export const keptEach = 1_000;
/** Longer than topics keep records: what is removed earlier a replay would bring back. */
const replayDays = 14;
/** Of what is known of tasks that need not be known. */
const knownDays = 30;
const slice = 5_000;

/** Removes what is too old, and of each person what is too much. @returns whether there is more to do. Rejects 503. */
export async function removeOldNotifications(pool: Pool, metrics: NotificationMetrics): Promise<boolean> {
  const { rowCount: old } = await pool.query(
    `DELETE FROM realtime.notifications WHERE (organization_id, id) IN (
       SELECT organization_id, id FROM realtime.notifications WHERE created_at < now() - interval '${keptDays} days'
       ORDER BY created_at LIMIT ${slice})`,
  );
  const { rowCount: many } = await pool.query(
    `DELETE FROM realtime.notifications WHERE (organization_id, id) IN (
       SELECT n.organization_id, n.id FROM (
         SELECT organization_id, user_id FROM realtime.notifications
         GROUP BY organization_id, user_id HAVING count(*) > ${keptEach}
       ) people
       CROSS JOIN LATERAL (
         SELECT organization_id, id, created_at FROM realtime.notifications o
         WHERE o.organization_id = people.organization_id AND o.user_id = people.user_id
         ORDER BY created_at DESC, id DESC OFFSET ${keptEach}
       ) n
       WHERE n.created_at < now() - interval '${replayDays} days' LIMIT ${slice})`,
  );
  const { rowCount: tasks } = await pool.query(
    `DELETE FROM realtime.known_tasks WHERE (organization_id, task_id) IN (
       SELECT organization_id, task_id FROM realtime.known_tasks
       WHERE told_at < now() - interval '${knownDays} days'
         AND NOT (is_open AND coalesce(due_day >= current_date - 1, due_at >= now(), false)) LIMIT ${slice})`,
  );
  metrics.removed.inc({ why: 'old' }, old ?? 0);
  metrics.removed.inc({ why: 'many' }, many ?? 0);
  return [old, many, tasks].some((removed) => removed === slice);
}
