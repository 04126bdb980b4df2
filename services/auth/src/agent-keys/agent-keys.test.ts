import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { until } from '@worktide/testing';
import {
  auditedActions,
  authDatabase,
  feedOf,
  internalToken,
  type Running,
  signUp,
  startAuth,
  type TestDatabase,
} from '../testing.ts';

let database: TestDatabase;
let auth: Running;

beforeAll(async () => {
  database = await authDatabase();
  auth = await startAuth(database.url);
});
afterAll(async () => {
  await auth.close();
  await database.drop();
});

const path = '/api/v1/auth/agent-keys';
const make = (token: string, body: unknown) => auth.call('POST', path, { token, body });

describe('agent keys', () => {
  test('a key is shown once, works as a credential, and is stored as a hash', async () => {
    const { accessToken: token, user } = await signUp(auth);
    const { status, body, headers } = await make(token, { name: 'laptop', deviceId: 'laptop-1' });
    expect(status).toBe(201);
    expect(headers.get('cache-control')).toBe('no-store');
    expect(body.key).toMatch(/^waka_[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    expect(body).toMatchObject({ name: 'laptop', deviceId: 'laptop-1' });
    expect((await auth.call('GET', '/api/v1/auth/me', { token: body.key })).body.user.id).toBe(user.id);
    const list = async () => (await auth.call('GET', path, { token })).body.items;
    await until('the use is noted', async () => (await list())[0].lastUsedAt !== null);
    expect(await list()).toEqual([
      {
        id: body.id,
        name: 'laptop',
        deviceId: 'laptop-1',
        createdAt: body.createdAt,
        expiresAt: null,
        lastUsedAt: expect.any(String),
        lastUsedFrom: '127.0.0.1',
      },
    ]);
    const { rows } = await database.admin.query('SELECT * FROM auth.agent_keys WHERE id = $1', [body.id]);
    expect(JSON.stringify(rows)).not.toContain(body.key.slice(5));
  });

  test('making and revoking one is told, without the key', async () => {
    const { accessToken: token, user } = await signUp(auth);
    const { id, key } = (await make(token, { name: 'k', deviceId: 'd' })).body;
    await auth.call('DELETE', `${path}/${id}`, { token });
    const events = await auditedActions(auth, user.organizationId, 'agent-key.created', 'agent-key.revoked');
    const [created, revoked] = events.filter(({ entityType }) => entityType === 'agent-key');
    expect(created).toMatchObject({
      actorId: user.id,
      entityId: id,
      before: null,
      after: { name: 'k', deviceId: 'd' },
    });
    expect(revoked).toMatchObject({
      actorId: user.id,
      entityId: id,
      before: { name: 'k', deviceId: 'd' },
      after: null,
    });
    expect(JSON.stringify(events)).not.toContain(key.slice(5));
    expect(await feedOf(auth, user.organizationId)).toContainEqual(expect.objectContaining({ kind: 'agent-key', id }));
  });

  test('a key may end by itself: refused, in no list and none of the number of keys from then on', async () => {
    const { accessToken: token, user } = await signUp(auth);
    const expiresAt = new Date(Date.now() + 3_600_000).toISOString();
    const { body } = await make(token, { name: 'k', expiresAt });
    expect(body.expiresAt).toBe(expiresAt);
    expect((await auth.call('GET', path, { token })).body.items).toMatchObject([{ id: body.id, expiresAt }]);
    const me = () => auth.call('GET', '/api/v1/auth/me', { token: body.key });
    const resolve = () =>
      auth.call('POST', '/internal/credentials/resolve', {
        token: internalToken,
        body: { keyHashes: [createHash('sha256').update(body.key).digest('hex')], from: ['192.0.2.7'] },
      });
    expect((await me()).status).toBe(200);
    expect((await resolve()).body.credentials).toMatchObject([{ expiresAt: Date.parse(expiresAt) }]);
    await database.admin.query('UPDATE auth.agent_keys SET expires_at = now() WHERE id = $1', [body.id]);
    expect((await me()).status).toBe(401);
    expect((await resolve()).body.credentials).toEqual([null]);
    expect((await auth.call('GET', path, { token })).body.items).toEqual([]);
    await database.admin.query(
      `INSERT INTO auth.agent_keys (organization_id, id, user_id, name, device_id, key_hash, expires_at)
       SELECT $1, gen_random_uuid(), $2, 'k', 'd', sha256(gen_random_uuid()::text::bytea), now()
       FROM generate_series(1, 200)`,
      [user.organizationId, user.id],
    );
    expect((await make(token, { name: 'another' })).status).toBe(201);
  });

  test('from where a key was used is told by the services that took it', async () => {
    const { accessToken: token } = await signUp(auth);
    const { key } = (await make(token, { name: 'k' })).body;
    const keyHashes = [createHash('sha256').update(key).digest('hex')];
    const body = { keyHashes, from: ['2001:db8:0:1::/64'] };
    await auth.call('POST', '/internal/credentials/resolve', { token: internalToken, body });
    const last = async () => (await auth.call('GET', path, { token })).body.items[0].lastUsedFrom;
    await until('it is noted', async () => (await last()) !== null);
    expect(await last()).toBe('2001:db8:0:1::/64');
  });

  test('a key without a device is a device of its own', async () => {
    const { accessToken: token } = await signUp(auth);
    const { body } = await make(token, { name: 'editor' });
    expect(body.deviceId).toBe(body.id);
  });

  test('a key cannot make, list or revoke keys, nor log anything out', async () => {
    const { accessToken } = await signUp(auth);
    const { key, id } = (await make(accessToken, { name: 'k' })).body;
    expect((await make(key, { name: 'more' })).status).toBe(403);
    expect((await auth.call('GET', path, { token: key })).status).toBe(403);
    expect((await auth.call('DELETE', `${path}/${id}`, { token: key })).status).toBe(403);
    expect((await auth.call('POST', '/api/v1/auth/logout-all', { token: key })).status).toBe(403);
    expect((await auth.call('POST', '/api/v1/auth/logout', { token: key })).status).toBe(401);
  });

  test('revoking is for the owner, once, and final', async () => {
    const { accessToken: token } = await signUp(auth);
    const stranger = await signUp(auth);
    const { key, id } = (await make(token, { name: 'k' })).body;
    expect((await auth.call('DELETE', `${path}/${id}`, { token: stranger.accessToken })).status).toBe(404);
    expect((await auth.call('GET', '/api/v1/auth/me', { token: key })).status).toBe(200);
    expect((await auth.call('DELETE', `${path}/${id}`, { token })).status).toBe(204);
    expect((await auth.call('GET', '/api/v1/auth/me', { token: key })).status).toBe(401);
    expect((await auth.call('DELETE', `${path}/${id}`, { token })).status).toBe(404);
    expect((await auth.call('DELETE', `${path}/no-id`, { token })).status).toBe(400);
    expect((await auth.call('GET', path, { token })).body.items).toEqual([]);
  });

  test('keys of a user who is not active are refused, and good again afterwards', async () => {
    const { accessToken: token, user } = await signUp(auth);
    const { key } = (await make(token, { name: 'k' })).body;
    await database.admin.query("UPDATE auth.users SET status = 'inactive' WHERE id = $1", [user.id]);
    expect((await auth.call('GET', '/api/v1/auth/me', { token: key })).status).toBe(401);
    await database.admin.query("UPDATE auth.users SET status = 'active' WHERE id = $1", [user.id]);
    expect((await auth.call('GET', '/api/v1/auth/me', { token: key })).status).toBe(200);
  });

  test('the list goes by pages, and a user has a bounded number of keys', async () => {
    const { accessToken: token, user } = await signUp(auth);
    await database.admin.query(
      `INSERT INTO auth.agent_keys (organization_id, id, user_id, name, device_id, key_hash)
       SELECT $1, gen_random_uuid(), $2, 'k' || n, 'd' || n, sha256(gen_random_uuid()::text::bytea)
       FROM generate_series(1, 199) n`,
      [user.organizationId, user.id],
    );
    const answers = await Promise.all([make(token, { name: 'a' }), make(token, { name: 'b' })]);
    expect(answers.map(({ status }) => status).sort()).toEqual([201, 409]);
    expect(answers.find(({ status }) => status === 409)!.body.code).toBe('TOO_MANY_KEYS');
    const seen: string[] = [];
    for (let cursor = ''; ; ) {
      const { body } = await auth.call('GET', `${path}?limit=90${cursor}`, { token });
      seen.push(...body.items.map((item: { id: string }) => item.id));
      if (body.nextCursor === null) break;
      cursor = `&cursor=${body.nextCursor}`;
    }
    expect(seen).toHaveLength(200);
    expect(new Set(seen).size).toBe(200);
  });

  test.each([
    ['no name', {}],
    ['an empty device', { name: 'k', deviceId: '' }],
    ['a device of 129 characters', { name: 'k', deviceId: 'x'.repeat(129) }],
    ['a NUL in the device', { name: 'k', deviceId: 'a\u0000' }],
    ['an end that has passed', { name: 'k', expiresAt: '2020-01-01T00:00:00.000Z' }],
    ['an end that is no instant', { name: 'k', expiresAt: '2999-01-01' }],
    ['an end after all years', { name: 'k', expiresAt: '9999-12-31T23:59:59-23:59' }],
  ])('%s is 400', async (_name, body) => {
    const { accessToken } = await signUp(auth);
    expect(await make(accessToken, body)).toMatchObject({ status: 400, body: { code: 'VALIDATION_FAILED' } });
  });
});
