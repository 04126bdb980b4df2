import type { Pool } from '@worktide/postgres';
import { draftFor } from './drafts.ts';
import { mornings } from './mornings.ts';
import type { Teller } from './tell.ts';

interface DueTask {
  organizationId: string;
  taskId: string;
  userId: string;
  title: string;
  /** The day or the instant, as text. */
  due: string;
}

/**
 * Tells everybody of their tasks that are due on the next day of their own zone, once for each task and day: whoever else does
 * it, and how often. One that was given to somebody, or dated, in the course of the day before is told then. Rejects 503.
 */
export async function tellDueTasks({ pool, teller }: { pool: Pool; teller: Teller }, now: number): Promise<void> {
  const at = new Date(now).toISOString();
  const { rows: zones } = await pool.query<{ zone: string }>(
    `SELECT DISTINCT p.timezone AS zone FROM realtime.known_tasks t
     JOIN realtime.people p ON p.organization_id = t.organization_id AND p.user_id = t.assignee_id
     WHERE t.is_open AND p.timezone IS NOT NULL
       AND (t.due_day BETWEEN $1::timestamptz::date - 2 AND $1::timestamptz::date + 3
         OR t.due_at BETWEEN $1::timestamptz AND $1::timestamptz + interval '3 days')`,
    [at],
  );
  const found = mornings(
    zones.map(({ zone }) => zone),
    now,
  );
  if (found.length === 0) return;
  const { rows: tasks } = await pool.query<DueTask>(
    `SELECT t.organization_id AS "organizationId", t.task_id AS "taskId", t.assignee_id AS "userId", t.title,
       coalesce(to_char(t.due_day, 'YYYY-MM-DD'), to_char(t.due_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')) AS due
     FROM unnest($1::text[], $2::date[], $3::timestamptz[], $4::timestamptz[]) AS z (zone, day, day_start, day_end)
     JOIN realtime.known_tasks t ON t.is_open
       AND (t.due_day = z.day OR (t.due_at >= z.day_start AND t.due_at < z.day_end))
     JOIN realtime.people p ON p.organization_id = t.organization_id AND p.user_id = t.assignee_id AND p.timezone = z.zone
       AND p.status = 'active' AND NOT p.deleted
     LEFT JOIN realtime.known_projects j ON j.organization_id = t.organization_id AND j.project_id = t.project_id
     WHERE j.deleted IS NOT TRUE`,
    [
      found.map(({ zone }) => zone),
      found.map(({ tomorrow }) => tomorrow.date),
      found.map(({ tomorrow }) => new Date(tomorrow.start).toISOString()),
      found.map(({ tomorrow }) => new Date(tomorrow.end).toISOString()),
    ],
  );
  if (tasks.length === 0) return;
  await teller.tell(async () =>
    tasks.map(({ taskId, title, due, ...whose }) => {
      const words = { title: 'A task is due tomorrow', body: title, link: `/tasks/${taskId}` };
      return draftFor(whose, { type: 'task.due', ...words }, taskId, due);
    }),
  );
}
