import { auditSource } from '@worktide/audit';
import { type AnyRoute, route, takeLimit } from '@worktide/runtime';
import * as schemas from '@worktide/schemas';
import { deviceOf, signedInReply } from '../accounts/routes.ts';
import { applicantOf } from '../applicant.ts';
import type { AuthContext } from '../context.ts';
import { accountSubject } from '../limits.ts';
import { acceptInvitation } from './accept.ts';
import { invite, listInvitations, revokeInvitation } from './invitations.ts';

const tag = 'auth';
const roles = ['admin', 'manager'] as const;

export function invitationRoutes(context: AuthContext): AnyRoute[] {
  const { limits, reads } = context;

  return [
    route({
      method: 'post',
      path: '/api/v1/invitations',
      operationId: 'invite',
      summary: 'Invite somebody by mail',
      description:
        'Again for the same address renews the invitation: another mail, the role as given now, links sent before are ' +
        'dead. Managers invite managers and employees, administrators invite everybody.',
      tag,
      access: 'session',
      roles,
      userLimit: limits.invite,
      body: schemas.newInvitation,
      responses: { 201: { description: 'Made or renewed; the mail is on its way.', schema: schemas.invitation } },
      alsoAnswers: { 409: '`ALREADY_MEMBER`, `SEAT_LIMIT` or `TOO_MANY_INVITATIONS`.' },
      handler: async ({ req, res, requestId, caller, body }) => {
        // Renewing sends another mail: nobody's mailbox is to be filled, by however many who invite.
        await takeLimit(res, limits.inviteMailbox, accountSubject(body.email));
        const invitation = await invite(context, caller, body, auditSource({ req, requestId }, caller));
        return { status: 201, body: invitation };
      },
    }),
    route({
      method: 'get',
      path: '/api/v1/invitations',
      operationId: 'listInvitations',
      summary: 'Invitations that nobody has accepted yet',
      tag,
      access: 'session',
      roles,
      query: schemas.listQuery,
      responses: { 200: { description: 'Pending and expired, newest first.', schema: schemas.invitationPage } },
      handler: async ({ caller, query, signal }) => ({
        status: 200,
        body: await listInvitations(await reads.for(caller), caller, query, signal),
      }),
    }),
    route({
      method: 'delete',
      path: '/api/v1/invitations/:id',
      operationId: 'revokeInvitation',
      summary: 'Revoke an invitation',
      tag,
      access: 'session',
      roles,
      params: schemas.idParams,
      responses: { 204: { description: 'Revoked; its links are dead.' } },
      handler: async ({ req, requestId, caller, params }) => {
        await revokeInvitation(context, caller, params.id, auditSource({ req, requestId }, caller));
        return { status: 204 };
      },
    }),
    route({
      method: 'post',
      path: '/api/v1/invitations/accept',
      operationId: 'acceptInvitation',
      summary: 'Make an account by the token of an invitation',
      description:
        'Answers as `register`. 400 `INVALID_TOKEN` for a token that is unknown, expired, used or revoked. The ' +
        "timezone is the organisation's unless given.",
      tag,
      access: 'public',
      body: schemas.acceptedInvitation,
      responses: {
        201: {
          description: 'Registered and logged in.',
          schema: schemas.signedIn,
          headers: { 'Set-Cookie': 'The refresh token: HttpOnly, SameSite=Strict, Secure behind TLS.' },
        },
      },
      alsoAnswers: { 409: '`EMAIL_TAKEN` or `SEAT_LIMIT`; the token stays good.' },
      handler: async ({ req, res, requestId, body, signal }) => {
        const applicant = applicantOf({ req, signal });
        await takeLimit(res, limits.mailAddress, applicant.subject);
        const loggedIn = await acceptInvitation(context, body, deviceOf(req, body.deviceName), applicant, (userId) =>
          auditSource({ req, requestId }, { userId }),
        );
        return signedInReply(context, req, 201, loggedIn, body.refreshTokenIn);
      },
    }),
  ];
}
