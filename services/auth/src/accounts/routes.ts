import { type AuditSource, auditSource } from '@worktide/audit';
import { type Pool, type PoolClient, tenantTransaction } from '@worktide/postgres';
import { type AnyRoute, type Caller, type Reply, route, takeLimit, unauthorized } from '@worktide/runtime';
import * as schemas from '@worktide/schemas';
import type { Request, Response } from 'express';
import { applicantOf } from '../applicant.ts';
import type { AuthContext } from '../context.ts';
import { accountSubject } from '../limits.ts';
import { refreshCookie, refreshTokenOf } from '../sessions/cookie.ts';
import type { DeviceInfo } from '../sessions/sessions.ts';
import { accessTokenSeconds, signAccessToken } from '../tokens/access-token.ts';
import { type AccountRow, findAccount, pauseOf, toAccount } from './accounts.ts';
import { type LoggedIn, login, type RefusedLogin } from './login.ts';
import { changeProfile } from './profile.ts';
import { register } from './register.ts';
import { resendVerification, verifyAddress } from './verify.ts';

const tag = 'auth';

/** The device of a log-in, as its request shows it. */
export const deviceOf = (req: Request, deviceName: string | undefined): DeviceInfo => ({
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
    verified: account.verified,
    pause: pauseOf(account),
    issuedAtMs: account.read_at_ms,
  });
  const inBody = refreshTokenIn === 'body';
  const body: schemas.SignedIn = {
    ...toAccount(account),
    accessToken,
    expiresIn: accessTokenSeconds,
    ...(inBody ? { refreshToken } : {}),
  };
  // The list of sessions is to have this one, and that of people whoever has just come.
  await context.reads.wrote({ organizationId: account.organization_id, userId: account.user_id });
  const cookie = refreshCookie(req, context.config.COOKIE_SECURE, refreshToken);
  return { status, body, ...(inBody ? {} : { headers: { 'set-cookie': cookie } }) };
}

/** After the answer: the time it takes says nothing about whether an address has an account. */
function tellOfRefusal(context: AuthContext, res: Response, refused: RefusedLogin, source: AuditSource): void {
  const { organizationId, userId, reason } = refused;
  res.once('close', () => {
    context.audit.tell(organizationId, source, [
      { action: 'user.login-refused', entityType: 'user', entityId: userId, after: { reason } },
    ]);
  });
}

async function accountOf(pool: Pool, { organizationId, userId }: Caller, signal: AbortSignal): Promise<AccountRow> {
  const find = (client: PoolClient) => findAccount(client, organizationId, userId);
  const account = await tenantTransaction(pool, organizationId, find, { signal });
  if (!account) throw unauthorized();
  return account;
}

export function accountRoutes(context: AuthContext): AnyRoute[] {
  const { attempts, limits, pool } = context;
  const setsCookie = { 'Set-Cookie': 'The refresh token: HttpOnly, SameSite=Strict, Secure behind TLS.' };

  return [
    route({
      method: 'post',
      path: '/api/v1/auth/register',
      operationId: 'register',
      summary: 'Make an organisation and its first administrator',
      description:
        'Where addresses are verified, the account reads but neither makes nor sends anything (403 ' +
        '`ADDRESS_NOT_VERIFIED`) until the link in a mail to its address was followed, and is gone after a day without. ' +
        'Until then the address is nobody’s: an invitation to it, or another registration, may be first.',
      tag,
      access: 'public',
      body: schemas.registration,
      responses: { 201: { description: 'Registered and logged in.', schema: schemas.signedIn, headers: setsCookie } },
      handler: async ({ req, res, requestId, body, signal }) => {
        const applicant = applicantOf({ req, signal });
        await takeLimit(res, limits.register, applicant.subject);
        if (context.verifiesAddresses) await takeLimit(res, limits.verifyMailbox, accountSubject(body.email));
        const loggedIn = await register(context, body, deviceOf(req, body.deviceName), applicant, (actor) =>
          auditSource({ req, requestId }, actor),
        );
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
      alsoAnswers: { 401: '`INVALID_CREDENTIALS` or `ACCOUNT_NOT_ACTIVE`.' },
      handler: async ({ req, res, requestId, body, signal }) => {
        const applicant = applicantOf({ req, signal });
        const refreshToken = refreshTokenOf(req, context.config.COOKIE_SECURE);
        const loggedIn = await attempts.run(res, { email: body.email, refreshToken, applicant }, () =>
          login(
            context,
            body,
            deviceOf(req, body.deviceName),
            applicant,
            (actor) => auditSource({ req, requestId }, actor),
            (refused) => tellOfRefusal(context, res, refused, auditSource({ req, requestId }, undefined)),
          ),
        );
        return signedInReply(context, req, 200, loggedIn, body.refreshTokenIn);
      },
    }),
    route({
      method: 'post',
      path: '/api/v1/auth/verify',
      operationId: 'verifyAddress',
      summary: 'Prove an address by the token of a mail to it',
      description:
        'Tokens in use are good for everything within seconds. 400 `INVALID_TOKEN` for one that is not valid.',
      tag,
      access: 'public',
      body: schemas.addressVerification,
      responses: { 204: { description: 'The address is the account’s.' } },
      alsoAnswers: { 409: '`EMAIL_TAKEN`: another account has proven the address before.' },
      handler: async ({ req, res, requestId, body, signal }) => {
        const applicant = applicantOf({ req, signal });
        await takeLimit(res, limits.mailAddress, applicant.subject);
        await verifyAddress(context, body.token, applicant, (userId) => auditSource({ req, requestId }, { userId }));
        return { status: 204 };
      },
    }),
    route({
      method: 'post',
      path: '/api/v1/auth/verify/resend',
      operationId: 'resendVerification',
      summary: 'Another mail with a link that proves my address',
      description: 'None is sent where the address is proven. Links sent before go on working.',
      tag,
      access: 'session',
      unverified: true,
      responses: { 204: { description: 'On its way.' } },
      alsoAnswers: { 429: 'Too many mails to this mailbox.' },
      handler: async ({ req, res, caller, signal }) => {
        const { subject } = applicantOf({ req, signal });
        await takeLimit(res, limits.mailAddress, subject);
        if (caller.unverified) {
          const { email } = await accountOf(pool, caller, signal);
          await takeLimit(res, limits.verifyMailbox, accountSubject(email));
        }
        await resendVerification(context, caller);
        return { status: 204 };
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
      handler: async ({ caller, signal }) => {
        return { status: 200, body: toAccount(await accountOf(pool, caller, signal)) };
      },
    }),
    route({
      method: 'patch',
      path: '/api/v1/auth/me',
      operationId: 'changeMe',
      summary: 'Change my name, timezone or profile',
      tag,
      access: 'session',
      unverified: true,
      body: schemas.profileChange,
      responses: { 200: { description: 'As it is now.', schema: schemas.account } },
      handler: async ({ req, requestId, caller, body }) => ({
        status: 200,
        body: toAccount(await changeProfile(context, caller, body, auditSource({ req, requestId }, caller))),
      }),
    }),
  ];
}
