import { auditSource } from '@worktide/audit';
import { inTurn } from '@worktide/postgres';
import { type AnyRoute, route, takeLimit } from '@worktide/runtime';
import * as schemas from '@worktide/schemas';
import { applicantOf } from '../applicant.ts';
import type { AuthContext } from '../context.ts';
import { accountSubject } from '../limits.ts';
import { changePassword } from './change.ts';
import { countedPassword } from './current.ts';
import { requestReset } from './forgot.ts';
import { resetPassword } from './reset.ts';

const tag = 'auth';

export function passwordRoutes(context: AuthContext): AnyRoute[] {
  const { limits, mailer, pool } = context;

  return [
    route({
      method: 'post',
      path: '/api/v1/auth/password/change',
      operationId: 'changePassword',
      summary: 'Change my password',
      description:
        'My other sessions end; this one and agent keys stay. 400 `WRONG_PASSWORD` where the current one is another.',
      tag,
      access: 'session',
      unverified: true,
      body: schemas.passwordChange,
      responses: { 204: { description: 'Changed.' } },
      handler: async ({ req, res, requestId, caller, body, signal }) => {
        const source = auditSource({ req, requestId }, caller);
        const change = () => changePassword(context, caller, body, applicantOf({ req, signal }, caller), source);
        await countedPassword(res, limits, caller, change);
        return { status: 204 };
      },
    }),
    route({
      method: 'post',
      path: '/api/v1/auth/password/forgot',
      operationId: 'forgotPassword',
      summary: 'Ask for a mail with a link to choose a new password',
      description: 'The same answer whether or not there is such an account. The link works once, for an hour.',
      tag,
      access: 'public',
      body: schemas.forgottenPassword,
      responses: { 204: { description: 'If there is such an account, a mail is on its way.' } },
      handler: async ({ req, res, requestId, body, signal }) => {
        const { subject } = applicantOf({ req, signal });
        await takeLimit(res, limits.mailAddress, subject);
        await takeLimit(res, limits.resetMailbox, accountSubject(body.email));
        const source = auditSource({ req, requestId }, undefined);
        await inTurn(pool, subject, () => requestReset(pool, body.email, source), signal);
        mailer.wake();
        return { status: 204 };
      },
    }),
    route({
      method: 'post',
      path: '/api/v1/auth/password/reset',
      operationId: 'resetPassword',
      summary: 'Set a new password by the token of a mail',
      description:
        'Ends all sessions. Agent keys stay, unless `revokeAgentKeys` is true or the address is proven by this for the ' +
        'first time. 400 `INVALID_TOKEN` for one that is unknown, expired or used.',
      tag,
      access: 'public',
      body: schemas.passwordReset,
      responses: { 204: { description: 'Set; log in with it.' } },
      handler: async ({ req, res, requestId, body, signal }) => {
        const applicant = applicantOf({ req, signal });
        await takeLimit(res, limits.mailAddress, applicant.subject);
        await resetPassword(context, body, applicant, (userId) => auditSource({ req, requestId }, { userId }));
        return { status: 204 };
      },
    }),
  ];
}
