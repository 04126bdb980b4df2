import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { privacyRules } from '@worktide/schemas';
import { call, until } from '@worktide/testing';
import fc from 'fast-check';
import { eraseTime } from '../store/erasures.ts';
import { type Person, person, plans, startTestServer, type TestServer } from '../testing.ts';
import { pruneEvents } from './prune.ts';
import { activityWatch } from './routes.ts';

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer((deps) => activityWatch({ ...deps, queryMs: 4_000 }));
});
afterAll(() => server?.close());

const noon = Math.floor(Date.now() / 86_400_000) * 86_400_000 - 43_200_000;
const at = (seconds: number): string => new Date(noon + seconds * 1_000).toISOString();
const shown = (seconds: number): string => at(seconds).replace('Z', '000+00:00');
const event = (seconds: number, data: object, duration = 0) => ({ timestamp: at(seconds), duration, data });

const headers = (who: Person) => ({ authorization: `Basic ${Buffer.from(`agent:${who.key}`).toString('base64')}` });
const get = (who: Person, path: string) => call(server.origin, 'get', `/api/0${path}`, { headers: headers(who) });
const post = (who: Person, path: string, body: unknown) =>
  call(server.origin, 'post', `/api/0${path}`, { body, headers: headers(who) });
const remove = (who: Person, path: string) => call(server.origin, 'delete', `/api/0${path}`, { headers: headers(who) });
const make = (who: Person, id: string, type: string, client = 'aw-test') =>
  post(who, `/buckets/${id}`, { client, type, hostname: 'box' });
const beat = (who: Person, bucket: string, seconds: number, data: object, pulsetime = 6, duration = 0) =>
  post(who, `/buckets/${bucket}/heartbeat?pulsetime=${pulsetime}`, event(seconds, data, duration));

/** Milliseconds that pings of a device say of each app, every millisecond once, as a source has it. */
async function painted(deviceId: string, source = 'window'): Promise<Record<string, number>> {
  const owner = new Map<number, string>();
  for (const ping of await server.pings()) {
    if (ping.deviceId !== deviceId || ping.source !== source) continue;
    for (let ms = ping.startedAt; ms < Math.max(ping.endedAt, ping.startedAt + 1); ms++) owner.set(ms, ping.app);
  }
  const sums: Record<string, number> = {};
  for (const app of owner.values()) sums[app] = (sums[app] ?? 0) + 1;
  return sums;
}

describe('buckets', () => {
  test('are made once, shown, changed, and deleted by force', async () => {
    const me = person();
    expect((await make(me, 'b', 'currentwindow')).status).toBe(200);
    expect((await make(me, 'b', 'currentwindow')).status).toBe(304);
    expect((await get(me, '/buckets/')).body).toEqual({
      b: {
        id: 'b',
        created: expect.any(String),
        name: null,
        type: 'currentwindow',
        client: 'aw-test',
        hostname: 'box',
        data: {},
      },
    });
    const changed = await call(server.origin, 'put', '/api/0/buckets/b', {
      body: { hostname: 'other', data: { x: 1 } },
      headers: headers(me),
    });
    expect(changed.status).toBe(200);
    await beat(me, 'b', 10, { app: 'A' });
    expect((await get(me, '/buckets/b')).body).toMatchObject({
      hostname: 'other',
      data: { x: 1 },
      last_updated: shown(10),
    });
    expect((await remove(me, '/buckets/b')).status).toBe(403);
    expect((await remove(me, '/buckets/b?force=1')).status).toBe(200);
    expect((await remove(me, '/buckets/b?force=1')).status).toBe(404);
    expect((await get(me, '/buckets/b/events')).status).toBe(404);
  });

  test('are of a device, and nobody else’s', async () => {
    const me = person();
    const others = [
      person(),
      person({ organizationId: me.organizationId }),
      { ...me, ...person({ ...me, deviceId: 'x' }) },
    ];
    await beat(me, 'mine', 0, { app: 'A', title: 'secret' });
    for (const other of others) {
      expect((await get(other, '/buckets/')).body).toEqual({});
      expect((await get(other, '/buckets/mine')).status).toBe(404);
      expect((await get(other, '/buckets/mine/events')).status).toBe(404);
      expect((await get(other, '/buckets/mine/export')).status).toBe(404);
      expect((await post(other, '/buckets/mine/events', event(0, {}))).status).toBe(404);
      expect((await remove(other, '/buckets/mine?force=1')).status).toBe(404);
      expect((await get(other, '/export')).body).toEqual({ buckets: {} });
    }
    expect((await get(me, '/buckets/mine/events')).body).toHaveLength(1);
  });

  test('are not made by the thousand', async () => {
    const me = person();
    const buckets = Object.fromEntries(
      Array.from({ length: 500 }, (_, i) => [`b${i}`, { type: 't', client: 'c', hostname: 'h', events: [] }]),
    );
    expect((await post(me, '/import', { buckets })).status).toBe(200);
    const answers = await Promise.all([
      make(me, 'one more', 't'),
      beat(me, 'b1', 0, { n: 1 }),
      beat(me, 'more', 0, {}),
    ]);
    expect(answers.map(({ status }) => status)).toEqual([400, 200, 400]);
    expect(answers[0]!.body.code).toBe('TOO_MANY_BUCKETS');
  });
});

describe('heartbeats', () => {
  test('go on with the last event, or begin another; an unknown bucket is made', async () => {
    const me = person({ deviceId: 'd-beat' });
    const bucket = 'aw-watcher-window_box';
    const first = await beat(me, bucket, 0, { title: 't', app: 'A' });
    expect(first.body).toEqual({ id: 1, timestamp: shown(0), duration: 0, data: { app: 'A', title: 't' } });
    expect((await beat(me, bucket, 5.5, { app: 'A', title: 't' })).body).toMatchObject({ id: 1, duration: 5.5 });
    expect((await beat(me, bucket, 8, { app: 'B' })).body).toMatchObject({ id: 2, duration: 0 });
    expect((await beat(me, bucket, 100, { app: 'B' })).body).toMatchObject({ id: 3, timestamp: shown(100) });
    expect((await get(me, `/buckets/${bucket}`)).body).toMatchObject({ type: 'currentwindow', hostname: 'box' });
    expect((await get(me, `/buckets/${bucket}/events`)).body.map(({ id }: { id: number }) => id)).toEqual([3, 2, 1]);
    await until('its time', async () => (await painted('d-beat')).A === 8_000);
    expect(await painted('d-beat')).toEqual({ A: 8_000, B: 2 });
  });

  test('without length, of two apps by turns for a minute, are a minute', async () => {
    const me = person({ deviceId: 'd-turns' });
    for (let second = 0; second <= 60; second += 5) {
      await beat(me, 'aw-watcher-window_box', second, { app: second % 10 ? 'odd' : 'even' });
    }
    await until('its time', async () => {
      const { even = 0, odd = 0 } = await painted('d-turns');
      return even + odd === 60_001 && even === 30_001;
    });
  });

  test('of a keyboard say idle and active', async () => {
    const me = person({ deviceId: 'd-afk' });
    await make(me, 'keys', 'afkstatus');
    await beat(me, 'keys', 0, { status: 'not-afk' }, 185);
    await beat(me, 'keys', 60, { status: 'not-afk' }, 185);
    await beat(me, 'keys', 60.001, { status: 'afk' }, 185, 240);
    await until('its time', async () => {
      const afk = (await server.pings()).filter(({ deviceId }) => deviceId === 'd-afk');
      return afk.some(({ state, endedAt }) => state === 'idle' && endedAt === noon + 300_001);
    });
    expect(await painted('d-afk', 'afk')).toEqual({ afk: 300_001 });
  });

  test('many at once go on in the order in which they came, and all are there', async () => {
    const me = person({ deviceId: 'd-many' });
    const sent = Array.from({ length: 300 }, (_, i) =>
      beat(me, `aw-watcher-window_${i % 3}`, Math.floor(i / 3), { app: 'A' }),
    );
    expect(new Set((await Promise.all(sent)).map(({ status }) => status))).toEqual(new Set([200]));
    for (const i of [0, 1, 2]) {
      const { body } = await get(me, `/buckets/aw-watcher-window_${i}/events`);
      expect(body.reduce((sum: number, { duration }: { duration: number }) => sum + duration, 0)).toBe(99);
    }
  });

  test.each([
    ['no pulsetime', '', event(0, {}), 400, 'INVALID_PULSETIME'],
    ['no time', '?pulsetime=1', { data: {} }, 400, 'INVALID_EVENT'],
    ['a strange time', '?pulsetime=1', { ...event(0, {}), timestamp: 'x' }, 400, 'INVALID_EVENT'],
    ['a length below nothing', '?pulsetime=1', event(0, {}, -1), 400, 'INVALID_EVENT'],
    ['what is yet to come', '?pulsetime=1', event(200_000, {}), 400, 'IN_FUTURE'],
    ['a list', '?pulsetime=1', [event(0, {})], 400, 'INVALID_EVENT'],
    ['long data', '?pulsetime=1', event(0, { x: 'x'.repeat(40_000) }), 413, 'EVENT_TOO_LARGE'],
    ['a long body', '?pulsetime=1', event(0, { x: 'x'.repeat(10_000_000) }), 413, 'BODY_TOO_LARGE'],
    [
      'deep data',
      '?pulsetime=1',
      event(0, JSON.parse(`${'{"a":'.repeat(30)}1${'}'.repeat(30)}`)),
      400,
      'INVALID_EVENT',
    ],
  ])('with %s are refused, and nothing is left of them', async (_, query, body, status, code) => {
    const me = person();
    const answer = await post(me, `/buckets/b/heartbeat${query}`, body);
    expect([answer.status, answer.body.code]).toEqual([status, code]);
    expect((await get(me, '/buckets/')).body).toEqual({});
  });

  test('while the log is away are taken, read back, and time later', async () => {
    const me = person({ deviceId: 'd-away' });
    server.away.log = true;
    try {
      expect((await beat(me, 'aw-watcher-window_box', 0, { app: 'A' })).status).toBe(200);
      expect((await beat(me, 'aw-watcher-window_box', 5, { app: 'A' })).body.duration).toBe(5);
    } finally {
      server.away.log = false;
    }
    await until('its time', async () => (await painted('d-away')).A === 5_000);
  });

  test('of the same time again, and late ones, count once', async () => {
    const me = person({ deviceId: 'd-again' });
    const bucket = 'aw-watcher-window_box';
    for (const second of [10, 12, 14, 12, 10, 4, 14]) await beat(me, bucket, second, { app: 'A' });
    await until('its time', async () => (await painted('d-again')).A === 4_001);
  });

  test('are what a simple server would have kept, whatever comes', async () => {
    const sent = fc.array(
      fc.record({
        gap: fc.constantFrom(-3, 0, 1, 2, 5, 30),
        app: fc.constantFrom('A', 'B'),
        duration: fc.constantFrom(0, 0, 3),
      }),
      { minLength: 1, maxLength: 12 },
    );
    await fc.assert(
      fc.asyncProperty(sent, async (beats) => {
        const me = person();
        const events: { start: number; duration: number; app: string; n: number }[] = [];
        let second = 1_000;
        for (const { gap, app, duration } of beats) {
          second += gap;
          await beat(me, 'aw-watcher-window_box', second, { app }, 6, duration);
          const last = events.toSorted((a, b) => a.start - b.start || a.n - b.n).at(-1);
          if (last?.app === app && second >= last.start && second <= last.start + last.duration + 6) {
            last.duration = Math.max(last.duration, second - last.start + duration);
          } else events.push({ start: second, duration, app, n: events.length });
        }
        const { body } = await get(me, '/buckets/aw-watcher-window_box/events');
        expect(
          body.map((one: { timestamp: string; duration: number; data: object }) => [
            one.timestamp,
            one.duration,
            one.data,
          ]),
        ).toEqual(
          events
            .toSorted((a, b) => b.start - a.start || b.n - a.n)
            .map(({ start, duration, app }) => [shown(start), duration, { app }]),
        );
      }),
      { numRuns: 15 },
    );
  }, 30_000);
});

describe('events', () => {
  test('one or many, by period and limit, counted, cut, shown and deleted', async () => {
    const me = person();
    await make(me, 'b', 'os.hid.input');
    expect((await post(me, '/buckets/b/events', event(0, { n: 0 }, 10))).body).toMatchObject({ id: 1, duration: 10 });
    expect((await post(me, '/buckets/b/events', [event(20, { n: 2 }, 5), event(12, { n: 1 }, 3)])).body).toBeNull();
    const read = async (query: string) =>
      (await get(me, `/buckets/b/events${query}`)).body.map((one: { data: { n: number }; duration: number }) => [
        one.data.n,
        one.duration,
      ]);
    expect(await read('')).toEqual([
      [2, 5],
      [1, 3],
      [0, 10],
    ]);
    expect(await read('?limit=1')).toEqual([[2, 5]]);
    expect(await read('?limit=-1')).toHaveLength(3);
    expect(await read('?limit=0')).toEqual([]);
    expect(await read(`?start=${at(5)}&end=${at(13)}`)).toEqual([
      [1, 1],
      [0, 5],
    ]);
    expect((await get(me, `/buckets/b/events/count?start=${at(11)}`)).body).toBe(2);
    expect((await get(me, '/buckets/b/events/1')).body).toMatchObject({ id: 1, data: { n: 0 } });
    expect((await remove(me, '/buckets/b/events/2')).body).toEqual({ success: true });
    expect((await remove(me, '/buckets/b/events/2')).body).toEqual({ success: false });
    expect((await get(me, '/buckets/b/events/2')).status).toBe(404);
    expect(await read('')).toEqual([
      [1, 3],
      [0, 10],
    ]);
    expect((await post(me, '/buckets/b/events', { ...event(1, { n: 9 }, 1), id: 1 })).status).toBe(200);
    expect(await read('')).toEqual([
      [1, 3],
      [9, 1],
    ]);
  });

  test.each([
    ['?start=x', 'INVALID_TIME'],
    ['?limit=x', 'INVALID_LIMIT'],
  ])('asked for with %s', async (query, code) => {
    const me = person();
    await make(me, 'b', 't');
    expect((await get(me, `/buckets/b/events${query}`)).body.code).toBe(code);
  });

  test('are exported, and imported twice they are there once', async () => {
    const me = person({ deviceId: 'd-from' });
    for (const second of [0, 5, 100, 400]) await beat(me, 'aw-watcher-window_box', second, { app: 'A' });
    await post(me, '/buckets/aw-watcher-window_box/events', [event(50, { app: 'B' }, 7), event(50, { app: 'B' }, 7)]);
    const exported = (await get(me, '/export')).body;
    expect(exported.buckets['aw-watcher-window_box'].events).toHaveLength(5);
    const other = person({ deviceId: 'd-into' });
    for (let i = 0; i < 2; i++) expect((await post(other, '/import', exported)).status).toBe(200);
    const back = (await get(other, '/buckets/aw-watcher-window_box/export')).body;
    const events = exported.buckets['aw-watcher-window_box'].events;
    expect(back.buckets['aw-watcher-window_box'].events).toEqual(events.filter((_: object, i: number) => i !== 3));
    await until('its time', async () => (await painted('d-into')).B === 7_000);
    expect(await painted('d-into')).toEqual({ A: 5_002, B: 7_000 });
  });

  test('by the thousand leave as they are read', async () => {
    const me = person({ deviceId: 'd-pages' });
    await make(me, 'b', 't');
    const all = Array.from({ length: 4_500 }, (_, i) => event(i - 10_000, { i }, 1));
    expect((await post(me, '/buckets/b/events', all)).status).toBe(200);
    const { body } = await get(me, '/buckets/b/events');
    expect(body.map(({ data }: { data: { i: number } }) => data.i)).toEqual(
      all.map(({ data }) => (data as { i: number }).i).reverse(),
    );
  });
});

test('what an organisation sends is counted by its plan, as pings are', async () => {
  const me = person();
  plans.set(me.organizationId, 'free');
  await make(me, 'b', 't');
  const statuses = [
    await post(me, '/buckets/b/events', [event(0, {}), event(1, {}), event(2, {})]),
    await beat(me, 'b', 10, {}),
    await post(me, '/buckets/b/events', [event(3, {}), event(4, {}), event(5, {})]),
  ].map(({ status, body }) => body?.code ?? status);
  expect(statuses).toEqual([200, 200, 'PING_QUOTA_EXCEEDED']);
  expect((await get(me, '/buckets/b/events')).body).toHaveLength(4);
});

test('what nobody takes is bounded: settings in all, and lists that are open', async () => {
  const me = person();
  const large = JSON.stringify('x'.repeat(250_000));
  const statuses: number[] = [];
  for (let i = 0; i < 5; i++) statuses.push((await post(me, `/settings/s${i}`, large)).status);
  expect(statuses).toEqual([200, 200, 200, 413, 413]);

  await make(me, 'large', 't');
  const events = Array.from({ length: 120 }, (_, i) => event(i, { x: 'x'.repeat(30_000) }));
  await post(me, '/buckets/large/events', events);
  const all = (await get(me, '/buckets/large/events')).body;
  expect(all.map(({ timestamp }: { timestamp: string }) => timestamp)).toEqual(events.map((_, i) => shown(119 - i)));
  const sockets = Array.from({ length: 12 }, () => {
    const socket = connect(Number(new URL(server.origin).port), '127.0.0.1');
    socket.pause();
    socket.write(
      `GET /api/0/buckets/large/events HTTP/1.1\r\nHost: x\r\nAuthorization: ${headers(me).authorization}\r\n\r\n`,
    );
    return socket;
  });
  try {
    await until('no more are opened', async () => (await get(me, '/buckets/large/events?limit=1')).status === 503);
    expect((await get(person(), '/export')).status).toBe(200);
  } finally {
    for (const socket of sockets) socket.destroy();
  }
  await until('they are closed', async () => (await get(me, '/buckets/large/events?limit=1')).status === 200);
});

test('settings are a person’s', async () => {
  const me = person();
  expect((await get(me, '/settings/classes')).body).toBeNull();
  expect((await post(me, '/settings/classes', [{ name: ['Work'] }])).body).toEqual([{ name: ['Work'] }]);
  expect((await post(me, '/settings/theme', '"dark"')).status).toBe(200);
  expect((await get(me, '/settings')).body).toEqual({ classes: [{ name: ['Work'] }], theme: 'dark' });
  expect((await get(person({ organizationId: me.organizationId }), '/settings')).body).toEqual({});
});

describe('privacy', () => {
  const marker = 'marker-4711';
  test('what a rule takes away is answered as taken and is nowhere', async () => {
    const me = person({ deviceId: 'd-privacy' });
    server.rules.set(
      me.organizationId,
      privacyRules.parse({
        rules: [
          { id: crypto.randomUUID(), kind: 'drop', apps: ['Secret*'] },
          { id: crypto.randomUUID(), kind: 'redact-title', apps: ['Mail'] },
          { id: crypto.randomUUID(), kind: 'host-only', hosts: ['*.example.com'] },
        ],
      }),
    );
    const window = 'aw-watcher-window_box';
    const sent = [
      await beat(me, window, 0, { app: 'Secret thing', title: marker }),
      await beat(me, window, 3, { app: 'Mail', title: marker, other: marker }),
      await beat(me, window, 6, { app: 'Mail', title: `${marker} 2` }),
      await beat(me, 'aw-watcher-web-firefox_box', 0, {
        url: `https://a.example.com/${marker}`,
        title: 'page',
        tabCount: 3,
      }),
      await beat(me, 'aw-watcher-web-firefox_box', 1, { url: 'https://b.org/', title: marker, incognito: true }),
      await beat(me, 'custom', 0, { words: [marker], count: 7 }),
      await beat(me, 'custom', 2, { app: 'secretive', words: marker }),
    ];
    expect(sent.map(({ status }) => status)).toEqual(sent.map(() => 200));
    const exported = JSON.stringify((await get(me, '/export')).body);
    expect(exported).not.toContain(marker);
    expect((await get(me, `/buckets/${window}/events`)).body).toMatchObject([{ duration: 3, data: { app: 'Mail' } }]);
    expect((await get(me, '/buckets/custom/events')).body).toMatchObject([{ data: { count: 7 } }]);
    expect((await get(me, '/buckets/aw-watcher-web-firefox_box/events')).body).toMatchObject([
      { data: { url: 'https://a.example.com/', title: 'page', tabCount: 3 } },
    ]);
    await until('its time', async () => (await painted('d-privacy')).Mail === 3_000);
    const { rows } = await server.database.admin.query(
      'SELECT count(*)::int AS n FROM agent_protocols.events e, agent_protocols.buckets b WHERE e.data || b.last_data LIKE $1',
      [`%${marker}%`],
    );
    expect(rows).toEqual([{ n: 0 }]);
    expect(JSON.stringify(await server.pings())).not.toContain(marker);
    expect(await server.metrics.render()).toMatchObject({ text: expect.stringContaining('kind="private-window"} 1') });
  });

  test('titles that are never kept are in no word of an event', async () => {
    const me = person();
    server.rules.set(me.organizationId, privacyRules.parse({ titles: 'never' }));
    const sent: [string, object][] = [
      ['aw-watcher-afk_box', { status: 'afk', title: marker, app: marker }],
      ['aw-watcher-vscode_box', { project: marker, branch: marker, language: 'TypeScript' }],
      ['aw-watcher-window_box', { app: 'A', file: marker, status: marker }],
      ['other_box', { file: marker, language: marker, deep: { title: marker }, n: 1 }],
    ];
    for (const [bucket, data] of sent) expect((await beat(me, bucket, 0, data)).status).toBe(200);
    const exported = JSON.stringify((await get(me, '/export')).body);
    expect(exported).not.toContain(marker);
    expect(exported).toContain('"data":{"status":"afk"}');
    expect(exported).toContain('"data":{"language":"TypeScript"}');
    expect(exported).toContain('"data":{"n":1}');
  });

  test.each([
    `https://www.clinic.example/?q=${'x'.repeat(3_000)}`,
    'https://u@www.clinic.example:99999/x',
    'HTTPS:\\\\Clinic.example\\ x y',
  ])('a rule for hosts holds for the address %#, which cannot be kept', async (url) => {
    const me = person();
    const rules = [{ id: crypto.randomUUID(), kind: 'drop', hosts: ['*.clinic.example'] }];
    server.rules.set(me.organizationId, privacyRules.parse({ rules }));
    await beat(me, 'aw-watcher-web-firefox_box', 0, { url, title: marker });
    expect((await get(me, '/buckets/aw-watcher-web-firefox_box/events')).body).toEqual([]);
  });

  test('of what reaches over a pause or the hours, the rest is kept', async () => {
    const pause = { from: noon + 10_000, until: noon + 20_000 };
    const me = person({ deviceId: 'd-pause', pause });
    const window = 'aw-watcher-window_box';
    await beat(me, window, 5, { app: 'A' });
    await beat(me, window, 25, { app: 'A' }, 60);
    await post(me, `/buckets/${window}/events`, event(0, { app: 'B' }, 30));
    const { body } = await get(me, `/buckets/${window}/events`);
    expect(
      body.map((one: { timestamp: string; duration: number; data: { app: string } }) => [
        one.data.app,
        one.timestamp,
        one.duration,
      ]),
    ).toEqual([
      ['A', shown(25), 0],
      ['B', shown(20), 10],
      ['A', shown(5), 0],
      ['B', shown(0), 10],
    ]);
  });
});

test('erased time stays erased, and what was there is cut', async () => {
  const me = person({ deviceId: 'd-erased' });
  const window = 'aw-watcher-window_box';
  for (const second of [0, 5, 10]) await beat(me, window, second, { app: 'A' });
  const ranges = [{ deviceId: 'd-erased', from: noon + 2_000, to: noon + 8_000 }];
  await eraseTime(server.pool, { organizationId: me.organizationId, userId: me.userId, ranges } as never);
  await post(me, `/buckets/${window}/events`, event(0, { app: 'B' }, 20));
  await beat(me, window, 4, { app: 'C' });
  const { body } = await get(me, `/buckets/${window}/events`);
  expect(
    body.map((one: { timestamp: string; duration: number; data: { app: string } }) => [
      one.data.app,
      one.timestamp,
      one.duration,
    ]),
  ).toEqual([
    ['B', shown(8), 12],
    ['A', shown(8), 2],
    ['B', shown(0), 2],
    ['A', shown(0), 2],
  ]);
});

test('what is older than anything reads is swept', async () => {
  const me = person();
  await make(me, 'b', 't');
  await post(me, '/buckets/b/events', [event(-800 * 86_400, {}), event(-800 * 86_400 + 1, {}), event(0, {})]);
  await pruneEvents(server.pool);
  expect((await get(me, '/buckets/b/events')).body).toHaveLength(1);
});

describe('queries', () => {
  const ask = (who: Person, query: string[], timeperiods = [`${at(0)}/${at(3_600)}`]) =>
    post(who, '/query/', { query, timeperiods });

  test('as the web interface of ActivityWatch asks for a day', async () => {
    const me = person();
    await make(me, 'aw-watcher-window_box', 'currentwindow');
    await make(me, 'aw-watcher-afk_box', 'afkstatus');
    await make(me, 'aw-watcher-web-firefox_box', 'web.tab.current');
    await post(me, '/buckets/aw-watcher-window_box/events', [
      event(0, { app: 'Code', title: 'api.ts' }, 600),
      event(602, { app: 'Firefox', title: 'Docs' }, 598),
      event(1_200, { app: 'Code', title: 'api.ts' }, 1_200),
    ]);
    await post(me, '/buckets/aw-watcher-afk_box/events', [
      event(0, { status: 'not-afk' }, 1_500),
      event(1_500, { status: 'afk' }, 900),
    ]);
    await post(me, '/buckets/aw-watcher-web-firefox_box/events', [
      event(500, { url: 'https://www.example.com/a?b#c', title: 'Docs' }, 700),
    ]);
    const answer = await ask(me, [
      'events = flood(query_bucket(find_bucket("aw-watcher-window_")));',
      'not_afk = flood(query_bucket(find_bucket("aw-watcher-afk_", "box")));',
      'not_afk = filter_keyvals(not_afk, "status", ["not-afk"]);',
      'browser_events = [];',
      'events_firefox = flood(query_bucket("aw-watcher-web-firefox_box"));',
      'window_firefox = filter_keyvals_regex(events, "app", "(?i)(firefox|librewolf)");',
      'events_firefox = filter_period_intersect(events_firefox, window_firefox);',
      'events_firefox = split_url_events(events_firefox);',
      'browser_events = sort_by_timestamp(concat(browser_events, events_firefox));',
      'events = filter_period_intersect(events, not_afk);',
      'events = categorize(events, [[["Work"], {"type": "regex", "regex": "code", "ignore_case": true}], [["Work", "API"], {"type": "regex", "regex": "api\\.ts"}]]);',
      'app_events = sort_by_duration(merge_events_by_keys(events, ["app"]));',
      'cat_events = sort_by_duration(merge_events_by_keys(events, ["$category"]));',
      'domains = limit_events(merge_events_by_keys(browser_events, ["$domain"]), 100);',
      'RETURN = {"apps": app_events, "cats": cat_events, "domains": domains, "duration": sum_durations(events), "active": union_no_overlap(not_afk, [])};',
    ]);
    expect(answer.status).toBe(200);
    const [{ apps, cats, domains, duration, active }] = answer.body;
    const sums = (events: { duration: number; data: object }[]) => events.map((one) => [one.data, one.duration]);
    // The gap of 2 s goes to the longer of its neighbours.
    expect(sums(apps)).toEqual([
      [{ app: 'Code' }, 902],
      [{ app: 'Firefox' }, 598],
    ]);
    expect(sums(cats)).toEqual([
      [{ $category: ['Work', 'API'] }, 902],
      [{ $category: ['Uncategorized'] }, 598],
    ]);
    expect(sums(domains)).toEqual([[{ $domain: 'example.com' }, 598]]);
    expect(duration).toBe(1_500);
    expect(active).toHaveLength(1);
  });

  test('are answered once for each period', async () => {
    const me = person();
    await make(me, 'b', 't');
    await post(me, '/buckets/b/events', event(0, {}, 7_200));
    const answer = await ask(
      me,
      ['RETURN = sum_durations(query_bucket("b"));'],
      [`${at(0)}/${at(60)}`, `${at(7_000)}/${at(8_000)}`, `${at(9_000)}/${at(9_001)}`],
    );
    expect(answer.body).toEqual([60, 200, 0]);
  });

  test.each([
    ['RETURN = query_bucket("none");', 'INVALID_QUERY'],
    ['RETURN = nosuch(1);', 'INVALID_QUERY'],
    ['RETURN = flood(1);', 'INVALID_QUERY'],
    ['RETURN = flood();', 'INVALID_QUERY'],
    ['RETURN = constructor("x");', 'INVALID_QUERY'],
    ['RETURN = x;', 'INVALID_QUERY'],
    ['x = 1;', 'INVALID_QUERY'],
    ['RETURN = "open', 'INVALID_QUERY'],
    ['RETURN = [1, 2', 'INVALID_QUERY'],
    [`RETURN = ${'['.repeat(60)}`, 'INVALID_QUERY'],
    ['RETURN = filter_keyvals_regex(query_bucket("b"), "t", "(");', 'INVALID_QUERY'],
    ['RETURN = split_url_events([{"startedAt": 1}]);', 'INVALID_QUERY'],
  ])('%s is refused', async (query, code) => {
    const me = person();
    await make(me, 'b', 't');
    const answer = await ask(me, [query.slice(0, 100_000)]);
    expect([answer.status, answer.body.code]).toEqual([400, code]);
  });

  test('whose value is nested more deeply than it can be shown are refused', async () => {
    const answer = await ask(person(), [`RETURN=[];${'RETURN=[RETURN];'.repeat(12_000)}`]);
    expect([answer.status, answer.body.code]).toEqual([400, 'INVALID_QUERY']);
  });

  test('that never end are ended, and nobody else waits for them', async () => {
    const me = person();
    await make(me, 'b', 't');
    await post(me, '/buckets/b/events', event(0, { t: `${'a'.repeat(40)}!` }, 1));
    const endless = ask(me, ['RETURN = filter_keyvals_regex(query_bucket("b"), "t", "^(a+)+$");']);
    const other = person();
    expect((await ask(other, ['RETURN = 1;'])).body).toEqual([1]);
    expect((await endless).body.code).toBe('QUERY_TOO_LARGE');
  }, 30_000);
});
