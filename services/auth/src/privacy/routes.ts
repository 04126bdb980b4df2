import { auditSource } from '@worktide/audit';
import { tenantTransaction } from '@worktide/postgres';
import { type AnyRoute, route, unauthorized } from '@worktide/runtime';
import * as schemas from '@worktide/schemas';
import { findAccount, pauseOf } from '../accounts/accounts.ts';
import type { AuthContext } from '../context.ts';
import { myPrivacyOf } from './my-privacy.ts';
import { endPause, setPause } from './pause.ts';
import { changePrivacy, getPrivacy } from './privacy.ts';

const tag = 'privacy';

// Of a log-in only: an agent sends what it sees, and what becomes of it is not its business.
export function privacyRoutes(context: AuthContext): AnyRoute[] {
  const { pool } = context;
  return [
    route({
      method: 'get',
      path: '/api/v1/organization/privacy',
      operationId: 'privacy',
      summary: 'What my organisation decided is never recorded',
      tag,
      access: 'session',
      responses: { 200: { description: 'All rules, in effect within 5 s of their change.', schema: schemas.privacy } },
      handler: async ({ caller }) => ({ status: 200, body: await getPrivacy(pool, caller) }),
    }),
    route({
      method: 'put',
      path: '/api/v1/organization/privacy',
      operationId: 'changePrivacy',
      summary: 'Decide what is never recorded',
      description:
        'In the place of all that was decided before; what is left out is as if there were none, but for the blur. What is ' +
        'taken away is answered as taken, and exists nowhere from then on. What was recorded before stays: ' +
        '`DELETE /usage` erases it.',
      tag,
      access: 'session',
      roles: ['admin'],
      body: schemas.privacyChange,
      responses: { 200: { description: 'As it is now; in effect within 5 s.', schema: schemas.privacy } },
      alsoAnswers: { 409: '`STALE_VERSION`: it has changed since it was read.' },
      handler: async ({ req, requestId, caller, body }) => ({
        status: 200,
        body: await changePrivacy(context, caller, body, auditSource({ req, requestId }, caller)),
      }),
    }),
    route({
      method: 'get',
      path: '/api/v1/privacy/me',
      operationId: 'myPrivacy',
      summary: 'What is collected of me, by which rules, for how long, and who sees it',
      tag,
      access: 'session',
      responses: { 200: { description: 'In words, and as the rules that make it so.', schema: schemas.myPrivacy } },
      handler: async ({ caller, signal }) => {
        const { organizationId, userId } = caller;
        const privacy = await getPrivacy(pool, caller);
        const find = (client: Parameters<typeof findAccount>[0]) => findAccount(client, organizationId, userId);
        const account = await tenantTransaction(pool, organizationId, find, { signal });
        if (!account) throw unauthorized();
        const settings = schemas.organizationSettings.parse(account.settings);
        const person = { timezone: account.timezone, pause: pauseOf(account) };
        return { status: 200, body: myPrivacyOf(privacy, settings, person, Date.now()) };
      },
    }),
    route({
      method: 'put',
      path: '/api/v1/users/me/pause',
      operationId: 'pause',
      summary: 'Pause what is recorded of me',
      description:
        'Until then whatever my devices send is answered as taken and kept nowhere, whatever time it is about. What they ' +
        'send later of the time of the pause is not kept either; the last pause counts. Time entries are what I state, ' +
        'not what is observed: they are kept. At most 31 days ahead.',
      tag,
      access: 'session',
      body: schemas.pauseBody,
      responses: { 200: { description: 'In effect within 5 s.', schema: schemas.pauseAnswer } },
      handler: async ({ req, requestId, caller, body }) => {
        const source = auditSource({ req, requestId }, caller);
        const { from, until } = await setPause(context, caller, Date.parse(body.until), source);
        const answer = { pausedFrom: new Date(from).toISOString(), pausedUntil: new Date(until).toISOString() };
        return { status: 200, body: answer };
      },
    }),
    route({
      method: 'delete',
      path: '/api/v1/users/me/pause',
      operationId: 'endPause',
      summary: 'Let things be recorded of me again',
      description: 'Harmless where nothing is paused.',
      tag,
      access: 'session',
      responses: { 204: { description: 'In effect within 5 s. What lies in the pause stays unrecorded.' } },
      handler: async ({ req, requestId, caller }) => {
        await endPause(context, caller, auditSource({ req, requestId }, caller));
        return { status: 204 };
      },
    }),
  ];
}
