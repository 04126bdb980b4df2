import { describe, expect, test } from '@jest/globals';
import { unavailable, uuidv7 } from '@worktide/runtime';
import { type CryptoKey, exportJWK, generateKeyPair, type JWK, SignJWT } from 'jose';
import { createKeySet, verifyAccessToken } from './tokens.ts';

const now = Math.floor(Date.now() / 1000);
const good = {
  iss: 'worktide',
  sub: uuidv7(),
  org: uuidv7(),
  role: 'manager',
  sid: uuidv7(),
  tz: 'Asia/Kathmandu',
  iat: now,
  exp: now + 900,
};

async function keyPair(kid: string): Promise<{ privateKey: CryptoKey; jwk: JWK }> {
  const { privateKey, publicKey } = await generateKeyPair('EdDSA', { crv: 'Ed25519', extractable: true });
  return { privateKey, jwk: { ...(await exportJWK(publicKey)), kid } };
}
const sign = (key: CryptoKey, claims: Record<string, unknown> = good, kid: string | null = 'one'): Promise<string> =>
  new SignJWT(claims).setProtectedHeader({ alg: 'EdDSA', ...(kid === null ? {} : { kid }) }).sign(key);

const base64 = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');

describe('access tokens', () => {
  test('a good token gives its claims', async () => {
    const { privateKey, jwk } = await keyPair('one');
    expect(
      await verifyAccessToken(
        await sign(privateKey),
        createKeySet(async () => [jwk]),
      ),
    ).toEqual(good);
  });

  test('an expired token is 401 TOKEN_EXPIRED', async () => {
    const { privateKey, jwk } = await keyPair('one');
    const token = await sign(privateKey, { ...good, exp: now - 1 });
    await expect(
      verifyAccessToken(
        token,
        createKeySet(async () => [jwk]),
      ),
    ).rejects.toMatchObject({
      statusCode: 401,
      code: 'TOKEN_EXPIRED',
    });
  });

  test('whatever else is wrong with a token is 401', async () => {
    const { privateKey, jwk } = await keyPair('one');
    const other = await keyPair('one');
    const { exp: _, ...endless } = good;
    const token = await sign(privateKey);
    const [header, payload, signature] = token.split('.') as [string, string, string];
    const secret = new TextEncoder().encode(jwk.x);
    const bad: Record<string, string> = {
      'alg none': `${base64({ alg: 'none', kid: 'one' })}.${payload}.`,
      'alg none with the signature': `${base64({ alg: 'none', kid: 'one' })}.${payload}.${signature}`,
      'HMAC with the public key as secret': await new SignJWT(good)
        .setProtectedHeader({ alg: 'HS256', kid: 'one' })
        .sign(secret),
      'signed with another key under this id': await sign(other.privateKey),
      'claims changed': `${header}.${base64({ ...good, role: 'admin' })}.${signature}`,
      'no key id': await sign(privateKey, good, null),
      'another issuer': await sign(privateKey, { ...good, iss: 'elsewhere' }),
      'no expiry': await sign(privateKey, endless),
      'no organisation': await sign(privateKey, { ...good, org: undefined }),
      'a role that is none': await sign(privateKey, { ...good, role: 'root' }),
      'an unknown critical header': `${base64({ alg: 'EdDSA', kid: 'one', crit: ['x'], x: 1 })}.${payload}.${signature}`,
      'two parts': `${header}.${payload}`,
      'no base64': '%%%.%%%.%%%',
      text: 'hello',
    };
    const keys = createKeySet(async () => [jwk]);
    for (const [name, value] of Object.entries(bad)) {
      const outcome = await verifyAccessToken(value, keys).catch((error: unknown) => error);
      expect({ name, outcome }).toMatchObject({ name, outcome: { statusCode: 401, code: 'UNAUTHORIZED' } });
    }
  });
});

describe('key set', () => {
  test('a key made after the last load is found', async () => {
    const one = await keyPair('one');
    const two = await keyPair('two');
    const published = [one.jwk];
    const keys = createKeySet(async () => published, 10);
    await verifyAccessToken(await sign(one.privateKey), keys);
    published.push(two.jwk);
    await verifyAccessToken(await sign(two.privateKey, good, 'two'), keys);
  });

  test('a thousand unknown key ids cause few loads, one at a time', async () => {
    const { privateKey, jwk } = await keyPair('one');
    let loads = 0;
    let running = 0;
    const keys = createKeySet(async () => {
      loads++;
      expect(++running).toBe(1);
      await new Promise(setImmediate);
      running--;
      return [jwk];
    }, 50);
    const forged = await Promise.all(Array.from({ length: 1_000 }, (_, i) => sign(privateKey, good, `k${i}`)));
    const outcomes = await Promise.all(
      forged.map((token) => verifyAccessToken(token, keys).catch((e) => e.statusCode)),
    );
    expect(new Set(outcomes)).toEqual(new Set([401]));
    expect(loads).toBeLessThanOrEqual(2);
    // Known keys never wait for that.
    await verifyAccessToken(await sign(privateKey), keys);
  });

  test('keys of other kinds in the set are left out', async () => {
    const { privateKey, jwk } = await keyPair('one');
    const keys = createKeySet(async () => [
      { kty: 'oct', k: 'AAAA', kid: 'one' },
      { ...jwk, kid: 'two' },
    ]);
    expect(await keys.find('one')).toBeUndefined();
    await verifyAccessToken(await sign(privateKey, good, 'two'), keys);
  });

  test('a set that cannot be had is 503, never 401, and is had when it is back', async () => {
    const { privateKey, jwk } = await keyPair('one');
    let away = true;
    let loads = 0;
    const keys = createKeySet(async () => {
      loads++;
      if (away) throw unavailable('auth');
      return [jwk];
    }, 50);
    const token = await sign(privateKey);
    for (let i = 0; i < 20; i++) {
      await expect(verifyAccessToken(token, keys)).rejects.toMatchObject({ statusCode: 503 });
    }
    expect(loads).toBeLessThan(20);
    away = false;
    for (let ok = false; !ok; )
      ok = await verifyAccessToken(token, keys).then(
        () => true,
        () => false,
      );
  });
});
