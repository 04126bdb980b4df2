import { type AnyRoute, route } from '@worktide/runtime';
import * as schemas from '@worktide/schemas';
import type { WorkspaceContext } from '../context.ts';
import { rolesFor } from '../policies.ts';
import { lookUpUser } from '../users.ts';
import {
  addMember,
  changeTeam,
  createTeam,
  deleteTeam,
  getTeam,
  listMembers,
  listTeams,
  listTeamsOf,
  removeMember,
} from './teams.ts';

const tag = 'teams';

export function teamRoutes({ store, findUser }: WorkspaceContext): AnyRoute[] {
  return [
    route({
      method: 'get',
      path: '/api/v1/projects/:id/teams',
      operationId: 'listTeams',
      summary: 'Teams of a project',
      tag,
      access: 'user',
      params: schemas.idParams,
      query: schemas.listQuery,
      responses: { 200: { description: 'Newest first.', schema: schemas.teamPage } },
      handler: async ({ caller, signal, params, query }) => ({
        status: 200,
        body: await store.list({ caller, signal }, (tenant) => listTeamsOf(tenant, params.id, query)),
      }),
    }),
    route({
      method: 'get',
      path: '/api/v1/teams',
      operationId: 'listAllTeams',
      summary: 'Teams, of a project or of none',
      tag,
      access: 'user',
      query: schemas.teamQuery,
      responses: { 200: { description: 'Newest first.', schema: schemas.teamPage } },
      handler: async ({ caller, signal, query }) => ({
        status: 200,
        body: await store.list({ caller, signal }, (tenant) => listTeams(tenant, query)),
      }),
    }),
    route({
      method: 'post',
      path: '/api/v1/teams',
      operationId: 'createAnyTeam',
      summary: 'Make a team, in a project or in none',
      tag,
      access: 'session',
      roles: rolesFor('team.create'),
      body: schemas.newTeam,
      responses: { 201: { description: 'The team.', schema: schemas.team } },
      alsoAnswers: { 404: 'There is no such project.' },
      handler: async (context) => ({
        status: 201,
        body: await store.change(context, (change) => createTeam(change, context.body)),
      }),
    }),
    route({
      method: 'post',
      path: '/api/v1/projects/:id/teams',
      operationId: 'createTeam',
      summary: 'Make a team in a project',
      tag,
      access: 'session',
      roles: rolesFor('team.create'),
      params: schemas.idParams,
      body: schemas.newTeamOfProject,
      responses: { 201: { description: 'The team.', schema: schemas.team } },
      handler: async (context) => ({
        status: 201,
        body: await store.change(context, (change) =>
          createTeam(change, { ...context.body, projectId: context.params.id }),
        ),
      }),
    }),
    route({
      method: 'get',
      path: '/api/v1/teams/:id',
      operationId: 'getTeam',
      summary: 'A team',
      tag,
      access: 'user',
      params: schemas.idParams,
      responses: { 200: { description: 'The team.', schema: schemas.team } },
      handler: async ({ caller, signal, params }) => ({
        status: 200,
        body: await store.read({ caller, signal }, (tenant) => getTeam(tenant, params.id)),
      }),
    }),
    route({
      method: 'patch',
      path: '/api/v1/teams/:id',
      operationId: 'changeTeam',
      summary: 'Change a team',
      description: 'With `version`, only if that is the present one, else 409 `STALE_VERSION`.',
      tag,
      access: 'session',
      roles: rolesFor('team.change'),
      params: schemas.idParams,
      body: schemas.teamChange,
      responses: { 200: { description: 'The team as it is now.', schema: schemas.team } },
      handler: async (context) => ({
        status: 200,
        body: await store.change(context, (change) => changeTeam(change, context.params.id, context.body)),
      }),
    }),
    route({
      method: 'delete',
      path: '/api/v1/teams/:id',
      operationId: 'deleteTeam',
      summary: 'Delete a team',
      tag,
      access: 'session',
      roles: rolesFor('team.delete'),
      params: schemas.idParams,
      responses: { 204: { description: 'Deleted.' } },
      handler: async (context) => {
        await store.change(context, (change) => deleteTeam(change, context.params.id));
        return { status: 204 };
      },
    }),
    route({
      method: 'get',
      path: '/api/v1/teams/:id/members',
      operationId: 'listTeamMembers',
      summary: 'Members of a team',
      tag,
      // Of colleagues, which an agent's key does not see.
      access: 'session',
      params: schemas.idParams,
      query: schemas.listQuery,
      responses: { 200: { description: 'By user id.', schema: schemas.teamMemberPage } },
      handler: async ({ caller, signal, params, query }) => ({
        status: 200,
        body: await store.list({ caller, signal }, (tenant) => listMembers(tenant, params.id, query)),
      }),
    }),
    route({
      method: 'post',
      path: '/api/v1/teams/:id/members',
      operationId: 'addTeamMember',
      summary: 'Put a user of the organization into a team, or change their role there',
      tag,
      access: 'session',
      roles: rolesFor('team.add-member'),
      params: schemas.idParams,
      body: schemas.newTeamMember,
      responses: {
        200: { description: 'Was a member already, and has the role that was said.', schema: schemas.teamMember },
        201: { description: 'Is a member now.', schema: schemas.teamMember },
      },
      handler: async (context) => {
        const { caller, params, body } = context;
        const mustBeKnown = await lookUpUser(findUser, caller.organizationId, body.userId, 'body.userId');
        const { added, member } = await store.change(context, (change) =>
          addMember(change, params.id, body, mustBeKnown),
        );
        return { status: added ? 201 : 200, body: member };
      },
    }),
    route({
      method: 'delete',
      path: '/api/v1/teams/:id/members/:userId',
      operationId: 'removeTeamMember',
      summary: 'Take a user out of a team',
      tag,
      access: 'session',
      roles: rolesFor('team.remove-member'),
      params: schemas.teamMemberParams,
      responses: { 204: { description: 'Not a member any more.' } },
      handler: async (context) => {
        const { id, userId } = context.params;
        await store.change(context, (change) => removeMember(change, id, userId));
        return { status: 204 };
      },
    }),
  ];
}
