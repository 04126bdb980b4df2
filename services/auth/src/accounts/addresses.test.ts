import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { createPool } from '@worktide/postgres';
import { createLogger, createMetrics, silentLogger, uuidv7 } from '@worktide/runtime';
import { until } from '@worktide/testing';
import { database as authService } from '../database.ts';
import { authDatabase, type Running, signUp, startAuth, type TestDatabase } from '../testing.ts';
import { sweepAddresses } from './addresses.ts';

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

const decomposed = 'Zoe\u0308';
/** As it would be stored from before. */
const setEmail = (id: string, email: string) =>
  database.admin.query('UPDATE auth.users SET email = $2 WHERE id = $1', [id, email]);
const emailOf = async (table: 'users' | 'invitations', id: string): Promise<string> =>
  (await database.admin.query(`SELECT email FROM auth.${table} WHERE id = $1`, [id])).rows[0].email;

async function sweep(): Promise<{ msg: string; id: string }[]> {
  const lines: { msg: string; id: string }[] = [];
  const log = createLogger({ service: 's', destination: { write: (line) => void lines.push(JSON.parse(line)) } });
  const pool = createPool(database.url, { applicationName: 'test', log: silentLogger(), metrics: createMetrics() });
  await sweepAddresses(pool, { log, signal: new AbortController().signal });
  await pool.end();
  return lines;
}

test('addresses of before get their one form at a start, and their people are let in again', async () => {
  const some = uuidv7();
  const password = 'a long phrase';
  const { user } = await signUp(auth, { password });
  await setEmail(user.id, `pat.${some}@bücher.example`);
  const login = (running: Running) =>
    running.call('POST', '/api/v1/auth/login', { body: { email: `PAT.${some}@bücher.example`, password } });
  expect((await login(auth)).status).toBe(401);
  const next = await startAuth(database.url);
  await until('the address has its form', async () => (await emailOf('users', user.id)).includes('xn--bcher-kva'));
  expect((await login(next)).status).toBe(200);
  await next.close();
  expect(await sweep()).toEqual([]);
});

test('an address whose form is taken, and what is none, stay and are named; open invitations and mails follow', async () => {
  const some = uuidv7();
  const [one, two, three] = [await signUp(auth), await signUp(auth), await signUp(auth)];
  await setEmail(one.user.id, `pat.${some}@xn--bcher-kva.example`);
  await setEmail(two.user.id, `pat.${some}@bücher.example`);
  await setEmail(three.user.id, `pat,ü.${some}@x.example`);
  const invitation = uuidv7();
  await database.admin.query(
    `INSERT INTO auth.invitations (organization_id, id, email, role, invited_by, expires_at)
     VALUES ($1, $2, $3, 'employee', $4, now() + interval '1 day')`,
    [one.organization.id, invitation, `guest.${some}@bücher.example`, one.user.id],
  );
  await database.admin.query(
    `INSERT INTO auth.mails (organization_id, id, kind, subject_id, recipient, due_at)
     VALUES ($1, $2, 'invitation', $2, $3, now() + interval '1 hour')`,
    [one.organization.id, invitation, `guest.${some}@bücher.example`],
  );
  const lines = await sweep();
  expect(await emailOf('users', two.user.id)).toBe(`pat.${some}@bücher.example`);
  expect(await emailOf('users', three.user.id)).toBe(`pat,ü.${some}@x.example`);
  expect(await emailOf('invitations', invitation)).toBe(`guest.${some}@xn--bcher-kva.example`);
  const { rows } = await database.admin.query('SELECT recipient FROM auth.mails WHERE id = $1', [invitation]);
  expect(rows).toEqual([{ recipient: `guest.${some}@xn--bcher-kva.example` }]);
  const left = lines.filter(({ msg }) => msg.includes('is left')).map(({ id }) => id);
  expect(left.sort()).toEqual([two.user.id, three.user.id].sort());
  // Ids are enough to find them; logs keep no addresses.
  expect(JSON.stringify(lines)).not.toContain(some);
});

test('names of before get their one form by a migration, and are found', async () => {
  const { user, accessToken: token } = await signUp(auth);
  await database.admin.query('UPDATE auth.users SET name = $2 WHERE id = $1', [user.id, decomposed]);
  const found = async (search: string) => {
    const { body } = await auth.call('GET', `/api/v1/users?search=${encodeURIComponent(search)}`, { token });
    return body.items.length;
  };
  expect(await found('Zoë')).toBe(0);
  const sql = await readFile(join(authService.folder, '0008_names_in_one_form.sql'), 'utf8');
  await database.admin.query(`BEGIN; SET LOCAL search_path TO auth; ${sql} COMMIT`);
  expect([await found('Zoë'), await found(decomposed), await found('zoë')]).toEqual([1, 1, 1]);
});

test('people are found by either form of their address', async () => {
  const { user, accessToken: token } = await signUp(auth);
  await setEmail(user.id, `pat.${user.id}@xn--bcher-kva.example`);
  for (const search of [
    'bücher',
    'bu\u0308cher.example',
    'xn--bcher-kva',
    `PAT.${user.id}@Bücher.example`,
    '@bücher',
  ]) {
    const { body } = await auth.call('GET', `/api/v1/users?search=${encodeURIComponent(search)}`, { token });
    expect([search, body.items.map(({ id }: { id: string }) => id)]).toEqual([search, [user.id]]);
  }
});
