import { generateKeyPairSync } from 'node:crypto';
import { signToken } from '@worktide/testing';
import { organizationId, userId } from '../workload.ts';

/** Access tokens of managers, who see all tasks, for users that need not be registered: we hold the key that auth publishes. */
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
      const signer = { key: privateKey, kid: keys[0]!.kid };
      const exp = Math.floor(Date.now() / 1_000) + validSeconds;
      return Array.from({ length: users }, (_, user) => {
        const id = userId(user);
        return signToken(signer, { sub: id, org: organizationOf(user), role: 'manager', sid: id, dev: 'bench', exp });
      });
    },
  };
}
