import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { SignedIn } from '@worktide/schemas';
import {
  addColleague,
  auditEventsOf,
  auditedActions,
  authDatabase,
  feedOf,
  internalToken,
  newPerson,
  type Running,
  signUp,
  startAuth,
  type TestDatabase,
} from '../testing.ts';

let database: TestDatabase;
let auth: Running;
/** The first admin of an organisation of each test's own. */
let admin: SignedIn;
let organizationId: string;

beforeAll(async () => {
  database = await authDatabase();
  auth = await startAuth(database.url);
});
beforeEach(async () => {
  admin = await signUp(auth);
  organizationId = admin.organization.id;
});
afterAll(async () => {
  await auth.close();
  await database.drop();
});

const colleague = (...[role, status]: [Parameters<typeof addColleague>[3], Parameters<typeof addColleague>[4]?]) =>
  addColleague(auth, database, organizationId, role, status);
const get = (path: string, token = admin.accessToken) => auth.call('GET', `/api/v1/users${path}`, { token });
const patch = (id: string, body: unknown, token = admin.accessToken) =>
  auth.call('PATCH', `/api/v1/users/${id}`, { token, body });
const remove = (id: string, token = admin.accessToken) => auth.call('DELETE', `/api/v1/users/${id}`, { token });
const login = ({ email, password }: { email: string; password: string }) =>
  auth.call('POST', '/api/v1/auth/login', { body: { email, password } });
const me = (token: string) => auth.call('GET', '/api/v1/auth/me', { token });

async function agentKeyOf(token: string): Promise<string> {
  const { body } = await auth.call('POST', '/api/v1/auth/agent-keys', { token, body: { name: 'agent' } });
  return body.key;
}

describe('GET /users', () => {
  test('shows the people of the organisation newest first, in pages, to managers and admins', async () => {
    const others = [await colleague('employee'), await colleague('manager'), await colleague('employee', 'inactive')];
    const ids = [admin.user.id, ...others.map(({ id }) => id)].reverse();
    const first = await get('?limit=3', others[1]!.token);
    expect(first.status).toBe(200);
    const rest = await get(`?limit=3&cursor=${first.body.nextCursor}`);
    expect([...first.body.items, ...rest.body.items].map(({ id }: { id: string }) => id)).toEqual(ids);
    expect(rest.body.nextCursor).toBeNull();
    expect(rest.body.items[0]).toEqual({ ...admin.user, lastSeenAt: expect.any(String) });
    expect(JSON.stringify(first.body)).not.toMatch(/password|argon2/);
    expect((await get('?cursor=nonsense')).status).toBe(400);
  });

  test('is filtered by role, status and a part of name or address, which is no pattern', async () => {
    const manager = await colleague('manager');
    const suspended = await colleague('employee', 'suspended');
    await database.admin.query("UPDATE auth.users SET name = 'Zo\u00eb 100%_Sure' WHERE id = $1", [suspended.id]);
    const idsOf = async (query: string) => (await get(query)).body.items.map(({ id }: { id: string }) => id);
    expect(await idsOf('?role=manager')).toEqual([manager.id]);
    expect(await idsOf('?status=suspended')).toEqual([suspended.id]);
    expect(await idsOf(`?search=${encodeURIComponent('ZOE\u0308 100%_')}`)).toEqual([suspended.id]);
    expect(await idsOf('?search=%25%25')).toEqual([]);
    expect(await idsOf(`?search=${encodeURIComponent(manager.email.toUpperCase())}`)).toEqual([manager.id]);
    expect(await idsOf('?role=manager&status=suspended')).toEqual([]);
    for (const query of ['?role=boss', '?status=gone', '?search=%00', '?limit=0']) {
      expect((await get(query)).status).toBe(400);
    }
  });

  test('an employee sees only themselves, nobody sees another organisation, an agent key sees nothing', async () => {
    const employee = await colleague('employee');
    const manager = await colleague('manager');
    const stranger = await signUp(auth);
    expect((await get('', employee.token)).status).toBe(403);
    expect((await get(`/${employee.id}`, employee.token)).body.id).toBe(employee.id);
    expect((await get(`/${admin.user.id}`, employee.token)).status).toBe(403);
    expect((await get(`/${admin.user.id}`, manager.token)).body.id).toBe(admin.user.id);
    for (const token of [employee.token, manager.token, admin.accessToken]) {
      expect((await get(`/${stranger.user.id}`, token)).status).toBe(404);
    }
    expect((await get('', stranger.accessToken)).body.items.map(({ id }: { id: string }) => id)).toEqual([
      stranger.user.id,
    ]);
    expect((await get('', await agentKeyOf(admin.accessToken))).status).toBe(403);
    expect((await get('/no-id')).status).toBe(400);
  });
});

describe('agent keys of somebody', () => {
  const make = async (token: string) =>
    (await auth.call('POST', '/api/v1/auth/agent-keys', { token, body: { name: 'laptop', deviceId: 'd-1' } })).body;
  const revoke = (id: string, keyId: string, token = admin.accessToken) =>
    auth.call('DELETE', `/api/v1/users/${id}/agent-keys/${keyId}`, { token });

  test('an admin lists and revokes them; the key is out at once, its person is not', async () => {
    const { id, token } = await colleague('employee');
    const { key, id: keyId } = await make(token);
    const other = await make(token);
    const listed = async () => (await get(`/${id}/agent-keys`)).body.items.map((item: { id: string }) => item.id);
    expect(await listed()).toEqual([other.id, keyId]);
    expect((await get(`/${id}/agent-keys?limit=1`)).body.items[0]).toMatchObject({ name: 'laptop', deviceId: 'd-1' });
    expect((await me(key)).status).toBe(200);
    expect((await revoke(id.toUpperCase(), keyId.toUpperCase())).status).toBe(204);
    expect([(await me(key)).status, (await me(other.key)).status, (await me(token)).status]).toEqual([401, 200, 200]);
    expect(await listed()).toEqual([other.id]);
    expect((await revoke(id, keyId)).status).toBe(404);
    expect(await feedOf(auth, organizationId)).toEqual([
      { kind: 'agent-key', id: keyId, organizationId, at: expect.any(Number) },
    ]);
    expect((await auditedActions(auth, organizationId, 'agent-key.revoked')).at(-1)).toMatchObject({
      actorId: admin.user.id,
      entityType: 'agent-key',
      entityId: keyId,
      before: { name: 'laptop', deviceId: 'd-1', userId: id },
      after: null,
    });
  });

  test('nobody else does, and of another person or organisation a key is not there', async () => {
    const [one, two, manager] = [await colleague('employee'), await colleague('employee'), await colleague('manager')];
    const { key, id: keyId } = await make(one.token);
    const eve = (await signUp(auth)).accessToken;
    const keyOfAdmin = await agentKeyOf(admin.accessToken);
    const asked = [
      [one.id, one.token, 403],
      [one.id, manager.token, 403],
      [one.id, keyOfAdmin, 403],
      [one.id, eve, 404],
      [two.id, admin.accessToken, 404],
    ] as const;
    for (const [id, token, status] of asked) expect((await revoke(id, keyId, token)).status).toBe(status);
    for (const [id, token, status] of asked.slice(0, 4)) {
      expect((await get(`/${id}/agent-keys`, token)).status).toBe(status);
    }
    expect((await me(key)).status).toBe(200);
  });
});

describe('PATCH /users/:id', () => {
  test('a change of role is answered, in force at once, in the feed and in the audit trail', async () => {
    const { id, token } = await colleague('employee');
    const answer = await patch(id.toUpperCase(), { role: 'manager' });
    expect(answer).toMatchObject({ status: 200, body: { id, role: 'manager', status: 'active' } });
    expect((await get('', token)).status).toBe(200);
    expect(await feedOf(auth, organizationId)).toEqual([
      { kind: 'user', id, organizationId, at: expect.any(Number), role: 'manager', timezone: 'UTC', status: 'active' },
    ]);
    const events = await auditedActions(auth, organizationId, 'user.role-changed');
    expect(events.at(-1)).toMatchObject({
      actorType: 'user',
      actorId: admin.user.id,
      entityType: 'user',
      entityId: id,
      before: { role: 'employee' },
      after: { role: 'manager' },
      ipAddress: expect.any(String),
      requestId: answer.headers.get('x-request-id'),
      service: 'auth',
    });
  });

  test('what is so already changes nothing and tells nothing', async () => {
    const { id } = await colleague('employee');
    expect((await patch(id, { role: 'employee', status: 'active' })).status).toBe(200);
    expect(await feedOf(auth, organizationId)).toEqual([]);
    await patch(id, { role: 'manager' });
    const events = await auditedActions(auth, organizationId, 'user.role-changed');
    expect(events.filter(({ action }) => /role-changed|activated|suspended/.test(action))).toHaveLength(1);
  });

  test.each(['suspended', 'inactive'] as const)('who is %s is out, with sessions and agent keys', async (status) => {
    const someone = await colleague('employee');
    const key = await agentKeyOf(someone.token);
    expect((await patch(someone.id, { status })).body.status).toBe(status);
    expect((await me(someone.token)).status).toBe(401);
    expect((await me(key)).status).toBe(401);
    expect((await login(someone)).body.code).toBe('ACCOUNT_NOT_ACTIVE');
    const { rows } = await database.admin.query('SELECT end_reason FROM auth.sessions WHERE user_id = $1', [
      someone.id,
    ]);
    expect(rows).toEqual([{ end_reason: 'not-active' }]);
    const feed = await feedOf(auth, organizationId);
    expect(feed.map(({ kind }) => kind).sort()).toEqual(['session', 'user']);
    expect(feed).toContainEqual(expect.objectContaining({ kind: 'user', id: someone.id, status }));

    expect((await patch(someone.id, { status: 'active' })).body.status).toBe('active');
    expect((await me(key)).status).toBe(200);
    // The session stays ended.
    expect((await me(someone.token)).status).toBe(401);
    expect((await login(someone)).status).toBe(200);
    const did = status === 'suspended' ? 'user.suspended' : 'user.deactivated';
    const events = await auditedActions(auth, organizationId, did, 'user.activated');
    expect(events.find(({ action }) => action === did)).toMatchObject({
      entityId: someone.id,
      before: { status: 'active' },
      after: { status },
    });
  });

  test.each([
    ['nothing', {}],
    ['nothing that it knows', { name: 'New' }],
    ['a role that is none', { role: 'boss' }],
    ['a status that is none', { status: 'deleted' }],
    ['null', { role: null }],
    ['a list', []],
  ])('%s is 400', async (_name, body) => {
    const { id } = await colleague('employee');
    expect(await patch(id, body)).toMatchObject({ status: 400, body: { code: 'VALIDATION_FAILED' } });
  });

  test('is for admins of the organisation alone', async () => {
    const employee = await colleague('employee');
    const manager = await colleague('manager');
    const stranger = await signUp(auth);
    const key = await agentKeyOf(admin.accessToken);
    for (const token of [employee.token, manager.token, key]) {
      expect((await patch(employee.id, { role: 'admin' }, token)).status).toBe(403);
      expect((await remove(employee.id, token)).status).toBe(403);
    }
    expect((await patch(employee.id, { role: 'admin' }, stranger.accessToken)).status).toBe(404);
    expect((await remove(employee.id, stranger.accessToken)).status).toBe(404);
    expect((await patch(employee.id, { role: 'admin' }, '')).status).toBe(401);
    expect((await get(`/${employee.id}`)).body.role).toBe('employee');
  });
});

describe('the last active admin', () => {
  test.each([
    ['demoted', { role: 'manager' }],
    ['suspended', { status: 'suspended' }],
    ['made inactive', { status: 'inactive' }],
    ['deleted', undefined],
  ])('cannot be %s, and then can once there is another', async (_name, change) => {
    const { id } = admin.user;
    // Neither of these would be there to act.
    await colleague('admin', 'suspended');
    await colleague('manager');
    const attempt = () => (change ? patch(id, change) : remove(id));
    expect(await attempt()).toMatchObject({ status: 409, body: { code: 'LAST_ADMIN' } });
    expect((await get(`/${id}`)).body).toMatchObject({ role: 'admin', status: 'active' });
    expect(await feedOf(auth, organizationId)).toEqual([]);
    await colleague('admin');
    expect((await attempt()).status).toBe(change ? 200 : 204);
  });

  test('stays when two demote, suspend or delete each other at the same moment', async () => {
    const ways = [
      (id: string, token: string) => patch(id, { role: 'employee' }, token),
      (id: string, token: string) => patch(id, { status: 'suspended' }, token),
      (id: string, token: string) => remove(id, token),
    ];
    for (let round = 0; round < 9; round++) {
      const { user, accessToken, organization } = await signUp(auth);
      const other = await addColleague(auth, database, organization.id, 'admin');
      const answers = await Promise.all([
        ways[round % 3]!(other.id, accessToken),
        ways[(round + Math.floor(round / 3)) % 3]!(user.id, other.token),
      ]);
      const statuses = answers.map(({ status }) => status).sort();
      expect(statuses[0]).toBeLessThan(300);
      // 401 or 403 where the credential of the second was looked at after the first was done.
      expect([401, 403, 409]).toContain(statuses[1]);
      const { rows } = await database.admin.query(
        `SELECT count(*)::int AS n FROM auth.users
         WHERE organization_id = $1 AND role = 'admin' AND status = 'active' AND deleted_at IS NULL`,
        [organization.id],
      );
      expect(rows[0].n).toBe(1);
    }
  });

  test('stays when ten admins all demote themselves at the same moment', async () => {
    const admins = await Promise.all(Array.from({ length: 9 }, () => colleague('admin')));
    const all = [{ id: admin.user.id, token: admin.accessToken }, ...admins];
    const answers = await Promise.all(all.map(({ id, token }) => patch(id, { role: 'employee' }, token)));
    expect(answers.map(({ status }) => status).sort()).toEqual([...Array(9).fill(200), 409]);
    expect(answers.find(({ status }) => status === 409)!.body.code).toBe('LAST_ADMIN');
  });
});

describe('DELETE /users/:id', () => {
  test('takes away all that lets them in, frees the address and keeps the row', async () => {
    const someone = await colleague('manager');
    const key = await agentKeyOf(someone.token);
    expect((await remove(someone.id)).status).toBe(204);
    for (const token of [someone.token, key]) expect((await me(token)).status).toBe(401);
    expect((await login(someone)).body.code).toBe('INVALID_CREDENTIALS');
    expect((await get(`/${someone.id}`)).status).toBe(404);
    expect((await get('')).body.items).toHaveLength(1);
    expect((await patch(someone.id, { status: 'active' })).status).toBe(404);
    expect((await remove(someone.id)).status).toBe(404);
    const { rows } = await database.admin.query(
      `SELECT email, password_hash, status, name, deleted_at IS NOT NULL AS deleted FROM auth.users WHERE id = $1`,
      [someone.id],
    );
    expect(rows).toEqual([
      { email: null, password_hash: null, status: 'inactive', name: expect.any(String), deleted: true },
    ]);
    const feed = await feedOf(auth, organizationId);
    expect(feed.map(({ kind }) => kind).sort()).toEqual(['agent-key', 'session', 'user']);
    expect(feed).toContainEqual(expect.objectContaining({ kind: 'user', id: someone.id, status: 'inactive' }));
    const events = await auditedActions(auth, organizationId, 'user.deleted');
    expect(events.at(-1)).toMatchObject({
      actorId: admin.user.id,
      entityId: someone.id,
      before: { email: someone.email, role: 'manager', status: 'active' },
      after: null,
    });

    const again = await auth.call('POST', '/api/v1/auth/register', { body: newPerson({ email: someone.email }) });
    expect(again.status).toBe(201);
    // Other services still find the name that is on what they did.
    const found = await auth.call('GET', `/internal/users/${organizationId}/${someone.id}`, { token: internalToken });
    expect(found.body.user).toMatchObject({ id: someone.id, name: rows[0].name, status: 'inactive' });
  });

  test('one admin may delete another and themselves, as long as one stays', async () => {
    const second = await colleague('admin');
    expect((await remove(second.id, second.token)).status).toBe(204);
    expect(await remove(admin.user.id)).toMatchObject({ status: 409, body: { code: 'LAST_ADMIN' } });
  });
});

describe('the second wall', () => {
  test('the tenant role sees and changes one organisation alone, and makes no users', async () => {
    const stranger = await signUp(auth);
    const client = await database.admin.connect();
    try {
      await client.query('BEGIN');
      await client.query("SELECT set_config('worktide.organization_id', $1, true)", [organizationId]);
      await client.query('SET LOCAL ROLE worktide_auth_tenant');
      for (const table of ['users', 'sessions']) {
        const { rows } = await client.query(`SELECT DISTINCT organization_id FROM auth.${table}`);
        expect(rows).toEqual([{ organization_id: organizationId }]);
      }
      expect((await client.query('SELECT id FROM auth.organizations')).rows).toEqual([{ id: organizationId }]);
      const { rowCount } = await client.query("UPDATE auth.users SET name = 'x' WHERE organization_id = $1", [
        stranger.organization.id,
      ]);
      expect(rowCount).toBe(0);
      await expect(client.query('SELECT 1 FROM auth.billing_events')).rejects.toMatchObject({ code: '42501' });
    } finally {
      await client.query('ROLLBACK');
      client.release();
    }
  });
});

test('the audit trail of one organisation holds nothing of another', async () => {
  const stranger = await signUp(auth);
  await auditedActions(auth, stranger.organization.id, 'user.created');
  const events = await auditEventsOf(auth.eventLogUrl, organizationId);
  expect(JSON.stringify(events)).not.toContain(stranger.user.id);
});
