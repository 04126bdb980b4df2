import type { ServerResponse } from 'node:http';
import { AppError } from '../errors.ts';
import type { Caller } from './route.ts';

/** Where a subject stands with a limit after a request was counted. */
export interface LimitState {
  /** The policy's name as callers see it, e.g. `ip`. */
  name: string;
  limit: number;
  /** Whole units that are left. */
  remaining: number;
  /** Whole seconds until all of the limit is there again. */
  resetSeconds: number;
  /** Seconds in which `limit` units are given. */
  policySeconds: number;
}

/** A limit as the HTTP layer sees it; libs/key-value has some that replicas share. */
export interface RequestLimit {
  /** Counts one request. @throws AppError 429 with the headers of `limitExceeded` where it is too many. */
  take(subject: string): Promise<LimitState>;
}

/** What answers tell about a limit; browsers of other origins may read these too. */
export const limitHeaderNames = [
  'RateLimit',
  'RateLimit-Policy',
  'RateLimit-Limit',
  'RateLimit-Remaining',
  'RateLimit-Reset',
] as const;

/** The IETF draft's two fields, and the three that clients of its earlier versions read. */
export function limitHeaders(state: LimitState): Record<(typeof limitHeaderNames)[number], string> {
  const { name, limit, remaining, resetSeconds, policySeconds } = state;
  return {
    RateLimit: `"${name}";r=${remaining};t=${resetSeconds}`,
    'RateLimit-Policy': `"${name}";q=${limit};w=${policySeconds}`,
    'RateLimit-Limit': String(limit),
    'RateLimit-Remaining': String(remaining),
    'RateLimit-Reset': String(resetSeconds),
  };
}

/**
 * 429 that says when to come back and which limit it was.
 * @param options.retryAfterSeconds until such a request fits again; `resetSeconds` unless said.
 */
export function limitExceeded(
  state: LimitState,
  options: { code?: string; message?: string; retryAfterSeconds?: number } = {},
): AppError {
  const { code = 'RATE_LIMITED', message = 'Too many requests; wait a little.' } = options;
  return new AppError(code, message, {
    statusCode: 429,
    retryAfterSeconds: Math.max(1, options.retryAfterSeconds ?? state.resetSeconds),
    headers: limitHeaders(state),
  });
}

/** Shows the state on the answer. Where several limits apply, the one with the fewest left stays. */
export function showLimit(res: ServerResponse, state: LimitState): void {
  const shown = res.getHeader('RateLimit-Remaining');
  if (shown !== undefined && Number(shown) <= state.remaining) return;
  const headers = limitHeaders(state);
  for (const name of limitHeaderNames) res.setHeader(name, headers[name]);
}

/** Counts a request and shows the state on its answer, for routes and raw routes alike. @throws AppError 429. */
export async function takeLimit(res: ServerResponse, limit: RequestLimit, subject: string): Promise<void> {
  showLimit(res, await limit.take(subject));
}

/** The subject of limits per user. */
export const userSubject = (caller: Pick<Caller, 'organizationId' | 'userId'>): string =>
  `${caller.organizationId}/${caller.userId}`;

/** An IPv4 address as such, also where a socket for both kinds tells it as one of IPv6 (`::ffff:192.0.2.1`). */
export const plainAddress = (ip: string): string => /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(ip)?.[1] ?? ip;

/** The /48 of an IPv6 group as of `addressGroup`, which is what one site has; undefined for any other. */
export function addressSite(group: string): string | undefined {
  const [, head] = /^((?:[^:]*:){3})[^:]*::\/64$/.exec(group) ?? [];
  return head === undefined ? undefined : `${head}:/48`;
}

/** What is counted as one address: IPv4 as it is, IPv6 by its /64, which is what one household or machine has. */
export function addressGroup(ip: string | undefined): string {
  if (ip === undefined) return 'unknown';
  const address = plainAddress(ip);
  if (!address.includes(':')) return address;
  const [head = '', tail] = address.toLowerCase().split('%')[0]!.split('::');
  const left = head === '' ? [] : head.split(':');
  const right = tail === undefined || tail === '' ? [] : tail.split(':');
  const zeros = tail === undefined ? 0 : 8 - left.length - right.length;
  const groups = [...left, ...Array<string>(Math.max(0, zeros)).fill('0'), ...right];
  return `${groups.slice(0, 4).join(':')}::/64`;
}
