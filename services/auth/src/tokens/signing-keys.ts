import { createPrivateKey, type JsonWebKey } from 'node:crypto';
import { type Pool, transaction } from '@worktide/postgres';
import { AppError } from '@worktide/runtime';
import { type CryptoKey, calculateJwkThumbprint, exportJWK, generateKeyPair, importJWK, type JWK } from 'jose';

export interface SigningKey {
  kid: string;
  privateKey: CryptoKey;
}

export interface SigningKeys {
  /** The key that new tokens are signed with; made at the first call where none is configured. Rejects 503. */
  current(): Promise<SigningKey>;
  /** Public halves of every key that is not retired, the current one among them. */
  published(): Promise<JWK[]>;
}

/**
 * @param configured `AUTH_SIGNING_KEY`. Its public half is recorded too, so that replicas with an older configuration
 *   and tokens signed before a change stay verifiable until an operator retires the key.
 * @throws AppError `BAD_CONFIGURATION` for a configured key that is no Ed25519 private key.
 */
export function createSigningKeys(pool: Pool, configured: string | undefined): SigningKeys {
  const given = configured === undefined ? undefined : parsePrivateKey(configured);
  let ready: Promise<SigningKey> | undefined;

  async function prepare(): Promise<SigningKey> {
    const privateJwk = given ? await record(pool, given) : await findOrMake(pool);
    return {
      kid: await calculateJwkThumbprint(publicPart(privateJwk)),
      privateKey: (await importJWK(privateJwk, 'EdDSA')) as CryptoKey,
    };
  }

  const current = (): Promise<SigningKey> => {
    // A failure is not kept: the database may be back at the next call.
    ready ??= prepare().catch((error: unknown) => {
      ready = undefined;
      throw error;
    });
    return ready;
  };

  return {
    current,
    async published() {
      await current();
      const { rows } = await pool.query<{ kid: string; jwk: JWK }>(
        'SELECT kid, public_jwk AS jwk FROM auth.signing_keys WHERE retired_at IS NULL ORDER BY created_at DESC LIMIT 20',
      );
      return rows.map(({ kid, jwk }) => ({ ...jwk, kid, alg: 'EdDSA', use: 'sig' }));
    },
  };
}

const publicPart = ({ kty, crv, x }: JWK): JWK => ({ kty, crv, x }) as JWK;

function parsePrivateKey(text: string): JWK {
  try {
    const jwkGiven = text.trimStart().startsWith('{');
    // Environment variables often carry a PEM with its line ends written out.
    const pem = text.replaceAll('\\n', '\n');
    const key = createPrivateKey(jwkGiven ? { key: JSON.parse(text) as JsonWebKey, format: 'jwk' } : pem);
    if (key.asymmetricKeyType !== 'ed25519') throw new Error(`the key is ${key.asymmetricKeyType}`);
    return key.export({ format: 'jwk' }) as JWK;
  } catch {
    // Without the cause: it may repeat parts of the key.
    throw new AppError('BAD_CONFIGURATION', 'AUTH_SIGNING_KEY: not an Ed25519 private key (PKCS #8 PEM or JWK).');
  }
}

async function record(pool: Pool, jwk: JWK): Promise<JWK> {
  const shown = publicPart(jwk);
  await pool.query('INSERT INTO auth.signing_keys (kid, public_jwk) VALUES ($1, $2) ON CONFLICT DO NOTHING', [
    await calculateJwkThumbprint(shown),
    shown,
  ]);
  return jwk;
}

async function findOrMake(pool: Pool): Promise<JWK> {
  return transaction(pool, async (client) => {
    // Replicas that start together must agree on one key.
    await client.query("SELECT pg_advisory_xact_lock(hashtextextended('worktide auth signing key', 0))");
    const { rows } = await client.query<{ jwk: JWK }>(
      `SELECT private_jwk AS jwk FROM auth.signing_keys
       WHERE private_jwk IS NOT NULL AND retired_at IS NULL ORDER BY created_at DESC LIMIT 1`,
    );
    if (rows[0]) return rows[0].jwk;
    const pair = await generateKeyPair('EdDSA', { crv: 'Ed25519', extractable: true });
    const jwk = await exportJWK(pair.privateKey);
    const shown = publicPart(jwk);
    await client.query('INSERT INTO auth.signing_keys (kid, public_jwk, private_jwk) VALUES ($1, $2, $3)', [
      await calculateJwkThumbprint(shown),
      shown,
      jwk,
    ]);
    return jwk;
  });
}
