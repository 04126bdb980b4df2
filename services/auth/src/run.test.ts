import { generateKeyPairSync } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { decodeProtectedHeader } from 'jose';
import { authDatabase, newPerson, signUp, startAuth, type TestDatabase } from './testing.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await authDatabase();
});
afterAll(() => database.drop());

const pem = (): string => generateKeyPairSync('ed25519').privateKey.export({ format: 'pem', type: 'pkcs8' }).toString();
const kidOf = (token: string): string => decodeProtectedHeader(token).kid!;

describe('signing keys', () => {
  test('replicas that start together agree on one key, and a restart keeps it', async () => {
    const replicas = await Promise.all([1, 2, 3, 4].map(() => startAuth(database.url)));
    const people = await Promise.all(replicas.map((replica) => signUp(replica)));
    expect(new Set(people.map(({ accessToken }) => kidOf(accessToken))).size).toBe(1);
    for (const replica of replicas) {
      for (const { accessToken: token } of people) {
        expect((await replica.call('GET', '/api/v1/auth/me', { token })).status).toBe(200);
      }
    }
    await Promise.all(replicas.map((replica) => replica.close()));
    const again = await startAuth(database.url);
    const { body } = await again.call('GET', '/.well-known/jwks.json');
    expect(body.keys.map((key: { kid: string }) => key.kid)).toEqual([kidOf(people[0]!.accessToken)]);
    await again.close();
  });

  test('a configured key signs, tokens of the one before stay good on every replica until it is retired', async () => {
    const old = await startAuth(database.url, { AUTH_SIGNING_KEY: pem().replaceAll('\n', '\\n') });
    const jwk = generateKeyPairSync('ed25519').privateKey.export({ format: 'jwk' });
    const young = await startAuth(database.url, { AUTH_SIGNING_KEY: JSON.stringify(jwk) });
    const before = await signUp(old);
    const after = await signUp(young);
    expect(kidOf(before.accessToken)).not.toBe(kidOf(after.accessToken));
    for (const { accessToken: token } of [before, after]) {
      for (const replica of [old, young]) {
        expect((await replica.call('GET', '/api/v1/auth/me', { token })).status).toBe(200);
      }
    }
    await database.admin.query('UPDATE auth.signing_keys SET retired_at = now() WHERE kid = $1', [
      kidOf(before.accessToken),
    ]);
    await old.close();
    await young.close();
    const restarted = await startAuth(database.url, { AUTH_SIGNING_KEY: JSON.stringify(jwk) });
    const me = (token: string) => restarted.call('GET', '/api/v1/auth/me', { token });
    expect((await me(before.accessToken)).status).toBe(401);
    expect((await me(after.accessToken)).status).toBe(200);
    await restarted.close();
  });

  test.each([
    ['text', 'secret'],
    [
      'an RSA key',
      generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ format: 'pem', type: 'pkcs8' }),
    ],
    ['a public key', generateKeyPairSync('ed25519').publicKey.export({ format: 'pem', type: 'spki' })],
  ])('%s as signing key is a bad configuration, told without repeating it', async (_name, key) => {
    const error = await startAuth(database.url, { AUTH_SIGNING_KEY: String(key) }).catch((e: unknown) => e);
    expect(error).toMatchObject({ code: 'BAD_CONFIGURATION' });
    expect((error as Error).message).toMatch(/AUTH_SIGNING_KEY/);
    expect((error as Error).message).not.toContain(String(key).slice(0, 20));
  });
});

describe('the service as a whole', () => {
  test('starts while the database is away: alive, not ready, 503, and no cookie', async () => {
    const auth = await startAuth('postgres://nobody:nothing@127.0.0.1:9/none');
    expect((await auth.call('GET', '/health/live')).status).toBe(200);
    expect(await auth.call('GET', '/health/ready')).toMatchObject({
      status: 503,
      body: { dependencies: { postgres: { status: 'down' } } },
    });
    const calls = [
      auth.call('POST', '/api/v1/auth/register', { body: newPerson() }),
      auth.call('POST', '/api/v1/auth/login', { body: { email: 'a@example.com', password: 'whatever' } }),
      auth.call('POST', '/api/v1/auth/refresh', { body: { refreshToken: 'x' } }),
      auth.call('GET', '/api/v1/auth/me', { token: 'waka_00000000-0000-4000-8000-000000000000' }),
      auth.call('GET', '/.well-known/jwks.json'),
    ];
    for (const answer of await Promise.all(calls)) {
      expect(answer).toMatchObject({ status: 503, body: { code: 'DEPENDENCY_UNAVAILABLE' } });
      expect(answer.headers.get('retry-after')).not.toBeNull();
      expect(answer.headers.get('set-cookie')).toBeNull();
      expect(JSON.stringify(answer.body)).not.toContain('127.0.0.1');
    }
    await auth.close();
  });

  test('the refresh cookie is Secure behind TLS: as a trusted proxy says, or as configured', async () => {
    const cookieOf = async (env: Record<string, string>, headers: Record<string, string>): Promise<string> => {
      const auth = await startAuth(database.url, env);
      const answer = await auth.call('POST', '/api/v1/auth/register', { body: newPerson(), headers });
      await auth.close();
      return answer.headers.get('set-cookie')!;
    };
    const https = { 'x-forwarded-proto': 'https' };
    expect(await cookieOf({ TRUSTED_PROXIES: '1' }, https)).toMatch(/; Secure$/);
    expect(await cookieOf({ TRUSTED_PROXIES: '1' }, {})).not.toMatch(/Secure/);
    expect(await cookieOf({}, https)).not.toMatch(/Secure/);
    expect(await cookieOf({ COOKIE_SECURE: 'true' }, {})).toMatch(/; Secure$/);
    expect(await cookieOf({ COOKIE_SECURE: 'false', TRUSTED_PROXIES: '1' }, https)).not.toMatch(/Secure/);
  });

  test('the OpenAPI document has every public route and no internal one', async () => {
    const auth = await startAuth(database.url);
    const { body } = await auth.call('GET', '/api/docs/openapi.json');
    const paths = Object.keys(body.paths);
    for (const path of ['register', 'login', 'refresh', 'logout', 'logout-all', 'me', 'agent-keys', 'sessions']) {
      expect(paths).toContain(`/api/v1/auth/${path}`);
    }
    expect(paths.some((path) => path.startsWith('/internal'))).toBe(false);
    await auth.close();
  });
});
