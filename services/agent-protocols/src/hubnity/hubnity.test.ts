import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { tablesWithoutTenantPolicy, transaction } from '@worktide/postgres';
import { type Caller, uuidv7 } from '@worktide/runtime';
import { privacyRules } from '@worktide/schemas';
import { call, expectStatus, until } from '@worktide/testing';
import fc from 'fast-check';
import { eraseOrganization, erasePeople } from '../store/erase.ts';
import { eraseTime } from '../store/erasures.ts';
import { person as keyed, startTestServer, type TestServer } from '../testing.ts';
import { between, heartbeatGapMs, placed } from './activity.ts';
import { createApi } from './api.ts';
import { keepNewest, pruneHubnity, requestId } from './requests.ts';
import { hubnityRoutes } from './routes.ts';
import { makeToken, readToken, seal, unseal } from './sessions.ts';

/** Hubnity's desktop where what it depends on is away, late, or of another mind: our own interface is played here, PostgreSQL is real. */

let server: TestServer;

/** Our own interface, as a test wants it: answers status, body and headers, or cuts the connection. */
type Answered = readonly [number, object, Record<string, string>?] | 'cut';
interface Asked {
  method: string;
  path: string;
  headers: Record<string, unknown>;
  body: string;
}
let play: (asked: Asked) => Answered;
let asked: Asked[] = [];
const ours = createServer(async (req, res) => {
  const chunks: Buffer[] = [];
  for await (const chunk of req) chunks.push(chunk as Buffer);
  const body = Buffer.concat(chunks).toString('latin1');
  const one = { method: req.method!, path: req.url!, headers: req.headers, body };
  asked.push(one);
  const answer = play(one);
  if (answer === 'cut') return void req.socket.destroy();
  res.writeHead(answer[0], { 'content-type': 'application/json', ...answer[2] }).end(JSON.stringify(answer[1]));
});

beforeAll(async () => {
  await new Promise<void>((resolve) => ours.listen(0, '127.0.0.1', resolve));
  const { port } = ours.address() as AddressInfo;
  const api = createApi({ apiUrl: `http://127.0.0.1:${port}/of/{service}`, internalToken: 'i'.repeat(32) });
  server = await startTestServer((deps) => hubnityRoutes({ ...deps, api, ipLimit: undefined }));
});
afterAll(async () => {
  await server?.close();
  ours.closeAllConnections();
  ours.close();
});
beforeEach(() => {
  asked = [];
  server.away.log = false;
  play = () => [404, refusalOf(404, 'NOT_FOUND', 'There is no such thing here.')];
});

const refusalOf = (statusCode: number, code: string, message = code) => ({ statusCode, code, message });

function person(more: Partial<Caller> = { agentKeyId: undefined, sessionId: uuidv7() } as object) {
  const who = keyed(more);
  const send = (method: 'get' | 'post' | 'put', path: string, body?: unknown, headers: Record<string, string> = {}) =>
    call(server.origin, method, `/api${path}`, { bearer: who.key, headers, ...(body === undefined ? {} : { body }) });
  return { ...who, send };
}
type Somebody = ReturnType<typeof person>;

/** Of an entry, and heartbeats: one test alone has these. */
const pingsOf = async (timeEntryId: string) =>
  (await server.pings()).filter((one) => one.timeEntryId === timeEntryId || one.source === 'afk');

const entryFor = ({ userId }: Somebody, more: object = {}) => {
  const at = new Date().toISOString();
  return {
    id: uuidv7(),
    userId,
    kind: 'timer',
    status: 'RUNNING',
    projectId: null,
    taskId: null,
    description: null,
    tags: [],
    billable: false,
    startTime: at,
    endTime: null,
    pauses: [],
    timezone: 'UTC',
    workedSeconds: 0,
    activeSeconds: 0,
    idleSeconds: 0,
    untrackedSeconds: 0,
    lastActivityAt: null,
    version: 1,
    createdAt: at,
    updatedAt: at,
    ...more,
  };
};

test('the database keeps organisations apart', async () => {
  expect(await tablesWithoutTenantPolicy(server.database.admin, 'agent_protocols')).toEqual([]);
});

describe('sessions', () => {
  /** Auth: each refresh token is good once. */
  function auth({ organizationId, userId }: Somebody) {
    const state = { token: 'ours-0', spent: 0, cut: 0, down: 0 };
    const account = {
      user: {
        id: userId,
        organizationId,
        email: 'ada@example.com',
        name: 'Ada',
        role: 'manager',
        status: 'active',
      },
      organization: { id: organizationId, name: 'Org' },
    };
    const tokens = () => ({
      ...account,
      accessToken: `access-${state.spent}`,
      expiresIn: 900,
      refreshToken: state.token,
    });
    play = ({ path, body }) => {
      if (path === '/of/auth/api/v1/auth/login') return [200, tokens()];
      if (path === '/of/auth/api/v1/auth/logout') return [401, refusalOf(401, 'UNAUTHORIZED')];
      if (state.down > 0) {
        state.down -= 1;
        return [503, refusalOf(503, 'DEPENDENCY_UNAVAILABLE')];
      }
      const given = JSON.parse(body).refreshToken as string;
      // As with ours, one that was just spent is good again until what came of it is used.
      if (given !== state.token && given !== `ours-${state.spent - 1}`) return [401, refusalOf(401, 'SESSION_ENDED')];
      state.spent += 1;
      state.token = `ours-${state.spent}`;
      if (state.cut > 0) {
        state.cut -= 1;
        return 'cut';
      }
      return [200, tokens()];
    };
    return state;
  }
  const login = async (who: Somebody, headers = {}) =>
    expectStatus(await who.send('post', '/auth/login', { email: 'ada@example.com', password: 'secret' }, headers), 200);
  const refresh = (who: Somebody, refresh_token: unknown) => who.send('post', '/auth/refresh', { refresh_token });

  test('a log-in is auth’s, by whom and from where it was asked; what is stored opens nothing', async () => {
    const me = person();
    auth(me);
    const { user, access_token, refresh_token } = await login(me, {
      'x-forwarded-for': '192.0.2.7',
      'user-agent': 'Tauri',
    });
    expect(access_token).toBe('access-0');
    expect(user).toMatchObject({
      role: 'ADMIN',
      status: 'ACTIVE',
      companyId: me.organizationId,
      company: { name: 'Org' },
    });
    const [{ headers, body }] = asked as [(typeof asked)[0]];
    // No proxy is trusted here, so none is believed.
    expect(headers).toMatchObject({
      'x-worktide-sender': expect.stringMatching(/^127\.0\.0\.1;t=\d+;v1=[\da-f]{64}$/),
      'user-agent': 'Tauri',
    });
    expect(headers['x-forwarded-for']).toBeUndefined();
    expect(headers.authorization).toBeUndefined();
    expect(JSON.parse(body)).toMatchObject({ deviceName: 'Hubnity', refreshTokenIn: 'body' });
    const { rows } = await server.database.admin.query(
      `SELECT encode(sealed, 'escape') || encode(token_hash, 'base64') AS text FROM agent_protocols.hubnity_sessions WHERE user_id = $1`,
      [me.userId],
    );
    expect(rows).toHaveLength(1);
    expect(rows[0].text).not.toContain('ours-0');
    expect(rows[0].text).not.toContain(refresh_token.split('.')[1]);
  });

  test('its token stays while ours are spent: side by side, with auth away, and with an answer lost', async () => {
    const me = person();
    const state = auth(me);
    const { refresh_token } = await login(me);
    const answers = await Promise.all(Array.from({ length: 8 }, () => refresh(me, refresh_token)));
    for (const answer of answers) expect(expectStatus(answer, 200).refresh_token).toBe(refresh_token);
    expect(state.spent).toBe(8);
    state.down = 2;
    expectStatus(await refresh(me, refresh_token), 200);
    state.cut = 1;
    expectStatus(await refresh(me, refresh_token), 200);
    expectStatus(await refresh(me, refresh_token), 200);
  });

  test('one whose session has ended is 401 and forgotten; so is what never was one', async () => {
    const me = person();
    const state = auth(me);
    const { refresh_token } = await login(me);
    state.token = 'ended';
    expect(await refresh(me, refresh_token)).toMatchObject({ status: 401, body: { code: 'SESSION_ENDED' } });
    asked = [];
    expect((await refresh(me, refresh_token)).status).toBe(401);
    const [, secret] = refresh_token.split('.');
    for (const other of ['x', `${uuidv7()}.${secret}`, `${me.organizationId}.${'A'.repeat(43)}`]) {
      expect((await refresh(me, other)).status).toBe(401);
    }
    expect(asked).toEqual([]);
    expect((await refresh(me, 7)).status).toBe(400);
  });

  test('log-out ends the session of the token, and no other organisation’s', async () => {
    const [me, stranger] = [person(), person()];
    auth(me);
    const { refresh_token } = await login(me);
    const logout = (who: Somebody) => who.send('post', '/auth/logout', { refreshToken: refresh_token });
    asked = [];
    expectStatus(await logout(stranger), 200);
    expect(asked).toEqual([]);
    expectStatus(await logout(me), 200);
    expect(asked.map(({ body }) => JSON.parse(body))).toEqual([{ refreshToken: 'ours-0' }]);
    expect((await refresh(me, refresh_token)).status).toBe(401);
  });

  test('what was sealed for one token opens with no other', () => {
    const [one, other] = [makeToken(uuidv7()), makeToken(uuidv7())];
    const sealed = seal(one.token, 'ours');
    expect(unseal(readToken(one.text)!, sealed)).toBe('ours');
    expect(() => unseal(other.token, sealed)).toThrow();
    sealed[20]! ^= 1;
    expect(() => unseal(one.token, sealed)).toThrow();
  });
});

describe('timers', () => {
  /** The writer: one open entry, and the keys that it remembers. */
  function writer(me: Somebody) {
    const made = new Map<string, ReturnType<typeof entryFor> & { deleted?: boolean }>();
    const open = () => [...made.values()].find(({ status, deleted }) => status !== 'STOPPED' && !deleted);
    play = ({ method, path, headers }) => {
      if (method !== 'POST' || path !== '/of/session-writer/api/v1/time-entries')
        return [404, refusalOf(404, 'NOT_FOUND')];
      const key = String(headers['idempotency-key'] ?? uuidv7());
      const before = made.get(key);
      if (before?.deleted) return [404, refusalOf(404, 'NOT_FOUND')];
      if (before) return [200, before];
      if (open()) return [409, refusalOf(409, 'TIMER_RUNNING')];
      const entry = entryFor(me);
      made.set(key, entry);
      return [201, entry];
    };
    return { made, open };
  }
  const start = (me: Somebody, key?: string, more: object = {}) =>
    me.send(
      'post',
      '/time-entries',
      { projectId: uuid, userId: me.userId, ...more },
      key ? { 'x-idempotency-key': key } : {},
    );
  const uuid = uuidv7();

  test('a key is one entry while that is open, and another after; however often, side by side', async () => {
    const me = person();
    const { made, open } = writer(me);
    const ids = async () =>
      new Set(
        (await Promise.all(Array.from({ length: 6 }, () => start(me, 'k')))).map((one) => expectStatus(one, 201).id),
      );
    const seen: string[] = [];
    for (const end of ['STOPPED', 'deleted', 'STOPPED'] as const) {
      const [id, ...others] = await ids();
      expect(others).toEqual([]);
      seen.push(id);
      open()!.status = 'PAUSED';
      expect(await ids()).toEqual(new Set([id]));
      if (end === 'deleted') open()!.deleted = true;
      else open()!.status = end;
    }
    expect(new Set(seen).size).toBe(3);
    expect(made.size).toBe(3);
    // The same key of somebody else, and another payload under it, is another start.
    const other = person();
    writer(other);
    expect(expectStatus(await start(other, 'k'), 201).userId).toBe(other.userId);
    expect((await start(other, 'k', { description: 'else' })).body).toMatchObject({
      statusCode: 400,
      message: expect.stringContaining('User already has an active time entry'),
    });
  });

  test('what is asked for is ours; what cannot be is not asked for', async () => {
    const me = person();
    writer(me);
    const ahead = new Date(Date.now() + 600_000).toISOString();
    expectStatus(await start(me, undefined, { startTime: ahead, description: '𝔘'.repeat(3_000) }), 201);
    const body = JSON.parse(Buffer.from(asked[0]!.body, 'latin1').toString('utf8'));
    expect(body).toEqual({ projectId: uuid, description: '𝔘'.repeat(2_000) });
    asked = [];
    expect((await start(me, 'k', { userId: uuidv7() })).status).toBe(403);
    expect(await start(me, 'k', { projectId: 'temp-1' })).toMatchObject({
      status: 400,
      body: { code: 'PROJECT_UNKNOWN' },
    });
    expect(asked).toEqual([]);
  });

  test.each([
    ['a service that is away', 'cut', 503, '1'],
    ['a service that cannot', [503, refusalOf(503, 'DEPENDENCY_UNAVAILABLE'), { 'retry-after': '7' }], 503, '7'],
    ['something else in its place', [404, { error: 'no such page' }], 503, '1'],
    ['a limit', [429, refusalOf(429, 'RATE_LIMITED'), { 'retry-after': '9', 'ratelimit-remaining': '0' }], 429, '9'],
  ] as const)('%s is said as it is, and is no answer about the timer', async (_, played, status, retryAfter) => {
    play = () => played;
    const me = person();
    for (const answer of [
      await me.send('get', '/projects'),
      await me.send('get', '/time-entries/active'),
      await start(me, 'k'),
      await me.send('put', `/time-entries/${uuid}/stop`, {}),
    ]) {
      expect(answer.status).toBe(status);
      expect(answer.headers.get('retry-after')).toBe(retryAfter);
    }
  });

  test('a step is done also where its project cannot be looked at', async () => {
    const me = person();
    const entry = entryFor(me, { projectId: uuid });
    play = ({ path }) => (path.startsWith('/of/session-writer/') ? [200, entry] : 'cut');
    const answer = expectStatus(await me.send('put', `/time-entries/${entry.id}/pause`), 200);
    expect(answer).toMatchObject({ id: entry.id, projectId: uuid });
    expect(answer.project).toBeUndefined();
  });
});

describe('screenshots', () => {
  const picture = (bytes: string) => `data:image/jpeg;base64,${Buffer.from(bytes).toString('base64')}`;

  test('go on as a form, one that is sent again under the id of the first', async () => {
    const me = person();
    const endTime = '2026-01-02T03:04:05.000Z';
    const entry = entryFor(me, { status: 'STOPPED', endTime });
    play = ({ method, body }) =>
      method === 'GET' ? [200, entry] : [202, { screenshotId: /name="screenshotId"\r\n\r\n([\w-]+)/.exec(body)![1]! }];
    const send = (imageData: string) => me.send('post', '/screenshots', { imageData, timeEntryId: entry.id });
    const one = expectStatus(await send(picture('one')), 201);
    expect(one.timestamp).toBe(endTime);
    const { path, body, headers } = asked.at(-1)!;
    expect(path).toBe('/of/ingest-gateway/api/v1/sync/screenshots');
    expect(headers['content-type']).toContain('multipart/form-data');
    expect(body).toContain('\r\n\r\none\r\n');
    expect(expectStatus(await send(picture('one')), 201).id).toBe(one.id);
    expect(expectStatus(await send(picture('two')), 201).id).not.toBe(one.id);
    await server.database.admin.query(
      `UPDATE agent_protocols.hubnity_requests SET made_at = now() - interval '5 minutes' WHERE user_id = $1`,
      [me.userId],
    );
    expect(expectStatus(await send(picture('one')), 201).id).not.toBe(one.id);
  });

  test('of no entry, a colleague’s, no base64, too much: refused before anything goes on', async () => {
    const me = person();
    const foreign = entryFor(person());
    play = ({ path }) => (path.endsWith(foreign.id) ? [200, foreign] : [404, refusalOf(404, 'NOT_FOUND')]);
    const send = async (timeEntryId: unknown, imageData: unknown = picture('x')) =>
      (await me.send('post', '/screenshots', { imageData, timeEntryId })).status;
    expect(await send('temp-17')).toBe(404);
    expect(await send(uuidv7())).toBe(404);
    expect(await send(foreign.id)).toBe(403);
    expect(await send(7)).toBe(400);
    expect(await send(foreign.id, 'x'.repeat(16_000_001))).toBe(413);
    const own = entryFor(me);
    play = () => [200, own];
    for (const bad of ['', 'data:image/png;base64,', 'data:image/png;base64,§§', 'no base64 at all']) {
      expect(await send(own.id, bad)).toBe(400);
    }
    expect(asked.filter(({ method }) => method === 'POST')).toEqual([]);
  });
});

describe('what is seen of people', () => {
  const spans = (pings: { startedAt: number; endedAt: number; state: string }[]) =>
    pings.map(({ startedAt, endedAt, state }) => [endedAt - startedAt > 0, state]);

  test('heartbeats and pages are durable with the log away, and pings once it is back', async () => {
    const me = person();
    server.away.log = true;
    const beat = async (isActive: boolean | undefined) =>
      expectStatus(await me.send('post', '/idle/heartbeat', { isActive }), 200);
    const before = Date.now();
    const { timestamp } = await beat(undefined);
    expect(Date.parse(timestamp)).toBeGreaterThanOrEqual(before);
    await server.database.admin.query(
      'UPDATE agent_protocols.hubnity_heartbeats SET at_ms = at_ms - 60000 WHERE user_id = $1',
      [me.userId],
    );
    await beat(false);
    await server.database.admin.query(
      'UPDATE agent_protocols.hubnity_heartbeats SET at_ms = at_ms - 60000 WHERE user_id = $1',
      [me.userId],
    );
    await beat(false);
    const visit = {
      timeEntryId: uuidv7(),
      url: 'https://www.example.com/a',
      domain: 'example.com',
      title: 'A',
      timeSpent: 60,
    };
    const answer = await me.send('post', '/url-activity/batch', {
      activities: [
        visit,
        { ...visit, url: 'https://b.example/' },
        null,
        { ...visit, timeSpent: -1 },
        { ...visit, url: 'x:y' },
      ],
    });
    const { count, skipped, activities } = expectStatus(answer, 201);
    expect([count, skipped, activities.map(({ domain }: { domain: string }) => domain)]).toEqual([
      2,
      3,
      ['example.com', 'b.example'],
    ]);
    expect(await pingsOf(visit.timeEntryId)).toEqual([]);
    server.away.log = false;
    const pings = await until('the pings', async () => {
      const all = await pingsOf(visit.timeEntryId);
      return all.length === 5 && all.sort((a, b) => a.startedAt - b.startedAt);
    });
    expect(new Set(pings.map(({ deviceId }) => deviceId))).toEqual(new Set(['hubnity']));
    const afk = pings.filter(({ source }) => source === 'afk');
    expect(spans(afk).sort()).toEqual([
      [false, 'active'],
      [true, 'active'],
      [true, 'idle'],
    ]);
    const [a, b] = pings.filter(({ source }) => source === 'web') as [(typeof pings)[0], (typeof pings)[0]];
    expect([a.host, b.host, a.endedAt - a.startedAt, a.endedAt]).toEqual([
      'example.com',
      'b.example',
      60_000,
      b.startedAt,
    ]);
    expect(b.endedAt).toBe(Date.parse(activities[1].endTime));
  });

  test('what privacy takes is answered as taken, and is nowhere', async () => {
    const me = person();
    server.rules.set(
      me.organizationId,
      privacyRules.parse({ rules: [{ id: 'r', kind: 'drop', hosts: ['secret.example'] }] }),
    );
    const visit = { timeEntryId: uuidv7(), title: 'T', timeSpent: 10 };
    const activities = [
      { ...visit, url: 'https://secret.example/' },
      { ...visit, url: 'https://open.example/' },
    ];
    expect(expectStatus(await me.send('post', '/url-activity/batch', { activities }), 201).count).toBe(2);
    const pings = await until('the other', async () => {
      const all = (await pingsOf(visit.timeEntryId)).filter(({ source }) => source === 'web');
      return all.length > 0 && all;
    });
    expect(pings.map(({ host }) => host)).toEqual(['open.example']);
  });

  test('an agent’s key is refused', async () => {
    const key = person({});
    for (const path of ['/idle/heartbeat', '/url-activity/batch', '/screenshots', '/time-entries']) {
      expect((await key.send('post', path, {})).status).toBe(403);
    }
  });

  test('visits without a start lie back to back and end at receipt; sent again with more behind, they cover the same', () => {
    const seconds = fc.array(fc.integer({ min: 0, max: 3_600 }), { minLength: 1, maxLength: 30 });
    const visit = (timeSpent: number) => ({ timeEntryId: 'e', url: 'https://a.example/', timeSpent });
    fc.assert(
      fc.property(seconds, seconds, (first, more) => {
        const nowMs = 1_800_000_000_000;
        const once = placed(first.map(visit), nowMs);
        expect(once.at(-1)!.end).toBe(nowMs);
        for (const [i, one] of once.entries()) {
          expect(one.end - one.start).toBe(first[i]! * 1_000);
          if (i > 0) expect(one.start).toBe(once[i - 1]!.end);
        }
        const later = nowMs + more.reduce((sum, s) => sum + s, 0) * 1_000;
        const again = placed([...first, ...more].map(visit), later);
        expect(again.slice(0, first.length)).toEqual(once);
      }),
    );
    const dated = placed([{ ...visit(5), startTime: '2026-01-01T00:00:00Z' }, visit(7)], 10_000);
    expect(dated.map(({ start, end }) => end - start)).toEqual([5_000, 7_000]);
    expect(dated[0]!.start).toBe(Date.parse('2026-01-01T00:00:00Z'));
    expect(dated[1]).toMatchObject({ start: 3_000, end: 10_000 });
  });

  test('heartbeats far apart, or of a clock that went back, have nothing between them', () => {
    const at = (ms: number, active = true) => ({ at: ms, active });
    expect(between('u', at(0), at(heartbeatGapMs))).toMatchObject({ start: 0, state: 'active' });
    expect(between('u', at(0), at(heartbeatGapMs + 1, false))).toMatchObject({
      start: heartbeatGapMs + 1,
      state: 'idle',
    });
    expect(between('u', at(10), at(5))).toMatchObject({ start: 5, end: 5 });
    expect(between('u', undefined, at(5, false))).toMatchObject({ start: 5, end: 5, state: 'idle' });
  });
});

test('what is remembered goes: with age, with erased time, with people and with their organisation', async () => {
  const rowsOf = async (organizationId: string) => {
    const counts = await Promise.all(
      ['sessions', 'requests', 'heartbeats'].map(async (table) => {
        const { rows } = await server.database.admin.query(
          `SELECT count(*)::int AS n FROM agent_protocols.hubnity_${table} WHERE organization_id = $1`,
          [organizationId],
        );
        return rows[0].n;
      }),
    );
    return counts;
  };
  const fill = async (age: string) => {
    const who = person();
    const whose = [who.organizationId, who.userId];
    await server.database.admin.query(
      `INSERT INTO agent_protocols.hubnity_sessions VALUES ($1, $2, 'h', 's', now() - $3::interval)`,
      [...whose, age],
    );
    await server.database.admin.query(
      `INSERT INTO agent_protocols.hubnity_requests VALUES ($1, $2, 'k', gen_random_uuid(), now() - $3::interval)`,
      [...whose, age],
    );
    await server.database.admin.query(
      'INSERT INTO agent_protocols.hubnity_heartbeats VALUES ($1, $2, 1000, true)',
      whose,
    );
    return who;
  };
  const [old, erased, gone, other] = [await fill('9 days'), await fill('0'), await fill('0'), await fill('6 days')];
  // Of what comes one after the other the newest stay.
  const busy = person();
  for (let i = 0; i < 5; i++) await requestId(server.pool, busy, ['start', String(i)]);
  await transaction(server.pool, (client) =>
    keepNewest(client, busy, { table: 'hubnity_requests', column: 'made_at', most: 3 }),
  );
  expect(await rowsOf(busy.organizationId)).toEqual([0, 3, 0]);
  await pruneHubnity(server.pool);
  expect(await rowsOf(old.organizationId)).toEqual([0, 0, 1]);
  const { organizationId, userId } = erased;
  await eraseTime(server.pool, { organizationId, userId, ranges: [{ from: 1_000, to: 1_001 }] } as Parameters<
    typeof eraseTime
  >[1]);
  expect(await rowsOf(organizationId)).toEqual([1, 1, 0]);
  await erasePeople(server.pool, [
    { organizationId: gone.organizationId, events: [{ type: 'person', id: gone.userId, deleted: true }] },
  ] as unknown as Parameters<typeof erasePeople>[1]);
  expect(await rowsOf(gone.organizationId)).toEqual([0, 0, 0]);
  expect(await rowsOf(other.organizationId)).toEqual([1, 1, 1]);
  await eraseOrganization(server.pool, other.organizationId, AbortSignal.timeout(10_000));
  expect(await rowsOf(other.organizationId)).toEqual([0, 0, 0]);
});
