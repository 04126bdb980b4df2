import { auditSource } from '@worktide/audit';
import { type AnyRoute, route } from '@worktide/runtime';
import * as schemas from '@worktide/schemas';
import type { AuthContext } from '../context.ts';
import { createAgentKey, listAgentKeys, revokeAgentKey } from './agent-keys.ts';

const tag = 'auth';

// Of a log-in only: a key that leaked must not be able to make others.
export function agentKeyRoutes({ reads, act, limits }: AuthContext): AnyRoute[] {
  return [
    route({
      method: 'post',
      path: '/api/v1/auth/agent-keys',
      operationId: 'createAgentKey',
      summary: 'Make a key for an agent',
      tag,
      access: 'session',
      userLimit: limits.agentKeys,
      body: schemas.newAgentKey,
      responses: { 201: { description: 'The key, shown this once.', schema: schemas.createdAgentKey } },
      handler: async ({ req, requestId, caller, body }) => ({
        status: 201,
        body: await createAgentKey(act, caller, body, auditSource({ req, requestId }, caller)),
      }),
    }),
    route({
      method: 'get',
      path: '/api/v1/auth/agent-keys',
      operationId: 'listAgentKeys',
      summary: 'My agent keys',
      tag,
      access: 'session',
      query: schemas.listQuery,
      responses: { 200: { description: 'Newest first, without the keys.', schema: schemas.agentKeyPage } },
      handler: async ({ caller, query, signal }) => ({
        status: 200,
        body: await listAgentKeys(await reads.for(caller), caller, query, signal),
      }),
    }),
    route({
      method: 'delete',
      path: '/api/v1/auth/agent-keys/:id',
      operationId: 'revokeAgentKey',
      summary: 'Revoke an agent key',
      tag,
      access: 'session',
      params: schemas.idParams,
      responses: { 204: { description: 'Revoked; refused everywhere within seconds.' } },
      handler: async ({ req, requestId, caller, params }) => {
        await revokeAgentKey(
          act,
          caller,
          { id: params.id, userId: caller.userId },
          auditSource({ req, requestId }, caller),
        );
        return { status: 204 };
      },
    }),
  ];
}
