import { askInternal } from '@worktide/identity';
import type { Pool, Queryable } from '@worktide/postgres';
import { type AppError, createTurns, invalid, type Metrics } from '@worktide/runtime';
import {
  type ConflictReason,
  foundObjects,
  type KnownProject,
  type KnownTask,
  maxAskedObjects,
} from '@worktide/schemas';

/** Where time is to go. */
export interface Asked {
  projectId: string | null;
  taskId: string | null;
}

/** Where time may go, or why it may not. */
export interface Place {
  /** That of the task, where a task alone was named. */
  projectId: string | null;
  problem: ConflictReason | undefined;
  /** Of the project, where it is known. */
  status?: string | undefined;
}

export interface KnownWorkspace {
  /**
   * Where time of each goes.
   * @throws 503 where one is not known and workspace cannot be asked.
   */
  placesOf(organizationId: string, asked: readonly Asked[]): Promise<Place[]>;
  /**
   * For one.
   * @returns the project: that of the task, where a task alone is named.
   * @throws 400 `PROJECT_UNKNOWN`, `PROJECT_ARCHIVED`, `TASK_UNKNOWN`; 503.
   */
  check(organizationId: string, asked: Asked): Promise<string | null>;
}

/** Objects of one organisation, by id. */
interface Objects {
  projects: Map<string, KnownProject>;
  tasks: Map<string, KnownTask>;
}

/** Asks workspace; those of the asked that it has. */
export type AskWorkspace = (
  organizationId: string,
  projectIds: readonly string[],
  taskIds: readonly string[],
) => Promise<{ projects: KnownProject[]; tasks: KnownTask[] }>;

/** Who may book time where. Ids that nobody has are not kept, and are asked about each time. */
export function createKnownWorkspace(options: {
  pool: Pool;
  /** Without it what the log has not told of is unknown. */
  ask: AskWorkspace | undefined;
  metrics: Metrics;
}): KnownWorkspace {
  const { pool, ask } = options;
  // An office that names what nobody has keeps neither workspace nor other offices busy.
  const turns = createTurns({ name: 'asking workspace', places: 8, placesEach: 2, metrics: options.metrics });
  const asks = options.metrics.counter(
    'worktide_writer_workspace_asked_total',
    'Projects and tasks asked of workspace, being newer than what the log had told',
    ['outcome'],
  );

  async function find(organizationId: string, projectIds: Set<string>, taskIds: Set<string>): Promise<Objects> {
    const objects: Objects = { projects: new Map(), tasks: new Map() };
    await readInto(objects, pool, organizationId, projectIds, taskIds);
    // A task's project counts, too, also where nobody named it.
    const more = new Set([...projectIds, ...[...objects.tasks.values()].map(({ projectId }) => projectId)]);
    await readInto(objects, pool, organizationId, missing(more, objects.projects), new Set());
    const unknown = { projects: missing(more, objects.projects), tasks: missing(taskIds, objects.tasks) };
    if (!ask || unknown.projects.size + unknown.tasks.size === 0) return objects;
    for (let [projects, tasks] = [[...unknown.projects], [...unknown.tasks]]; projects.length + tasks.length > 0; ) {
      const some = [projects.slice(0, maxAskedObjects), tasks.slice(0, maxAskedObjects)] as const;
      const found = await turns
        .run(organizationId, () => ask(organizationId, ...some))
        .catch((error: unknown) => {
          asks.inc({ outcome: 'failed' });
          throw error;
        });
      asks.inc({ outcome: 'answered' });
      await keep(pool, organizationId, found);
      for (const project of found.projects) objects.projects.set(project.id, project);
      for (const task of found.tasks) objects.tasks.set(task.id, task);
      projects = projects.slice(maxAskedObjects);
      tasks = tasks.slice(maxAskedObjects);
      // Of a task that nobody had heard of, the project may not be known either.
      const theirs = new Set(found.tasks.map(({ projectId }) => projectId));
      projects.push(...missing(theirs, objects.projects));
    }
    return objects;
  }

  async function placesOf(organizationId: string, asked: readonly Asked[]): Promise<Place[]> {
    const ids = (field: keyof Asked) => new Set(asked.flatMap((one) => one[field] ?? []));
    const [projectIds, taskIds] = [ids('projectId'), ids('taskId')];
    if (projectIds.size + taskIds.size === 0) return asked.map(() => ({ projectId: null, problem: undefined }));
    const objects = await find(organizationId, projectIds, taskIds);
    return asked.map((one) => {
      const task = one.taskId === null ? undefined : objects.tasks.get(one.taskId);
      const projectId = one.projectId ?? task?.projectId ?? null;
      const status = projectId === null ? undefined : objects.projects.get(projectId)?.status;
      return { projectId, problem: problemOf(one, objects), status };
    });
  }

  return {
    placesOf,
    async check(organizationId, asked) {
      const [place] = await placesOf(organizationId, [asked]);
      if (place!.problem) throw errorOf(place!.problem, place!.status);
      return place!.projectId;
    },
  };
}

function problemOf({ projectId, taskId }: Asked, { projects, tasks }: Objects): ConflictReason | undefined {
  const task = taskId === null ? undefined : tasks.get(taskId);
  if (taskId !== null && (!task || task.deleted || (projectId !== null && task.projectId !== projectId))) {
    return 'task_unknown';
  }
  const inProject = projectId ?? task?.projectId;
  if (inProject === undefined) return undefined;
  const project = projects.get(inProject);
  if (!project || project.deleted) return projectId === null ? 'task_unknown' : 'project_unknown';
  return project.status === 'active' ? undefined : 'project_archived';
}

function errorOf(problem: ConflictReason, status: string | undefined): AppError {
  if (problem === 'task_unknown') return invalid('TASK_UNKNOWN', 'There is no such task in this project.');
  if (problem === 'project_archived') {
    return invalid('PROJECT_ARCHIVED', `This project is not active, but ${status?.replace('_', ' ')}.`);
  }
  return invalid('PROJECT_UNKNOWN', 'There is no such project.');
}

const missing = (ids: ReadonlySet<string>, known: ReadonlyMap<string, unknown>): Set<string> =>
  new Set([...ids].filter((id) => !known.has(id)));

async function readInto(
  { projects, tasks }: Objects,
  client: Queryable,
  organizationId: string,
  projectIds: ReadonlySet<string>,
  taskIds: ReadonlySet<string>,
): Promise<void> {
  if (projectIds.size > 0) {
    const { rows } = await client.query<KnownProject>(
      `SELECT id, version, status, deleted FROM tracking.known_projects
       WHERE organization_id = $1 AND id = ANY($2::uuid[])`,
      [organizationId, [...projectIds]],
    );
    for (const row of rows) projects.set(row.id, row);
  }
  if (taskIds.size > 0) {
    const { rows } = await client.query<KnownTask>(
      `SELECT id, version, project_id AS "projectId", deleted FROM tracking.known_tasks
       WHERE organization_id = $1 AND id = ANY($2::uuid[])`,
      [organizationId, [...taskIds]],
    );
    for (const row of rows) tasks.set(row.id, row);
  }
}

/** Keeps what is newer than what is kept. */
export async function keep(
  client: Queryable,
  organizationId: string,
  found: { projects: readonly KnownProject[]; tasks: readonly KnownTask[] },
): Promise<void> {
  // In one order, so that two who keep the same do not wait for each other.
  const byId = (a: { id: string }, b: { id: string }): number => (a.id < b.id ? -1 : 1);
  const [projects, tasks] = [[...found.projects].sort(byId), [...found.tasks].sort(byId)];
  if (projects.length > 0) {
    await client.query(
      `INSERT INTO tracking.known_projects (organization_id, id, version, status, deleted)
       SELECT $1, * FROM unnest($2::uuid[], $3::bigint[], $4::text[], $5::boolean[])
       ON CONFLICT (organization_id, id) DO UPDATE
         SET version = excluded.version, status = excluded.status, deleted = excluded.deleted
         WHERE known_projects.version < excluded.version`,
      [
        organizationId,
        projects.map(({ id }) => id),
        projects.map(({ version }) => version),
        projects.map(({ status }) => status),
        projects.map(({ deleted }) => deleted),
      ],
    );
  }
  if (tasks.length > 0) {
    await client.query(
      `INSERT INTO tracking.known_tasks (organization_id, id, version, project_id, deleted)
       SELECT $1, * FROM unnest($2::uuid[], $3::bigint[], $4::uuid[], $5::boolean[])
       ON CONFLICT (organization_id, id) DO UPDATE
         SET version = excluded.version, project_id = excluded.project_id, deleted = excluded.deleted
         WHERE known_tasks.version < excluded.version`,
      [
        organizationId,
        tasks.map(({ id }) => id),
        tasks.map(({ version }) => version),
        tasks.map(({ projectId }) => projectId),
        tasks.map(({ deleted }) => deleted),
      ],
    );
  }
}

/** Asks the internal route of workspace. Rejects 503 where there is no proper answer. */
export function askWorkspaceAt(url: string, internalToken: string): AskWorkspace {
  const workspace = { service: 'workspace', url, internalToken };
  return (organizationId, projectIds, taskIds) =>
    askInternal(workspace, foundObjects, '/internal/workspace/objects', { organizationId, projectIds, taskIds });
}
