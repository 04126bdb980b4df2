import type { ServerResponse } from 'node:http';
import { afterEach, describe, expect, test } from '@jest/globals';
import { z } from 'zod';
import { loadConfig } from '../config.ts';
import { unauthorized } from '../errors.ts';
import { createLifecycle, type Lifecycle } from '../lifecycle.ts';
import { silentLogger } from '../log.ts';
import { createMetrics } from '../metrics.ts';
import { senderHeader, signSender } from './address.ts';
import { httpConfig, httpOptions } from './config.ts';
import { sendJson } from './errors.ts';
import { addressGroup, addressSite, limitExceeded, type RequestLimit, takeLimit, userSubject } from './limits.ts';
import { type Caller, type RawContext, type Route, route, type Sender, type Service } from './route.ts';
import { type ServeOptions, serve } from './serve.ts';

const caller: Caller = { organizationId: 'o', userId: 'u', role: 'employee', timezone: 'UTC', agentKeyId: 'k' };
let lifecycle: Lifecycle;

afterEach(async () => {
  await lifecycle?.close();
});

/** As many for each subject; tells whom it counted. */
function countdown(name: string, limit: number): RequestLimit & { subjects: string[] } {
  const subjects: string[] = [];
  return {
    subjects,
    async take(subject) {
      subjects.push(subject);
      const remaining = limit - subjects.filter((s) => s === subject).length;
      const state = { name, limit, remaining: Math.max(0, remaining), resetSeconds: 42, policySeconds: 60 };
      if (remaining < 0) throw limitExceeded(state);
      return state;
    },
  };
}

const get = (path: string, more: Partial<Route> = {}) =>
  route({
    method: 'get',
    path,
    operationId: path.replaceAll('/', '_'),
    summary: 'x',
    tag: 'test',
    access: 'user',
    responses: { 200: { description: 'ok' } },
    handler: () => ({ status: 200, body: {} }),
    ...more,
  });

async function start(service: Partial<Service>, options: Partial<ServeOptions> = {}) {
  const log = silentLogger();
  lifecycle = createLifecycle({ log });
  const whole: Service = {
    name: 'test',
    routes: [],
    checks: {},
    internalToken: 'i'.repeat(32),
    authenticate: async (authorization) => {
      if (authorization === 'Bearer good') return caller;
      throw unauthorized();
    },
    ...service,
  };
  const metrics = createMetrics();
  const { url } = await serve({ services: [whole], lifecycle, log, metrics, host: '127.0.0.1', port: 0, ...options });
  return async (path: string, headers: Record<string, string> = {}, method = 'GET') => {
    const response = await fetch(url + path, { method, headers: { authorization: 'Bearer good', ...headers } });
    const text = await response.text();
    return { status: response.status, headers: response.headers, body: text.startsWith('{') ? JSON.parse(text) : text };
  };
}

const shown = (headers: Headers) => ({
  ratelimit: headers.get('ratelimit'),
  policy: headers.get('ratelimit-policy'),
  old: ['limit', 'remaining', 'reset'].map((name) => headers.get(`ratelimit-${name}`)),
});

describe('the limit by address', () => {
  test('is counted before the credential, shown on every answer, and 429 says when', async () => {
    const ipLimit = countdown('ip', 2);
    const call = await start({ ipLimit, routes: [get('/api/v1/a'), get('/api/v1/b')] });
    const first = await call('/api/v1/a');
    expect(first.status).toBe(200);
    expect(shown(first.headers)).toEqual({
      ratelimit: '"ip";r=1;t=42',
      policy: '"ip";q=2;w=60',
      old: ['2', '1', '42'],
    });
    const second = await call('/api/v1/b', { authorization: 'Bearer bad' });
    expect(second.status).toBe(401);
    expect(second.headers.get('ratelimit-remaining')).toBe('0');
    const third = await call('/api/v1/a');
    expect(third).toMatchObject({ status: 429, body: { code: 'RATE_LIMITED', path: '/api/v1/a' } });
    expect(third.headers.get('retry-after')).toBe('42');
    expect(shown(third.headers)).toEqual({
      ratelimit: '"ip";r=0;t=42',
      policy: '"ip";q=2;w=60',
      old: ['2', '0', '42'],
    });
    expect(new Set(ipLimit.subjects)).toEqual(new Set(['127.0.0.1']));
  });

  test('is not for agents, health, docs, internal and raw routes', async () => {
    const ipLimit = countdown('ip', 0);
    const raw = { spec: get('/api/v1/raw'), handle: async (_req: unknown, res: { end(): void }) => void res.end() };
    const call = await start({
      ipLimit,
      rawRoutes: [raw],
      routes: [
        get('/api/v1/agents', { agents: true }),
        get('/internal/x', { access: 'internal' }),
        get('/.well-known/x', { access: 'public' }),
      ],
    });
    const paths = ['/api/v1/agents', '/api/v1/raw', '/.well-known/x', '/health/live', '/api/docs'];
    for (const path of paths) expect((await call(path)).status).toBe(200);
    expect((await call('/internal/x', { authorization: `Bearer ${'i'.repeat(32)}` })).status).toBe(200);
    expect(ipLimit.subjects).toEqual([]);
  });

  test('takes the address from proxies that are trusted', async () => {
    const ipLimit = countdown('ip', 9);
    const call = await start({ ipLimit, routes: [get('/api/v1/a')] }, { trustedProxies: 1 });
    await call('/api/v1/a', { 'x-forwarded-for': '10.9.9.9, 2001:db8::7' });
    expect(ipLimit.subjects).toEqual(['2001:db8:0:0::/64']);
  });

  test('believes a service of ours for whom it asks, and nobody else, whatever the proxies', async () => {
    const secret = 'i'.repeat(32);
    const asked: string[] = [];
    const ipLimit = countdown('ip', 99);
    const raw = async (_req: unknown, res: ServerResponse, { sender }: RawContext): Promise<void> => {
      asked.push(sender());
      sendJson(res, 200, {});
    };
    const rawRoutes = [{ spec: get('/api/v1/raw', { access: 'public' }), handle: raw }];
    const routes = [get('/api/v1/a')];
    const call = await start({ ipLimit, routes, rawRoutes }, { trustedProxies: 1 });
    const addressFor = async (told: string): Promise<string> => {
      const headers = { [senderHeader]: told, 'x-forwarded-for': '192.0.2.1' };
      for (const path of ['/api/v1/a', '/api/v1/raw']) expect((await call(path, headers)).status).toBe(200);
      expect(asked.at(-1)).toBe(ipLimit.subjects.at(-1));
      return asked.at(-1)!;
    };
    expect(await addressFor(signSender('198.51.100.7', secret))).toBe('198.51.100.7');
    expect(await addressFor(signSender('::ffff:198.51.100.8', secret))).toBe('198.51.100.8');
    expect(await addressFor(signSender('2001:db8::9', secret))).toBe('2001:db8:0:0::/64');
    const good = signSender('198.51.100.7', secret);
    for (const bad of [
      signSender('198.51.100.7', 'another secret'),
      signSender('198.51.100.7', secret, Date.now() - 600_000),
      signSender('198.51.100.7', secret, Date.now() + 600_000),
      good.replace('198.51.100.7', '198.51.100.8'),
      good.slice(0, -1),
      signSender('1.2.3', secret),
      signSender('office', secret),
      '198.51.100.7',
    ]) {
      expect([bad, await addressFor(bad)]).toEqual([bad, '192.0.2.1']);
    }
  });

  test.each([0, 1, 2, 3])('a raw route with %i proxies is told the same address as any other', async (proxies) => {
    const told: string[] = [];
    const raw = async (_req: unknown, res: ServerResponse, { sender }: RawContext): Promise<void> => {
      told.push(sender());
      sendJson(res, 200, {});
    };
    const routes = [get('/api/v1/a')];
    const rawRoutes = [{ spec: get('/api/v1/raw', { access: 'public' }), handle: raw }];
    const authenticate = async (_: unknown, sender: Sender): Promise<Caller> => {
      told.push(sender());
      return caller;
    };
    const call = await start({ routes, rawRoutes, authenticate }, { trustedProxies: proxies });
    const passed = ['192.0.2.1', '192.0.2.1, 192.0.2.2', '2001:db8::7,  192.0.2.2 ,192.0.2.3, 192.0.2.4', 'x', ' '];
    for (const header of [undefined, ...passed]) {
      for (const path of ['/api/v1/a', '/api/v1/raw']) {
        expect((await call(path, header === undefined ? {} : { 'x-forwarded-for': header })).status).toBe(200);
      }
      expect(told[0]).toBe(told[1]);
      told.length = 0;
    }
  });

  test.each([
    ['::ffff:10.0.0.1', '10.0.0.1'],
    ['10.0.0.1', '10.0.0.1'],
    ['2001:db8::1', '2001:db8:0:0::/64'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['fe80::1%eth0', 'fe80:0:0:0::/64'],
    ['::1', '0:0:0:0::/64'],
    [undefined, 'unknown'],
  ])('%s is counted as %s', (ip, group) => {
    expect(addressGroup(ip)).toBe(group);
  });
});

test.each([
  ['2001:db8:0:1::/64', '2001:db8:0::/48'],
  ['0:0:0:0::/64', '0:0:0::/48'],
  ['192.0.2.1', undefined],
  ['unknown', undefined],
])('the site of %s is %s', (group, site) => {
  expect(addressSite(group)).toBe(site);
});

describe('limits by user', () => {
  test('count organisation and user; the tightest of several is shown', async () => {
    const userLimit = countdown('sync', 2);
    const call = await start({ ipLimit: countdown('ip', 9), routes: [get('/api/v1/sync', { userLimit })] });
    expect(shown((await call('/api/v1/sync')).headers).policy).toBe('"sync";q=2;w=60');
    expect((await call('/api/v1/sync', { authorization: 'Bearer bad' })).status).toBe(401);
    expect((await call('/api/v1/sync')).status).toBe(200);
    expect((await call('/api/v1/sync')).status).toBe(429);
    expect(userLimit.subjects).toEqual(['o/u', 'o/u', 'o/u']);
    await lifecycle.close();
    const tightAddress = await start({
      ipLimit: countdown('ip', 2),
      routes: [get('/api/v1/sync', { userLimit: countdown('sync', 9) })],
    });
    expect(shown((await tightAddress('/api/v1/sync')).headers).policy).toBe('"ip";q=2;w=60');
  });

  test('raw routes take them by themselves', async () => {
    const limit = countdown('sync', 1);
    const call = await start({
      rawRoutes: [
        {
          spec: get('/api/v1/raw', { alsoAnswers: { 429: 'Too much.' } }),
          handle: async (_req, res) => {
            await takeLimit(res, limit, userSubject(caller));
            res.end();
          },
        },
      ],
    });
    expect((await call('/api/v1/raw')).headers.get('ratelimit')).toBe('"sync";r=0;t=42');
    const refused = await call('/api/v1/raw');
    expect(refused.status).toBe(429);
    expect(refused.headers.get('retry-after')).toBe('42');
  });
});

describe('the document', () => {
  test('declares 429 with its headers where there is a limit, who may call, and who is not there', async () => {
    const call = await start({
      ipLimit: countdown('ip', 9),
      rawRoutes: [{ spec: get('/api/v1/raw', { alsoAnswers: { 429: 'Too much.' } }), handle: async () => {} }],
      routes: [
        get('/api/v1/limited', { query: z.object({ userId: z.string().optional() }) }),
        get('/api/v1/agents', { agents: true, access: 'session', roles: ['admin', 'manager'] }),
        get('/api/v1/sync', { agents: true, userLimit: countdown('sync', 9), alsoAnswers: { 410: 'Gone.' } }),
        get('/.well-known/x', { access: 'public' }),
      ],
    });
    const { body } = await call('/api/docs/openapi.json');
    const answersOf = (path: string): Record<string, { description: string; headers?: object }> =>
      body.paths[path].get.responses;
    const names = [
      'Retry-After',
      'RateLimit',
      'RateLimit-Policy',
      'RateLimit-Limit',
      'RateLimit-Remaining',
      'RateLimit-Reset',
    ];
    for (const path of ['/api/v1/limited', '/api/v1/sync', '/api/v1/raw']) {
      expect(Object.keys(answersOf(path)[429]!.headers!)).toEqual(names);
    }
    expect(Object.keys(body.components.headers)).toEqual(names);
    expect(answersOf('/api/v1/raw')[429]!.description).toBe('Too much.');
    for (const path of ['/api/v1/agents', '/.well-known/x']) expect(answersOf(path)[429]).toBeUndefined();
    expect(answersOf('/api/v1/limited')[404]).toBeDefined();
    expect(answersOf('/api/v1/agents')[404]).toBeUndefined();
    expect(answersOf('/api/v1/sync')[410]!.description).toBe('Gone.');
    expect(body.paths['/api/v1/limited'].get['x-worktide-access']).toEqual({ access: 'user' });
    expect(body.paths['/api/v1/agents'].get['x-worktide-access']).toEqual({
      access: 'session',
      roles: ['admin', 'manager'],
    });
  });
});

const extensions = [
  'chrome-extension://nngceckbapebfimnlniiiahkandclblb',
  'moz-extension://8d2f8a6e-1c3b-4b0f-9c61-2a4f6e0b7d11',
  'safari-web-extension://8D2F8A6E-1C3B-4B0F-9C61-2A4F6E0B7D11',
];

describe('other origins', () => {
  const origin = 'https://app.example.com';
  const raw = {
    spec: get('/api/v1/raw', { method: 'post' }),
    handle: async (_req: unknown, res: { end(): void }) => void res.end(),
  };
  const preflight = {
    origin,
    'access-control-request-method': 'POST',
    'access-control-request-headers': 'authorization',
  };

  test('get nothing unless they are named', async () => {
    const call = await start({ routes: [get('/api/v1/a')], rawRoutes: [raw] });
    expect((await call('/api/v1/a', { origin })).headers.get('access-control-allow-origin')).toBeNull();
    expect((await call('/api/v1/raw', { origin }, 'POST')).headers.get('access-control-allow-origin')).toBeNull();
    for (const [path, allow] of [
      ['/api/v1/a', 'GET'],
      ['/api/v1/raw', 'POST'],
    ] as const) {
      const asked = await call(path, preflight, 'OPTIONS');
      expect(asked.status).toBe(204);
      expect(asked.headers.get('allow')).toBe(allow);
      expect(asked.headers.get('access-control-allow-origin')).toBeNull();
      expect((await call(path, { origin }, 'DELETE')).status).toBe(405);
    }
    expect((await call('/api/v1/none', preflight, 'OPTIONS')).status).toBe(404);
  });

  test.each(extensions)('may be an extension: %s', async (extension) => {
    const call = await start({ routes: [get('/api/v1/a')], rawRoutes: [raw] }, { corsOrigins: extensions });
    const asked = await call('/api/v1/raw', { ...preflight, origin: extension }, 'OPTIONS');
    expect([asked.status, asked.headers.get('access-control-allow-origin')]).toEqual([204, extension]);
  });

  test('that are named may preflight, send credentials and read limits, also on raw routes and errors', async () => {
    const call = await start(
      { routes: [get('/api/v1/a')], rawRoutes: [raw] },
      { corsOrigins: [origin, 'http://localhost:5173'] },
    );
    for (const path of ['/api/v1/a', '/api/v1/raw']) {
      const asked = await call(path, preflight, 'OPTIONS');
      expect(asked.status).toBe(204);
      expect(asked.headers.get('access-control-allow-origin')).toBe(origin);
      expect(asked.headers.get('access-control-allow-credentials')).toBe('true');
      expect(asked.headers.get('access-control-allow-headers')).toBe('authorization');
      expect(asked.headers.get('access-control-allow-methods')).toContain('POST');
    }
    const answers = [
      await call('/api/v1/a', { origin }),
      await call('/api/v1/a', { origin, authorization: '' }),
      await call('/api/v1/raw', { origin }, 'POST'),
    ];
    expect(answers.map(({ status }) => status)).toEqual([200, 401, 200]);
    for (const { headers } of answers) {
      expect(headers.get('access-control-allow-origin')).toBe(origin);
      expect(headers.get('access-control-expose-headers')).toMatch(/X-Request-Id,Retry-After,RateLimit,/);
      expect(headers.get('vary')).toContain('Origin');
    }
    const stranger = await call('/api/v1/raw', { origin: 'https://evil.example.com' }, 'POST');
    expect(stranger.headers.get('access-control-allow-origin')).toBeNull();
  });
});

describe('configuration', () => {
  const schema = z.object(httpConfig(8090));

  test('has a good value for everything, and origins as a list', () => {
    expect(httpOptions(loadConfig(schema, {}))).toEqual({
      // All addresses, of both kinds.
      host: undefined,
      port: 8090,
      metricsPort: undefined,
      metricsToken: undefined,
      drainMs: 0,
      trustedProxies: 0,
      corsOrigins: [],
    });
    expect(loadConfig(schema, {}).IP_LIMIT_PER_MINUTE).toBe(1_000);
    expect(loadConfig(schema, { CORS_ORIGINS: 'https://a.example.com, http://localhost:5173,' }).CORS_ORIGINS).toEqual([
      'https://a.example.com',
      'http://localhost:5173',
    ]);
  });

  test('extensions of browsers are origins', () => {
    expect(loadConfig(schema, { CORS_ORIGINS: extensions.join(',') }).CORS_ORIGINS).toEqual(extensions);
  });

  test.each([
    '*',
    'chrome-extension://',
    'chrome-extension://*',
    'chrome-extension://nngceckbapebfimnlniiiahkandclblb/',
    'a.example.com',
    'https://a.example.com/',
    'https://a.example.com/x',
    'https://A.example.com',
    'ftp://a',
    'null',
  ])('%s is no origin', (text) => {
    expect(() => loadConfig(schema, { CORS_ORIGINS: text })).toThrow(/CORS_ORIGINS.*an origin is like/);
  });
});
