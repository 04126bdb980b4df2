import { auditChange } from '@worktide/audit';
import { conflict, decodeCursor, notFound, pageOf, uuidv7 } from '@worktide/runtime';
import type { listQuery, newTeam, Team, teamChange, teamMemberPage, teamPage } from '@worktide/schemas';
import type { z } from 'zod';
import { findProject } from '../projects/projects.ts';
import type { Change, Tenant } from '../store/store.ts';
import { requireVersion } from '../versions.ts';

type ListQuery = z.output<typeof listQuery>;
type TeamMember = z.output<typeof teamMemberPage>['items'][number];

/** Live teams of one project. */
export const maxTeams = 1_000;
/** Bounded so that an event with all of a team's members stays small. */
export const maxMembers = 1_000;

interface TeamRow {
  id: string;
  project_id: string;
  name: string;
  created_at: Date;
  updated_at: Date;
  version: number;
}

const columns = 't.id, t.project_id, t.name, t.created_at, t.updated_at, t.version';
/** A team is there while its project is. */
const liveTeams = `workspace.teams t JOIN workspace.projects p
  ON p.organization_id = t.organization_id AND p.id = t.project_id AND p.deleted_at IS NULL`;
const memberCount = `(SELECT count(*) FROM workspace.team_members m
  WHERE m.organization_id = t.organization_id AND m.team_id = t.id) AS member_count`;

const show = (row: TeamRow & { member_count: number }): Team => ({
  id: row.id,
  projectId: row.project_id,
  name: row.name,
  memberCount: row.member_count,
  createdAt: row.created_at.toISOString(),
  updatedAt: row.updated_at.toISOString(),
  version: row.version,
});

const showMember = (row: { user_id: string; added_at: Date }): TeamMember => ({
  userId: row.user_id,
  addedAt: row.added_at.toISOString(),
});

/** What the audit trail compares. */
const audited = ({ name, project_id, version }: TeamRow) => ({ name, projectId: project_id, version });
const entity = (row: TeamRow) => ({ entityType: 'team', entityId: row.id });

/** A page of a project's teams, newest first. Rejects 404 for the project, 400 for a bad cursor. */
export async function listTeams(
  tenant: Tenant,
  projectId: string,
  query: ListQuery,
): Promise<z.output<typeof teamPage>> {
  const { client, organizationId } = tenant;
  const project = await findProject(tenant, projectId);
  const list = ['teams', organizationId, project.id];
  const { rows } = await client.query<TeamRow & { member_count: number }>(
    `SELECT ${columns}, ${memberCount} FROM workspace.teams t
     WHERE t.organization_id = $1 AND t.project_id = $2 AND t.deleted_at IS NULL AND ($3::uuid IS NULL OR t.id < $3)
     ORDER BY t.id DESC LIMIT $4`,
    [organizationId, project.id, decodeCursor(query.cursor, list), query.limit + 1],
  );
  return pageOf(rows, query.limit, list, { idOf: (row) => row.id, show });
}

/** Rejects 404. */
export async function getTeam({ client, organizationId }: Tenant, id: string): Promise<Team> {
  const { rows } = await client.query<TeamRow & { member_count: number }>(
    `SELECT ${columns}, ${memberCount} FROM ${liveTeams}
     WHERE t.organization_id = $1 AND t.id = $2 AND t.deleted_at IS NULL`,
    [organizationId, id],
  );
  if (!rows[0]) throw notFound();
  return show(rows[0]);
}

/** Locked: whatever changes a team or its members waits here, so that versions and counts are in order. */
async function lockTeam({ client, organizationId }: Tenant, id: string): Promise<TeamRow> {
  const { rows } = await client.query<TeamRow>(
    `SELECT ${columns} FROM ${liveTeams}
     WHERE t.organization_id = $1 AND t.id = $2 AND t.deleted_at IS NULL FOR NO KEY UPDATE OF t`,
    [organizationId, id],
  );
  if (!rows[0]) throw notFound();
  return rows[0];
}

const memberIdsOf = async ({ client, organizationId }: Tenant, teamId: string): Promise<string[]> => {
  const { rows } = await client.query<{ user_id: string }>(
    'SELECT user_id FROM workspace.team_members WHERE organization_id = $1 AND team_id = $2 ORDER BY user_id',
    [organizationId, teamId],
  );
  return rows.map((row) => row.user_id);
};

const eventOf = (row: TeamRow, memberIds: string[], deleted = false) => ({
  type: 'team' as const,
  id: row.id,
  version: row.version,
  deleted,
  projectId: row.project_id,
  name: row.name,
  memberIds,
});

/** Rejects 404 for the project, 409 `TOO_MANY_TEAMS`. */
export async function createTeam(change: Change, projectId: string, body: z.output<typeof newTeam>): Promise<Team> {
  const { client, organizationId } = change;
  const project = await findProject(change, projectId, 'FOR NO KEY UPDATE');
  const { rows: counts } = await client.query<{ live: number }>(
    `SELECT count(*) AS live FROM workspace.teams
     WHERE organization_id = $1 AND project_id = $2 AND deleted_at IS NULL`,
    [organizationId, project.id],
  );
  if (counts[0]!.live >= maxTeams) throw conflict('TOO_MANY_TEAMS', `A project has at most ${maxTeams} teams.`);
  const { rows } = await client.query<TeamRow>(
    `INSERT INTO workspace.teams AS t (organization_id, id, project_id, name) VALUES ($1, $2, $3, $4)
     RETURNING ${columns}`,
    [organizationId, uuidv7(), project.id, body.name],
  );
  const row = rows[0]!;
  change.tell(eventOf(row, []), { action: 'team.created', ...entity(row), before: null, after: audited(row) });
  return show({ ...row, member_count: 0 });
}

/** Every change of a team or its members is a new version of the team. */
async function touch({ client, organizationId }: Tenant, id: string, name: string, deleted = false): Promise<TeamRow> {
  const { rows } = await client.query<TeamRow>(
    `UPDATE workspace.teams t SET name = $3, updated_at = statement_timestamp(), version = version + 1,
       deleted_at = CASE WHEN $4 THEN statement_timestamp() END
     WHERE organization_id = $1 AND id = $2 RETURNING ${columns}`,
    [organizationId, id, name, deleted],
  );
  return rows[0]!;
}

/** Rejects 404, 409 `STALE_VERSION`. */
export async function changeTeam(change: Change, id: string, body: z.output<typeof teamChange>): Promise<Team> {
  const before = await lockTeam(change, id);
  requireVersion(before, body.version);
  const memberIds = await memberIdsOf(change, id);
  if (body.name === undefined) return show({ ...before, member_count: memberIds.length });
  const row = await touch(change, id, body.name);
  const changed = auditChange(audited(before), audited(row));
  change.tell(eventOf(row, memberIds), { action: 'team.changed', ...entity(row), ...changed });
  return show({ ...row, member_count: memberIds.length });
}

/** Rejects 404. */
export async function deleteTeam(change: Change, id: string): Promise<void> {
  const before = await lockTeam(change, id);
  const row = await touch(change, id, before.name, true);
  const action = { action: 'team.deleted', ...entity(row), before: audited(before), after: null };
  change.tell(eventOf(row, await memberIdsOf(change, id), true), action);
}

/** A page of a team's members, by user id. Rejects 404 for the team, 400 for a bad cursor. */
export async function listMembers(
  tenant: Tenant,
  teamId: string,
  query: ListQuery,
): Promise<z.output<typeof teamMemberPage>> {
  const { client, organizationId } = tenant;
  const { id } = await getTeam(tenant, teamId);
  const list = ['members', organizationId, id];
  const { rows } = await client.query<{ user_id: string; added_at: Date }>(
    `SELECT user_id, added_at FROM workspace.team_members
     WHERE organization_id = $1 AND team_id = $2 AND ($3::uuid IS NULL OR user_id > $3)
     ORDER BY user_id LIMIT $4`,
    [organizationId, id, decodeCursor(query.cursor, list), query.limit + 1],
  );
  return pageOf(rows, query.limit, list, { idOf: (row) => row.user_id, show: showMember });
}

/**
 * Adding a member again changes nothing.
 * @param mustBeKnown throws where the user cannot be a member, see `lookUpUser`.
 * @returns whether the user was added now. Rejects 404 for the team, 409 `TOO_MANY_MEMBERS`.
 */
export async function addMember(
  change: Change,
  teamId: string,
  userId: string,
  mustBeKnown: () => void,
): Promise<{ added: boolean; member: TeamMember }> {
  const { client, organizationId } = change;
  const before = await lockTeam(change, teamId);
  const known = await client.query<{ user_id: string; added_at: Date }>(
    `SELECT user_id, added_at FROM workspace.team_members WHERE organization_id = $1 AND team_id = $2 AND user_id = $3`,
    [organizationId, before.id, userId],
  );
  if (known.rows[0]) return { added: false, member: showMember(known.rows[0]) };
  mustBeKnown();
  const memberIds = await memberIdsOf(change, before.id);
  if (memberIds.length >= maxMembers) throw conflict('TOO_MANY_MEMBERS', `A team has at most ${maxMembers} members.`);
  const { rows } = await client.query<{ user_id: string; added_at: Date }>(
    `INSERT INTO workspace.team_members (organization_id, team_id, user_id) VALUES ($1, $2, $3)
     RETURNING user_id, added_at`,
    [organizationId, before.id, userId],
  );
  const row = await touch(change, before.id, before.name);
  const action = { action: 'team.member-added', ...entity(row), before: null, after: { userId, name: row.name } };
  change.tell(eventOf(row, [...memberIds, userId].sort()), action);
  return { added: true, member: showMember(rows[0]!) };
}

/** Rejects 404 for the team and for who is not in it. */
export async function removeMember(change: Change, teamId: string, userId: string): Promise<void> {
  const { client, organizationId } = change;
  const before = await lockTeam(change, teamId);
  const { rowCount } = await client.query(
    'DELETE FROM workspace.team_members WHERE organization_id = $1 AND team_id = $2 AND user_id = $3',
    [organizationId, before.id, userId],
  );
  if (!rowCount) throw notFound();
  const row = await touch(change, before.id, before.name);
  const action = { action: 'team.member-removed', ...entity(row), before: { userId, name: row.name }, after: null };
  change.tell(eventOf(row, await memberIdsOf(change, before.id)), action);
}
