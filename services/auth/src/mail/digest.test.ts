import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { uuidv7 } from '@worktide/runtime';
import { authDatabase, internalToken, type Running, signUp, startAuth, type TestDatabase } from '../testing.ts';

let database: TestDatabase;
let auth: Running;
beforeAll(async () => {
  database = await authDatabase();
  auth = await startAuth(database.url, { PUBLIC_URL: 'https://time.example.com' });
});
afterAll(async () => {
  await auth?.close();
  await database?.drop();
});

const ask = (body: object, token: string | undefined = internalToken) =>
  auth.call('POST', '/internal/mails/digest', { token, body });
const items = [
  { title: 'A task is yours: see https://evil.example/login?x=1', body: '', link: '/tasks/1' },
  { title: 'Über Nacht', body: 'Bericht\r\nBcc: all@example.com', link: '/reports' },
];

test('what is new goes to the address that only auth knows; words of others are no links and no headers', async () => {
  const { user, organization } = await signUp(auth);
  const asked = await ask({ organizationId: organization.id, userId: user.id, items, more: 3 });
  expect([asked.status, asked.body]).toEqual([200, { queued: true }]);
  const mail = await auth.mailTo(user.email);
  expect(mail.headers.subject).toBe('5 things are new');
  expect(mail.link).toBe('https://time.example.com/notifications');
  expect(mail.token).toBeUndefined();
  expect(mail.text).not.toContain('https://evil');
  expect(mail.text).toContain('Über Nacht\n  Bericht Bcc all example. com');
  expect(mail.text).toContain('… and 3 more.');
  expect(mail.headers.bcc).toBeUndefined();
});

test('nobody gets one who is not there, not active, or not proven', async () => {
  const { user, organization } = await signUp(auth);
  const asked = { organizationId: organization.id, userId: user.id, items, more: 0 };
  const queued = async (body: object) => (await ask(body)).body;
  expect(await queued({ ...asked, userId: uuidv7() })).toEqual({ queued: false });
  expect(await queued({ ...asked, organizationId: uuidv7() })).toEqual({ queued: false });
  const set = (change: string) => database.admin.query(`UPDATE auth.users SET ${change} WHERE id = $1`, [user.id]);
  await set('verified_at = NULL');
  expect(await queued(asked)).toEqual({ queued: false });
  await set("verified_at = now(), status = 'suspended'");
  expect(await queued(asked)).toEqual({ queued: false });
  expect(await auth.mailsTo(user.email)).toEqual([]);
});

test('only services may ask', async () => {
  const { user, organization, accessToken } = await signUp(auth);
  const asked = { organizationId: organization.id, userId: user.id, items, more: 0 };
  for (const token of ['', accessToken]) expect((await ask(asked, token)).status).toBe(401);
});
