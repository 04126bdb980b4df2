import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createPool } from '@worktide/postgres';
import { silentLogger } from '@worktide/runtime';
import { type Answer, until } from '@worktide/testing';
import {
  auditedActions,
  authDatabase,
  feedOf,
  newPerson,
  type Running,
  signUp,
  startAuth,
  type TestDatabase,
} from '../testing.ts';
import { requestReset } from './forgot.ts';

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

const post = (path: string, body: unknown, token?: string): Promise<Answer> =>
  auth.call('POST', `/api/v1/auth/${path}`, { body, token });
const forgot = (email: string) => post('password/forgot', { email });
const reset = (token: unknown, password = 'another long phrase') => post('password/reset', { token, password });
const statusOfMe = async (token: string) => (await auth.call('GET', '/api/v1/auth/me', { token })).status;

async function person() {
  const body = newPerson({ refreshTokenIn: 'body' });
  const signedIn = await signUp(auth, body);
  const login = async () => (await post('login', { ...body, refreshTokenIn: 'body' })).body;
  return { ...signedIn, email: body.email, password: body.password as string, login };
}

describe('POST /auth/password/change', () => {
  test('changes the password, ends all other sessions, keeps this one and agent keys, and a mail without link tells', async () => {
    const ada = await person();
    const other = await ada.login();
    const key = (await auth.call('POST', '/api/v1/auth/agent-keys', { token: ada.accessToken, body: { name: 'pc' } }))
      .body.key;
    const body = { currentPassword: ada.password, newPassword: 'a new long phrase' };
    expect((await post('password/change', body, ada.accessToken)).status).toBe(204);

    expect(await statusOfMe(ada.accessToken)).toBe(200);
    expect(await statusOfMe(other.accessToken)).toBe(401);
    expect(await statusOfMe(key)).toBe(200);
    expect((await post('refresh', { refreshToken: other.refreshToken })).status).toBe(401);
    expect((await post('refresh', { refreshToken: ada.refreshToken })).status).toBe(200);
    expect((await post('login', { email: ada.email, password: ada.password })).status).toBe(401);
    expect((await post('login', { email: ada.email, password: 'a new long phrase' })).status).toBe(200);
    const { rows } = await database.admin.query(
      "SELECT end_reason FROM auth.sessions WHERE user_id = $1 AND end_reason = 'password'",
      [ada.user.id],
    );
    expect(rows).toHaveLength(1);
    const ended = (await feedOf(auth, ada.organization.id)).filter(({ kind }) => kind === 'session');
    expect(ended).toHaveLength(1);
    const events = await auditedActions(auth, ada.organization.id, 'user.password-changed');
    expect(events.filter(({ action }) => action === 'user.password-changed')).toMatchObject([
      { actorType: 'user', actorId: ada.user.id, entityType: 'user', entityId: ada.user.id },
    ]);

    const mail = await auth.mailTo(ada.email);
    expect(mail.headers.subject).toBe('Your password was changed');
    expect(mail.raw).not.toMatch(/token=/);
    expect(mail.link).toBeUndefined();
  });

  test('a wrong current password is 400 WRONG_PASSWORD, and nothing changes', async () => {
    const ada = await person();
    const other = await ada.login();
    const answer = await post(
      'password/change',
      { currentPassword: 'wrong', newPassword: 'a new long phrase' },
      ada.accessToken,
    );
    expect(answer).toMatchObject({ status: 400, body: { code: 'WRONG_PASSWORD' } });
    expect(await statusOfMe(other.accessToken)).toBe(200);
    expect((await post('login', { email: ada.email, password: ada.password })).status).toBe(200);
  });

  test('of two changes at once one wins, and its password is the one that works', async () => {
    const ada = await person();
    const wishes = ['the first long phrase', 'the second long phrase'];
    const answers = await Promise.all(
      wishes.map((newPassword) =>
        post('password/change', { currentPassword: ada.password, newPassword }, ada.accessToken),
      ),
    );
    expect(answers.map(({ status }) => status).sort()).toEqual([204, 400]);
    const won = wishes[answers.findIndex(({ status }) => status === 204)]!;
    expect((await post('login', { email: ada.email, password: won })).status).toBe(200);
  });

  test('is for log-ins alone, and needs a password that would be taken at registration', async () => {
    const ada = await person();
    const key = (await auth.call('POST', '/api/v1/auth/agent-keys', { token: ada.accessToken, body: { name: 'pc' } }))
      .body.key;
    const body = { currentPassword: ada.password, newPassword: 'a new long phrase' };
    expect((await post('password/change', body, key)).status).toBe(403);
    expect((await post('password/change', body)).status).toBe(401);
    expect(await post('password/change', { ...body, newPassword: 'short' }, ada.accessToken)).toMatchObject({
      status: 400,
      body: { code: 'VALIDATION_FAILED', details: [{ path: 'body.newPassword' }] },
    });
  });

  test('kills links that were sent before', async () => {
    const ada = await person();
    await forgot(ada.email);
    const { token } = await auth.mailTo(ada.email);
    const body = { currentPassword: ada.password, newPassword: 'a new long phrase' };
    expect((await post('password/change', body, ada.accessToken)).status).toBe(204);
    expect((await reset(token)).body.code).toBe('INVALID_TOKEN');
  });
});

describe('POST /auth/password/forgot and /reset', () => {
  test('the link of the mail sets a password once, and ends every session', async () => {
    const ada = await person();
    const other = await ada.login();
    expect((await forgot(` ${ada.email.toUpperCase()} `)).status).toBe(204);
    const mail = await auth.mailTo(ada.email);
    expect(mail.link).toMatch(/^http:\/\/127\.0\.0\.1:8080\/reset-password\?token=[\w-]{22}$/);
    expect(mail.raw).toContain(`\r\n${mail.link}\r\n`);

    expect((await reset(mail.token)).status).toBe(204);
    expect(await statusOfMe(ada.accessToken)).toBe(401);
    expect(await statusOfMe(other.accessToken)).toBe(401);
    expect((await post('login', { email: ada.email, password: ada.password })).status).toBe(401);
    expect((await post('login', { email: ada.email, password: 'another long phrase' })).status).toBe(200);
    const told = await auth.mailTo(ada.email, 2);
    expect(told.headers.subject).toBe('Your password was changed');
    expect(told.raw).not.toMatch(/token=/);
    expect(await reset(mail.token)).toMatchObject({ status: 400, body: { code: 'INVALID_TOKEN' } });

    const actions = ['user.password-reset-requested', 'user.password-reset'];
    const events = await auditedActions(auth, ada.organization.id, ...actions);
    const of = (name: string) => events.filter(({ action }) => action === name);
    expect(of(actions[0]!)).toMatchObject([
      { actorId: null, entityId: ada.user.id, ipAddress: expect.any(String), requestId: expect.any(String) },
    ]);
    expect(of(actions[1]!)).toMatchObject([{ actorType: 'user', actorId: ada.user.id, entityId: ada.user.id }]);
    expect(JSON.stringify(events)).not.toContain(mail.token);
  });

  test('the database never has a token, only its hash', async () => {
    const ada = await person();
    await forgot(ada.email);
    const { token } = await auth.mailTo(ada.email);
    const { rows } = await database.admin.query(
      'SELECT t::text FROM auth.mail_tokens t UNION ALL SELECT m::text FROM auth.mails m',
    );
    expect(JSON.stringify(rows)).not.toContain(token);
    expect(JSON.stringify(rows)).not.toContain(Buffer.from(token!).toString('hex'));
  });

  test('of twenty resets at once by one token one wins', async () => {
    const ada = await person();
    await forgot(ada.email);
    const { token } = await auth.mailTo(ada.email);
    const answers = await Promise.all(Array.from({ length: 20 }, (_, i) => reset(token, `phrase number ${i}`)));
    const won = answers.findIndex(({ status }) => status === 204);
    expect(answers.map(({ status }) => status).sort()).toEqual([204, ...Array(19).fill(400)]);
    expect((await post('login', { email: ada.email, password: `phrase number ${won}` })).status).toBe(200);
  });

  test('with one link used all others of that user are dead, those of other people are not', async () => {
    const [ada, bob] = [await person(), await person()];
    await forgot(ada.email);
    const first = await auth.mailTo(ada.email);
    await forgot(ada.email);
    const second = await auth.mailTo(ada.email, 2);
    await forgot(bob.email);
    const bobs = await auth.mailTo(bob.email);
    expect(first.token).not.toBe(second.token);
    expect((await reset(second.token)).status).toBe(204);
    expect((await reset(first.token)).body.code).toBe('INVALID_TOKEN');
    expect((await reset(bobs.token)).status).toBe(204);
  });

  test('two links of one user used at once: one wins', async () => {
    const ada = await person();
    await forgot(ada.email);
    await auth.mailTo(ada.email);
    await forgot(ada.email);
    await auth.mailTo(ada.email, 2);
    const tokens = (await auth.mailsTo(ada.email)).map(({ token }) => token);
    const answers = await Promise.all([...tokens, ...tokens].map((token) => reset(token)));
    expect(answers.map(({ status }) => status).sort()).toEqual([204, 400, 400, 400]);
  });

  test('unknown, expired, used and other tokens are refused alike', async () => {
    const ada = await person();
    await forgot(ada.email);
    const { token } = await auth.mailTo(ada.email);
    await database.admin.query("UPDATE auth.mail_tokens SET expires_at = now() - interval '1 second'");
    const bare = ({ status, body }: Answer) => ({ status, body: { ...body, timestamp: 0, requestId: 0 } });
    const unknown = bare(await reset('AAAAAAAAAAAAAAAAAAAAAA'));
    expect(unknown).toMatchObject({ status: 400, body: { code: 'INVALID_TOKEN' } });
    expect(bare(await reset(token))).toEqual(unknown);
    expect(bare(await reset("' OR 1=1 --"))).toEqual(unknown);
    for (const text of ['', '\u0000']) expect((await reset(text)).body.code).toBe('VALIDATION_FAILED');
  });

  test('the link works for an hour', async () => {
    const ada = await person();
    await forgot(ada.email);
    await auth.mailTo(ada.email);
    const { rows } = await database.admin.query(
      'SELECT extract(epoch FROM expires_at - now())::float8 AS left FROM auth.mail_tokens WHERE subject_id = $1',
      [ada.user.id],
    );
    expect(rows[0].left).toBeGreaterThan(3_500);
    expect(rows[0].left).toBeLessThanOrEqual(3_600);
  });

  test('known, unknown and suspended addresses are answered alike, by the same one statement', async () => {
    const [ada, bob] = [await person(), await person()];
    await database.admin.query("UPDATE auth.users SET status = 'suspended' WHERE id = $1", [bob.user.id]);
    const answers = await Promise.all([ada.email, bob.email, 'nobody@example.com'].map(forgot));
    const bare = answers.map(({ status, headers, body }) => {
      const names = [...headers.keys()].filter((name) => !/^(date|x-request-id|ratelimit.*)$/.test(name));
      return JSON.stringify({ status, body, headers: names.map((name) => [name, headers.get(name)]) });
    });
    expect(new Set(bare).size).toBe(1);
    expect(answers[0]!.status).toBe(204);

    const pool = createPool(database.url, { applicationName: 'count', log: silentLogger() });
    const statements: string[] = [];
    const counting = {
      query: (text: string, values: unknown[]) => {
        statements.push(text);
        return pool.query(text, values);
      },
    };
    const source = { ipAddress: null, userAgent: null, requestId: null };
    for (const email of [ada.email, 'nobody@example.com']) await requestReset(counting as never, email, source);
    await pool.end();
    expect(statements).toHaveLength(2);
    expect(statements[0]).toBe(statements[1]);

    await auth.mailTo(ada.email);
    await until('requests are taken', async () => {
      const { rows } = await database.admin.query('SELECT count(*) AS n FROM auth.password_requests');
      return rows[0].n === 0;
    });
    await until('mails are sent', async () => {
      const { rows } = await database.admin.query('SELECT count(*) AS n FROM auth.mails');
      return rows[0].n === 0;
    });
    expect(await auth.mailsTo(bob.email)).toEqual([]);
    expect(await auth.mailsTo('nobody@example.com')).toEqual([]);
  });

  test('a user suspended after the mail resets nothing', async () => {
    const ada = await person();
    await forgot(ada.email);
    const { token } = await auth.mailTo(ada.email);
    await database.admin.query("UPDATE auth.users SET status = 'suspended' WHERE id = $1", [ada.user.id]);
    expect((await reset(token)).body.code).toBe('INVALID_TOKEN');
  });

  test('is limited by address and by account', async () => {
    const limited = await startAuth(database.url, { MAIL_LIMIT_PER_MINUTE: '2', TRUSTED_PROXIES: '1' });
    const ask = (email: string, ip: string) =>
      limited.call('POST', '/api/v1/auth/password/forgot', { body: { email }, headers: { 'x-forwarded-for': ip } });
    const statuses = async (calls: [string, string][]) => {
      const found = [];
      for (const [email, ip] of calls) found.push((await ask(email, ip)).status);
      return found;
    };
    expect(
      await statuses([
        ['a@x.test', '192.0.2.1'],
        ['b@x.test', '192.0.2.1'],
        ['c@x.test', '192.0.2.1'],
      ]),
    ).toEqual([204, 204, 429]);
    expect(
      await statuses([
        ['d@x.test', '192.0.2.2'],
        ['d@x.test', '192.0.2.3'],
        ['D@x.test', '192.0.2.4'],
      ]),
    ).toEqual([204, 204, 429]);
    await limited.close();
  });
});

describe('without the database', () => {
  test('all of it is 503', async () => {
    const away = await startAuth('postgres://nobody:nothing@127.0.0.1:9/none');
    const call = (path: string, body: unknown) => away.call('POST', `/api/v1/auth/password/${path}`, { body });
    expect((await call('forgot', { email: 'a@example.com' })).status).toBe(503);
    expect((await call('reset', { token: 'x', password: 'long enough' })).status).toBe(503);
    await away.close();
  });
});
