import { auditSource } from '@worktide/audit';
import { type AnyRoute, route } from '@worktide/runtime';
import * as schemas from '@worktide/schemas';
import { listAgentKeys, revokeAgentKey } from '../agent-keys/agent-keys.ts';
import type { AuthContext } from '../context.ts';
import { changeUser, deleteUser, getUser, listUsers } from './users.ts';

const tag = 'people';

// Of a log-in only, like all that is about people: an agent needs none of it.
export function userRoutes(context: AuthContext): AnyRoute[] {
  const { pool, reads } = context;
  return [
    route({
      method: 'get',
      path: '/api/v1/users',
      operationId: 'listUsers',
      summary: 'The people of my organisation',
      tag,
      access: 'session',
      roles: ['admin', 'manager'],
      query: schemas.userQuery,
      responses: { 200: { description: 'Newest first.', schema: schemas.userPage } },
      handler: async ({ caller, query, signal }) => ({
        status: 200,
        body: await listUsers(await reads.for(caller), caller, query, signal),
      }),
    }),
    route({
      method: 'get',
      path: '/api/v1/users/:id',
      operationId: 'getUser',
      summary: 'Somebody of my organisation',
      description: 'An employee sees only themselves.',
      tag,
      access: 'session',
      params: schemas.idParams,
      responses: { 200: { description: 'The user.', schema: schemas.user } },
      handler: async ({ caller, params }) => ({ status: 200, body: await getUser(pool, caller, params.id) }),
    }),
    route({
      method: 'patch',
      path: '/api/v1/users/:id',
      operationId: 'changeUser',
      summary: 'Change role or status of somebody',
      description:
        'Who is not active is logged out within seconds and their agent keys are refused until they are active again. ' +
        '409 `LAST_ADMIN` for the only active administrator, `SEAT_LIMIT` for bringing back somebody inactive where ' +
        'the plan has no seat left.',
      tag,
      access: 'session',
      roles: ['admin'],
      params: schemas.idParams,
      body: schemas.userChange,
      responses: { 200: { description: 'As it is now.', schema: schemas.user } },
      handler: async ({ req, requestId, caller, params, body }) => ({
        status: 200,
        body: await changeUser(context, caller, params.id, body, auditSource({ req, requestId }, caller)),
      }),
    }),
    route({
      method: 'delete',
      path: '/api/v1/users/:id',
      operationId: 'deleteUser',
      summary: 'Delete somebody',
      description:
        'Their address is free again, their sessions end and their agent keys are revoked; what they did stays. ' +
        '409 `LAST_ADMIN` for the only active administrator.',
      tag,
      access: 'session',
      roles: ['admin'],
      params: schemas.idParams,
      responses: { 204: { description: 'Deleted.' } },
      handler: async ({ req, requestId, caller, params }) => {
        await deleteUser(context, caller, params.id, auditSource({ req, requestId }, caller));
        return { status: 204 };
      },
    }),
    route({
      method: 'get',
      path: '/api/v1/users/:id/agent-keys',
      operationId: 'listAgentKeysOfUser',
      summary: 'Agent keys of somebody',
      tag,
      access: 'session',
      roles: ['admin'],
      params: schemas.idParams,
      query: schemas.listQuery,
      responses: { 200: { description: 'Newest first, without the keys.', schema: schemas.agentKeyPage } },
      handler: async ({ caller, params, query, signal }) => {
        const { organizationId, id: userId } = await getUser(pool, caller, params.id);
        return {
          status: 200,
          body: await listAgentKeys(await reads.for(caller), { organizationId, userId }, query, signal),
        };
      },
    }),
    route({
      method: 'delete',
      path: '/api/v1/users/:id/agent-keys/:keyId',
      operationId: 'revokeAgentKeyOfUser',
      summary: 'Revoke an agent key of somebody',
      description: 'As of a device that was lost: everything else of that person goes on.',
      tag,
      access: 'session',
      roles: ['admin'],
      params: schemas.agentKeyOfUserParams,
      responses: { 204: { description: 'Revoked; refused everywhere within seconds.' } },
      handler: async ({ req, requestId, caller, params }) => {
        const key = { id: params.keyId, userId: params.id };
        await revokeAgentKey(context.act, caller, key, auditSource({ req, requestId }, caller));
        return { status: 204 };
      },
    }),
  ];
}
