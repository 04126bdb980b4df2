import { auditChange } from '@worktide/audit';
import { conflict, invalid, uuidv7 } from '@worktide/runtime';
import type { newTask, Task, TaskChange } from '@worktide/schemas';
import type { z } from 'zod';
import { authorize, type Sight } from '../policies.ts';
import type { Change } from '../store/store.ts';
import { requireVersion } from '../versions.ts';
import { assignments, columns, dueDateOf, eventOf, findTask, showTask, type TaskRow } from './rows.ts';
import { taskWords, wordsForm } from './words.ts';

/** The fields that people write, as the API names them. */
type TaskFields = Omit<TaskChange, 'version'>;
type Written = { [K in keyof TaskFields]-?: Exclude<TaskFields[K], undefined> };

const fieldsOf = (row: TaskRow): Written => ({
  projectId: row.project_id,
  title: row.title,
  description: row.description,
  status: row.status,
  priority: row.priority,
  assigneeId: row.assignee_id,
  dueDate: dueDateOf(row),
});

/** What the audit trail compares. */
const audited = (row: TaskRow) => ({ ...fieldsOf(row), version: row.version });
const entity = (row: TaskRow) => ({ entityType: 'task', entityId: row.id });
const ownedBy = (row: TaskRow) => ({ creatorId: row.creator_id, assigneeId: row.assignee_id });

/** As the columns of the statements below take them, from $3 on. */
function valuesOf(organizationId: string, fields: Written): unknown[] {
  const { projectId, title, description, status, priority, assigneeId, dueDate } = fields;
  const isDay = dueDate?.length === 10;
  return [
    projectId,
    title,
    description,
    status,
    priority,
    assigneeId,
    isDay ? dueDate : null,
    isDay ? null : dueDate,
    taskWords(organizationId, title, description),
  ];
}

async function requireProject({ client, organizationId }: Change, projectId: string): Promise<void> {
  const { rowCount } = await client.query(
    'SELECT 1 FROM workspace.projects WHERE organization_id = $1 AND id = $2 AND deleted_at IS NULL',
    [organizationId, projectId],
  );
  if (rowCount) return;
  throw invalid('UNKNOWN_PROJECT', 'There is no such project here.', [
    { path: 'body.projectId', code: 'UNKNOWN_PROJECT', message: 'not a project of this organization' },
  ]);
}

/**
 * @param mustBeKnown throws where the assignee cannot be one, see `lookUpUser`.
 * Rejects 400 `UNKNOWN_PROJECT`, `UNKNOWN_USER`.
 */
export async function createTask(
  change: Change,
  body: z.output<typeof newTask>,
  mustBeKnown: () => void,
): Promise<Task> {
  const { client, organizationId, caller } = change;
  await requireProject(change, body.projectId);
  if (body.assigneeId) mustBeKnown();
  const fields = { description: null, assigneeId: null, dueDate: null, ...withoutUndefined(body) } as Written;
  const { rows } = await client.query<TaskRow>(
    `INSERT INTO workspace.tasks AS t (organization_id, id, project_id, title, description, status, priority,
       assignee_id, due_day, due_at, words, words_form, completed_at, creator_id)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, array_to_tsvector($11::text[]), ${wordsForm},
       CASE WHEN $6 = 'done' THEN statement_timestamp() END, $12)
     RETURNING ${columns}`,
    [organizationId, uuidv7(), ...valuesOf(organizationId, fields), caller.userId],
  );
  const row = rows[0]!;
  const created = { action: 'task.created', ...entity(row), before: null, after: audited(row) };
  change.tell(eventOf(row), created, ...assignments(null, row));
  return showTask(row);
}

const withoutUndefined = <T extends object>(object: T) =>
  Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined));

/**
 * A new version, whatever of the named fields differs: of many changes made from one state one is taken.
 * @param mustBeKnown throws where the assignee cannot be one, see `lookUpUser`; asked only for a new assignee.
 * Rejects 404, 403 naming the fields, 409 `STALE_VERSION`, 400 `UNKNOWN_PROJECT`, `UNKNOWN_USER`.
 */
export async function changeTask(
  change: Change,
  sight: Sight,
  id: string,
  { version, ...given }: TaskChange,
  mustBeKnown: () => void,
): Promise<Task> {
  const { client, organizationId, caller } = change;
  const before = await findTask(change, sight, id, { lock: true });
  authorize('task.change', caller, ownedBy(before));
  requireVersion(before, version);
  const named = withoutUndefined(given);
  const was = fieldsOf(before);
  const fields: Written = { ...was, ...named };
  const differing = (Object.keys(was) as (keyof Written)[]).filter((field) => fields[field] !== was[field]);
  authorize('task.change', caller, ownedBy(before), differing);
  if (differing.includes('projectId')) await requireProject(change, fields.projectId);
  if (differing.includes('assigneeId') && fields.assigneeId !== null) mustBeKnown();
  const { rows } = await client.query<TaskRow>(
    `UPDATE workspace.tasks t SET project_id = $3, title = $4, description = $5, status = $6, priority = $7,
       assignee_id = $8, due_day = $9, due_at = $10, words = array_to_tsvector($11::text[]), words_form = ${wordsForm},
       completed_at = CASE WHEN $6 = 'done' THEN coalesce(t.completed_at, statement_timestamp()) END,
       updated_at = statement_timestamp(), version = t.version + 1
     WHERE organization_id = $1 AND id = $2 RETURNING ${columns}`,
    [organizationId, before.id, ...valuesOf(organizationId, fields)],
  );
  const row = rows[0]!;
  const changed = auditChange(audited(before), audited(row));
  change.tell(eventOf(row), { action: 'task.changed', ...entity(row), ...changed }, ...assignments(before, row));
  return showTask(row);
}

async function setDeleted({ client, organizationId }: Change, id: string, deleted: boolean): Promise<TaskRow> {
  const { rows } = await client.query<TaskRow>(
    `UPDATE workspace.tasks t SET deleted_at = CASE WHEN $3 THEN statement_timestamp() END,
       updated_at = statement_timestamp(), version = version + 1
     WHERE organization_id = $1 AND id = $2 RETURNING ${columns}`,
    [organizationId, id, deleted],
  );
  return rows[0]!;
}

/** Rejects 404, 403. */
export async function deleteTask(change: Change, sight: Sight, id: string): Promise<void> {
  const before = await findTask(change, sight, id, { lock: true });
  authorize('task.delete', change.caller, ownedBy(before));
  const row = await setDeleted(change, before.id, true);
  change.tell(eventOf(row), { action: 'task.deleted', ...entity(row), before: audited(before), after: null });
}

/** Rejects 404 (also while its project is deleted), 403, 409 `NOT_DELETED`. */
export async function restoreTask(change: Change, sight: Sight, id: string): Promise<Task> {
  const before = await findTask(change, sight, id, { lock: true, orDeleted: true });
  authorize('task.restore', change.caller, ownedBy(before));
  if (before.deleted_at === null) throw conflict('NOT_DELETED', 'This task is not deleted.');
  const row = await setDeleted(change, before.id, false);
  change.tell(eventOf(row), { action: 'task.restored', ...entity(row), before: null, after: audited(row) });
  return showTask(row);
}
