import { notFound } from '@worktide/runtime';
import type { Task, TaskAssigned, WorkspaceEvent } from '@worktide/schemas';
import type { Sight } from '../policies.ts';
import type { Tenant } from '../store/store.ts';

export interface TaskRow {
  id: string;
  project_id: string;
  title: string;
  description: string | null;
  status: Task['status'];
  priority: Task['priority'];
  assignee_id: string | null;
  creator_id: string;
  due_day: string | null;
  due_at: Date | null;
  completed_at: Date | null;
  created_at: Date;
  updated_at: Date;
  deleted_at: Date | null;
  version: number;
}

/** The day as text: the client would make it an instant in this machine's zone. */
export const columns = `t.id, t.project_id, t.title, t.description, t.status, t.priority, t.assignee_id, t.creator_id,
  to_char(t.due_day, 'YYYY-MM-DD') AS due_day, t.due_at, t.completed_at, t.created_at, t.updated_at, t.deleted_at,
  t.version`;

/** A task is there while its project is. @param tasks where they come from, with the columns of the table. */
export const tasksOfLiveProjects = (tasks = 'workspace.tasks'): string => `${tasks} t JOIN workspace.projects p
  ON p.organization_id = t.organization_id AND p.id = t.project_id AND p.deleted_at IS NULL`;

export const dueDateOf = (row: Pick<TaskRow, 'due_day' | 'due_at'>): string | null =>
  row.due_day ?? row.due_at?.toISOString() ?? null;

export const showTask = (row: TaskRow): Task => ({
  id: row.id,
  projectId: row.project_id,
  title: row.title,
  description: row.description,
  status: row.status,
  priority: row.priority,
  assigneeId: row.assignee_id,
  creatorId: row.creator_id,
  dueDate: dueDateOf(row),
  completedAt: row.completed_at?.toISOString() ?? null,
  createdAt: row.created_at.toISOString(),
  updatedAt: row.updated_at.toISOString(),
  deletedAt: row.deleted_at?.toISOString() ?? null,
  version: row.version,
});

export const eventOf = (row: TaskRow): WorkspaceEvent => ({
  type: 'task',
  id: row.id,
  version: row.version,
  deleted: row.deleted_at !== null,
  projectId: row.project_id,
  title: row.title,
  status: row.status,
  priority: row.priority,
  assigneeId: row.assignee_id,
  creatorId: row.creator_id,
  dueDate: dueDateOf(row),
  completedAt: row.completed_at?.getTime() ?? null,
});

/** That a change gave the task to somebody, if it did. @param before null where the task is new. */
export function assignments(before: TaskRow | null, { id, version, assignee_id: assigneeId }: TaskRow): TaskAssigned[] {
  const previousAssigneeId = before?.assignee_id ?? null;
  if (assigneeId === null || assigneeId === previousAssigneeId) return [];
  return [{ type: 'task.assigned', id, version, assigneeId, previousAssigneeId }];
}

/**
 * A task of a live project. Rejects 404 for what is deleted (live, if the other is asked for), out of sight, another
 * organisation's, or nowhere: the same query says so of all.
 */
export async function findTask(
  { client, organizationId }: Tenant,
  { onlyOf }: Sight,
  id: string,
  options: { lock?: boolean; orDeleted?: boolean } = {},
): Promise<TaskRow> {
  const { rows } = await client.query<TaskRow>(
    `SELECT ${columns} FROM ${tasksOfLiveProjects()}
     WHERE t.organization_id = $1 AND t.id = $2 AND ($3::uuid IS NULL OR $3 IN (t.creator_id, t.assignee_id))
       ${options.orDeleted ? '' : 'AND t.deleted_at IS NULL'}
     ${options.lock ? 'FOR NO KEY UPDATE OF t' : ''}`,
    [organizationId, id, onlyOf],
  );
  if (!rows[0]) throw notFound();
  return rows[0];
}
