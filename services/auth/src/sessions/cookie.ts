import type { Request } from 'express';
import type { AuthContext } from '../context.ts';
import { refreshTokenDays } from './refresh-tokens.ts';

type CookieSecure = AuthContext['config']['COOKIE_SECURE'];

const plainName = 'worktide_refresh';
/**
 * Behind TLS browsers take this name from TLS alone: nobody on the way can set one by plain HTTP. Not `__Host-`, which
 * would have to go to all paths.
 */
const secureName = `__Secure-${plainName}`;
/** Sent to these routes only: no other service ever sees it. */
const cookiePath = '/api/v1/auth';

// `req.secure` heeds trusted proxies only.
const isSecure = (req: Request, secure: CookieSecure): boolean => (secure === 'auto' ? req.secure : secure === 'true');
const nameOf = (req: Request, secure: CookieSecure): string => (isSecure(req, secure) ? secureName : plainName);

// Strict: no page of another site can make a browser send it.
const attributes = (req: Request, secure: CookieSecure): string =>
  `Path=${cookiePath}; HttpOnly; SameSite=Strict${isSecure(req, secure) ? '; Secure' : ''}`;

export const refreshCookie = (req: Request, secure: CookieSecure, token: string): string =>
  `${nameOf(req, secure)}=${token}; Max-Age=${refreshTokenDays * 86_400}; ${attributes(req, secure)}`;

export const expiredCookie = (req: Request, secure: CookieSecure): string =>
  `${nameOf(req, secure)}=; Max-Age=0; ${attributes(req, secure)}`;

/** The refresh token of a request's cookie; undefined for none or one that cannot be ours. */
export function refreshTokenOf(req: Request, secure: CookieSecure): string | undefined {
  const expected = nameOf(req, secure);
  for (const part of (req.headers.cookie ?? '').split(';')) {
    const [name, value] = part.trim().split('=', 2);
    if (name === expected && value && value.length <= 256) return value;
  }
  return undefined;
}
