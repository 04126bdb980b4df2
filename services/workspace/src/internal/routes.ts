import { type Pool, tenantTransaction } from '@worktide/postgres';
import { type AnyRoute, route } from '@worktide/runtime';
import { askObjects, foundObjects, type KnownProject, type KnownTask } from '@worktide/schemas';

/** What services/session-writer asks about projects and tasks that are newer than what the log has told it. */
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
  ];
}
