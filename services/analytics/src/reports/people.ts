import type { People, Sql } from './intervals.ts';

const both = (a: Sql, b: Sql | undefined): Sql =>
  b ? { sql: `${a.sql} AND ${b.sql}`, params: { ...a.params, ...b.params } } : a;

/** Those of them whose own zone it is. */
export const inZone = ({ organizationId, which }: People, timezone: string): People => ({
  organizationId,
  which: both(
    {
      sql: `user_id IN (SELECT id FROM people FINAL WHERE organization_id = {organization:UUID} AND timezone = {zone:String})`,
      params: { zone: timezone },
    },
    which,
  ),
});

/** Members of a team that is there. */
export const ofTeam = (teamId: string): Sql => ({
  sql: `user_id IN (SELECT arrayJoin(member_ids) FROM teams FINAL
    WHERE organization_id = {organization:UUID} AND id = {team:UUID} AND deleted = 0)`,
  params: { team: teamId },
});

/** Members of the teams of a project, and who has tracked time for it. */
export const ofProject = (projectId: string): Sql => ({
  sql: `user_id IN (
    SELECT arrayJoin(member_ids) FROM teams FINAL
    WHERE organization_id = {organization:UUID} AND project_id = {project:UUID} AND deleted = 0
    UNION ALL
    SELECT user_id FROM time_entries FINAL WHERE organization_id = {organization:UUID} AND project_id = {project:UUID})`,
  params: { project: projectId },
});

export const allOf = (...conditions: (Sql | undefined)[]): Sql | undefined =>
  conditions.reduce((all, one) => (one && all ? both(one, all) : (one ?? all)), undefined);
