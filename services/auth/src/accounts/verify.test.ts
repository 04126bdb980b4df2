import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type Answer, until } from '@worktide/testing';
import { configSchema, verifiesAddresses } from '../config.ts';
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

let database: TestDatabase;
let auth: Running;

beforeAll(async () => {
  database = await authDatabase();
  auth = await startAuth(database.url, { VERIFY_ADDRESSES: 'true' });
});
afterAll(async () => {
  await auth.close();
  await database.drop();
});

const post = (path: string, body?: unknown, token?: string): Promise<Answer> =>
  auth.call('POST', `/api/v1/${path}`, { body, token });
const me = (token: string): Promise<Answer> => auth.call('GET', '/api/v1/auth/me', { token });
const verify = (token: unknown): Promise<Answer> => post('auth/verify', { token });
const login = (email: string, password: string): Promise<Answer> => post('auth/login', { email, password });
const tokenOf = async (email: string, count = 1): Promise<string> => (await auth.mailTo(email, count)).token!;

/** Registered and proven, as an employer who invites people. */
async function employer() {
  const admin = await signUp(auth);
  expect((await verify(await tokenOf(admin.user.email))).status).toBe(204);
  return admin;
}

describe('an address that is not proven', () => {
  test('reads, but makes and sends nothing: 403 ADDRESS_NOT_VERIFIED; with the link the same token does', async () => {
    const ada = await signUp(auth);
    expect(ada.user.verified).toBe(false);
    expect((await me(ada.accessToken)).body.user.verified).toBe(false);
    const attempts: [string, string, unknown][] = [
      ['POST', 'auth/agent-keys', { name: 'laptop' }],
      ['POST', 'invitations', { email: 'friend@example.com', role: 'employee' }],
      ['PATCH', 'organization', { name: 'Other' }],
      ['POST', 'organization/deletion', { password: 'correct horse battery' }],
    ];
    const tried = async (): Promise<unknown[]> => {
      const answers: unknown[] = [];
      for (const [method, path, body] of attempts) {
        const { status, body: answer } = await auth.call(method, `/api/v1/${path}`, { token: ada.accessToken, body });
        answers.push([path, status, answer.code]);
      }
      return answers;
    };
    expect(await tried()).toEqual(attempts.map(([, path]) => [path, 403, 'ADDRESS_NOT_VERIFIED']));
    const { rows } = await database.admin.query('SELECT 1 FROM auth.agent_keys WHERE organization_id = $1', [
      ada.organization.id,
    ]);
    expect(rows).toEqual([]);
    // What is of the own account alone goes on.
    const name = { name: 'Ada', timezone: 'Asia/Tokyo' };
    expect((await auth.call('PATCH', '/api/v1/auth/me', { token: ada.accessToken, body: name })).status).toBe(200);
    expect((await feedOf(auth, ada.organization.id)).at(-1)).toMatchObject({ kind: 'user', unverified: true });

    const mail = await auth.mailTo(ada.user.email);
    expect(mail.headers.subject).toBe('Is this your address?');
    expect(mail.link).toMatch(/\/verify-address\?token=/);
    expect((await verify(mail.token)).status).toBe(204);
    expect((await tried()).map((answer) => (answer as unknown[])[1])).toEqual([201, 201, 200, 200]);
    expect((await me(ada.accessToken)).body.user.verified).toBe(true);
    // Other services learn that tokens from before are good for everything.
    const last = (await feedOf(auth, ada.organization.id)).filter(({ kind }) => kind === 'user').at(-1);
    expect(last).toMatchObject({ status: 'active' });
    expect(last).not.toHaveProperty('unverified');
    await auditedActions(auth, ada.organization.id, 'user.address-verified');
    const again = await verify(mail.token);
    expect([again.status, again.body.code]).toEqual([400, 'INVALID_TOKEN']);
  });

  test('is not taken: the invitation of its owner wins, and who only said that it was theirs is out', async () => {
    const boss = await employer();
    const email = newPerson().email;
    const attacker = await signUp(auth, { email });
    expect((await post('invitations', { email, role: 'employee' }, boss.accessToken)).status).toBe(201);
    // The attacker's own link comes to the same mailbox.
    const mails = await until('both mails', async () => {
      const all = await auth.mailsTo(email);
      return all.length >= 2 && all;
    });
    const invitation = mails.find(({ link }) => link?.includes('accept-invitation'))!;
    const answer = await post('invitations/accept', { token: invitation.token, name: 'Eve', password: 'long enough' });
    expect([answer.status, answer.body.user?.organizationId, answer.body.user?.verified]).toEqual([
      201,
      boss.organization.id,
      true,
    ]);
    expect((await me(attacker.accessToken)).status).toBe(401);
    expect((await post('auth/refresh', { refreshToken: attacker.refreshToken })).status).toBe(401);
    expect((await login(email, 'correct horse battery')).status).toBe(401);
    expect((await login(email, 'long enough')).status).toBe(200);
    const theirs = mails.find(({ link }) => link?.includes('verify-address'))!;
    expect((await verify(theirs.token)).body.code).toBe('INVALID_TOKEN');
    expect(await feedOf(auth, attacker.organization.id)).toContainEqual(expect.objectContaining({ kind: 'session' }));
    await auditedActions(auth, attacker.organization.id, 'organization.deleted');
    const { rows } = await database.admin.query('SELECT organization_id FROM auth.users WHERE email = $1', [email]);
    expect(rows).toEqual([{ organization_id: boss.organization.id }]);
  });

  test('may be registered again by its owner: whose link is followed has it, and only then it is 409 EMAIL_TAKEN', async () => {
    const email = newPerson().email;
    const first = await signUp(auth, { email });
    const token = await tokenOf(email);
    const second = await signUp(auth, { email, password: 'of the second one' });
    await auth.mailTo(email, 2);
    expect(second.user.id).not.toBe(first.user.id);
    // The first is not hindered by it, before nor after.
    expect((await me(first.accessToken)).status).toBe(200);
    expect((await verify(token)).status).toBe(204);
    expect((await me(first.accessToken)).body.user.verified).toBe(true);
    expect((await me(second.accessToken)).status).toBe(401);
    expect((await login(email, 'of the second one')).status).toBe(401);
    expect((await login(email, 'correct horse battery')).status).toBe(200);
    const taken = await post('auth/register', newPerson({ email }));
    expect([taken.status, taken.body.code]).toEqual([409, 'EMAIL_TAKEN']);
  });

  test('is proven by a reset of the password, which ends what was made before', async () => {
    const email = newPerson().email;
    const attacker = await signUp(auth, { email });
    await auth.mailTo(email);
    expect((await post('auth/password/forgot', { email })).status).toBe(204);
    const token = await tokenOf(email, 2);
    const password = 'chosen by the owner';
    expect((await post('auth/password/reset', { token, password })).status).toBe(204);
    expect((await me(attacker.accessToken)).status).toBe(401);
    const owner = await login(email, password);
    expect([owner.status, owner.body.user.verified]).toEqual([200, true]);
    expect((await post('auth/agent-keys', { name: 'mine' }, owner.body.accessToken)).status).toBe(201);
    const events = await auditedActions(auth, attacker.organization.id, 'user.password-reset');
    expect(events.find(({ action }) => action === 'user.password-reset')!.after).toEqual({
      provesAddress: true,
      revokedAgents: 0,
    });
  });

  test('of many at once that follow their links, one has it', async () => {
    const email = newPerson().email;
    for (let i = 0; i < 4; i++) await signUp(auth, { email });
    await auth.mailTo(email, 4);
    const answers = await Promise.all((await auth.mailsTo(email)).map(({ token }) => verify(token)));
    expect(answers.map(({ status }) => status).sort()).toEqual([204, 400, 400, 400]);
    const { rows } = await database.admin.query(
      'SELECT verified_at IS NOT NULL AS v FROM auth.users WHERE email = $1',
      [email],
    );
    expect(rows).toEqual([{ v: true }]);
  });

  test('is gone after a day, with all that it held; one that is proven stays', async () => {
    const late = await signUp(auth);
    const proven = await employer();
    const fresh = await signUp(auth);
    await database.admin.query(
      `UPDATE auth.users SET created_at = created_at - interval '25 hours' WHERE id = ANY($1)`,
      [[late.user.id, proven.user.id]],
    );
    // Every process looks when it starts.
    const other = await startAuth(database.url, { VERIFY_ADDRESSES: 'true' });
    try {
      await until('it is gone', async () => (await me(late.accessToken)).status === 401);
      expect(await feedOf(auth, late.organization.id)).toContainEqual(expect.objectContaining({ kind: 'session' }));
      const { rows } = await database.admin.query('SELECT id FROM auth.organizations WHERE id = ANY($1)', [
        [late, proven, fresh].map(({ organization }) => organization.id),
      ]);
      expect(rows.map(({ id }) => id).sort()).toEqual([proven.organization.id, fresh.organization.id].sort());
      await auditedActions(other, late.organization.id, 'organization.deleted');
    } finally {
      await other.close();
    }
  });

  test('another mail can be asked for, and none comes once it is proven', async () => {
    const ada = await signUp(auth);
    await auth.mailTo(ada.user.email);
    expect((await post('auth/verify/resend', undefined, ada.accessToken)).status).toBe(204);
    await auth.mailTo(ada.user.email, 2);
    // The first link is as good as the second.
    const [first] = await auth.mailsTo(ada.user.email);
    expect((await verify(first!.token)).status).toBe(204);
    expect((await post('auth/verify/resend', undefined, ada.accessToken)).status).toBe(204);
    const { rows } = await database.admin.query('SELECT 1 FROM auth.mails WHERE subject_id = $1', [ada.user.id]);
    expect(rows).toEqual([]);
  });

  test('cannot be used to fill somebody’s mailbox', async () => {
    const strict = await startAuth(database.url, { VERIFY_ADDRESSES: 'true', MAIL_LIMIT_PER_MINUTE: '2' });
    try {
      const { email } = newPerson();
      const register = () => strict.call('POST', '/api/v1/auth/register', { body: newPerson({ email }) });
      const statuses = [await register(), await register(), await register()].map(({ status }) => status);
      expect(statuses).toEqual([201, 201, 429]);
    } finally {
      await strict.close();
    }
  });

  test('what is no token of ours is 400 INVALID_TOKEN; none at all is 400', async () => {
    expect((await verify('nothing of ours')).body.code).toBe('INVALID_TOKEN');
    expect((await post('auth/verify', {})).body.code).toBe('VALIDATION_FAILED');
  });
});

test('a reset revokes agent keys where that is asked for, and leaves them else', async () => {
  const ada = await employer();
  const { email } = ada.user;
  const key = async (token: string) => (await post('auth/agent-keys', { name: 'k' }, token)).body.key;
  const first = await key(ada.accessToken);
  const reset = async (more: object, mails: number) => {
    await post('auth/password/forgot', { email });
    await until('the link', async () => {
      const links = (await auth.mailsTo(email)).filter(({ link }) => link?.includes('reset-password'));
      return links.length === mails;
    });
    const links = (await auth.mailsTo(email)).filter(({ link }) => link?.includes('reset-password'));
    const { token } = links.at(-1)!;
    expect((await post('auth/password/reset', { token, password: 'another phrase', ...more })).status).toBe(204);
  };
  await reset({}, 1);
  expect((await me(first)).status).toBe(200);
  await reset({ revokeAgentKeys: true }, 2);
  expect((await me(first)).status).toBe(401);
  expect(await feedOf(auth, ada.organization.id)).toContainEqual(expect.objectContaining({ kind: 'agent-key' }));
});

describe('VERIFY_ADDRESSES', () => {
  const base = {
    POSTGRES_URL: 'postgres://a@b/c',
    EVENT_LOG_URL: 'kafka://localhost:9092',
    INTERNAL_TOKEN: 'x'.repeat(32),
  };
  test.each([
    ['mails to a folder', { SMTP_URL: 'file:/tmp/mails' }, false],
    ['mails by SMTP', { SMTP_URL: 'smtp://mail:25' }, true],
    ['mails by SMTP over TLS', { SMTP_URL: 'smtps://mail:465' }, true],
    ['no mails', {}, false],
    ['mails to a folder, switched on', { SMTP_URL: 'file:/tmp/mails', VERIFY_ADDRESSES: 'true' }, true],
    ['mails by SMTP, switched off', { SMTP_URL: 'smtp://mail:25', VERIFY_ADDRESSES: 'off' }, false],
  ])('%s: %j → %j', (_name, env, expected) => {
    expect(verifiesAddresses(configSchema.parse({ ...base, ...env }))).toBe(expected);
  });

  test('switched on without a way for mails is refused', () => {
    const { error } = configSchema.safeParse({ ...base, VERIFY_ADDRESSES: 'true' });
    expect(error!.issues).toMatchObject([
      { path: ['VERIFY_ADDRESSES'], message: 'without SMTP_URL nobody gets the link' },
    ]);
  });
});
