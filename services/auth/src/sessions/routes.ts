import { type AuditAction, type AuditSource, auditSource } from '@worktide/audit';
import { inTurn, type Pool, tenantTransaction } from '@worktide/postgres';
import { type AnyRoute, type Caller, decodeCursor, notFound, pageOf, route, unauthorized } from '@worktide/runtime';
import * as schemas from '@worktide/schemas';
import type { Request } from 'express';
import type { z } from 'zod';
import { signedInReply } from '../accounts/routes.ts';
import { type Applicant, applicantOf } from '../applicant.ts';
import type { AuthContext } from '../context.ts';
import { expiredCookie, refreshTokenOf } from './cookie.ts';
import { hashOf } from './refresh-tokens.ts';
import { rotate } from './rotate.ts';
import { type EndReason, endSessions } from './sessions.ts';

const tag = 'auth';
const expired = () => unauthorized('The session has ended; log in again.', 'SESSION_ENDED');

export function sessionRoutes(context: AuthContext): AnyRoute[] {
  const { config, pool, reads } = context;

  /** Ends sessions of one user, and tells what was done if any was still open. */
  function end(owner: Owner, which: string | 'all', reason: EndReason, source: AuditSource): Promise<number> {
    return context.act(owner.organizationId, async (action) => {
      const ended = await endSessions(action, owner, which, reason);
      if (ended.length > 0) action.audit(owner.organizationId, source, endedAction(owner, ended, reason));
      return ended.length;
    });
  }

  // By the refresh token where there is one: logging out must work after the access token expired.
  async function sessionToEnd(
    req: Request,
    refreshToken: string | undefined,
    applicant: Applicant,
  ): Promise<Owner & { sessionId: string }> {
    if (refreshToken !== undefined) {
      const owner = await ownerOfToken(pool, refreshToken, applicant);
      if (owner) return owner;
    }
    const caller = await context.authenticate(req.headers.authorization, () => applicant.subject, applicant.signal);
    if (caller.sessionId === undefined) throw unauthorized('An agent key has no session.');
    return { ...caller, sessionId: caller.sessionId };
  }

  return [
    route({
      method: 'post',
      path: '/api/v1/auth/refresh',
      operationId: 'refresh',
      summary: 'Exchange a refresh token for new tokens',
      description:
        'From the cookie or the body; the new one comes back the same way. A token spent less than 10 s ago, none of ' +
        'whose successors has been used, gets another successor, and all of them work; the branch whose second token is ' +
        'used first goes on. Any other reuse ends the session, and so do 90 days.',
      tag,
      access: 'public',
      refreshCookie: true,
      body: schemas.refreshBody,
      responses: { 200: { description: 'As log-in.', schema: schemas.signedIn } },
      alsoAnswers: { 401: 'No refresh token, or one that is not good any more.' },
      handler: async ({ req, res, requestId, body, log, signal }) => {
        const token = body?.refreshToken ?? refreshTokenOf(req, config.COOKIE_SECURE);
        if (token === undefined) throw unauthorized();
        const rotation = await rotate(
          context.act,
          token,
          applicantOf({ req, signal }),
          auditSource({ req, requestId }, undefined),
        );
        if (rotation.outcome === 'rotated') {
          const { organization_id: organizationId, user_id: userId } = rotation.account;
          context.lastSeen.note({ organizationId, userId });
          return signedInReply(context, req, 200, rotation, body?.refreshToken ? 'body' : 'cookie');
        }
        if (rotation.outcome === 'reused') {
          log.warn({ session: rotation.sessionId }, 'a spent refresh token came back');
        }
        if (body?.refreshToken === undefined) res.setHeader('set-cookie', expiredCookie(req, config.COOKIE_SECURE));
        throw expired();
      },
    }),
    route({
      method: 'post',
      path: '/api/v1/auth/logout',
      operationId: 'logout',
      summary: 'End this session',
      description: 'The session of the refresh token (cookie or body), or else of the access token.',
      tag,
      access: 'public',
      refreshCookie: true,
      body: schemas.refreshBody,
      responses: { 204: { description: 'Logged out; its tokens are refused everywhere.' } },
      alsoAnswers: { 401: 'Nothing that names a session.' },
      handler: async ({ req, requestId, body, signal }) => {
        const refreshToken = body?.refreshToken ?? refreshTokenOf(req, config.COOKIE_SECURE);
        const owner = await sessionToEnd(req, refreshToken, applicantOf({ req, signal }));
        await end(owner, owner.sessionId, 'logout', auditSource({ req, requestId }, owner));
        return { status: 204, headers: { 'set-cookie': expiredCookie(req, config.COOKIE_SECURE) } };
      },
    }),
    route({
      method: 'post',
      path: '/api/v1/auth/logout-all',
      operationId: 'logoutAll',
      summary: 'End all my sessions',
      description: 'Agent keys stay: each is revoked by itself.',
      tag,
      access: 'session',
      unverified: true,
      responses: { 204: { description: 'Logged out everywhere.' } },
      handler: async ({ req, requestId, caller }) => {
        await end(caller, 'all', 'logout-all', auditSource({ req, requestId }, caller));
        return { status: 204, headers: { 'set-cookie': expiredCookie(req, config.COOKIE_SECURE) } };
      },
    }),
    route({
      method: 'get',
      path: '/api/v1/auth/sessions',
      operationId: 'listSessions',
      summary: 'The devices I am logged in on',
      tag,
      access: 'session',
      query: schemas.listQuery,
      responses: { 200: { description: 'Newest first.', schema: schemas.sessionPage } },
      handler: async ({ caller, query, signal }) => ({
        status: 200,
        body: await listSessions(await reads.for(caller), caller, query, signal),
      }),
    }),
    route({
      method: 'delete',
      path: '/api/v1/auth/sessions/:id',
      operationId: 'endSession',
      summary: 'Log a device out',
      tag,
      access: 'session',
      unverified: true,
      params: schemas.idParams,
      responses: { 204: { description: 'Ended.' } },
      handler: async ({ req, requestId, caller, params }) => {
        const source = auditSource({ req, requestId }, caller);
        if ((await end(caller, params.id, 'revoked', source)) === 0) throw notFound();
        return { status: 204 };
      },
    }),
  ];
}

interface Owner {
  organizationId: string;
  userId: string;
}

function endedAction(owner: Owner, ended: readonly string[], reason: EndReason): AuditAction {
  if (reason === 'revoked') {
    return { action: 'session.revoked', entityType: 'session', entityId: ended[0]!, after: { reason } };
  }
  const action = reason === 'logout' ? 'user.logged-out' : 'user.logged-out-everywhere';
  return { action, entityType: 'user', entityId: owner.userId, after: { sessions: ended } };
}

// Also by a spent or expired token: whoever holds it may end the session, never more.
async function ownerOfToken(
  pool: Pool,
  token: string,
  applicant: Applicant,
): Promise<(Owner & { sessionId: string }) | undefined> {
  const ask = () =>
    pool.query<Owner & { sessionId: string }>(
      `SELECT s.organization_id AS "organizationId", s.user_id AS "userId", s.id AS "sessionId"
       FROM auth.refresh_tokens t
       JOIN auth.sessions s ON s.organization_id = t.organization_id AND s.id = t.session_id
       WHERE t.token_hash = $1`,
      [hashOf(token)],
    );
  const { rows } = await inTurn(pool, applicant.subject, ask, applicant.signal);
  return rows[0];
}

interface SessionRow {
  id: string;
  device_name: string | null;
  user_agent: string | null;
  ip_address: string | null;
  created_at: Date;
  last_used_at: Date;
  expires_at: Date;
}

async function listSessions(
  pool: Pool,
  caller: Caller,
  query: z.output<typeof schemas.listQuery>,
  signal: AbortSignal,
): Promise<z.output<typeof schemas.sessionPage>> {
  const { organizationId, userId } = caller;
  const list = ['sessions', organizationId, userId];
  const after = decodeCursor(query.cursor, list);
  const { rows } = await tenantTransaction(
    pool,
    organizationId,
    (client) =>
      client.query<SessionRow>(
        `SELECT id, device_name, user_agent, ip_address, created_at, last_used_at, expires_at FROM auth.sessions
       WHERE organization_id = $1 AND user_id = $2 AND ended_at IS NULL AND expires_at > now()
         AND ($3::uuid IS NULL OR id < $3) ORDER BY id DESC LIMIT $4`,
        [organizationId, userId, after, query.limit + 1],
      ),
    { signal },
  );
  const show = (row: SessionRow) => ({
    id: row.id,
    deviceName: row.device_name,
    userAgent: row.user_agent,
    ipAddress: row.ip_address,
    createdAt: row.created_at.toISOString(),
    lastUsedAt: row.last_used_at.toISOString(),
    expiresAt: row.expires_at.toISOString(),
    current: row.id === caller.sessionId,
  });
  return pageOf(rows, query.limit, list, { idOf: ({ id }) => id, show });
}
