import { decodeCursor, pageOf } from '@worktide/runtime';
import type { TaskFilters, TaskStats, taskPage } from '@worktide/schemas';
import type { z } from 'zod';
import type { Sight } from '../policies.ts';
import type { Tenant } from '../store/store.ts';
import { columns, showTask, type TaskRow, tasksOfLiveProjects } from './rows.ts';
import { searchQuery } from './words.ts';

export interface Statement {
  text: string;
  values: unknown[];
}

const equalities = [
  ['status', 'status'],
  ['priority', 'priority'],
  ['assigneeId', 'assignee_id'],
  ['creatorId', 'creator_id'],
  ['projectId', 'project_id'],
] as const;

/**
 * Those that somebody made, and of the others those that they are assigned to: each part has an index that is in the
 * order of a page. For an OR of the two the planner reads all tasks of an organisation where it expects to find enough.
 */
const tasksOf = (user: string): string => `(
  SELECT * FROM workspace.tasks WHERE organization_id = $1 AND creator_id = ${user}
  UNION ALL
  SELECT * FROM workspace.tasks WHERE organization_id = $1 AND assignee_id = ${user} AND creator_id <> ${user})`;

/**
 * FROM and WHERE of the live tasks in sight that pass the filters. Only what is asked for is in the text: each combination is
 * planned for itself.
 * @returns undefined where nothing can pass: a search without a word.
 */
function tasksThatPass(organizationId: string, { onlyOf }: Sight, filters: TaskFilters): Statement | undefined {
  const values: unknown[] = [organizationId];
  const conditions = ['t.organization_id = $1', 't.deleted_at IS NULL'];
  for (const [filter, column] of equalities) {
    if (filters[filter] === undefined) continue;
    values.push(filters[filter]);
    conditions.push(`t.${column} = $${values.length}`);
  }
  let from = tasksOfLiveProjects(onlyOf === null ? undefined : tasksOf(`$${values.push(onlyOf)}`));
  if (filters.search !== undefined && filters.search.trim() !== '') {
    const query = searchQuery(organizationId, filters.search);
    if (query === undefined) return undefined;
    values.push(query);
    from += ` JOIN workspace.find_tasks($${values.length}::tsquery) AS found(id) ON found.id = t.id`;
  }
  return { text: `FROM ${from} WHERE ${conditions.join(' AND ')}`, values };
}

/** @param before the id after which the page begins. */
export function taskPageStatement(
  organizationId: string,
  sight: Sight,
  filters: TaskFilters,
  { before, limit }: { before: string | null; limit: number },
): Statement | undefined {
  const passing = tasksThatPass(organizationId, sight, filters);
  if (!passing) return undefined;
  const { values } = passing;
  let { text } = passing;
  if (before !== null) text += ` AND t.id < $${values.push(before)}`;
  text += ` ORDER BY t.id DESC LIMIT $${values.push(limit)}`;
  return { text: `SELECT ${columns} ${text}`, values };
}

/** A page of live tasks in sight, newest first. Rejects 400 for a bad cursor. */
export async function listTasks(
  { client, organizationId }: Tenant,
  sight: Sight,
  { cursor, limit, ...filters }: TaskFilters & { cursor?: string | undefined; limit: number },
): Promise<z.output<typeof taskPage>> {
  const list = ['tasks', organizationId, ...equalities.map(([name]) => filters[name] ?? null), filters.search ?? null];
  const before = decodeCursor(cursor, list);
  const statement = taskPageStatement(organizationId, sight, filters, { before, limit: limit + 1 });
  if (!statement) return { items: [], nextCursor: null };
  const { rows } = await client.query<TaskRow>(statement.text, statement.values);
  return pageOf(rows, limit, list, { idOf: (row) => row.id, show: showTask });
}

interface Counts {
  total: number;
  todo: number;
  in_progress: number;
  done: number;
  low: number;
  medium: number;
  high: number;
  overdue: number;
  unassigned: number;
}

const none: Counts = {
  total: 0,
  todo: 0,
  in_progress: 0,
  done: 0,
  low: 0,
  medium: 0,
  high: 0,
  overdue: 0,
  unassigned: 0,
};

/** @param today where the caller is, `2026-11-21`: what is due on a day is late when the day is over there. */
export function taskStatsStatement(
  organizationId: string,
  sight: Sight,
  filters: TaskFilters,
  today: string,
): Statement | undefined {
  const passing = tasksThatPass(organizationId, sight, filters);
  if (!passing) return undefined;
  const { values, text } = passing;
  const day = `$${values.push(today)}::date`;
  const count = (condition: string, name: string): string => `count(*) FILTER (WHERE ${condition}) AS ${name}`;
  const counts = [
    'count(*) AS total',
    ...['todo', 'in_progress', 'done'].map((status) => count(`t.status = '${status}'`, status)),
    ...['low', 'medium', 'high'].map((priority) => count(`t.priority = '${priority}'`, priority)),
    count(`t.status <> 'done' AND (t.due_day < ${day} OR t.due_at < statement_timestamp())`, 'overdue'),
    count(`t.status <> 'done' AND t.assignee_id IS NULL`, 'unassigned'),
  ];
  return { text: `SELECT ${counts.join(', ')} ${text}`, values };
}

/** Counts of the live tasks in sight that pass the filters. */
export async function taskStats(
  { client, organizationId }: Tenant,
  sight: Sight,
  filters: TaskFilters,
  timezone: string,
): Promise<TaskStats> {
  const statement = taskStatsStatement(organizationId, sight, filters, todayIn(timezone));
  const { rows } = statement ? await client.query<Counts>(statement.text, statement.values) : { rows: [none] };
  const { total, todo, in_progress, done, low, medium, high, overdue, unassigned } = rows[0]!;
  return { total, byStatus: { todo, in_progress, done }, byPriority: { low, medium, high }, overdue, unassigned };
}

// Swedish writes dates as ISO 8601 does.
const todayIn = (timezone: string): string => new Intl.DateTimeFormat('sv-SE', { timeZone: timezone }).format();
