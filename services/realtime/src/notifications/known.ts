import type { Queryable } from '@worktide/postgres';
import type { WorkspaceEvent, WorkspaceRecord } from '@worktide/schemas';

type Kind<T extends WorkspaceEvent['type']> = Extract<WorkspaceEvent, { type: T }>;

/** The newest state of each object of a kind, in one order: or two replicas at it lock each other out. */
function newest<T extends WorkspaceEvent['type']>(
  records: readonly WorkspaceRecord[],
  type: T,
): { organizationId: string; state: Kind<T> }[] {
  const found = new Map<string, { organizationId: string; state: Kind<T> }>();
  for (const { organizationId, events } of records) {
    for (const event of events) {
      if (event.type !== type) continue;
      const key = `${organizationId}/${event.id}`;
      const before: WorkspaceEvent | undefined = found.get(key)?.state;
      if ((before?.version ?? 0) < event.version) found.set(key, { organizationId, state: event as Kind<T> });
    }
  }
  return [...found].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, row]) => row);
}

/** Keeps tasks, projects and teams as they are told; again, and in any order, changes nothing. */
export async function storeKnown(client: Queryable, records: readonly WorkspaceRecord[]): Promise<void> {
  const projects = newest(records, 'project');
  if (projects.length > 0) {
    await client.query(
      `INSERT INTO realtime.known_projects (organization_id, project_id, deleted, version)
       SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::boolean[], $4::bigint[])
       ON CONFLICT (organization_id, project_id) DO UPDATE SET deleted = excluded.deleted, version = excluded.version
       WHERE known_projects.version < excluded.version`,
      [
        projects.map(({ organizationId }) => organizationId),
        projects.map(({ state }) => state.id),
        projects.map(({ state }) => state.deleted),
        projects.map(({ state }) => state.version),
      ],
    );
  }
  const teams = newest(records, 'team');
  for (const { organizationId, state } of teams) {
    await client.query(
      `INSERT INTO realtime.known_teams (organization_id, team_id, member_ids, lead_ids, project_id, deleted, version)
       VALUES ($1, $2, $3, $4, $5, $6, $7)
       ON CONFLICT (organization_id, team_id) DO UPDATE SET member_ids = excluded.member_ids, lead_ids = excluded.lead_ids,
         project_id = excluded.project_id, deleted = excluded.deleted, version = excluded.version
       WHERE known_teams.version < excluded.version`,
      [organizationId, state.id, state.memberIds, state.leadIds ?? [], state.projectId, state.deleted, state.version],
    );
  }
  const tasks = newest(records, 'task');
  if (tasks.length === 0) return;
  const column = <T>(of: (state: Kind<'task'>) => T): T[] => tasks.map(({ state }) => of(state));
  const isDay = ({ dueDate }: Kind<'task'>): boolean => dueDate?.length === 10;
  await client.query(
    `INSERT INTO realtime.known_tasks
       (organization_id, task_id, project_id, title, assignee_id, due_day, due_at, is_open, version)
     SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::uuid[], $6::date[], $7::timestamptz[],
       $8::boolean[], $9::bigint[])
     ON CONFLICT (organization_id, task_id) DO UPDATE SET project_id = excluded.project_id, title = excluded.title,
       assignee_id = excluded.assignee_id, due_day = excluded.due_day, due_at = excluded.due_at,
       is_open = excluded.is_open, version = excluded.version, told_at = now()
     WHERE known_tasks.version < excluded.version`,
    [
      tasks.map(({ organizationId }) => organizationId),
      column(({ id }) => id),
      column(({ projectId }) => projectId),
      column(({ title }) => title),
      column(({ assigneeId }) => assigneeId),
      column((task) => (isDay(task) ? task.dueDate : null)),
      column((task) => (isDay(task) ? null : task.dueDate)),
      column(({ deleted, status }) => !deleted && status !== 'done'),
      column(({ version }) => version),
    ],
  );
}
