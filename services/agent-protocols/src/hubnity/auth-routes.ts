import type { Pool } from '@worktide/postgres';
import {
  type AnyRoute,
  AppError,
  addressGroup,
  backoffMs,
  createTurns,
  type Metrics,
  type RequestLimit,
  route,
  sleep,
  takeLimit,
  unauthorized,
} from '@worktide/runtime';
import * as schemas from '@worktide/schemas';
import { z } from 'zod';
import { type Api, type OnBehalf, onBehalfOf, passedOn, read } from './api.ts';
import { refused } from './refusals.ts';
import {
  type DesktopToken,
  findSealed,
  forgetSession,
  keepSession,
  makeToken,
  readToken,
  replaceSealed,
  unseal,
} from './sessions.ts';
import { hubnitySignedIn, hubnityTokens, showUser } from './shapes.ts';

export interface AuthDependencies {
  pool: Pool;
  api: Api;
  metrics: Metrics;
  /** Of each user. */
  limit: RequestLimit;
  /** Of each address, before there is a user. */
  ipLimit: RequestLimit | undefined;
}

const tag = 'hubnity';
/** What is read of a log-in of ours. */
const signedIn = z.object({
  user: schemas.user.pick({ id: true, name: true, email: true, role: true, status: true }),
  organization: schemas.organization.pick({ id: true, name: true }),
  accessToken: z.string(),
  refreshToken: z.string(),
});
const tokenText = z.string().min(1).max(256);
const message = z.object({ message: z.string() });
/**
 * The desktop waits ten seconds, and whatever else it hears than tokens is a log-in by hand. A token of ours that was spent with its
 * answer lost is good for ten seconds more.
 */
const patienceMs = 8_000;
/** Its window and its sync queue each refresh by themselves. */
const refreshTurns = {
  name: 'refreshes of a desktop',
  places: Number.POSITIVE_INFINITY,
  placesEach: 1,
  maxWaitingEach: 20,
  maxWaitMs: patienceMs,
};

/** Log-in, refresh and log-out as the desktop does them: sessions of ours, with refresh tokens that stay. */
export function authRoutes({ pool, api, metrics, limit, ipLimit }: AuthDependencies): AnyRoute[] {
  const turns = createTurns({ ...refreshTurns, metrics });
  const invalidToken = () => unauthorized('Invalid or expired refresh token', 'SESSION_ENDED');

  /** One answer of auth for the token of ours that is kept. @returns undefined where it is to be tried again. */
  async function spend(token: DesktopToken, as: OnBehalf): Promise<string | undefined> {
    const sealed = await findSealed(pool, token, as.signal);
    if (!sealed) throw invalidToken();
    // Not ended with the request: once spent, what it was spent for has to be kept.
    const { signal: _, ...unhurried } = as;
    const refreshToken = unseal(token, sealed);
    const answer = await api.call(
      'auth',
      { method: 'POST', path: '/auth/refresh', body: { refreshToken }, timeoutMs: patienceMs / 2 },
      { ...unhurried, authorization: undefined },
    );
    if (answer.ok) {
      const { accessToken, refreshToken: next } = read(signedIn, answer.body, 'auth');
      await replaceSealed(pool, token, sealed, next);
      return accessToken;
    }
    if (answer.status !== 401) throw refused(answer, 'look');
    const now = await findSealed(pool, token, as.signal);
    if (now && !now.equals(sealed)) return undefined;
    await forgetSession(pool, token);
    throw invalidToken();
  }

  async function refresh(token: DesktopToken, as: OnBehalf): Promise<string> {
    const until = performance.now() + patienceMs;
    for (let attempt = 0; ; attempt++) {
      const waitMs = backoffMs(attempt, 200, 2_000);
      try {
        const accessToken = await spend(token, as);
        if (accessToken !== undefined) return accessToken;
        if (attempt >= 5) throw invalidToken();
      } catch (error) {
        const away = error instanceof AppError && error.statusCode === 503;
        if (!away || performance.now() + waitMs > until || as.signal?.aborted) throw error;
      }
      await sleep(waitMs, as.signal);
    }
  }

  return [
    route({
      method: 'post',
      path: '/api/auth/login',
      operationId: 'hubnityLogin',
      summary: 'Log Hubnity’s desktop in',
      description:
        'A session like any other, of a device named Hubnity. Its refresh token stays as it is for as long as it lasts.',
      tag,
      access: 'public',
      body: z.looseObject({ email: schemas.login.shape.email, password: schemas.login.shape.password }),
      responses: { 200: { description: 'Logged in.', schema: hubnitySignedIn } },
      alsoAnswers: { 401: '`INVALID_CREDENTIALS` or `ACCOUNT_NOT_ACTIVE`.' },
      handler: async ({ req, res, body, requestId, signal }) => {
        if (ipLimit) await takeLimit(res, ipLimit, addressGroup(req.ip));
        const { email, password } = body;
        const as = { ...onBehalfOf(req, { requestId, signal }), authorization: undefined };
        const given = { email, password, deviceName: 'Hubnity', refreshTokenIn: 'body' };
        const answer = await api.call('auth', { method: 'POST', path: '/auth/login', body: given }, as);
        if (!answer.ok) throw passedOn(answer.code, answer.message, { statusCode: answer.status });
        const { user, organization, accessToken, refreshToken } = read(signedIn, answer.body, 'auth');
        const { text, token } = makeToken(organization.id);
        await keepSession(pool, token, user.id, refreshToken, signal);
        return {
          status: 200,
          body: { user: showUser(user, organization), access_token: accessToken, refresh_token: text },
        };
      },
    }),
    route({
      method: 'post',
      path: '/api/auth/refresh',
      operationId: 'hubnityRefresh',
      summary: 'A new access token for Hubnity’s desktop',
      description: 'The refresh token that comes back is the same.',
      tag,
      access: 'public',
      body: z.looseObject({ refresh_token: tokenText }),
      responses: { 200: { description: 'Tokens.', schema: hubnityTokens } },
      alsoAnswers: { 401: 'The session has ended.' },
      handler: async ({ req, res, body, requestId, signal }) => {
        if (ipLimit) await takeLimit(res, ipLimit, addressGroup(req.ip));
        const token = readToken(body.refresh_token);
        if (!token) throw invalidToken();
        const work = () => refresh(token, onBehalfOf(req, { requestId, signal }));
        const accessToken = await turns.run(token.hash.toString('base64'), work, { signal, cost: 1 });
        return { status: 200, body: { access_token: accessToken, refresh_token: body.refresh_token } };
      },
    }),
    route({
      method: 'post',
      path: '/api/auth/logout',
      operationId: 'hubnityLogout',
      summary: 'Log Hubnity’s desktop out',
      description: 'The session of the refresh token; without one, that of the access token.',
      tag,
      access: 'session',
      unverified: true,
      userLimit: limit,
      body: z.looseObject({ refreshToken: tokenText.nullable().optional() }).optional(),
      responses: { 200: { description: 'Logged out; also by a token that was good no more.', schema: message } },
      handler: async ({ req, body, caller, requestId, signal }) => {
        const token = body?.refreshToken ? readToken(body.refreshToken) : undefined;
        const as = onBehalfOf(req, { requestId, signal });
        const sealed = token?.organizationId === caller.organizationId && (await findSealed(pool, token, signal));
        if (token && sealed) {
          const given = { refreshToken: unseal(token, sealed) };
          // 401 where it has ended by itself.
          await api.call(
            'auth',
            { method: 'POST', path: '/auth/logout', body: given },
            { ...as, authorization: undefined },
          );
          await forgetSession(pool, token);
        } else if (!body?.refreshToken) {
          await api.call('auth', { method: 'POST', path: '/auth/logout', body: {} }, as);
        }
        return { status: 200, body: { message: 'Logged out successfully' } };
      },
    }),
  ];
}
