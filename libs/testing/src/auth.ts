import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { uuidv7 } from '@worktide/runtime';
import { type AccessTokenClaims, type KnownOrganization, type KnownUser, tokenIssuer } from '@worktide/schemas';

type Claims = Partial<AccessTokenClaims> & Pick<AccessTokenClaims, 'sub' | 'org'>;

/** An access token as auth makes them; of an employee, new and good for a quarter of an hour, unless said. */
export function signToken({ key, kid }: { key: KeyObject; kid: string }, claims: Claims): string {
  const iat = claims.iat ?? Math.floor(Date.now() / 1_000);
  const whole: AccessTokenClaims = {
    iss: tokenIssuer,
    role: 'employee',
    sid: uuidv7(),
    tz: 'UTC',
    iat,
    exp: iat + 900,
    ...claims,
  };
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const unsigned = `${part({ alg: 'EdDSA', typ: 'JWT', kid })}.${part(whole)}`;
  return `${unsigned}.${sign(null, Buffer.from(unsigned), key).toString('base64url')}`;
}

export interface StubAuth {
  /** For `AUTH_URL`. */
  url: string;
  /** Of a user, who need not be known. */
  tokenOf(user: Pick<KnownUser, 'id' | 'organizationId' | 'role' | 'timezone'>): string;
  close(): void;
}

/** An auth that has the routes which services ask, and no more: it knows whom it is given, and nothing is revoked. */
export async function startStubAuth(
  known: { users?: readonly KnownUser[]; organizations?: readonly KnownOrganization[] } = {},
): Promise<StubAuth> {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  const kid = 'one';
  const answers: Record<string, unknown> = {
    '/.well-known/jwks.json': { keys: [{ ...publicKey.export({ format: 'jwk' }), kid, alg: 'EdDSA' }] },
    '/internal/revocations': { items: [], cursor: '1', nextPage: null },
  };
  for (const user of known.users ?? []) answers[`/internal/users/${user.organizationId}/${user.id}`] = { user };
  for (const organization of known.organizations ?? []) {
    answers[`/internal/organizations/${organization.id}`] = { organization };
  }
  const server = createServer((req, res) => {
    const answer = answers[req.url!.split('?')[0]!] ?? { user: null, organization: null };
    res.setHeader('content-type', 'application/json').end(JSON.stringify(answer));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    tokenOf: ({ id, organizationId, role, timezone }) =>
      signToken({ key: privateKey, kid }, { sub: id, org: organizationId, role, tz: timezone }),
    close() {
      server.closeAllConnections();
      server.close();
    },
  };
}
