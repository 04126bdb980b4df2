import type { People, Sql } from './intervals.ts';
import type { Range } from './reports.ts';

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

export interface MembersQuery extends Range {
  organizationId: string;
  projectId?: string | undefined;
  teamId?: string | undefined;
  /** Everybody whom the organisation ever had, and not only who is active or has time in the range. */
  ever?: boolean;
  /** The user after whom they begin. */
  after?: string | undefined;
  limit?: number;
}

/** The query of who is in a team's report, by name as people read it. Rows `{id, name, timezone}`. */
export function membersSql({ organizationId, projectId, teamId, ever, after, limit, from, to }: MembersQuery): Sql {
  const which = allOf(
    // Who is gone is there for the time that they worked.
    ever
      ? undefined
      : {
          sql: `((deleted = 0 AND status = 'active') OR user_id IN (
            SELECT user_id FROM day_changes WHERE organization_id = {organization:UUID}
              AND utc_date BETWEEN {from:Date32} - 1 AND {to:Date32} + 1))`,
          params: { from, to },
        },
    projectId === undefined ? undefined : ofProject(projectId),
    teamId === undefined ? undefined : ofTeam(teamId),
    after === undefined
      ? undefined
      : {
          sql: `(lowerUTF8(name), user_id) > (SELECT lowerUTF8(name), id FROM people FINAL
            WHERE organization_id = {organization:UUID} AND id = {after:UUID})`,
          params: { after },
        },
  );
  return {
    sql: `SELECT user_id AS id, name, timezone
      FROM (SELECT id AS user_id, * FROM people FINAL WHERE organization_id = {organization:UUID})
      WHERE ${which?.sql ?? '1'}
      ORDER BY lowerUTF8(name), user_id ${limit === undefined ? '' : 'LIMIT {limit:UInt32}'}`,
    params: { organization: organizationId, ...(limit === undefined ? {} : { limit }), ...which?.params },
  };
}
