import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { auditedActions, authDatabase, feedOf, signUp, startAuth, type TestDatabase } from './testing.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await authDatabase();
});
afterAll(() => database.drop());

const waiting = async (): Promise<number> =>
  (await database.admin.query('SELECT count(*)::int AS n FROM auth.outbox')).rows[0].n;

test('while the log is away people go on as ever, and what they did is told when it is back', async () => {
  const away = await startAuth(database.url, { EVENT_LOG_URL: 'kafka://127.0.0.1:1' });
  const { user, organization, accessToken: token } = await signUp(away);
  const renamed = await away.call('PATCH', '/api/v1/organization', { token, body: { name: 'Renamed' } });
  expect(renamed.status).toBe(200);
  expect(await feedOf(away, organization.id)).toHaveLength(1);
  expect((await away.call('GET', '/health/ready')).status).toBe(200);
  expect(await waiting()).toBe(2);
  // An operator sees it.
  expect((await away.metrics.render()).text).toMatch(/worktide_outbox_unpublished\{[^}]*schema="auth"[^}]*\} 2/);
  await away.close();

  const back = await startAuth(database.url);
  const events = await auditedActions(back, organization.id, 'user.created', 'organization.changed');
  expect(events.map(({ action }) => action).sort()).toEqual([
    'organization.changed',
    'organization.created',
    'user.created',
  ]);
  expect(new Set(events.map(({ actorId }) => actorId))).toEqual(new Set([user.id]));
  await back.close();
});

test('what is refused is neither told nor in the feed', async () => {
  const auth = await startAuth(database.url);
  const { user, organization, accessToken: token } = await signUp(auth);
  expect((await auth.call('DELETE', `/api/v1/users/${user.id}`, { token })).body.code).toBe('LAST_ADMIN');
  await auth.call('PATCH', '/api/v1/organization', { token, body: { name: 'Renamed' } });
  const events = await auditedActions(auth, organization.id, 'organization.changed');
  expect(events.map(({ action }) => action)).not.toContain('user.deleted');
  expect((await feedOf(auth, organization.id)).map(({ kind }) => kind)).toEqual(['organization']);
  await auth.close();
});
