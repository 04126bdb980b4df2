import { type Pool, tenantTransaction } from '@worktide/postgres';
import { type AnyRoute, route } from '@worktide/runtime';
import { askLed, askObjects, foundObjects, type KnownProject, type KnownTask, ledPeople } from '@worktide/schemas';
import { findLed } from '../teams/teams.ts';

/** What other services ask: about projects and tasks that are newer than what the log has told, and who leads whom. */
export function internalRoutes(pool: Pool): AnyRoute[] {
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
  ];
}
