import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { uuidv7 } from '@worktide/runtime';
import {
  type AccessTokenClaims,
  type KnownOrganization,
  type KnownUser,
  type Revocation,
  tokenIssuer,
} from '@worktide/schemas';

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
  /** @param claims others than usual, e.g. when it ends. */
  tokenOf(
    user: Pick<KnownUser, 'id' | 'organizationId' | 'role' | 'timezone'>,
    claims?: Partial<AccessTokenClaims>,
  ): string;
  /** From now on it is in the feed of revocations. */
  revoke(...items: Revocation[]): void;
  /** What it is asked at a path is answered so from now on. */
  answer(path: string, body: unknown): void;
  close(): void;
}

/** An auth that has the routes which services ask, and no more: it knows whom it is given, and what is revoked. */
export async function startStubAuth(
  known: { users?: readonly KnownUser[]; organizations?: readonly KnownOrganization[] } = {},
): Promise<StubAuth> {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  const kid = 'one';
  const revoked: Revocation[] = [];
  const answers: Record<string, unknown> = {
    '/.well-known/jwks.json': { keys: [{ ...publicKey.export({ format: 'jwk' }), kid, alg: 'EdDSA' }] },
    '/internal/revocations': { items: revoked, cursor: '1', nextPage: null },
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
    tokenOf: ({ id, organizationId, role, timezone }, claims) =>
      signToken({ key: privateKey, kid }, { sub: id, org: organizationId, role, tz: timezone, ...claims }),
    revoke: (...items) => void revoked.push(...items),
    answer(path, body) {
      answers[path] = body;
    },
    close() {
      server.closeAllConnections();
      server.close();
    },
  };
}
