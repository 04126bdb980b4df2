import type { Identity } from '@worktide/identity';
import { type Pool, type Queryable, tenantTransaction } from '@worktide/postgres';
import { type AnyRoute, AppError, route } from '@worktide/runtime';
import {
  askLed,
  askObjects,
  askProjectNames,
  askSeesTask,
  askTeam,
  foundObjects,
  foundProjectNames,
  foundTeam,
  type KnownProject,
  type KnownTask,
  ledPeople,
  seesTask,
} from '@worktide/schemas';
import { sightOf } from '../policies.ts';
import { nameKey } from '../projects/projects.ts';
import { findTask } from '../tasks/rows.ts';
import { findLed, findMembers } from '../teams/teams.ts';

/** What other services ask: about projects and tasks that are newer than what the log has told, who leads whom, who sees what. */
export function internalRoutes(pool: Pool, organization: Identity['organization']): AnyRoute[] {
  return [
    route({
      method: 'post',
      path: '/internal/workspace/objects',
      operationId: 'findObjects',
      summary: 'Projects and tasks of an organisation, deleted ones too',
      tag: 'internal',
      access: 'internal',
      body: askObjects,
      responses: { 200: { description: 'Those that there are.', schema: foundObjects } },
      handler: async ({ body, signal }) => {
        const { organizationId, projectIds, taskIds } = body;
        return {
          status: 200,
          body: await tenantTransaction(
            pool,
            organizationId,
            async (client) => {
              const { rows: projects } = await client.query<KnownProject>(
                `SELECT id, version, status, deleted_at IS NOT NULL AS deleted FROM projects
                 WHERE organization_id = $1 AND id = ANY($2::uuid[])`,
                [organizationId, projectIds],
              );
              const { rows: tasks } = await client.query<KnownTask>(
                `SELECT id, version, project_id AS "projectId", deleted_at IS NOT NULL AS deleted FROM tasks
                 WHERE organization_id = $1 AND id = ANY($2::uuid[])`,
                [organizationId, taskIds],
              );
              return { projects, tasks };
            },
            { signal },
          ),
        };
      },
    }),
    route({
      method: 'post',
      path: '/internal/workspace/project-names',
      operationId: 'findProjectNames',
      summary: 'Active projects by their names',
      tag: 'internal',
      access: 'internal',
      body: askProjectNames,
      responses: { 200: { description: 'Those that there are.', schema: foundProjectNames } },
      handler: async ({ body: { organizationId, names }, signal }) => {
        const byKey = Map.groupBy(names, nameKey);
        const rows = await tenantTransaction(
          pool,
          organizationId,
          async (client) =>
            (
              await client.query<{ id: string; key: string }>(
                `SELECT id, name_key AS key FROM projects
                 WHERE organization_id = $1 AND name_key = ANY($2::text[]) AND status = 'active' AND deleted_at IS NULL`,
                [organizationId, [...byKey.keys()]],
              )
            ).rows,
          { signal },
        );
        const projects = rows.flatMap(({ id, key }) => byKey.get(key)!.map((name) => ({ name, id })));
        return { status: 200, body: { projects } };
      },
    }),
    route({
      method: 'post',
      path: '/internal/workspace/led',
      operationId: 'findLed',
      summary: 'Whom somebody leads',
      tag: 'internal',
      access: 'internal',
      body: askLed,
      responses: { 200: { description: 'Their teams, and who is in them.', schema: ledPeople } },
      handler: async ({ body: { organizationId, leadId }, signal }) => ({
        status: 200,
        body: await tenantTransaction(pool, organizationId, (client) => findLed(client, organizationId, leadId), {
          signal,
        }),
      }),
    }),
    route({
      method: 'post',
      path: '/internal/workspace/sees-task',
      operationId: 'seesTask',
      summary: 'Whether somebody sees a task',
      tag: 'internal',
      access: 'internal',
      body: askSeesTask,
      responses: { 200: { description: 'As `GET /tasks/:id` would show it to them.', schema: seesTask } },
      handler: async ({ body: { organizationId, userId, role, taskId }, signal }) => {
        const sight = await sightOf({ role, userId }, async () => (await organization(organizationId))?.settings);
        const work = (client: Queryable) => findTask({ client, organizationId }, sight, taskId);
        const sees = await tenantTransaction(pool, organizationId, work, { signal }).then(
          () => true,
          (error: unknown) => {
            if (error instanceof AppError && error.statusCode === 404) return false;
            throw error;
          },
        );
        return { status: 200, body: { sees } };
      },
    }),
    route({
      method: 'post',
      path: '/internal/workspace/team',
      operationId: 'findTeamMembers',
      summary: 'Who is in a team',
      tag: 'internal',
      access: 'internal',
      body: askTeam,
      responses: { 200: { description: 'Null: there is no such team.', schema: foundTeam } },
      handler: async ({ body: { organizationId, teamId }, signal }) => {
        const work = (client: Queryable) => findMembers(client, organizationId, teamId);
        return { status: 200, body: { userIds: await tenantTransaction(pool, organizationId, work, { signal }) } };
      },
    }),
  ];
}
