import { unauthorized } from '@worktide/runtime';
import { type AccessTokenClaims, accessTokenClaims, tokenIssuer } from '@worktide/schemas';
import { type CryptoKey, decodeProtectedHeader, errors, importJWK, type JWK, jwtVerify } from 'jose';

/** Public keys by their id. */
export interface KeySet {
  /**
   * The key, after a new load of the set where the id is unknown. A set older than a minute is loaded again in the
   * background, so that a key that was retired goes.
   * @throws what `load` throws (503) where the set cannot be had; resolves undefined where it does not hold the key.
   */
  find(kid: string): Promise<CryptoKey | undefined>;
  /** Loads the set if it never was. */
  prepare(): Promise<void>;
}

const maxAgeMs = 60_000;

/**
 * @param load gives the current JWKS; called at the first need, and again for an unknown key id, but one at a time and
 *   not more often than every `minIntervalMs` (1 s unless said), however many unknown ids come.
 */
export function createKeySet(load: () => Promise<JWK[]>, minIntervalMs = 1_000): KeySet {
  let keys = new Map<string, CryptoKey>();
  let triedAt = Number.NEGATIVE_INFINITY;
  let loadedAt = Number.NEGATIVE_INFINITY;
  let failure: unknown;
  let loading: Promise<void> | undefined;

  async function reload(): Promise<void> {
    const wait = triedAt + minIntervalMs - performance.now();
    // Told at once that the set cannot be had, rather than held until the next attempt.
    if (wait > 0 && failure !== undefined) throw failure;
    if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait));
    let loaded: JWK[];
    try {
      loaded = await load();
      failure = undefined;
    } catch (error) {
      failure = error;
      throw error;
    } finally {
      triedAt = performance.now();
    }
    const next = new Map<string, CryptoKey>();
    for (const jwk of loaded) {
      // Only what an access token may be signed with: never a symmetric or RSA key that slipped into the set.
      if (jwk.kty !== 'OKP' || jwk.crv !== 'Ed25519' || typeof jwk.kid !== 'string') continue;
      next.set(jwk.kid, (await importJWK(jwk, 'EdDSA')) as CryptoKey);
    }
    keys = next;
    loadedAt = performance.now();
  }

  const reloadOnce = (): Promise<void> => {
    loading ??= reload().finally(() => {
      loading = undefined;
    });
    return loading;
  };

  return {
    async find(kid) {
      const known = keys.get(kid);
      if (known) {
        const now = performance.now();
        if (now - Math.max(loadedAt, triedAt) > maxAgeMs) reloadOnce().catch(() => {});
        return known;
      }
      // A load under way may have begun before the key was made; its answer is taken, the next request asks again.
      await reloadOnce();
      return keys.get(kid);
    },
    async prepare() {
      if (keys.size === 0) await reloadOnce();
    },
  };
}

/**
 * Checks form, algorithm (EdDSA alone), signature, issuer, times and claims of an access token. Revocation is the
 * caller's part. About 110 µs: cache the outcome.
 * @throws 401 for a token that is bad in any way, 503 where the keys cannot be had.
 */
export async function verifyAccessToken(token: string, keys: KeySet): Promise<AccessTokenClaims> {
  try {
    const { kid, alg } = decodeProtectedHeader(token);
    if (alg !== 'EdDSA' || typeof kid !== 'string') throw unauthorized();
    const key = await keys.find(kid);
    if (!key) throw unauthorized();
    const { payload } = await jwtVerify(token, key, { algorithms: ['EdDSA'], issuer: tokenIssuer });
    const claims = accessTokenClaims.safeParse(payload);
    if (!claims.success) throw unauthorized();
    return claims.data;
  } catch (error) {
    if (error instanceof errors.JWTExpired) throw unauthorized('The access token has expired.', 'TOKEN_EXPIRED');
    // decodeProtectedHeader reports malformed tokens as TypeError.
    if (error instanceof errors.JOSEError || error instanceof TypeError) throw unauthorized();
    throw error;
  }
}
