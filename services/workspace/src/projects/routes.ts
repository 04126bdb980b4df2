import { type AnyRoute, route } from '@worktide/runtime';
import * as schemas from '@worktide/schemas';
import type { WorkspaceContext } from '../context.ts';
import { rolesFor } from '../policies.ts';
import { changeProject, createProject, deleteProject, getProject, listProjects, restoreProject } from './projects.ts';

const tag = 'projects';
const bodyLimit = 200_000;
const usualLimit = schemas.listQuery.parse({}).limit;

export function projectRoutes({ store, activeProjects, agentLimit }: WorkspaceContext): AnyRoute[] {
  return [
    route({
      method: 'get',
      path: '/api/v1/projects',
      operationId: 'listProjects',
      summary: 'Projects of my organization',
      tag,
      access: 'user',
      query: schemas.projectQuery,
      responses: { 200: { description: 'Newest first.', schema: schemas.projectPage } },
      handler: async ({ caller, signal, query }) => ({
        status: 200,
        body: await store.list({ caller, signal }, (tenant) => listProjects(tenant, query)),
      }),
    }),
    route({
      method: 'post',
      path: '/api/v1/projects',
      operationId: 'createProject',
      summary: 'Make a project',
      description: 'Two projects of one organization cannot have the same name (409 `NAME_TAKEN`), in any case.',
      tag,
      access: 'session',
      roles: rolesFor('project.create'),
      body: schemas.newProject,
      bodyLimit,
      responses: { 201: { description: 'The project.', schema: schemas.project } },
      handler: async (context) => ({
        status: 201,
        body: await store.change(context, (change) => createProject(change, context.body)),
      }),
    }),
    route({
      method: 'get',
      path: '/api/v1/projects/active',
      operationId: 'listActiveProjects',
      summary: 'Projects that work can be booked on',
      description: 'What agents offer their users: status `active`, newest first.',
      tag,
      access: 'user',
      agents: true,
      userLimit: agentLimit,
      query: schemas.listQuery,
      responses: { 200: { description: 'Newest first.', schema: schemas.projectPage } },
      handler: async ({ caller, query }) => {
        const active = { ...query, status: 'active' as const };
        const load = () => store.read({ caller }, (tenant) => listProjects(tenant, active));
        // One answer of each organisation is kept, that which agents ask for: sizes and cursors are anybody's to make
        // up, and who does would fill the store that all share.
        const body =
          query.cursor === undefined && query.limit === usualLimit
            ? await activeProjects.get(caller.organizationId, String(query.limit), load)
            : await load();
        return { status: 200, body };
      },
    }),
    route({
      method: 'get',
      path: '/api/v1/projects/:id',
      operationId: 'getProject',
      summary: 'A project',
      tag,
      access: 'user',
      params: schemas.idParams,
      responses: { 200: { description: 'The project.', schema: schemas.project } },
      handler: async ({ caller, signal, params }) => ({
        status: 200,
        body: await store.read({ caller, signal }, (tenant) => getProject(tenant, params.id)),
      }),
    }),
    route({
      method: 'patch',
      path: '/api/v1/projects/:id',
      operationId: 'changeProject',
      summary: 'Change a project',
      description: 'With `version`, only if that is the present one, else 409 `STALE_VERSION`.',
      tag,
      access: 'session',
      roles: rolesFor('project.change'),
      params: schemas.idParams,
      body: schemas.projectChange,
      bodyLimit,
      responses: { 200: { description: 'The project as it is now.', schema: schemas.project } },
      handler: async (context) => ({
        status: 200,
        body: await store.change(context, (change) => changeProject(change, context.params.id, context.body)),
      }),
    }),
    route({
      method: 'delete',
      path: '/api/v1/projects/:id',
      operationId: 'deleteProject',
      summary: 'Delete a project',
      description: 'Its teams and tasks are gone with it, until it is restored.',
      tag,
      access: 'session',
      roles: rolesFor('project.delete'),
      params: schemas.idParams,
      responses: { 204: { description: 'Deleted.' } },
      handler: async (context) => {
        await store.change(context, (change) => deleteProject(change, context.params.id));
        return { status: 204 };
      },
    }),
    route({
      method: 'post',
      path: '/api/v1/projects/:id/restore',
      operationId: 'restoreProject',
      summary: 'Bring a deleted project back',
      description: 'With the teams and tasks that it had. One that is not deleted is 409 `NOT_DELETED`.',
      tag,
      access: 'session',
      roles: rolesFor('project.restore'),
      params: schemas.idParams,
      responses: { 200: { description: 'The project.', schema: schemas.project } },
      handler: async (context) => ({
        status: 200,
        body: await store.change(context, (change) => restoreProject(change, context.params.id)),
      }),
    }),
  ];
}
