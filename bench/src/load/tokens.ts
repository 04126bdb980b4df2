import { generateKeyPairSync, sign } from 'node:crypto';
import { type AccessTokenClaims, tokenIssuer } from '@worktide/schemas';
import { organizationId, userId } from '../workload.ts';

/** Access tokens for users that need not be registered: we hold the key that auth publishes. */
export interface Tokens {
  /** For `AUTH_SIGNING_KEY`. */
  privateKey: string;
  /** @param authUrl of the auth service that was given the key; it tells the key's id. All users are of one organisation unless said. */
  sign(authUrl: string, users: number, organizationOf?: (user: number) => string): Promise<string[]>;
}

/** Longer than any run. */
const validSeconds = 4 * 3_600;

export function createTokens(): Tokens {
  const { privateKey } = generateKeyPairSync('ed25519');
  return {
    privateKey: privateKey.export({ type: 'pkcs8', format: 'pem' }) as string,
    async sign(authUrl, users, organizationOf = () => organizationId) {
      const response = await fetch(`${authUrl}/.well-known/jwks.json`);
      const { keys } = (await response.json()) as { keys: { kid: string }[] };
      const header = encode({ alg: 'EdDSA', typ: 'JWT', kid: keys[0]!.kid });
      return Array.from({ length: users }, (_, user) => {
        const text = `${header}.${encode(claimsOf(user, organizationOf(user)))}`;
        return `${text}.${sign(null, Buffer.from(text), privateKey).toString('base64url')}`;
      });
    },
  };
}

function claimsOf(user: number, org: string): AccessTokenClaims {
  const now = Date.now() / 1_000;
  return {
    iss: tokenIssuer,
    sub: userId(user),
    org,
    role: 'employee',
    sid: userId(user),
    tz: 'UTC',
    dev: 'bench',
    iat: now,
    exp: Math.floor(now) + validSeconds,
  };
}

const encode = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
