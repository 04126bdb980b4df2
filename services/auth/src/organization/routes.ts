import { auditSource } from '@worktide/audit';
import { type AnyRoute, route } from '@worktide/runtime';
import * as schemas from '@worktide/schemas';
import { applicantOf } from '../applicant.ts';
import type { AuthContext } from '../context.ts';
import { countedPassword } from '../password-change/current.ts';
import { requestDeletion, revokeDeletion } from './deletion.ts';
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
    route({
      method: 'post',
      path: '/api/v1/organization/deletion',
      operationId: 'requestDeletion',
      summary: 'Delete my organisation and everything in it, in seven days',
      description:
        'By its last administrator, with the password. Nothing changes until `deletionAt`, and any administrator can take ' +
        'it back. Asked for again, the time stays.',
      tag,
      access: 'session',
      roles: ['admin'],
      body: schemas.passwordProof,
      responses: {
        200: { description: 'It has a `deletionAt` now; a mail tells of it.', schema: schemas.organization },
      },
      alsoAnswers: { 409: '`OTHER_ADMINS`: there is another administrator, who would have to go first.' },
      handler: async ({ req, res, requestId, caller, body, signal }) => {
        const source = auditSource({ req, requestId }, caller);
        const applicant = applicantOf({ req, signal }, caller);
        const request = () => requestDeletion(context, caller, body.password, applicant, source);
        return { status: 200, body: await countedPassword(res, context.limits, caller, request) };
      },
    }),
    route({
      method: 'delete',
      path: '/api/v1/organization/deletion',
      operationId: 'revokeDeletion',
      summary: 'Keep my organisation after all',
      tag,
      access: 'session',
      roles: ['admin'],
      responses: { 204: { description: 'It stays.' } },
      alsoAnswers: { 404: 'No deletion was asked for.' },
      handler: async ({ req, requestId, caller }) => {
        await revokeDeletion(context, caller, auditSource({ req, requestId }, caller));
        return { status: 204 };
      },
    }),
  ];
}
