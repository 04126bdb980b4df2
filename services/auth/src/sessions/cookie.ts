import type { Request } from 'express';
import type { AuthContext } from '../context.ts';
import { refreshTokenDays } from './refresh-tokens.ts';

const cookieName = 'worktide_refresh';
/** Sent to these routes only: no other service ever sees it. */
const cookiePath = '/api/v1/auth';

function attributes(req: Request, secure: AuthContext['config']['COOKIE_SECURE']): string {
  // Strict: no page of another site can make a browser send it. `req.secure` heeds trusted proxies only.
  const isSecure = secure === 'auto' ? req.secure : secure === 'true';
  return `Path=${cookiePath}; HttpOnly; SameSite=Strict${isSecure ? '; Secure' : ''}`;
}

export const refreshCookie = (req: Request, secure: AuthContext['config']['COOKIE_SECURE'], token: string): string =>
  `${cookieName}=${token}; Max-Age=${refreshTokenDays * 86_400}; ${attributes(req, secure)}`;

export const expiredCookie = (req: Request, secure: AuthContext['config']['COOKIE_SECURE']): string =>
  `${cookieName}=; Max-Age=0; ${attributes(req, secure)}`;

/** The refresh token of a request's cookie; undefined for none or one that cannot be ours. */
export function refreshTokenOf(req: Request): string | undefined {
  for (const part of (req.headers.cookie ?? '').split(';')) {
    const [name, value] = part.trim().split('=', 2);
    if (name === cookieName && value && value.length <= 256) return value;
  }
  return undefined;
}
