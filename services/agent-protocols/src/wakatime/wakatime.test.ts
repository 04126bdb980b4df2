import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { tablesWithoutTenantPolicy } from '@worktide/postgres';
import { uuidv7 } from '@worktide/runtime';
import { privacyRules } from '@worktide/schemas';
import { call, until } from '@worktide/testing';
import { eraseTime } from '../store/erasures.ts';
import { type Person, person, startTestServer, type TestServer } from '../testing.ts';
import { heartbeatRoutes } from './post-heartbeats.ts';
import { currentUser, wakatimeReads } from './read-routes.ts';
import { pruneHeartbeats } from './store.ts';

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer((deps) => ({
    routes: wakatimeReads(deps),
    rawRoutes: [...heartbeatRoutes(deps), currentUser(deps)],
  }));
});
afterAll(() => server?.close());
const pings = () => server.pings();

const plugin = 'wakatime/v1.102.1 (linux-6.1.0-unknown) go1.22.4 vscode/1.91.1 vscode-wakatime/24.6.0';
const noon = Math.floor(Date.now() / 86_400_000) * 86_400_000 - 43_200_000;
const date = new Date(noon).toISOString().slice(0, 10);
/** As wakatime-cli sends one, seconds after noon of yesterday. */
const beat = (seconds: number, more: object = {}) => ({
  branch: 'main',
  category: 'coding',
  cursorpos: 12,
  dependencies: ['fs', 'path'],
  entity: '/home/me/api/main.ts',
  is_write: false,
  language: 'TypeScript',
  lineno: 42,
  lines: 100,
  project: 'api',
  type: 'file',
  time: noon / 1000 + seconds,
  user_agent: plugin,
  ...more,
});

const send = (who: Person, body: unknown, path = '/api/v1/users/current/heartbeats.bulk', headers = {}) =>
  call(server.origin, 'post', path, {
    body,
    headers: { authorization: who.basic, 'x-machine-name': 'box', ...headers },
  });
const get = (who: Person, path: string) =>
  call(server.origin, 'get', `/api/v1/users/current${path}`, { headers: { authorization: who.basic } });
const statuses = ({ body }: { body: { responses: [object, number][] } }) => body.responses.map(([, status]) => status);

test('the database keeps organisations apart', async () => {
  expect(await tablesWithoutTenantPolicy(server.database.admin, 'agent_protocols')).toEqual([]);
});

describe('heartbeats', () => {
  test('each is answered in the order sent, as plugins read it, and is time of the editor', async () => {
    const me = person({ deviceId: 'd-order' });
    const answer = await send(me, [beat(120), { type: 'file' }, beat(0.25), beat(-200 * 86_400), 'x']);
    expect(answer.status).toBe(202);
    expect(statuses(answer)).toEqual([201, 400, 201, 400, 400]);
    expect(answer.body.responses[0]).toEqual([
      {
        data: expect.objectContaining({ entity: '/home/me/api/main.ts', project: 'api', time: noon / 1000 + 120 }),
        error: null,
      },
      201,
    ]);
    expect(answer.body.responses[1][0]).toEqual({
      errors: { entity: ['This field is required.'], time: ['This field is required.'] },
    });
    expect(Object.keys(answer.body.responses[3][0].errors)).toEqual(['time']);
    const mine = await until('its pings are on the log', async () => {
      const found = (await pings()).filter(({ deviceId }) => deviceId === 'd-order');
      return found.length === 2 ? found : undefined;
    });
    expect(mine.map(({ app, source, startedAt, endedAt }) => [app, source, startedAt - noon, endedAt - noon])).toEqual(
      expect.arrayContaining([
        ['VS Code', 'editor', 250, 120_000],
        ['VS Code', 'editor', 120_000, 120_000],
      ]),
    );
  });

  test('sent again, late, or in parts they come to the same time', async () => {
    const me = person({ deviceId: 'd-again' });
    const all = [0, 60, 300, 1_300, 1_360].map((seconds) => beat(seconds));
    await send(me, all.slice(2));
    await send(me, all.slice(0, 2));
    await send(me, all);
    const { body } = await get(me, `/summaries?start=${date}&end=${date}`);
    // Between 300 and 1,300 there are more than 15 minutes.
    expect(body.data[0].grand_total).toMatchObject({ total_seconds: 360, text: '6 mins', digital: '0:06' });
    const found = (await pings()).filter(({ deviceId }) => deviceId === 'd-again');
    const covered = new Set(found.map(({ startedAt, endedAt }) => `${startedAt - noon} ${endedAt - noon}`));
    for (const span of ['0 60000', '60000 300000', '1300000 1360000']) expect(covered).toContain(span);
    expect((await get(me, `/heartbeats?date=${date}`)).body.data).toHaveLength(5);
  });

  test.each([
    ['one', '/api/v1/users/current/heartbeats', (b: object) => b, 201],
    ['one, as Wakapi calls it', '/api/heartbeat', (b: object) => b, 201],
    ['many, as Wakapi calls it', '/api/heartbeats', (b: object) => [b, b], 202],
    ['a user by name', '/api/users/somebody/heartbeats.bulk', (b: object) => [b], 202],
    ['compatible', '/api/compat/wakatime/v1/users/current/heartbeats.bulk', (b: object) => [b], 202],
    ['nested lists', '/api/v1/users/current/heartbeats.bulk', (b: object) => [[b], [[b]]], 202],
  ])('are taken: %s', async (_, path, body, status) => {
    const me = person();
    const answer = await send(me, body(beat(0)), path);
    expect(answer.status).toBe(status);
    expect(statuses(answer).every((one) => one === 201)).toBe(true);
    expect((await get(me, `/heartbeats?date=${date}`)).body.data).toHaveLength(1);
  });

  test('JSON is taken as text, with the key in the query', async () => {
    const me = person();
    const path = `/api/v1/users/current/heartbeats.bulk?api_key=${me.key}`;
    const headers = { 'content-type': 'text/plain;charset=UTF-8' };
    const answer = await call(server.origin, 'post', path, { body: JSON.stringify([beat(0)]), headers });
    expect(answer.status).toBe(202);
    expect(
      (await call(server.origin, 'post', path.replace(me.key, 'waka_no'), { body: [beat(0)], headers })).status,
    ).toBe(401);
  });

  test('placeholders stand for what was said last, in the batch or before it', async () => {
    const me = person();
    await send(me, [beat(0)]);
    const browsing = {
      type: 'domain',
      entity: 'example.com',
      project: '<<LAST_PROJECT>>',
      language: '<<LAST_LANGUAGE>>',
      branch: '<<LAST_BRANCH>>',
    };
    const { body } = await send(me, [beat(10, browsing), beat(20, { project: 'web' }), beat(30, browsing)]);
    const shown = body.responses.map(
      ([{ data }]: [{ data: { project: string; branch: string; language: string } }]) => [
        data.project,
        data.branch,
        data.language,
      ],
    );
    expect(shown).toEqual([
      ['api', 'main', 'TypeScript'],
      ['web', 'main', 'TypeScript'],
      ['web', 'main', 'TypeScript'],
    ]);
    // Who never said anything says nothing.
    const { body: first } = await send(person(), [beat(0, browsing)]);
    expect(first.responses[0][0].data.project).toBeNull();
  });

  test('fields that nobody knew of are kept; what no store takes is mended', async () => {
    const me = person();
    await send(me, [
      beat(0, { ai_line_changes: 7, entity: 'a\u0000b', lines: '12', lineno: -1, project: 'x'.repeat(1_000) }),
    ]);
    const [one] = (await get(me, `/heartbeats?date=${date}`)).body.data;
    expect(one).toMatchObject({
      ai_line_changes: 7,
      entity: 'a\ufffdb',
      lines: 12,
      lineno: null,
      project: 'x'.repeat(256),
    });
  });

  test('too many, too large, no JSON: refused as a whole', async () => {
    const me = person();
    expect(
      (
        await send(
          me,
          Array.from({ length: 1_001 }, () => 1),
        )
      ).status,
    ).toBe(413);
    expect((await send(me, `["${'x'.repeat(1_000_000)}"]`)).status).toBe(413);
    expect((await send(me, '{')).status).toBe(400);
    expect((await send(me, '[[[[[1]]]]]')).status).toBe(413);
    expect((await get(me, `/heartbeats?date=${date}`)).body.data).toEqual([]);
  });

  test('while the log is away they are taken, and read back; the pings follow', async () => {
    const me = person({ deviceId: 'd-away' });
    server.away.log = true;
    try {
      expect(statuses(await send(me, [beat(0), beat(30)]))).toEqual([201, 201]);
      expect((await get(me, '/all_time_since_today')).body.data.total_seconds).toBe(30);
    } finally {
      server.away.log = false;
    }
    await until('the pings', async () => (await pings()).some(({ deviceId }) => deviceId === 'd-away'));
  });
});

describe('privacy', () => {
  test('what rules take away is answered as taken and kept nowhere', async () => {
    const me = person({ deviceId: 'd-privacy' });
    server.rules.set(
      me.organizationId,
      privacyRules.parse({ titles: 'never', rules: [{ id: 'x', kind: 'drop', hosts: ['secret.example'] }] }),
    );
    const answer = await send(me, [
      beat(0, { entity: '/home/me/dismissal.odt', note: 'dismissal' }),
      beat(10, { type: 'domain', entity: 'secret.example' }),
      beat(20, { incognito: true }),
    ]);
    expect(statuses(answer)).toEqual([201, 201, 201]);
    const kept = (await get(me, `/heartbeats?date=${date}`)).body.data;
    expect(kept).toHaveLength(1);
    expect(kept[0]).toMatchObject({ entity: '', project: 'api' });
    const { rows } = await server.database.admin.query(
      'SELECT h::text AS row FROM agent_protocols.heartbeats h WHERE organization_id = $1',
      [me.organizationId],
    );
    expect(rows).toHaveLength(1);
    expect(rows[0].row).not.toMatch(/dismissal|secret/);
    await until('its ping', async () => (await pings()).some(({ deviceId }) => deviceId === 'd-privacy'));
    const mine = (await pings()).filter(({ deviceId }) => deviceId === 'd-privacy');
    expect(JSON.stringify(mine)).not.toMatch(/dismissal|secret/);
  });

  test('of somebody who pauses nothing is kept', async () => {
    const me = person({ pause: { from: Date.now() - 1_000, until: Date.now() + 60_000 } });
    expect(statuses(await send(me, [beat(0)]))).toEqual([201]);
    expect((await get(me, `/heartbeats?date=${date}`)).body.data).toEqual([]);
  });

  test('what was erased is gone, and does not come back', async () => {
    const me = person();
    await send(me, [beat(0), beat(60), beat(120)]);
    const ranges = [{ id: uuidv7(), deviceId: null, from: noon, to: noon + 90_000 }];
    await eraseTime(server.pool, { organizationId: me.organizationId, userId: me.userId, ranges } as never);
    await send(me, [beat(0), beat(60), beat(120)]);
    const left = (await get(me, `/heartbeats?date=${date}`)).body.data;
    expect(left.map(({ time }: { time: number }) => time - noon / 1000)).toEqual([120]);
  });

  test('what is too old goes', async () => {
    const me = person();
    await send(me, [beat(0)]);
    await server.database.admin.query('UPDATE agent_protocols.heartbeats SET at_ms = 1 WHERE organization_id = $1', [
      me.organizationId,
    ]);
    await pruneHeartbeats(server.pool);
    const { rows } = await server.database.admin.query(
      'SELECT 1 FROM agent_protocols.heartbeats WHERE organization_id = $1',
      [me.organizationId],
    );
    expect(rows).toEqual([]);
  });
});

describe('what is read back', () => {
  const me = person({ timezone: 'Asia/Kathmandu' });
  beforeAll(async () => {
    await send(me, [
      beat(0),
      beat(600, { project: 'web', language: 'HTML', branch: 'design' }),
      beat(900),
      beat(1_000, {
        type: 'domain',
        entity: 'example.com',
        project: null,
        language: null,
        user_agent: 'Chrome/1 chrome-wakatime/4.0',
      }),
      beat(1_060, { entity: '/home/me/api/other.ts' }),
    ]);
  });

  test('days, by what they were spent on', async () => {
    const { body } = await get(me, `/summaries?start=${date}&end=${date}&timezone=UTC`);
    const [day] = body.data;
    expect(day.range).toMatchObject({ date, timezone: 'UTC', start: `${date}T00:00:00Z`, end: `${date}T23:59:59Z` });
    const seconds = (list: { name: string; total_seconds: number }[]) =>
      list.map((one) => [one.name, one.total_seconds]);
    expect(seconds(day.projects)).toEqual([
      ['api', 700],
      ['web', 300],
      ['Unknown Project', 60],
    ]);
    expect(seconds(day.languages)).toEqual([
      ['TypeScript', 700],
      ['HTML', 300],
      ['Other', 60],
    ]);
    expect(seconds(day.editors)).toEqual([
      ['VS Code', 1_000],
      ['Chrome', 60],
    ]);
    expect(seconds(day.machines)).toEqual([['box', 1_060]]);
    expect(day.categories).toMatchObject([{ name: 'Coding', percent: 100, text: '17 mins' }]);
    expect(body.cumulative_total.seconds).toBe(1_060);
    expect(body.daily_average).toMatchObject({ seconds: 1_060, holidays: 0 });
    const { body: one } = await get(me, `/summaries?start=${date}&end=${date}&project=api&timezone=UTC`);
    expect(seconds(one.data[0].branches)).toEqual([['main', 700]]);
    expect(seconds(one.data[0].entities)).toEqual([['/home/me/api/main.ts', 700]]);
  });

  test('statistics, projects, plugins, experts, and who I am', async () => {
    expect((await get(me, '/stats/last_7_days?timezone=UTC')).body.data).toMatchObject({
      total_seconds: 1_060,
      human_readable_total: '17 mins',
      best_day: { date, total_seconds: 1_060 },
      is_up_to_date: true,
    });
    expect((await get(me, `/stats/${date.slice(0, 4)}?timezone=UTC`)).body.data.total_seconds).toBe(1_060);
    expect((await get(me, '/stats/no_such')).status).toBe(404);
    expect((await get(me, '/projects')).body.data.map(({ name }: { name: string }) => name)).toEqual(['api', 'web']);
    expect((await get(me, '/projects?q=WE')).body.data).toHaveLength(1);
    expect((await get(me, '/user_agents')).body.data.map(({ editor }: { editor: string }) => editor).sort()).toEqual([
      'Chrome',
      'VS Code',
    ]);
    expect((await get(me, '/goals')).body.data).toEqual([]);
    expect((await get(me, '')).body.data).toMatchObject({ id: me.userId, timezone: 'Asia/Kathmandu' });
    const expert = await call(server.origin, 'post', '/api/v1/users/current/file_experts', {
      body: { entity: '/home/me/api/main.ts', project: 'api', project_root_count: 3 },
      headers: { authorization: me.basic },
    });
    expect(expert.body.data).toMatchObject([{ total: { total_seconds: 1_000 }, user: { is_current_user: true } }]);
  });

  test('today for the status bar is the person’s own day', async () => {
    const now = person({ timezone: 'Pacific/Kiritimati' });
    await send(now, [beat(0, { time: Date.now() / 1000 - 2 }), beat(0, { time: Date.now() / 1000 - 1 })]);
    const { body } = await get(now, '/statusbar/today');
    expect(body.data.range.timezone).toBe('Pacific/Kiritimati');
    expect(body.data.grand_total).toMatchObject({ text: expect.stringMatching(/secs?$/), digital: '0:00' });
  });

  test('nobody reads another’s', async () => {
    const other = person({ organizationId: me.organizationId });
    const stranger = person();
    for (const who of [other, stranger]) {
      expect((await get(who, `/heartbeats?date=${date}`)).body.data).toEqual([]);
      expect((await get(who, '/projects')).body.data).toEqual([]);
      expect((await get(who, '/all_time_since_today')).body.data.total_seconds).toBe(0);
    }
  });
});

describe('what was found by attacking it', () => {
  test('a placeholder never stands for what is kept nowhere', async () => {
    const me = person({ deviceId: 'd-last' });
    const rules = [{ id: crypto.randomUUID(), kind: 'drop', apps: ['KeePass*'] }];
    server.rules.set(me.organizationId, privacyRules.parse({ rules }));
    await send(me, [
      beat(0, { editor: 'KeePass', project: 'marker-1', branch: 'marker-1' }),
      beat(1, { incognito: true, project: 'marker-2' }),
      beat(2, { project: '<<LAST_PROJECT>>', branch: '<<LAST_BRANCH>>' }),
    ]);
    expect((await get(me, `/heartbeats?date=${date}`)).text).not.toContain('marker');
  });

  test('an address that cannot be read is not kept where there are rules', async () => {
    const me = person({ deviceId: 'd-unread' });
    server.rules.set(me.organizationId, privacyRules.parse({ urls: 'host' }));
    await send(me, [
      beat(0, { type: 'url', entity: 'www.clinic.example:99999/marker' }),
      beat(1, { type: 'url', entity: `www.clinic.example/marker/${'a'.repeat(2_020)}` }),
      beat(2, { type: 'url', entity: 'https://clinic.example/marker', dependencies: ['marker'] }),
    ]);
    const { text, body } = await get(me, `/heartbeats?date=${date}`);
    expect(body.data).toHaveLength(3);
    expect(text).not.toContain('marker');
  });

  test.each([
    [
      'an editor named like a part of every object',
      { user_agent: 'wakatime/v1 (constructor-1) go1 constructor/1 x-wakatime/1' },
    ],
    ['a field that is nested deeply', { x: 'deep' }],
  ])('%s is taken', async (_, more) => {
    const me = person({ deviceId: 'd-odd' });
    const deep = `${'['.repeat(20_000)}${']'.repeat(20_000)}`;
    const body = JSON.stringify([beat(0, more)]).replace('"deep"', deep);
    expect(statuses(await send(me, body))).toEqual([201]);
  });
});
