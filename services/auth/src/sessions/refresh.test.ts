import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { uuidv7 } from '@worktide/runtime';
import type { Answer } from '@worktide/testing';
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
import { hashOf } from './refresh-tokens.ts';
import { maxSessionsPerUser } from './sessions.ts';

let database: TestDatabase;
let auth: Running;
let replica: Running;

beforeAll(async () => {
  database = await authDatabase();
  auth = await startAuth(database.url);
  replica = await startAuth(database.url);
});
afterAll(async () => {
  await replica.close();
  await auth.close();
  await database.drop();
});

const refresh = (refreshToken: string, on = auth) =>
  on.call('POST', '/api/v1/auth/refresh', { body: { refreshToken } });
const me = (token: string, on = auth) => on.call('GET', '/api/v1/auth/me', { token });

/** Makes it seem that the token was spent so long ago. */
const age = (token: string, seconds: number) =>
  database.admin.query(
    "UPDATE auth.refresh_tokens SET spent_at = spent_at - $2 * interval '1 second' WHERE token_hash = $1",
    [hashOf(token), seconds],
  );

/** Spends a token and gives its successor. */
async function next(token: string): Promise<string> {
  const { status, body } = await refresh(token);
  expect(status).toBe(200);
  return body.refreshToken;
}

describe('POST /auth/refresh', () => {
  test('answers as log-in, with a new token each time, and the session goes on', async () => {
    const first = await signUp(auth);
    const { status, body } = await refresh(first.refreshToken);
    expect(status).toBe(200);
    expect(body.user.id).toBe(first.user.id);
    expect(body.refreshToken).not.toBe(first.refreshToken);
    expect((await me(body.accessToken)).status).toBe(200);
    expect((await me(first.accessToken)).status).toBe(200);
    const sessions = await auth.call('GET', '/api/v1/auth/sessions', { token: body.accessToken });
    expect(sessions.body.items).toHaveLength(1);
  });

  test('the cookie is enough, and comes back rotated', async () => {
    const { refreshToken } = await signUp(auth);
    const answer = await auth.call('POST', '/api/v1/auth/refresh', {
      headers: { cookie: `other=1; worktide_refresh=${refreshToken}` },
    });
    expect(answer.status).toBe(200);
    expect(answer.body).not.toHaveProperty('refreshToken');
    const cookie = /worktide_refresh=([\w-]+)/.exec(answer.headers.get('set-cookie')!)![1]!;
    expect(cookie).not.toBe(refreshToken);
    expect((await refresh(cookie)).status).toBe(200);
  });

  test('a user has so many sessions: the next log-in ends the one not used for longest', async () => {
    const { user, organization, accessToken } = await signUp(auth);
    const others = Array.from({ length: maxSessionsPerUser - 1 }, () => uuidv7());
    await database.admin.query(
      `INSERT INTO auth.sessions (organization_id, id, user_id, last_used_at, expires_at)
       SELECT $1, id, $2, now() - n * interval '1 minute', now() + interval '1 day'
       FROM unnest($3::uuid[]) WITH ORDINALITY AS other (id, n)`,
      [organization.id, user.id, others],
    );
    const body = { email: user.email, password: 'correct horse battery' };
    expect((await auth.call('POST', '/api/v1/auth/login', { body })).status).toBe(200);
    expect((await me(accessToken)).status).toBe(200);
    expect(await feedOf(auth, organization.id)).toMatchObject([{ kind: 'session', id: others.at(-1) }]);
    const { rows } = await database.admin.query(
      'SELECT end_reason FROM auth.sessions WHERE organization_id = $1 AND ended_at IS NOT NULL',
      [organization.id],
    );
    expect(rows).toEqual([{ end_reason: 'too-many' }]);
  });

  test('a token just spent gets another successor, and all of them work', async () => {
    const { refreshToken } = await signUp(auth);
    const a = await next(refreshToken);
    const b = await next(refreshToken);
    const c = await next(refreshToken);
    expect(new Set([a, b, c]).size).toBe(3);
    const a2 = await next(a);
    const b2 = await next(b);
    await next(c);
    await next(a2);
    expect((await refresh(b2)).status).toBe(401);
  });

  test('one branch goes on, the first to get ahead; one that fell behind is refused, used or not', async () => {
    const { refreshToken, user } = await signUp(auth);
    const [a, b, unused] = [await next(refreshToken), await next(refreshToken), await next(refreshToken)];
    const b2 = await next(b);
    let ahead = await next(await next(a));
    for (const token of [b2, b, unused]) {
      expect(await refresh(token)).toMatchObject({ status: 401, body: { code: 'SESSION_ENDED' } });
      ahead = await next(ahead);
    }
    // It may part again, and comes together again.
    const [c, d] = [await next(ahead), await next(ahead)];
    ahead = await next(await next(c));
    expect((await refresh(d)).status).toBe(401);
    ahead = await next(ahead);
    expect(await feedOf(auth, user.organizationId)).toEqual([]);
    // A spent token of the branch that goes on is still a theft.
    expect((await refresh(a)).status).toBe(401);
    expect((await refresh(ahead)).status).toBe(401);
    expect(await feedOf(auth, user.organizationId)).toMatchObject([{ kind: 'session' }]);
  });

  test('two branches that get ahead at the same moment on two replicas leave one', async () => {
    const { refreshToken } = await signUp(auth);
    const [a, b] = [await next(refreshToken), await next(refreshToken)];
    const [a2, b2] = [await next(a), await next(b)];
    const answers = await Promise.all([refresh(a2), refresh(b2, replica)]);
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 401]);
    await next(answers.find(({ status }) => status === 200)!.body.refreshToken);
  });

  test('a session ends after 90 days, however often it is used', async () => {
    const { refreshToken, user } = await signUp(auth);
    const turnBack = (interval: string) =>
      database.admin.query('UPDATE auth.sessions SET created_at = now() - $2::interval WHERE user_id = $1', [
        user.id,
        interval,
      ]);
    await turnBack('89 days');
    const { body } = await refresh(refreshToken);
    const sessions = await auth.call('GET', '/api/v1/auth/sessions', { token: body.accessToken });
    const [{ createdAt, expiresAt }] = sessions.body.items;
    expect(Date.parse(expiresAt) - Date.parse(createdAt)).toBe(90 * 86_400_000);
    await turnBack('90 days');
    expect(await refresh(body.refreshToken)).toMatchObject({ status: 401, body: { code: 'SESSION_ENDED' } });
  });

  test('behind TLS the cookie has a name that only TLS can set, and no other is taken', async () => {
    const secure = await startAuth(database.url, { COOKIE_SECURE: 'true' });
    const cookieOf = (answer: Answer) => answer.headers.get('set-cookie')!;
    const first = await secure.call('POST', '/api/v1/auth/register', { body: newPerson() });
    expect(cookieOf(first)).toMatch(
      /^__Secure-worktide_refresh=[\w-]{43}; Max-Age=604800; Path=\/api\/v1\/auth; HttpOnly; SameSite=Strict; Secure$/,
    );
    const refreshWith = (cookie: string) => secure.call('POST', '/api/v1/auth/refresh', { headers: { cookie } });
    const given = cookieOf(first).split(';')[0]!;
    expect((await refreshWith(given.replace('__Secure-', ''))).status).toBe(401);
    const second = await refreshWith(`worktide_refresh=planted; ${given}`);
    expect(second.status).toBe(200);
    const headers = { cookie: cookieOf(second).split(';')[0]! };
    const out = await secure.call('POST', '/api/v1/auth/logout', { headers });
    expect(cookieOf(out)).toMatch(/^__Secure-worktide_refresh=; Max-Age=0; .*; Secure$/);
    expect((await refreshWith(headers.cookie)).status).toBe(401);
    await secure.close();
  });

  test('once a successor was used the token is dead, and its return ends the family', async () => {
    const { refreshToken, accessToken } = await signUp(auth);
    const a = await next(refreshToken);
    const sibling = await next(refreshToken);
    const a2 = await next(a);
    expect(await refresh(refreshToken)).toMatchObject({ status: 401, body: { code: 'SESSION_ENDED' } });
    for (const token of [a2, sibling, a]) expect((await refresh(token)).status).toBe(401);
    expect((await me(accessToken)).status).toBe(401);
    expect((await me(accessToken, replica)).status).toBe(401);
  });

  test('the return of a dead token is in the audit trail and the feed', async () => {
    const { user, refreshToken } = await signUp(auth);
    await next(await next(refreshToken));
    expect((await refresh(refreshToken)).body.code).toBe('SESSION_ENDED');
    const [ended] = await feedOf(auth, user.organizationId);
    expect(ended).toMatchObject({ kind: 'session' });
    const events = await auditedActions(auth, user.organizationId, 'session.token-reused');
    expect(events.at(-1)).toMatchObject({
      // Its owner or a thief: nobody knows.
      actorId: null,
      entityType: 'session',
      entityId: ended!.id,
      after: { userId: user.id },
    });
    expect(JSON.stringify(events)).not.toContain(refreshToken);
  });

  test('ten seconds after it was spent its return ends the family, although no successor was used', async () => {
    const { refreshToken } = await signUp(auth);
    const a = await next(refreshToken);
    await age(refreshToken, 11);
    expect((await refresh(refreshToken)).status).toBe(401);
    expect((await refresh(a)).status).toBe(401);
  });

  test('another successor does not lengthen the ten seconds', async () => {
    const { refreshToken } = await signUp(auth);
    await next(refreshToken);
    await age(refreshToken, 8);
    await next(refreshToken);
    await age(refreshToken, 3);
    expect((await refresh(refreshToken)).status).toBe(401);
  });

  test('forty uses of one token at once on two replicas all succeed, and so do all their successors', async () => {
    const { refreshToken } = await signUp(auth);
    const answers = await Promise.all(
      Array.from({ length: 40 }, (_, i) => refresh(refreshToken, i % 2 ? auth : replica)),
    );
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]));
    const successors = new Set(answers.map(({ body }) => body.refreshToken as string));
    expect(successors.size).toBe(40);
    const seconds = await Promise.all([...successors].map((token, i) => refresh(token, i % 2 ? auth : replica)));
    expect(new Set(seconds.map(({ status }) => status))).toEqual(new Set([200]));
  });

  test('a token and its successor used at the same moment: never both refused, never a broken family by itself', async () => {
    for (let round = 0; round < 10; round++) {
      const { refreshToken } = await signUp(auth);
      const a = await next(refreshToken);
      const [old, young] = await Promise.all([refresh(refreshToken), refresh(a, replica)]);
      // The old one first: both work. The young one first: the old one's return is a reuse and ends the family.
      if (old.status === 200) {
        expect(young.status).toBe(200);
        expect((await refresh(young.body.refreshToken)).status).toBe(200);
      } else {
        expect(young.status).toBe(200);
        expect((await refresh(young.body.refreshToken)).status).toBe(401);
      }
    }
  });

  test('expired, unknown and missing tokens, and those of suspended users, are 401', async () => {
    const { refreshToken, user } = await signUp(auth);
    expect((await refresh('x'.repeat(43))).status).toBe(401);
    expect((await auth.call('POST', '/api/v1/auth/refresh')).status).toBe(401);
    expect((await auth.call('POST', '/api/v1/auth/refresh', { body: { refreshToken: 'x'.repeat(257) } })).status).toBe(
      400,
    );
    await database.admin.query("UPDATE auth.users SET status = 'suspended' WHERE id = $1", [user.id]);
    expect((await refresh(refreshToken)).status).toBe(401);
    await database.admin.query("UPDATE auth.users SET status = 'active' WHERE id = $1", [user.id]);
    const a = await next(refreshToken);
    await database.admin.query('UPDATE auth.refresh_tokens SET expires_at = now() WHERE token_hash = $1', [hashOf(a)]);
    expect((await refresh(a)).status).toBe(401);
    // An expired token that was never spent is no theft: the sibling goes on.
    await next(await next(refreshToken));
  });

  test('tokens are stored as hashes only', async () => {
    const { refreshToken } = await signUp(auth);
    const { rows } = await database.admin.query('SELECT * FROM auth.refresh_tokens');
    expect(JSON.stringify(rows)).not.toContain(refreshToken);
    expect(rows.some((row) => row.token_hash.equals(hashOf(refreshToken)))).toBe(true);
  });
});

describe('log-out and sessions', () => {
  const logIn = async (email: string, deviceName: string) =>
    (
      await auth.call('POST', '/api/v1/auth/login', {
        body: { email, password: 'correct horse battery', deviceName, refreshTokenIn: 'body' },
        headers: { 'user-agent': 'Agent/1' },
      })
    ).body;

  test('log-out ends this session on every replica at once, not the others', async () => {
    const one = await signUp(auth);
    const two = await logIn(one.user.email, 'phone');
    const answer = await auth.call('POST', '/api/v1/auth/logout', { token: one.accessToken });
    expect(answer.status).toBe(204);
    expect(answer.headers.get('set-cookie')).toMatch(/^worktide_refresh=; Max-Age=0; Path=\/api\/v1\/auth; HttpOnly/);
    expect((await me(one.accessToken, replica)).status).toBe(401);
    expect((await refresh(one.refreshToken)).status).toBe(401);
    expect((await me(two.accessToken)).status).toBe(200);
  });

  test('log-out by refresh token alone, with an access token that has expired, works', async () => {
    const { refreshToken, accessToken } = await signUp(auth);
    const headers = { cookie: `worktide_refresh=${refreshToken}` };
    expect((await auth.call('POST', '/api/v1/auth/logout', { headers, token: 'expired' })).status).toBe(204);
    expect((await me(accessToken)).status).toBe(401);
    expect((await auth.call('POST', '/api/v1/auth/logout', { headers })).status).toBe(204);
    expect((await auth.call('POST', '/api/v1/auth/logout')).status).toBe(401);
  });

  test('log-out everywhere ends all sessions of the user and nobody else’s', async () => {
    const one = await signUp(auth);
    const two = await logIn(one.user.email, 'phone');
    const other = await signUp(auth);
    expect((await auth.call('POST', '/api/v1/auth/logout-all', { token: two.accessToken })).status).toBe(204);
    for (const { accessToken, refreshToken } of [one, two]) {
      expect((await me(accessToken)).status).toBe(401);
      expect((await refresh(refreshToken)).status).toBe(401);
    }
    expect((await me(other.accessToken)).status).toBe(200);
    const back = await logIn(one.user.email, 'phone');
    expect((await me(back.accessToken)).status).toBe(200);
  });

  test('sessions are listed newest first, by page, and ended one by one by their owner', async () => {
    const first = await signUp(auth, { deviceName: 'desk' });
    const phone = await logIn(first.user.email, 'phone');
    await logIn(first.user.email, 'tablet');
    const list = (query: string) => auth.call('GET', `/api/v1/auth/sessions${query}`, { token: first.accessToken });
    const all = (await list('')).body;
    expect(all.nextCursor).toBeNull();
    expect(all.items.map((s: { deviceName: string }) => s.deviceName)).toEqual(['tablet', 'phone', 'desk']);
    expect(all.items[1]).toMatchObject({ userAgent: 'Agent/1', ipAddress: '127.0.0.1', current: false });
    expect(all.items[2].current).toBe(true);
    const page = (await list('?limit=2')).body;
    expect(page.items).toEqual(all.items.slice(0, 2));
    expect((await list(`?limit=2&cursor=${page.nextCursor}`)).body).toEqual({
      items: [all.items[2]],
      nextCursor: null,
    });

    const path = `/api/v1/auth/sessions/${all.items[1].id}`;
    const stranger = await signUp(auth);
    expect((await auth.call('DELETE', path, { token: stranger.accessToken })).status).toBe(404);
    expect((await me(phone.accessToken)).status).toBe(200);
    expect((await auth.call('DELETE', path, { token: first.accessToken })).status).toBe(204);
    expect((await me(phone.accessToken)).status).toBe(401);
    expect((await auth.call('DELETE', path, { token: first.accessToken })).status).toBe(404);
  });

  test.each([
    ['?limit=0', 'VALIDATION_FAILED'],
    ['?limit=501', 'VALIDATION_FAILED'],
    ['?limit=x', 'VALIDATION_FAILED'],
    ['?cursor=abc', 'INVALID_CURSOR'],
    ['?cursor=%00', 'VALIDATION_FAILED'],
  ])('%s is 400 %s', async (query, code) => {
    const { accessToken: token } = await signUp(auth);
    const answer = await auth.call('GET', `/api/v1/auth/sessions${query}`, { token });
    expect(answer).toMatchObject({ status: 400, body: { code } });
  });

  test('log-outs are told, each once, and so is a device logged out from another', async () => {
    const { user, accessToken: token, refreshToken } = await signUp(auth);
    const login = async () => {
      const { rows } = await database.admin.query('SELECT email FROM auth.users WHERE id = $1', [user.id]);
      return (
        await auth.call('POST', '/api/v1/auth/login', {
          body: { email: rows[0].email, password: 'correct horse battery', refreshTokenIn: 'body' },
        })
      ).body;
    };
    const [second, third] = [await login(), await login()];
    await auth.call('POST', '/api/v1/auth/logout', { body: { refreshToken: second.refreshToken } });
    await auth.call('POST', '/api/v1/auth/logout', { body: { refreshToken: second.refreshToken } });
    const list = await auth.call('GET', '/api/v1/auth/sessions', { token });
    const other = list.body.items.find(({ current }: { current: boolean }) => !current).id;
    await auth.call('DELETE', `/api/v1/auth/sessions/${other}`, { token });
    await auth.call('POST', '/api/v1/auth/logout-all', { token });
    expect((await refresh(refreshToken)).status).toBe(401);
    expect((await me(third.accessToken)).status).toBe(401);
    const events = await auditedActions(auth, user.organizationId, 'user.logged-out-everywhere');
    const told = events.filter(({ action }) => /logged-out|session/.test(action));
    expect(told.map(({ action }) => action)).toEqual([
      'user.logged-out',
      'session.revoked',
      'user.logged-out-everywhere',
    ]);
    expect(told.map(({ actorId }) => actorId)).toEqual([user.id, user.id, user.id]);
    expect(told[1]!.entityId).toBe(other);
    expect(told[2]!.after!.sessions).toHaveLength(1);
  });
});
