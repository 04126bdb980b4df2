import { createHash } from 'node:crypto';
import { type AnyRoute, type Reply, route, unauthorized } from '@worktide/runtime';
import * as schemas from '@worktide/schemas';
import type { Request } from 'express';
import type { AuthContext } from '../context.ts';
import { addressGroup } from '../limits/limiter.ts';
import { refreshCookie } from '../sessions/cookie.ts';
import type { DeviceInfo } from '../sessions/sessions.ts';
import { accessTokenSeconds, signAccessToken } from '../tokens/access-token.ts';
import { findAccount, toAccount } from './accounts.ts';
import { type LoggedIn, login } from './login.ts';
import { changeProfile } from './profile.ts';
import { register } from './register.ts';

const tag = 'auth';

const deviceOf = (req: Request, deviceName: string | undefined): DeviceInfo => ({
  deviceName,
  userAgent: req.headers['user-agent'],
  ipAddress: req.ip,
});

/** The answer of everything that logs in: tokens, and the refresh token where it was asked for. */
export async function signedInReply(
  context: AuthContext,
  req: Request,
  status: 200 | 201,
  loggedIn: LoggedIn,
  refreshTokenIn: 'cookie' | 'body',
): Promise<Reply> {
  const { account, sessionId, deviceName, refreshToken } = loggedIn;
  const accessToken = await signAccessToken(context.signingKeys, {
    organizationId: account.organization_id,
    userId: account.user_id,
    role: account.role,
    timezone: account.timezone,
    sessionId,
    deviceName,
    issuedAtMs: account.read_at_ms,
  });
  const inBody = refreshTokenIn === 'body';
  const body: schemas.SignedIn = {
    ...toAccount(account),
    accessToken,
    expiresIn: accessTokenSeconds,
    ...(inBody ? { refreshToken } : {}),
  };
  const cookie = refreshCookie(req, context.config.COOKIE_SECURE, refreshToken);
  return { status, body, ...(inBody ? {} : { headers: { 'set-cookie': cookie } }) };
}

export function accountRoutes(context: AuthContext): AnyRoute[] {
  const { config, limiter, pool } = context;
  const setsCookie = { 'Set-Cookie': 'The refresh token: HttpOnly, SameSite=Strict, Secure behind TLS.' };

  return [
    route({
      method: 'post',
      path: '/api/v1/auth/register',
      operationId: 'register',
      summary: 'Make an organisation and its first administrator',
      tag,
      access: 'public',
      body: schemas.registration,
      responses: { 201: { description: 'Registered and logged in.', schema: schemas.signedIn, headers: setsCookie } },
      handler: async ({ req, body }) => {
        await limiter.take('register', addressGroup(req.ip), config.REGISTER_LIMIT_PER_MINUTE);
        const loggedIn = await register(context, body, deviceOf(req, body.deviceName));
        return signedInReply(context, req, 201, loggedIn, body.refreshTokenIn);
      },
    }),
    route({
      method: 'post',
      path: '/api/v1/auth/login',
      operationId: 'login',
      summary: 'Log in on a device',
      tag,
      access: 'public',
      body: schemas.login,
      responses: { 200: { description: 'Logged in.', schema: schemas.signedIn, headers: setsCookie } },
      handler: async ({ req, body }) => {
        const limit = config.LOGIN_LIMIT_PER_MINUTE;
        // Hashed: addresses of people do not belong into a cache's keys.
        const subject = createHash('sha256').update(body.email).digest('base64url');
        await limiter.take('login-address', addressGroup(req.ip), limit);
        await limiter.take('login-account', subject, limit);
        const loggedIn = await login(context, body, deviceOf(req, body.deviceName));
        return signedInReply(context, req, 200, loggedIn, body.refreshTokenIn);
      },
    }),
    route({
      method: 'get',
      path: '/api/v1/auth/me',
      operationId: 'me',
      summary: 'Who I am',
      tag,
      access: 'user',
      responses: { 200: { description: 'The caller and their organisation.', schema: schemas.account } },
      handler: async ({ caller }) => {
        const account = await findAccount(pool, caller.organizationId, caller.userId);
        if (!account) throw unauthorized();
        return { status: 200, body: toAccount(account) };
      },
    }),
    route({
      method: 'patch',
      path: '/api/v1/auth/me',
      operationId: 'changeMe',
      summary: 'Change my name or timezone',
      tag,
      access: 'session',
      body: schemas.profileChange,
      responses: { 200: { description: 'As it is now.', schema: schemas.account } },
      handler: async ({ caller, body }) => ({
        status: 200,
        body: toAccount(await changeProfile(context, caller, body)),
      }),
    }),
    route({
      method: 'get',
      path: '/api/v1/organization',
      operationId: 'organization',
      summary: 'My organisation',
      tag,
      access: 'user',
      responses: { 200: { description: 'The organisation of the caller.', schema: schemas.organization } },
      handler: async ({ caller }) => {
        const account = await findAccount(pool, caller.organizationId, caller.userId);
        if (!account) throw unauthorized();
        return { status: 200, body: toAccount(account).organization };
      },
    }),
  ];
}
