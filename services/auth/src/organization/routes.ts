import { auditSource } from '@worktide/audit';
import { type AnyRoute, route } from '@worktide/runtime';
import * as schemas from '@worktide/schemas';
import type { AuthContext } from '../context.ts';
import { changeOrganization, getOrganization } from './organization.ts';

const tag = 'people';

export function organizationRoutes(context: AuthContext): AnyRoute[] {
  return [
    route({
      method: 'get',
      path: '/api/v1/organization',
      operationId: 'organization',
      summary: 'My organisation',
      tag,
      access: 'user',
      responses: { 200: { description: 'The organisation of the caller.', schema: schemas.organization } },
      handler: async ({ caller }) => ({ status: 200, body: await getOrganization(context.pool, caller) }),
    }),
    route({
      method: 'patch',
      path: '/api/v1/organization',
      operationId: 'changeOrganization',
      summary: 'Change name, timezone or settings of my organisation',
      description:
        'Settings are merged key by key; one that does not exist is 400. Fields that only show (`id`, ' +
        '`subscriptionStatus`, `createdAt`) are ignored, so that what was read may be sent back changed.',
      tag,
      access: 'session',
      roles: ['admin'],
      body: schemas.organizationChange,
      responses: { 200: { description: 'As it is now; in effect within 5 s.', schema: schemas.organization } },
      handler: async ({ req, requestId, caller, body }) => ({
        status: 200,
        body: await changeOrganization(context, caller, body, auditSource({ req, requestId }, caller)),
      }),
    }),
  ];
}
