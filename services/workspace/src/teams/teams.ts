import { auditChange } from '@worktide/audit';
import { conflict, decodeCursor, notFound, pageOf, uuidv7 } from '@worktide/runtime';
import type {
  ledPeople,
  listQuery,
  newTeam,
  newTeamMember,
  Team,
  teamChange,
  teamMemberPage,
  teamPage,
  teamQuery,
} from '@worktide/schemas';
import type { z } from 'zod';
import { findProject } from '../projects/projects.ts';
import type { Change, Tenant } from '../store/store.ts';
import { requireVersion } from '../versions.ts';

type ListQuery = z.output<typeof listQuery>;
type TeamQuery = z.output<typeof teamQuery>;
type NewMember = z.output<typeof newTeamMember>;
type TeamMember = z.output<typeof teamMemberPage>['items'][number];

/** Live teams of one project, or of none. */
export const maxTeams = 1_000;
/** Bounded so that an event with all of a team's members stays small. */
export const maxMembers = 1_000;

interface TeamRow {
  id: string;
  project_id: string | null;
  name: string;
  created_at: Date;
  updated_at: Date;
  version: number;
}

const columns = 't.id, t.project_id, t.name, t.created_at, t.updated_at, t.version';
/** A team of a project is there while that is. */
const isLive = `t.deleted_at IS NULL AND (t.project_id IS NULL OR EXISTS (SELECT FROM workspace.projects p
  WHERE p.organization_id = t.organization_id AND p.id = t.project_id AND p.deleted_at IS NULL))`;
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

interface MemberRow {
  user_id: string;
  role: TeamMember['role'];
  added_at: Date;
}
const showMember = (row: MemberRow): TeamMember => ({
  userId: row.user_id,
  role: row.role,
  addedAt: row.added_at.toISOString(),
});

/** What the audit trail compares. */
const audited = ({ name, project_id, version }: TeamRow) => ({ name, projectId: project_id, version });
const entity = (row: TeamRow) => ({ entityType: 'team', entityId: row.id });

/** A page of a project's teams, newest first. Rejects 404 for the project, 400 for a bad cursor. */
export async function listTeamsOf(
  tenant: Tenant,
  projectId: string,
  query: ListQuery,
): Promise<z.output<typeof teamPage>> {
  const { id } = await findProject(tenant, projectId);
  return listTeams(tenant, { ...query, projectId: id });
}

/** A page of teams, of one project where it is named, newest first. Rejects 400 for a bad cursor. */
export async function listTeams(
  { client, organizationId }: Tenant,
  query: TeamQuery,
): Promise<z.output<typeof teamPage>> {
  const { projectId = null } = query;
  const list = ['teams', organizationId, projectId];
  const { rows } = await client.query<TeamRow & { member_count: number }>(
    `SELECT ${columns}, ${memberCount} FROM workspace.teams t
     WHERE t.organization_id = $1 AND ($2::uuid IS NULL OR t.project_id = $2) AND ${isLive}
       AND ($3::uuid IS NULL OR t.id < $3)
     ORDER BY t.id DESC LIMIT $4`,
    [organizationId, projectId, decodeCursor(query.cursor, list), query.limit + 1],
  );
  return pageOf(rows, query.limit, list, { idOf: (row) => row.id, show });
}

/** Rejects 404. */
export async function getTeam({ client, organizationId }: Tenant, id: string): Promise<Team> {
  const { rows } = await client.query<TeamRow & { member_count: number }>(
    `SELECT ${columns}, ${memberCount} FROM workspace.teams t
     WHERE t.organization_id = $1 AND t.id = $2 AND ${isLive}`,
    [organizationId, id],
  );
  if (!rows[0]) throw notFound();
  return show(rows[0]);
}

/** Locked: whatever changes a team or its members waits here, so that versions and counts are in order. */
async function lockTeam({ client, organizationId }: Tenant, id: string): Promise<TeamRow> {
  const { rows } = await client.query<TeamRow>(
    `SELECT ${columns} FROM workspace.teams t
     WHERE t.organization_id = $1 AND t.id = $2 AND ${isLive} FOR NO KEY UPDATE OF t`,
    [organizationId, id],
  );
  if (!rows[0]) throw notFound();
  return rows[0];
}

type Member = Pick<MemberRow, 'user_id' | 'role'>;

const membersOf = async ({ client, organizationId }: Tenant, teamId: string): Promise<Member[]> => {
  const { rows } = await client.query<Member>(
    'SELECT user_id, role FROM workspace.team_members WHERE organization_id = $1 AND team_id = $2 ORDER BY user_id',
    [organizationId, teamId],
  );
  return rows;
};

const eventOf = (row: TeamRow, members: readonly Member[], deleted = false) => ({
  type: 'team' as const,
  id: row.id,
  version: row.version,
  deleted,
  projectId: row.project_id,
  name: row.name,
  memberIds: members.map(({ user_id }) => user_id),
  leadIds: members.filter(({ role }) => role === 'lead').map(({ user_id }) => user_id),
});

/** Rejects 404 for the project, 409 `TOO_MANY_TEAMS`. */
export async function createTeam(change: Change, { name, projectId }: z.output<typeof newTeam>): Promise<Team> {
  const { client, organizationId } = change;
  if (projectId !== null) await findProject(change, projectId, 'FOR NO KEY UPDATE');
  // Of no project, in the place of its lock: so that many at once are not more than there may be.
  else await client.query(`SELECT pg_advisory_xact_lock(hashtextextended('departments ' || $1, 0))`, [organizationId]);
  const { rows: counts } = await client.query<{ live: number }>(
    `SELECT count(*) AS live FROM workspace.teams
     WHERE organization_id = $1 AND project_id IS NOT DISTINCT FROM $2 AND deleted_at IS NULL`,
    [organizationId, projectId],
  );
  if (counts[0]!.live >= maxTeams)
    throw conflict('TOO_MANY_TEAMS', `There are at most ${maxTeams} teams of a project, and of none.`);
  const { rows } = await client.query<TeamRow>(
    `INSERT INTO workspace.teams AS t (organization_id, id, project_id, name) VALUES ($1, $2, $3, $4)
     RETURNING ${columns}`,
    [organizationId, uuidv7(), projectId, name],
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
  const members = await membersOf(change, id);
  if (body.name === undefined) return show({ ...before, member_count: members.length });
  const row = await touch(change, id, body.name);
  const changed = auditChange(audited(before), audited(row));
  change.tell(eventOf(row, members), { action: 'team.changed', ...entity(row), ...changed });
  return show({ ...row, member_count: members.length });
}

/** Rejects 404. */
export async function deleteTeam(change: Change, id: string): Promise<void> {
  const before = await lockTeam(change, id);
  const row = await touch(change, id, before.name, true);
  const action = { action: 'team.deleted', ...entity(row), before: audited(before), after: null };
  change.tell(eventOf(row, await membersOf(change, id), true), action);
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
  const { rows } = await client.query<MemberRow>(
    `SELECT user_id, role, added_at FROM workspace.team_members
     WHERE organization_id = $1 AND team_id = $2 AND ($3::uuid IS NULL OR user_id > $3)
     ORDER BY user_id LIMIT $4`,
    [organizationId, id, decodeCursor(query.cursor, list), query.limit + 1],
  );
  return pageOf(rows, query.limit, list, { idOf: (row) => row.user_id, show: showMember });
}

/**
 * Adding a member again changes their role, where one is said, and nothing else.
 * @param mustBeKnown throws where the user cannot be a member, see `lookUpUser`.
 * @returns whether the user was added now. Rejects 404 for the team, 409 `TOO_MANY_MEMBERS`.
 */
export async function addMember(
  change: Change,
  teamId: string,
  { userId, role }: NewMember,
  mustBeKnown: () => void,
): Promise<{ added: boolean; member: TeamMember }> {
  const { client, organizationId } = change;
  const before = await lockTeam(change, teamId);
  const members = await membersOf(change, before.id);
  const known = members.find(({ user_id }) => user_id === userId);
  if (!known) {
    mustBeKnown();
    if (members.length >= maxMembers) throw conflict('TOO_MANY_MEMBERS', `A team has at most ${maxMembers} members.`);
  }
  const { rows } = await client.query<MemberRow>(
    `INSERT INTO workspace.team_members AS m (organization_id, team_id, user_id, role) VALUES ($1, $2, $3, $4)
     ON CONFLICT (organization_id, team_id, user_id) DO UPDATE SET role = excluded.role
     RETURNING user_id, role, added_at`,
    [organizationId, before.id, userId, role ?? known?.role ?? 'member'],
  );
  const member = rows[0]!;
  if (known?.role === member.role) return { added: false, member: showMember(member) };
  const row = await touch(change, before.id, before.name);
  const action = {
    action: known ? 'team.member-changed' : 'team.member-added',
    ...entity(row),
    before: known ? { userId, role: known.role } : null,
    after: { userId, role: member.role, name: row.name },
  };
  change.tell(eventOf(row, await membersOf(change, before.id)), action);
  return { added: !known, member: showMember(member) };
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
  change.tell(eventOf(row, await membersOf(change, before.id)), action);
}

/** Teams that somebody leads, and all who are in them, the lead too. */
export async function findLed(
  client: Tenant['client'],
  organizationId: string,
  leadId: string,
): Promise<z.output<typeof ledPeople>> {
  const { rows } = await client.query<{ team_id: string; user_id: string }>(
    `SELECT m.team_id, m.user_id FROM workspace.team_members l
     JOIN workspace.teams t ON t.organization_id = l.organization_id AND t.id = l.team_id AND ${isLive}
     JOIN workspace.team_members m ON m.organization_id = t.organization_id AND m.team_id = t.id
     WHERE l.organization_id = $1 AND l.user_id = $2 AND l.role = 'lead'`,
    [organizationId, leadId],
  );
  return {
    teamIds: [...new Set(rows.map(({ team_id }) => team_id))],
    userIds: [...new Set(rows.map(({ user_id }) => user_id))],
  };
}

/** Who is in a team; null where there is no such team. */
export async function findMembers(
  client: Tenant['client'],
  organizationId: string,
  teamId: string,
): Promise<string[] | null> {
  const { rows } = await client.query<{ user_id: string | null }>(
    `SELECT m.user_id FROM workspace.teams t
     LEFT JOIN workspace.team_members m ON m.organization_id = t.organization_id AND m.team_id = t.id
     WHERE t.organization_id = $1 AND t.id = $2 AND ${isLive}`,
    [organizationId, teamId],
  );
  if (rows.length === 0) return null;
  return rows.flatMap(({ user_id }) => user_id ?? []);
}
