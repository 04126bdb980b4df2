import type { Role } from '@worktide/runtime';
import { type AccessTokenClaims, type Pause, tokenIssuer } from '@worktide/schemas';
import { SignJWT } from 'jose';
import type { SigningKeys } from './signing-keys.ts';

/** U2: 15 minutes. */
export const accessTokenSeconds = 900;

export interface TokenSubject {
  organizationId: string;
  userId: string;
  role: Role;
  timezone: string;
  sessionId: string;
  deviceName: string | null;
  /** Whether the address is proven. */
  verified: boolean;
  /** The last pause that they set. */
  pause: Pause | undefined;
  /**
   * When role, zone and pause were read, by the database's clock, under a lock on the user: a change of the user is either
   * in them or has a later time in the revocation feed.
   */
  issuedAtMs: number;
}

/** A signed access token. Rejects 503 where the signing key cannot be had. */
export async function signAccessToken(keys: SigningKeys, subject: TokenSubject): Promise<string> {
  const { kid, privateKey } = await keys.current();
  const issuedAt = subject.issuedAtMs / 1000;
  const claims: AccessTokenClaims = {
    iss: tokenIssuer,
    sub: subject.userId,
    org: subject.organizationId,
    role: subject.role,
    sid: subject.sessionId,
    tz: subject.timezone,
    // A named device keeps its name over log-ins; an unnamed one is its session.
    dev: subject.deviceName ?? subject.sessionId,
    ...(subject.verified ? {} : { unv: true as const }),
    ...(subject.pause ? { pse: subject.pause } : {}),
    iat: issuedAt,
    exp: Math.floor(issuedAt) + accessTokenSeconds,
  };
  return new SignJWT(claims).setProtectedHeader({ alg: 'EdDSA', kid, typ: 'JWT' }).sign(privateKey);
}
