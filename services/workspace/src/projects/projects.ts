import { auditChange } from '@worktide/audit';
import { violatedConstraint } from '@worktide/postgres';
import { conflict, decodeCursor, notFound, pageOf, uuidv7 } from '@worktide/runtime';
import type { newProject, Project, ProjectPage, projectChange, projectQuery, WorkspaceEvent } from '@worktide/schemas';
import type { z } from 'zod';
import type { Change, Tenant } from '../store/store.ts';
import { requireVersion } from '../versions.ts';

/** Live projects of one organisation: more is a script that went wrong. */
export const maxProjects = 10_000;

interface ProjectRow {
  id: string;
  name: string;
  description: string | null;
  status: Project['status'];
  color: string | null;
  client_name: string | null;
  budget_seconds: number | null;
  created_by: string;
  created_at: Date;
  updated_at: Date;
  deleted_at: Date | null;
  version: number;
}

const columns = `id, name, description, status, color, client_name, budget_seconds, created_by, created_at, updated_at, deleted_at,
  version`;

/** How names are compared: two that look alike are one. In the code, since databases differ in what lower case is. */
/** A name as names are compared. */
export const nameKey = (name: string): string => name.normalize('NFC').toLowerCase();

const show = (row: ProjectRow): Project => ({
  id: row.id,
  name: row.name,
  description: row.description,
  status: row.status,
  color: row.color,
  clientName: row.client_name,
  budgetSeconds: row.budget_seconds,
  createdBy: row.created_by,
  createdAt: row.created_at.toISOString(),
  updatedAt: row.updated_at.toISOString(),
  version: row.version,
});

const eventOf = ({ id, version, name, status, deleted_at }: ProjectRow): WorkspaceEvent => ({
  type: 'project',
  id,
  version,
  deleted: deleted_at !== null,
  name,
  status,
});

/** What people write, as the API names it. */
type Written = Pick<Project, 'name' | 'description' | 'status' | 'color' | 'clientName' | 'budgetSeconds'>;
const fieldsOf = (row: ProjectRow): Written => {
  const { name, description, status, color, clientName, budgetSeconds } = show(row);
  return { name, description, status, color, clientName, budgetSeconds };
};
/** As the statements below take them, from $3 on. */
const valuesOf = ({ name, description, status, color, clientName, budgetSeconds }: Written): unknown[] => [
  name,
  nameKey(name),
  description,
  status,
  color,
  clientName,
  budgetSeconds,
];

const none = { description: null, color: null, clientName: null, budgetSeconds: null };
const given = <T extends object>(body: T): Partial<Written> =>
  Object.fromEntries(Object.entries(body).filter(([, value]) => value !== undefined));

/** What the audit trail compares. */
const audited = (row: ProjectRow) => ({ ...fieldsOf(row), version: row.version });

const entity = (row: ProjectRow) => ({ entityType: 'project', entityId: row.id });

/** A page of live projects, newest first. Rejects 400 for a bad cursor. */
export async function listProjects(
  { client, organizationId }: Tenant,
  query: z.output<typeof projectQuery>,
): Promise<ProjectPage> {
  const { status = null, limit } = query;
  const list = ['projects', organizationId, status];
  const { rows } = await client.query<ProjectRow>(
    `SELECT ${columns} FROM workspace.projects
     WHERE organization_id = $1 AND deleted_at IS NULL AND ($2::text IS NULL OR status = $2)
       AND ($3::uuid IS NULL OR id < $3)
     ORDER BY id DESC LIMIT $4`,
    [organizationId, status, decodeCursor(query.cursor, list), limit + 1],
  );
  return pageOf(rows, limit, list, { idOf: (row) => row.id, show });
}

/** Rejects 404 for what is deleted, another organisation's, or nowhere: the same query says so of all three. */
export async function getProject(tenant: Tenant, id: string): Promise<Project> {
  return show(await findProject(tenant, id));
}

/** @param lock for a change that the project's own state decides. */
export async function findProject(
  { client, organizationId }: Tenant,
  id: string,
  lock: '' | 'FOR NO KEY UPDATE' = '',
): Promise<ProjectRow> {
  const { rows } = await client.query<ProjectRow>(
    `SELECT ${columns} FROM workspace.projects WHERE organization_id = $1 AND id = $2 AND deleted_at IS NULL ${lock}`,
    [organizationId, id],
  );
  if (!rows[0]) throw notFound();
  return rows[0];
}

/** Rejects 409 `NAME_TAKEN`, `TOO_MANY_PROJECTS`. */
export async function createProject(change: Change, body: z.output<typeof newProject>): Promise<Project> {
  const { client, organizationId, caller } = change;
  await checkRoom(change);
  const fields = { ...none, ...given(body) } as Written;
  const row = await write(body.name, () =>
    client.query<ProjectRow>(
      `INSERT INTO workspace.projects (organization_id, id, name, name_key, description, status, color, client_name,
         budget_seconds, created_by)
       VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) RETURNING ${columns}`,
      [organizationId, uuidv7(), ...valuesOf(fields), caller.userId],
    ),
  );
  change.tell(eventOf(row), { action: 'project.created', ...entity(row), before: null, after: audited(row) });
  return show(row);
}

/** Rejects 404, 409 `STALE_VERSION` or `NAME_TAKEN`. */
export async function changeProject(
  change: Change,
  id: string,
  body: z.output<typeof projectChange>,
): Promise<Project> {
  const { client, organizationId } = change;
  const before = await findProject(change, id, 'FOR NO KEY UPDATE');
  const { version, ...named } = body;
  requireVersion(before, version);
  const fields: Written = { ...fieldsOf(before), ...given(named) };
  const row = await write(fields.name, () =>
    client.query<ProjectRow>(
      `UPDATE workspace.projects SET name = $3, name_key = $4, description = $5, status = $6, color = $7, client_name = $8,
         budget_seconds = $9, updated_at = statement_timestamp(), version = version + 1
       WHERE organization_id = $1 AND id = $2 RETURNING ${columns}`,
      [organizationId, id, ...valuesOf(fields)],
    ),
  );
  const changed = auditChange(audited(before), audited(row));
  change.tell(eventOf(row), { action: 'project.changed', ...entity(row), ...changed });
  return show(row);
}

/** Takes its teams and tasks along, and touches none of them: they are looked up with their project. Rejects 404. */
export async function deleteProject(change: Change, id: string): Promise<void> {
  const { client, organizationId } = change;
  const before = await findProject(change, id, 'FOR NO KEY UPDATE');
  const { rows } = await client.query<ProjectRow>(
    `UPDATE workspace.projects
     SET deleted_at = statement_timestamp(), updated_at = statement_timestamp(), version = version + 1
     WHERE organization_id = $1 AND id = $2 RETURNING ${columns}`,
    [organizationId, id],
  );
  const row = rows[0]!;
  change.tell(eventOf(row), { action: 'project.deleted', ...entity(row), before: audited(before), after: null });
}

/** With the teams and tasks that it had. Rejects 404, 409 `NOT_DELETED`, `NAME_TAKEN`, `TOO_MANY_PROJECTS`. */
export async function restoreProject(change: Change, id: string): Promise<Project> {
  const { client, organizationId } = change;
  await checkRoom(change);
  const { rows } = await client.query<ProjectRow>(
    `SELECT ${columns} FROM workspace.projects WHERE organization_id = $1 AND id = $2 FOR NO KEY UPDATE`,
    [organizationId, id],
  );
  const before = rows[0];
  if (!before) throw notFound();
  if (before.deleted_at === null) throw conflict('NOT_DELETED', 'This project is not deleted.');
  const row = await write(before.name, () =>
    client.query<ProjectRow>(
      `UPDATE workspace.projects SET deleted_at = NULL, updated_at = statement_timestamp(), version = version + 1
       WHERE organization_id = $1 AND id = $2 RETURNING ${columns}`,
      [organizationId, id],
    ),
  );
  change.tell(eventOf(row), { action: 'project.restored', ...entity(row), before: null, after: audited(row) });
  return show(row);
}

// One organisation's projects appear one after the other, so that the count holds.
async function checkRoom({ client, organizationId }: Tenant): Promise<void> {
  await client.query("SELECT pg_advisory_xact_lock(hashtextextended('projects of ' || $1, 0))", [organizationId]);
  const { rows } = await client.query<{ live: number }>(
    'SELECT count(*) AS live FROM workspace.projects WHERE organization_id = $1 AND deleted_at IS NULL',
    [organizationId],
  );
  if (rows[0]!.live >= maxProjects) {
    throw conflict('TOO_MANY_PROJECTS', `An organization has at most ${maxProjects} projects.`);
  }
}

async function write(name: string, statement: () => Promise<{ rows: ProjectRow[] }>): Promise<ProjectRow> {
  try {
    return (await statement()).rows[0]!;
  } catch (error) {
    if (violatedConstraint(error) !== 'projects_live_name') throw error;
    throw conflict('NAME_TAKEN', `There is a project named ${JSON.stringify(name)} already.`);
  }
}
