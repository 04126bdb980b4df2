import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { openEventLog } from '@worktide/event-log';
import { createMetrics, silentLogger } from '@worktide/runtime';
import { peopleRecord, type SignedIn, topics } from '@worktide/schemas';
import { type Answer, until } from '@worktide/testing';
import {
  addColleague,
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
let admin: SignedIn & { refreshToken: string };
const password = 'correct horse battery';

beforeAll(async () => {
  database = await authDatabase();
  auth = await startAuth(database.url);
});
beforeEach(async () => {
  admin = await signUp(auth);
});
afterAll(async () => {
  await auth.close();
  await database.drop();
});

const path = '/api/v1/organization/deletion';
const request = (body: unknown = { password }, token = admin.accessToken): Promise<Answer> =>
  auth.call('POST', path, { body, token });
const revoke = (token = admin.accessToken): Promise<Answer> => auth.call('DELETE', path, { token });
/** What topic people was told of the organisation itself. */
async function toldOf({ eventLogUrl }: Running): Promise<{ deleted: boolean }[]> {
  const log = openEventLog(eventLogUrl, { clientId: 'test', log: silentLogger(), metrics: createMetrics() });
  try {
    const partitions = Array.from({ length: topics.people.partitions }, (_, partition) => partition);
    const pages = await Promise.all(
      partitions.map((partition) => log.admin.read('people', { partition, fromOffset: 0, limit: 10_000 })),
    );
    const records = pages.flat().map(({ value }) => peopleRecord.parse(JSON.parse(value!.subarray(5).toString())));
    return records.flatMap(({ events }) => events).filter(({ id }) => id === admin.organization.id);
  } finally {
    await log.close();
  }
}

const deletionAt = async (): Promise<string | null> =>
  (await auth.call('GET', '/api/v1/organization', { token: admin.accessToken })).body.deletionAt;

describe('the deletion of an organisation', () => {
  test('is in seven days, told by mail, and everything works until then', async () => {
    expect(await deletionAt()).toBeNull();
    const { status, body } = await request();
    expect(status).toBe(200);
    const { rows } = await database.admin.query(
      `SELECT deletion_at - interval '7 days' BETWEEN now() - interval '1 minute' AND now() AS soon
       FROM auth.organizations WHERE id = $1`,
      [admin.organization.id],
    );
    expect(rows).toEqual([{ soon: true }]);
    expect(body).toEqual({ ...admin.organization, deletionAt: await deletionAt() });
    const mail = await auth.mailTo(admin.user.email);
    expect(mail.text).toContain(body.deletionAt.slice(0, 10));
    expect(mail.raw).not.toMatch(/token=/);
    // Asked for again it is no later.
    expect((await request()).body.deletionAt).toBe(body.deletionAt);
    await auditedActions(auth, admin.organization.id, 'organization.deletion-requested');
    expect(
      (await auth.call('POST', '/api/v1/auth/agent-keys', { token: admin.accessToken, body: { name: 'k' } })).status,
    ).toBe(201);
  });

  test('can be taken back, once', async () => {
    await request();
    expect((await revoke()).status).toBe(204);
    expect(await deletionAt()).toBeNull();
    await auditedActions(auth, admin.organization.id, 'organization.deletion-revoked');
    expect((await revoke()).status).toBe(404);
  });

  test('wants the password, of the last administrator', async () => {
    const wrong = await request({ password: 'not this one' });
    expect([wrong.status, wrong.body.code]).toEqual([400, 'WRONG_PASSWORD']);
    const manager = await addColleague(auth, database, admin.organization.id, 'manager');
    expect((await request({ password: manager.password }, manager.token)).status).toBe(403);
    expect((await revoke(manager.token)).status).toBe(403);
    const second = await addColleague(auth, database, admin.organization.id, 'admin');
    const answer = await request();
    expect([answer.status, answer.body.code]).toEqual([409, 'OTHER_ADMINS']);
    const suspended = { status: 'suspended' };
    await auth.call('PATCH', `/api/v1/users/${second.id}`, { token: admin.accessToken, body: suspended });
    expect((await request()).status).toBe(200);
  });

  test('takes everything when its time has come: nobody of it is in, and their addresses are free', async () => {
    const colleague = await addColleague(auth, database, admin.organization.id, 'employee');
    const key = (await auth.call('POST', '/api/v1/auth/agent-keys', { token: colleague.token, body: { name: 'k' } }))
      .body.key;
    const invited = newPerson().email;
    await auth.call('POST', '/api/v1/invitations', {
      token: admin.accessToken,
      body: { email: invited, role: 'employee' },
    });
    await request();
    const bystander = await signUp(auth);
    await database.admin.query('UPDATE auth.organizations SET deletion_at = now() WHERE id = $1', [
      admin.organization.id,
    ]);
    const other = await startAuth(database.url);
    try {
      for (const token of [admin.accessToken, colleague.token, key]) {
        const me = () => auth.call('GET', '/api/v1/auth/me', { token });
        await until('401', async () => (await me()).status === 401);
      }
      const feed = (await feedOf(auth, admin.organization.id)).filter(({ kind }) => kind === 'user');
      expect(feed.map(({ id }) => id).sort()).toEqual([admin.user.id, colleague.id].sort());
      expect(feed).toEqual(feed.map((item) => expect.objectContaining({ ...item, status: 'inactive' })));
      for (const table of ['users', 'sessions', 'agent_keys', 'invitations', 'mails', 'mail_tokens']) {
        const { rows } = await database.admin.query(`SELECT 1 FROM auth.${table} WHERE organization_id = $1`, [
          admin.organization.id,
        ]);
        expect({ table, rows }).toEqual({ table, rows: [] });
      }
      await auditedActions(other, admin.organization.id, 'organization.deleted');
      await until('others are told to erase', async () => (await toldOf(other)).some(({ deleted }) => deleted));
      expect(
        (await auth.call('POST', '/api/v1/auth/register', { body: newPerson({ email: admin.user.email }) })).status,
      ).toBe(201);
      expect((await auth.call('GET', '/api/v1/auth/me', { token: bystander.accessToken })).status).toBe(200);
    } finally {
      await other.close();
    }
  });
});
