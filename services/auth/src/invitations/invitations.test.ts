import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createPool, tenantTransaction } from '@worktide/postgres';
import { silentLogger } from '@worktide/runtime';
import type { Answer } from '@worktide/testing';
import type { Act } from '../action.ts';
import type { AuthContext } from '../context.ts';
import {
  addColleague,
  auditedActions,
  authDatabase,
  type Running,
  signUp,
  startAuth,
  type TestDatabase,
} from '../testing.ts';
import { invite, maxPendingInvitations, pruneInvitations } from './invitations.ts';

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

const path = '/api/v1/invitations';
let guests = 0;
const newAddress = (): string => `guest-${++guests}@example.com`;
const post = (token: string, email: string, role = 'employee') =>
  auth.call('POST', path, { token, body: { email, role } });
const list = async (token: string) => (await auth.call('GET', path, { token })).body.items;
const accept = (token: unknown, more: object = {}) =>
  auth.call('POST', `${path}/accept`, {
    body: { token, name: 'Grace', password: 'a long phrase', refreshTokenIn: 'body', ...more },
  });
const bare = ({ status, body }: Answer) => ({ status, body: { ...body, timestamp: 0, requestId: 0 } });

describe('POST /invitations', () => {
  test('sends a mail whose link makes an account in the organisation, with the role given', async () => {
    const admin = await signUp(auth, { timezone: 'Asia/Kathmandu', organizationName: 'Bürohaus', name: 'Zoë' });
    const email = newAddress();
    const made = await post(admin.accessToken, ` ${email.toUpperCase()}`, 'manager');
    expect(made).toMatchObject({
      status: 201,
      body: { email, role: 'manager', status: 'pending', invitedBy: admin.user.id },
    });
    const mail = await auth.mailTo(email);
    expect(mail.link).toMatch(/^http:\/\/127\.0\.0\.1:8080\/accept-invitation\?token=[\w-]{22}$/);
    expect(mail.text).toContain('Zoë\nof\nBürohaus\n');
    // As `grep token=` prints it, whatever letters stand around it.
    expect(mail.raw.split('\r\n')).toContain(mail.link);
    expect(await list(admin.accessToken)).toMatchObject([{ id: made.body.id, status: 'pending' }]);

    const { status, body } = await accept(mail.token);
    expect(status).toBe(201);
    expect(body).toMatchObject({
      user: { email, name: 'Grace', role: 'manager', status: 'active', timezone: 'Asia/Kathmandu' },
      organization: { id: admin.organization.id },
      expiresIn: 900,
      refreshToken: expect.any(String),
    });
    expect((await auth.call('GET', '/api/v1/auth/me', { token: body.accessToken })).body.user.id).toBe(body.user.id);
    const login = await auth.call('POST', '/api/v1/auth/login', { body: { email, password: 'a long phrase' } });
    expect(login.status).toBe(200);
    expect(await list(admin.accessToken)).toEqual([]);
    expect((await accept(mail.token)).body.code).toBe('INVALID_TOKEN');

    const events = await auditedActions(auth, admin.organization.id, 'invitation.created', 'user.created');
    expect(events.find(({ action }) => action === 'invitation.created')).toMatchObject({
      actorId: admin.user.id,
      entityId: made.body.id,
      after: { email, role: 'manager' },
    });
    expect(events.find(({ action, entityId }) => action === 'user.created' && entityId === body.user.id)).toMatchObject(
      {
        actorId: body.user.id,
        after: { email, role: 'manager', invitationId: made.body.id },
      },
    );
    expect(JSON.stringify(events)).not.toContain(mail.token);
  });

  test('the refresh token comes in a cookie unless asked for, and the timezone may be chosen', async () => {
    const admin = await signUp(auth);
    const email = newAddress();
    await post(admin.accessToken, email);
    const { token } = await auth.mailTo(email);
    const answer = await accept(token, { refreshTokenIn: undefined, timezone: 'Asia/Tokyo' });
    expect(answer).toMatchObject({ status: 201, body: { user: { timezone: 'Asia/Tokyo' } } });
    expect(answer.body).not.toHaveProperty('refreshToken');
    expect(answer.headers.get('set-cookie')).toContain('worktide_refresh=');
  });

  test('who may invite whom', async () => {
    const admin = await signUp(auth);
    const manager = await addColleague(auth, database, admin.organization.id, 'manager');
    const employee = await addColleague(auth, database, admin.organization.id, 'employee');
    expect((await post(manager.token, newAddress(), 'manager')).status).toBe(201);
    expect((await post(manager.token, newAddress(), 'employee')).status).toBe(201);
    expect((await post(manager.token, newAddress(), 'admin')).status).toBe(403);
    expect((await post(employee.token, newAddress(), 'employee')).status).toBe(403);
    expect((await auth.call('GET', path, { token: employee.token })).status).toBe(403);
    const made = await post(admin.accessToken, newAddress(), 'admin');
    expect(made.status).toBe(201);
    // What a manager may not give, a manager may not take.
    expect((await post(manager.token, made.body.email, 'employee')).status).toBe(403);
    expect((await auth.call('DELETE', `${path}/${made.body.id}`, { token: manager.token })).status).toBe(403);
    expect((await auth.call('DELETE', `${path}/${made.body.id}`, { token: employee.token })).status).toBe(403);
    expect((await auth.call('DELETE', `${path}/${made.body.id}`)).status).toBe(401);
    expect(await auth.mailsTo('nobody')).toEqual([]);
  });

  test('again for the same address renews: same id, new mail and role, the old link dead', async () => {
    const admin = await signUp(auth);
    const email = newAddress();
    const first = await post(admin.accessToken, email, 'admin');
    const old = await auth.mailTo(email);
    await database.admin.query("UPDATE auth.invitations SET expires_at = now() - interval '1 day' WHERE email = $1", [
      email,
    ]);
    expect(await list(admin.accessToken)).toMatchObject([{ status: 'expired' }]);
    const second = await post(admin.accessToken, email, 'employee');
    expect(second).toMatchObject({ status: 201, body: { id: first.body.id, role: 'employee', status: 'pending' } });
    const mail = await auth.mailTo(email, 2);
    expect((await accept(old.token)).body.code).toBe('INVALID_TOKEN');
    expect((await accept(mail.token)).body.user.role).toBe('employee');
    const events = await auditedActions(auth, admin.organization.id, 'invitation.renewed');
    expect(events.find(({ action }) => action === 'invitation.renewed')).toMatchObject({ before: { role: 'admin' } });
  });

  test('twenty times at once is one invitation', async () => {
    const admin = await signUp(auth);
    const email = newAddress();
    const answers = await Promise.all(Array.from({ length: 20 }, () => post(admin.accessToken, email)));
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([201]));
    expect(new Set(answers.map(({ body }) => body.id)).size).toBe(1);
    expect(await list(admin.accessToken)).toHaveLength(1);
  });

  test('an address with an account elsewhere is like an unknown one, by the same statements; a colleague is a conflict', async () => {
    const [admin, stranger] = [await signUp(auth), await signUp(auth)];
    const unknown = newAddress();
    const answers = [await post(admin.accessToken, unknown), await post(admin.accessToken, stranger.user.email)];
    const shapes = answers.map(({ status, body }) => ({
      status,
      body: { ...body, id: 0, email: 0, createdAt: 0, expiresAt: 0 },
    }));
    expect(shapes[0]).toEqual(shapes[1]);

    const pool = createPool(database.url, { applicationName: 'count', log: silentLogger() });
    const statementsOf = async (email: string): Promise<string[]> => {
      const statements: string[] = [];
      const act: Act = (whose, work) =>
        tenantTransaction(pool, whose as string, (client) => {
          const query = (text: string, values: unknown[]) => {
            statements.push(text);
            return client.query(text, values);
          };
          return work({ client: { query } as never, audit() {}, publish() {}, revoke() {} });
        });
      const context = { act, requireSeat: async () => {}, mailer: { wake() {} } } as unknown as AuthContext;
      const caller = { organizationId: admin.organization.id, userId: admin.user.id, role: 'admin', timezone: 'UTC' };
      await invite(context, caller as never, { email, role: 'employee' }, {} as never);
      return statements;
    };
    const other = await signUp(auth);
    expect(await statementsOf(other.user.email)).toEqual(await statementsOf(newAddress()));
    await pool.end();

    // Who holds the mail learns it, and nobody else.
    const { token } = await auth.mailTo(stranger.user.email);
    expect(await accept(token)).toMatchObject({ status: 409, body: { code: 'EMAIL_TAKEN' } });
    const colleague = await addColleague(auth, database, admin.organization.id, 'employee');
    expect(await post(admin.accessToken, colleague.email)).toMatchObject({
      status: 409,
      body: { code: 'ALREADY_MEMBER' },
    });
  });

  test('at most so many pending ones; renewing one of them still works', async () => {
    const admin = await signUp(auth);
    await database.admin.query(
      `INSERT INTO auth.invitations (organization_id, id, email, role, invited_by, expires_at)
       SELECT $1, gen_random_uuid(), 'many-' || n || '@example.com', 'employee', $2, now() + interval '1 day'
       FROM generate_series(1, $3::int) n`,
      [admin.organization.id, admin.user.id, maxPendingInvitations],
    );
    expect(await post(admin.accessToken, newAddress())).toMatchObject({
      status: 409,
      body: { code: 'TOO_MANY_INVITATIONS' },
    });
    expect((await post(admin.accessToken, 'many-1@example.com')).status).toBe(201);
  });

  test.each([
    ['an address that is none', { email: 'x', role: 'employee' }, 'body.email'],
    ['a role that is none', { email: 'a@example.com', role: 'owner' }, 'body.role'],
  ])('%s is 400', async (_name, body, field) => {
    const { accessToken: token } = await signUp(auth);
    expect(await auth.call('POST', path, { token, body })).toMatchObject({
      status: 400,
      body: { code: 'VALIDATION_FAILED', details: [{ path: field }] },
    });
  });

  test('is limited for each user', async () => {
    const limited = await startAuth(database.url, { INVITE_LIMIT_PER_MINUTE: '1' });
    const { accessToken: token } = await signUp(limited);
    const send = () => limited.call('POST', path, { token, body: { email: newAddress(), role: 'employee' } });
    expect((await send()).status).toBe(201);
    expect((await send()).status).toBe(429);
    await limited.close();
  });
});

describe('GET and DELETE /invitations', () => {
  test('lists in pages, and what was revoked is gone, its link dead', async () => {
    const admin = await signUp(auth);
    const addresses = [newAddress(), newAddress(), newAddress()];
    for (const email of addresses) await post(admin.accessToken, email);
    const first = await auth.call('GET', `${path}?limit=2`, { token: admin.accessToken });
    expect(first.body.items).toHaveLength(2);
    const rest = await auth.call('GET', `${path}?cursor=${first.body.nextCursor}`, { token: admin.accessToken });
    expect(rest.body).toMatchObject({ items: [{ email: addresses[0] }], nextCursor: null });
    const { token } = await auth.mailTo(addresses[0]!);
    const { id } = rest.body.items[0];
    const revoke = () => auth.call('DELETE', `${path}/${id}`, { token: admin.accessToken });
    expect((await revoke()).status).toBe(204);
    expect((await revoke()).status).toBe(404);
    expect((await accept(token)).body.code).toBe('INVALID_TOKEN');
    expect(await list(admin.accessToken)).toHaveLength(2);
    await auditedActions(auth, admin.organization.id, 'invitation.revoked');
    // Invited anew it is another invitation.
    expect((await post(admin.accessToken, addresses[0]!)).body.id).not.toBe(id);
  });

  test("another organisation's are not there", async () => {
    const [admin, stranger] = [await signUp(auth), await signUp(auth)];
    const { body } = await post(admin.accessToken, newAddress());
    expect(await list(stranger.accessToken)).toEqual([]);
    expect((await auth.call('DELETE', `${path}/${body.id}`, { token: stranger.accessToken })).status).toBe(404);
    expect(await list(admin.accessToken)).toHaveLength(1);
  });

  test('the database itself shows a tenant its own rows alone, and hashes of tokens to no tenant', async () => {
    const [admin, stranger] = [await signUp(auth), await signUp(auth)];
    const email = newAddress();
    await post(admin.accessToken, email);
    await auth.mailTo(email);
    const pool = createPool(database.url, { applicationName: 'tenant', log: silentLogger() });
    const counts = (organizationId: string) =>
      tenantTransaction(pool, organizationId, async (client) => {
        const { rows } = await client.query(
          `SELECT (SELECT count(*) FROM auth.invitations) AS invitations,
                  (SELECT count(subject_id) FROM auth.mail_tokens) AS tokens`,
        );
        return rows[0];
      });
    expect(await counts(admin.organization.id)).toEqual({ invitations: 1, tokens: 1 });
    expect(await counts(stranger.organization.id)).toEqual({ invitations: 0, tokens: 0 });
    for (const sql of ['SELECT token_hash FROM auth.mail_tokens', 'SELECT email FROM auth.password_requests']) {
      const read = tenantTransaction(pool, admin.organization.id, (client) => client.query(sql));
      await expect(read).rejects.toMatchObject({ cause: { code: '42501' } });
    }
    await pool.end();
  });

  test('old ones are pruned, open ones stay', async () => {
    const admin = await signUp(auth);
    const [old, open] = [newAddress(), newAddress()];
    for (const email of [old, open]) await post(admin.accessToken, email);
    await database.admin.query("UPDATE auth.invitations SET expires_at = now() - interval '31 days' WHERE email = $1", [
      old,
    ]);
    await pruneInvitations(database.admin);
    expect(await list(admin.accessToken)).toMatchObject([{ email: open }]);
  });
});

describe('POST /invitations/accept', () => {
  async function invited(admin: { accessToken: string }, role = 'employee') {
    const email = newAddress();
    const { body } = await post(admin.accessToken, email, role);
    return { id: body.id as string, email, token: (await auth.mailTo(email)).token };
  }

  test('of twenty at once by one token one gets in', async () => {
    const { token, email } = await invited(await signUp(auth));
    const answers = await Promise.all(Array.from({ length: 20 }, () => accept(token)));
    expect(answers.map(({ status }) => status).sort()).toEqual([201, ...Array(19).fill(400)]);
    const { rows } = await database.admin.query('SELECT count(*) AS n FROM auth.users WHERE email = $1', [email]);
    expect(rows[0].n).toBe(1);
  });

  test('an address registered meanwhile is 409, and the invitation stays as it is', async () => {
    const admin = await signUp(auth);
    const { token, email } = await invited(admin);
    await signUp(auth, { email });
    expect(await accept(token)).toMatchObject({ status: 409, body: { code: 'EMAIL_TAKEN' } });
    expect(await list(admin.accessToken)).toHaveLength(1);
    expect((await accept(token)).body.code).toBe('EMAIL_TAKEN');
  });

  test('unknown, expired and password tokens are refused alike', async () => {
    const admin = await signUp(auth);
    const { token, id } = await invited(admin);
    const unknown = bare(await accept('AAAAAAAAAAAAAAAAAAAAAA'));
    expect(unknown).toMatchObject({ status: 400, body: { code: 'INVALID_TOKEN' } });
    await auth.call('POST', '/api/v1/auth/password/forgot', { body: { email: admin.user.email } });
    const reset = (await auth.mailTo(admin.user.email)).token;
    expect(bare(await accept(reset))).toEqual(unknown);
    const asReset = await auth.call('POST', '/api/v1/auth/password/reset', {
      body: { token, password: 'a long phrase' },
    });
    expect(asReset.body.code).toBe('INVALID_TOKEN');
    await database.admin.query(
      "UPDATE auth.mail_tokens SET expires_at = now() - interval '1 second' WHERE subject_id = $1",
      [id],
    );
    expect(bare(await accept(token))).toEqual(unknown);
  });

  test('the link works for seven days from its sending, and the list says so', async () => {
    const admin = await signUp(auth);
    const { id } = await invited(admin);
    const { rows } = await database.admin.query(
      `SELECT t.expires_at = i.expires_at AS same, extract(epoch FROM t.expires_at - now())::float8 AS left
       FROM auth.mail_tokens t JOIN auth.invitations i ON i.id = t.subject_id WHERE i.id = $1`,
      [id],
    );
    expect(rows[0].same).toBe(true);
    expect(rows[0].left).toBeGreaterThan(7 * 86_400 - 100);
  });

  test('an invitation outlives the suspension of its sender, until somebody revokes it', async () => {
    const admin = await signUp(auth);
    const manager = await addColleague(auth, database, admin.organization.id, 'manager');
    const { token } = await invited({ accessToken: manager.token });
    await database.admin.query("UPDATE auth.users SET status = 'suspended' WHERE id = $1", [manager.id]);
    expect((await accept(token)).status).toBe(201);
  });

  test('no more get in than the plan has seats, also at once, and who waits gets one that is freed', async () => {
    const small = await startAuth(database.url, { PLAN_SEATS: '{"trial": 3}', SMTP_URL: '' });
    const admin = await signUp(auth);
    const people = await Promise.all(Array.from({ length: 6 }, () => invited(admin)));
    const acceptSmall = (token: unknown) =>
      small.call('POST', `${path}/accept`, { body: { token, name: 'Grace', password: 'a long phrase' } });
    const answers = await Promise.all(people.map(({ token }) => acceptSmall(token)));
    expect(answers.map(({ status }) => status).sort()).toEqual([201, 201, 409, 409, 409, 409]);
    const waiting = answers.findIndex(({ status }) => status === 409);
    expect(answers[waiting]!.body.code).toBe('SEAT_LIMIT');
    const send = await small.call('POST', path, {
      token: admin.accessToken,
      body: { email: newAddress(), role: 'employee' },
    });
    expect(send).toMatchObject({ status: 409, body: { code: 'SEAT_LIMIT' } });
    const inside = answers.find(({ status }) => status === 201)!.body.user.id;
    await database.admin.query("UPDATE auth.users SET status = 'inactive' WHERE id = $1", [inside]);
    expect((await acceptSmall(people[waiting]!.token)).status).toBe(201);
    await small.close();
  });

  test('is limited by address, and 503 without the database', async () => {
    const limited = await startAuth(database.url, { MAIL_LIMIT_PER_MINUTE: '1' });
    const body = { token: 'x', name: 'Grace', password: 'a long phrase' };
    expect((await limited.call('POST', `${path}/accept`, { body })).status).toBe(400);
    expect((await limited.call('POST', `${path}/accept`, { body })).status).toBe(429);
    await limited.close();
    const away = await startAuth('postgres://nobody:nothing@127.0.0.1:9/none');
    expect((await away.call('POST', `${path}/accept`, { body })).status).toBe(503);
    await away.close();
  });
});
