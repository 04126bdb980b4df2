import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import { networkInterfaces } from 'node:os';
import { afterEach, describe, expect, test } from '@jest/globals';
import { until } from '@worktide/testing';
import { z } from 'zod';
import { notFound, unauthorized, unavailable } from '../errors.ts';
import { createLifecycle, type Lifecycle } from '../lifecycle.ts';
import { createLogger, silentLogger } from '../log.ts';
import { createMetrics } from '../metrics.ts';
import { type Caller, route, type Service } from './route.ts';
import { type ServeOptions, serve } from './serve.ts';

const caller: Caller = { organizationId: 'o', userId: 'u', role: 'employee', timezone: 'UTC', agentKeyId: 'k' };
let lifecycle: Lifecycle;

afterEach(async () => {
  await lifecycle.close();
});

const echo = route({
  method: 'post',
  path: '/api/v1/echo/:name',
  operationId: 'echo',
  summary: 'Echo',
  tag: 'test',
  access: 'public',
  params: z.object({ name: z.string().max(5) }),
  query: z.object({ times: z.coerce.number().int().max(3).default(1), note: z.string().optional() }),
  body: z.object({ text: z.string() }).meta({ id: 'EchoBody' }),
  bodyLimit: 1_000,
  responses: { 200: { description: 'The text.', schema: z.object({ text: z.string() }) } },
  handler: ({ body, query, params }) => ({ status: 200, body: { text: params.name + body.text.repeat(query.times) } }),
});

const metricsToken = 'm'.repeat(16);

async function start(service: Partial<Service>, options: Partial<ServeOptions> = {}) {
  const { log = silentLogger() } = options;
  lifecycle = createLifecycle({ log });
  const whole: Service = { name: 'test', routes: [], checks: {}, ...service };
  const metrics = createMetrics();
  const { url, internalUrl, port } = await serve({
    services: [whole],
    lifecycle,
    log,
    metrics,
    host: '127.0.0.1',
    port: 0,
    metricsToken,
    ...options,
  });
  const callUrl = async (at: string, method: string, path: string, init: RequestInit = {}) => {
    const response = await fetch(at + path, { method, ...init });
    const text = await response.text();
    return { status: response.status, headers: response.headers, body: text.startsWith('{') ? JSON.parse(text) : text };
  };
  const call = (method: string, path: string, init: RequestInit = {}) => callUrl(url, method, path, init);
  const metricsText = async (): Promise<string> =>
    (await call('GET', '/metrics', { headers: { authorization: `Bearer ${metricsToken}` } })).body;
  const post = (path: string, body: string, headers: Record<string, string> = {}) =>
    call('POST', path, { body, headers: { 'content-type': 'application/json', ...headers } });
  return { url, internalUrl, port, call, callUrl, post, metricsText };
}

describe("an agent's key", () => {
  const kinds = [
    ['get', {}, 200],
    ['post', {}, 403],
    ['put', {}, 403],
    ['patch', {}, 403],
    ['delete', {}, 403],
    ['post', { agents: true }, 200],
    ['get', { roles: ['admin'] }, 403],
    ['get', { access: 'session' }, 403],
    ['post', { access: 'session', agents: true }, 403],
  ] as const;

  test.each(kinds)('of an admin: %s with %j is %d, and it is an employee there', async (method, kind, status) => {
    const seen: string[] = [];
    const spec = route({
      method,
      path: '/api/v1/thing',
      operationId: 'thing',
      summary: 'Thing',
      tag: 'test',
      access: 'user',
      ...kind,
      responses: { 200: { description: 'Thing.' } },
      handler: ({ caller }) => {
        seen.push(caller.role);
        return { status: 200 };
      },
    });
    const admin = { ...caller, role: 'admin' } as const;
    const { agentKeyId: _, ...person } = admin;
    const { call } = await start({
      routes: [spec],
      authenticate: async (authorization) => (authorization === 'Bearer key' ? admin : { ...person, sessionId: 's' }),
    });
    const ask = (bearer: string) =>
      call(method.toUpperCase(), '/api/v1/thing', { headers: { authorization: `Bearer ${bearer}` } });
    expect((await ask('key')).status).toBe(status);
    expect((await ask('token')).status).toBe(200);
    expect(seen).toEqual(status === 200 ? ['employee', 'admin'] : ['admin']);
    // The document says the same.
    const { body } = await call('GET', '/api/docs/openapi.json');
    expect(body.paths['/api/v1/thing'][method]['x-worktide-access'].access).toBe(status === 200 ? 'user' : 'session');
  });
});

describe('a declared route', () => {
  test('answers what its handler makes of validated input', async () => {
    const { post } = await start({ routes: [echo] });
    const answer = await post('/api/v1/echo/ab?times=2', '{"text":"x"}', { 'x-request-id': 'mine-1' });
    expect(answer.status).toBe(200);
    expect(answer.body).toEqual({ text: 'abxx' });
    expect(answer.headers.get('x-request-id')).toBe('mine-1');
    expect(answer.headers.get('x-content-type-options')).toBe('nosniff');
    expect(answer.headers.get('x-powered-by')).toBeNull();
  });

  test('takes a body behind a byte order mark', async () => {
    const { post } = await start({ routes: [echo] });
    expect(await post('/api/v1/echo/ab', '\ufeff{"text":"x"}')).toMatchObject({ status: 200, body: { text: 'abx' } });
  });

  test.each([
    ['malformed JSON', '/api/v1/echo/a', '{"text":', {}, 400, 'MALFORMED_JSON'],
    ['a wrong type', '/api/v1/echo/a', '{"text":1}', {}, 400, 'VALIDATION_FAILED'],
    ['a bad query', '/api/v1/echo/a?times=9', '{"text":"x"}', {}, 400, 'VALIDATION_FAILED'],
    ['a bad parameter', '/api/v1/echo/abcdef', '{"text":"x"}', {}, 400, 'VALIDATION_FAILED'],
    ['U+0000 in a query', '/api/v1/echo/a?note=a%00b', '{"text":"x"}', {}, 400, 'VALIDATION_FAILED'],
    ['U+0000 in a body', '/api/v1/echo/a', '{"text":"a\\u0000b"}', {}, 400, 'VALIDATION_FAILED'],
    ['half a letter in a body', '/api/v1/echo/a', '{"text":"\\ud800"}', {}, 400, 'VALIDATION_FAILED'],
    ['a bad percent-encoding', '/api/v1/echo/%E0%A4%A', '{"text":"x"}', {}, 400, 'BAD_REQUEST'],
    ['a large body', '/api/v1/echo/a', `{"text":"${'x'.repeat(1_000)}"}`, {}, 413, 'BODY_TOO_LARGE'],
    ['another type', '/api/v1/echo/a', 'text=x', { 'content-type': 'text/plain' }, 415, 'UNSUPPORTED_MEDIA_TYPE'],
    ['an odd encoding', '/api/v1/echo/a', '{}', { 'content-encoding': 'zip' }, 415, 'UNSUPPORTED_ENCODING'],
    [
      'an odd charset',
      '/api/v1/echo/a',
      '{}',
      { 'content-type': 'application/json; charset=x' },
      415,
      'UNSUPPORTED_CHARSET',
    ],
    ['deep nesting that never closes', '/api/v1/echo/a', '['.repeat(900), {}, 400, 'MALFORMED_JSON'],
    ['no such path', '/api/v1/none', '{}', {}, 404, 'NOT_FOUND'],
  ])('refuses %s clearly', async (_what, path, body, headers, status, code) => {
    const { post } = await start({ routes: [echo] });
    const answer = await post(path, body, headers as Record<string, string>);
    expect(answer.status).toBe(status);
    expect(answer.body).toMatchObject({ statusCode: status, code, path: path.split('?')[0] });
    expect(answer.body.requestId).toBe(answer.headers.get('x-request-id'));
    expect(Date.parse(answer.body.timestamp)).not.toBeNaN();
  });

  test('another method names those that are taken', async () => {
    const { call } = await start({ routes: [echo] });
    const answer = await call('GET', '/api/v1/echo/a');
    expect(answer.status).toBe(405);
    expect(answer.headers.get('allow')).toBe('POST');
  });

  test('an unknown error is 500 and shows nothing of its inside; 503 carries Retry-After', async () => {
    const failing = (path: string, error: unknown) =>
      route({ ...echo, path, body: undefined as never, params: z.object({}), handler: () => Promise.reject(error) });
    const { call } = await start({
      routes: [
        failing('/a', new Error('password=hunter2')),
        failing('/b', unavailable('postgres', new Error('10.0.0.1'))),
      ],
    });
    const a = await call('POST', '/a');
    expect(a.status).toBe(500);
    expect(a.body.code).toBe('INTERNAL');
    expect(JSON.stringify(a.body)).not.toContain('hunter2');
    const b = await call('POST', '/b');
    expect(b.status).toBe(503);
    expect(b.headers.get('retry-after')).toBe('1');
    expect(JSON.stringify(b.body)).not.toContain('10.0.0.1');
  });

  test('a handler that does not answer is cut with 503 TIMEOUT', async () => {
    const slow = route({
      ...echo,
      path: '/slow',
      body: undefined as never,
      params: z.object({}),
      handler: () => new Promise(() => {}),
    });
    const { call } = await start({ routes: [slow] }, { handlerTimeoutMs: 50 });
    const answer = await call('POST', '/slow');
    expect(answer.status).toBe(503);
    expect(answer.body.code).toBe('TIMEOUT');
  });

  const hangs = (): Promise<never> => new Promise(() => {});
  const hanging: [string, Partial<Service>, Partial<Parameters<typeof route>[0]>][] = [
    ['credential', { authenticate: hangs }, {}],
    ['limit by address', { ipLimit: { take: hangs } }, { agents: false, access: 'public' }],
    ['limit by user', {}, { userLimit: { take: hangs } }],
  ];
  test.each(hanging)(
    'a %s that does not answer is cut with 503 TIMEOUT, and nothing is begun',
    async (_, parts, more) => {
      let begun = false;
      const spec = route({
        ...echo,
        path: '/api/v1/slow',
        access: 'user',
        agents: true,
        params: z.object({}),
        handler: () => {
          begun = true;
          return { status: 200 };
        },
        ...more,
      });
      const { post, metricsText } = await start(
        { routes: [spec], authenticate: async () => caller, ...parts },
        { handlerTimeoutMs: 50 },
      );
      const answer = await post('/api/v1/slow', '{"text":"x"}');
      expect(answer).toMatchObject({ status: 503, body: { code: 'TIMEOUT' } });
      expect(answer.headers.get('retry-after')).toBe('5');
      expect(begun).toBe(false);
      // It is seen: it has not ended.
      expect(await metricsText()).toMatch(/^worktide_http_handlers 1$/m);
    },
  );

  test('a credential that is checked too late begins nothing; who checks it is told', async () => {
    let begun = false;
    let told: AbortSignal | undefined;
    let answerLate: (who: Caller) => void = () => {};
    const handler = () => {
      begun = true;
      return { status: 200 };
    };
    const spec = route({
      ...echo,
      path: '/late',
      access: 'user',
      agents: true,
      body: undefined as never,
      params: z.object({}),
      handler,
    });
    const authenticate: Service['authenticate'] = (_authorization, _sender, signal) => {
      told = signal;
      return new Promise((resolve) => {
        answerLate = resolve;
      });
    };
    const { call, metricsText } = await start({ routes: [spec], authenticate }, { handlerTimeoutMs: 50 });
    expect((await call('POST', '/late')).body.code).toBe('TIMEOUT');
    expect(told?.aborted).toBe(true);
    answerLate(caller);
    expect(await metricsText()).toMatch(/^worktide_http_handlers 0$/m);
    expect(begun).toBe(false);
  });

  test('the time in which a body arrives does not count', async () => {
    let admitted: () => void = () => {};
    const isAdmitted = new Promise<void>((resolve) => {
      admitted = resolve;
    });
    const authenticate = async () => {
      admitted();
      return caller;
    };
    const spec = route({ ...echo, access: 'user', agents: true });
    const slow = route({ ...echo, path: '/slow', body: undefined as never, params: z.object({}), handler: hangs });
    const { port, call } = await start({ routes: [spec, slow], authenticate }, { handlerTimeoutMs: 300 });
    const headers = { 'content-type': 'application/json', 'content-length': 12 };
    const sending = request({ port, method: 'POST', path: '/api/v1/echo/ab', headers });
    const answered = once(sending, 'response') as Promise<[IncomingMessage]>;
    sending.write('{"text"');
    await isAdmitted;
    // Begun later, and over.
    expect((await call('POST', '/slow')).body.code).toBe('TIMEOUT');
    sending.end(':"x"}');
    const [response] = await answered;
    expect(response.statusCode).toBe(200);
    response.resume();
  });
});

describe('access', () => {
  const protectedRoute = (access: 'user' | 'session' | 'internal', roles?: ('admin' | 'employee')[]) =>
    route({
      method: 'get',
      path: `/api/${access}${roles ? '/roles' : ''}`,
      operationId: access,
      summary: access,
      tag: 'test',
      access,
      ...(roles ? { roles } : {}),
      responses: { 200: { description: 'ok' } },
      handler: (context) => ({ status: 200, body: access === 'internal' ? {} : { user: context.caller.userId } }),
    });
  const service: Partial<Service> = {
    routes: [
      protectedRoute('user'),
      protectedRoute('session'),
      protectedRoute('internal'),
      protectedRoute('user', ['admin']),
    ],
    internalToken: 'i'.repeat(32),
    authenticate: async (authorization) => {
      if (authorization === 'Bearer good') return caller;
      if (authorization === 'Bearer later') throw unavailable('auth');
      throw unauthorized();
    },
  };
  test.each([
    ['/api/user', 'Bearer good', 200],
    ['/api/user', undefined, 401],
    ['/api/user', 'Bearer bad', 401],
    ['/api/user', 'Bearer later', 503],
    ['/api/user/roles', 'Bearer good', 403],
    ['/api/session', 'Bearer good', 403],
    ['/api/internal', 'Bearer good', 401],
    ['/api/internal', `Bearer ${'i'.repeat(32)}`, 200],
  ])('%s with %s → %i', async (path, authorization, status) => {
    const { call } = await start(service);
    const answer = await call('GET', path, authorization ? { headers: { authorization } } : {});
    expect(answer.status).toBe(status);
  });
});

describe('who changed something', () => {
  test('is told of before the answer, whatever came of it; who reads or is nobody is not', async () => {
    const told: string[] = [];
    const of = (method: 'get' | 'post', path: string, access: 'user' | 'public') =>
      route({
        ...{ method, path: `/api/v1/${path}`, operationId: `${method}-${path}`, summary: 'x', tag: 'test', access },
        agents: true,
        responses: { 204: { description: 'Done.' } },
        handler: () => {
          if (path === 'fails') throw notFound();
          return { status: 204 };
        },
      });
    const { call } = await start({
      routes: [
        of('get', 'x', 'user'),
        of('post', 'x', 'user'),
        of('post', 'fails', 'user'),
        of('post', 'open', 'public'),
      ],
      authenticate: async () => caller,
      wrote: async ({ userId }) => {
        await new Promise((resolve) => setImmediate(resolve));
        told.push(userId);
      },
    });
    expect([(await call('GET', '/api/v1/x')).status, told.length]).toEqual([204, 0]);
    expect([(await call('POST', '/api/v1/x')).status, told.length]).toEqual([204, 1]);
    expect([(await call('POST', '/api/v1/fails')).status, told.length]).toEqual([404, 2]);
    expect([(await call('POST', '/api/v1/open')).status, told.length]).toEqual([204, 2]);
  });
});

describe('metrics and internal routes', () => {
  const internalToken = 'i'.repeat(32);
  const plain = { operationId: 'x', summary: 'X', tag: 'test', responses: {} } as const;
  const handler = () => ({ status: 200, body: {} });
  const service: Partial<Service> = {
    routes: [
      route({ ...plain, method: 'get', path: '/internal/users', access: 'internal', handler }),
      route({ ...plain, method: 'get', path: '/.well-known/jwks.json', access: 'public', handler }),
      route({ ...plain, method: 'get', path: '/api/v1/things', access: 'public', handler }),
    ],
    internalToken,
  };
  const bearer = (token: string): RequestInit => ({ headers: { authorization: `Bearer ${token}` } });

  test('metrics on the one port ask their token, and are not there without one', async () => {
    const one = await start(service);
    expect((await one.call('GET', '/metrics', bearer(metricsToken))).body).toContain('worktide_http_handlers');
    for (const init of [{}, bearer('wrong'), bearer(internalToken)]) {
      expect(await one.call('GET', '/metrics', init)).toMatchObject({ status: 404, body: { code: 'NOT_FOUND' } });
    }
    await lifecycle.close();
    const none = await start(service, { metricsToken: undefined });
    for (const init of [{}, bearer(''), bearer('undefined')]) {
      expect((await none.call('GET', '/metrics', init)).status).toBe(404);
    }
  });

  test('with a port of their own they are there and nothing else is; the public one does not have them', async () => {
    const { call, callUrl, internalUrl, url } = await start(service, { metricsPort: 0 });
    expect(internalUrl).not.toBe(url);
    const inside = (path: string, init?: RequestInit) => callUrl(internalUrl, 'GET', path, init);
    expect((await inside('/metrics')).body).toContain('worktide_http_handlers');
    expect((await inside('/internal/users', bearer(internalToken))).status).toBe(200);
    expect((await inside('/internal/users')).status).toBe(401);
    expect((await inside('/.well-known/jwks.json')).status).toBe(200);
    for (const path of ['/health/live', '/health/ready', '/health', '/api/health']) {
      expect((await inside(path)).status).toBe(200);
      expect((await call('GET', path)).status).toBe(200);
    }
    for (const path of ['/api/v1/things', '/api/docs']) {
      expect((await inside(path)).status).toBe(404);
      expect((await call('GET', path)).status).toBe(200);
    }
    expect((await call('GET', '/metrics', bearer(metricsToken))).status).toBe(404);
    expect((await call('GET', '/internal/users', bearer(internalToken))).status).toBe(404);
    // Both end with the one lifecycle.
    expect(await lifecycle.close()).toBe(true);
    await expect(inside('/metrics')).rejects.toThrow();
  });
});

describe('addresses', () => {
  const who = route({
    method: 'get',
    path: '/api/v1/who',
    operationId: 'who',
    summary: 'Who',
    tag: 'test',
    access: 'public',
    responses: {},
    handler: ({ req }) => ({ status: 200, body: { ip: req.ip ?? null } }),
  });

  test('without a host all are listened on, of IPv4 and, where there is any, of IPv6; IPv4 stays what it is', async () => {
    const { port, callUrl } = await start({ routes: [who] }, { host: undefined });
    const ip = async (host: string): Promise<string> =>
      (await callUrl(`http://${host}:${port}`, 'GET', '/api/v1/who')).body.ip;
    expect(await ip('127.0.0.1')).toBe('127.0.0.1');
    const hasIpv6 = Object.values(networkInterfaces()).some((all) => all?.some(({ address }) => address === '::1'));
    if (hasIpv6) expect(await ip('[::1]')).toBe('::1');
  });

  test.each([
    ['::ffff:192.0.2.7', '192.0.2.7'],
    ['::FFFF:192.0.2.7', '192.0.2.7'],
    ['2001:db8::7', '2001:db8::7'],
  ])('what a proxy tells of %s is %s', async (told, shown) => {
    const { call } = await start({ routes: [who] }, { trustedProxies: 1 });
    expect((await call('GET', '/api/v1/who', { headers: { 'x-forwarded-for': told } })).body.ip).toBe(shown);
  });
});

describe('what every service has', () => {
  test('live, ready with each dependency named, metrics, OpenAPI and docs without an outside host', async () => {
    let up = false;
    const { call, post, metricsText } = await start({
      routes: [echo],
      checks: {
        good: () => {},
        flaky: () => {
          if (!up) throw new Error('connection refused');
        },
      },
    });
    expect((await call('GET', '/health/live')).status).toBe(200);
    const notReady = await call('GET', '/health/ready');
    expect(notReady.status).toBe(503);
    expect(notReady.body).toEqual({
      status: 'not_ready',
      dependencies: { good: { status: 'up' }, flaky: { status: 'down' } },
    });
    for (const path of ['/health', '/api/health']) {
      const same = await call('GET', path);
      expect([same.status, same.body]).toEqual([503, notReady.body]);
    }
    up = true;
    const deadline = Date.now() + 10_000;
    let status = 503;
    while (status !== 200 && Date.now() < deadline) status = (await call('GET', '/health/ready')).status;
    expect(status).toBe(200);

    await post('/api/v1/echo/a', '{"text":"x"}');
    expect(await metricsText()).toContain(
      'worktide_http_requests_total{method="POST",route="/api/v1/echo/:name",status="200"} 1',
    );

    const document = (await call('GET', '/api/docs/openapi.json')).body;
    const operation = document.paths['/api/v1/echo/{name}'].post;
    expect(operation.parameters.map((p: { name: string; in: string }) => `${p.in}:${p.name}`)).toEqual([
      'path:name',
      'query:times',
      'query:note',
    ]);
    expect(operation.requestBody.content['application/json'].schema).toEqual({ $ref: '#/components/schemas/EchoBody' });
    expect(document.components.schemas.EchoBody.properties.text).toEqual({ type: 'string' });
    expect(Object.keys(operation.responses)).toEqual(['200', '400', '404', '408', '409', '413', '415', '500', '503']);

    const docs = (await call('GET', '/api/docs')).body as string;
    expect(docs).not.toMatch(/https?:\/\//);
    expect((await call('GET', '/api/docs/assets/swagger-ui-bundle.js')).status).toBe(200);
    const [, forAgents = ''] = /\]\((.+?)\)/.exec(document.info.description) ?? [];
    expect((await call('GET', forAgents)).body).toMatch(/^# For people who write agents/);
  });

  test('why a dependency is down is for the log, once for each change, and for the internal port', async () => {
    const lines: { msg: string; level: string }[] = [];
    const log = createLogger({ service: 's', destination: { write: (line) => void lines.push(JSON.parse(line)) } });
    let cause: string | undefined = 'no route to 10.0.0.7';
    const check = (): void => {
      if (cause !== undefined) throw new Error(cause);
    };
    const { call, callUrl, internalUrl } = await start({ checks: { store: check } }, { log, metricsPort: 0 });
    const ready = async (): Promise<string> => (await call('GET', '/health/ready')).body.dependencies.store.status;
    // Answers are kept for a second.
    const change = (to: string) => until(`it is ${to}`, async () => (await ready()) === to);
    expect(JSON.stringify((await call('GET', '/health/ready')).body)).not.toContain('10.0.0.7');
    const inside = await callUrl(internalUrl, 'GET', '/health/ready');
    expect(inside.body.dependencies).toEqual({ store: { status: 'down', message: 'no route to 10.0.0.7' } });
    cause = undefined;
    await change('up');
    cause = 'once more';
    await change('down');
    expect(lines.filter(({ msg }) => msg.startsWith('store is')).map(({ level, msg }) => `${level}: ${msg}`)).toEqual([
      'warn: store is down: no route to 10.0.0.7',
      'info: store is up again',
      'warn: store is down: once more',
    ]);
  });

  test('services in one process that name a dependency alike share its line: it is up when all find it so', async () => {
    const log = silentLogger();
    lifecycle = createLifecycle({ log });
    const check = (name: string, fails: boolean): Service => ({
      name,
      routes: [],
      checks: {
        log: () => {
          if (fails) throw new Error(`not for ${name}`);
        },
      },
    });
    const services = [check('a', true), check('b', false)];
    const { url } = await serve({ services, lifecycle, log, metrics: createMetrics(), host: '127.0.0.1', port: 0 });
    const answer = await fetch(`${url}/health/ready`);
    expect(answer.status).toBe(503);
    expect(await answer.json()).toMatchObject({ dependencies: { log: { status: 'down' } } });
  });

  test('a raw route is matched first, counted and documented; its errors take the one shape', async () => {
    const { post, call, metricsText } = await start({
      rawRoutes: [
        {
          spec: { ...echo, path: '/api/v1/raw', contentTypes: ['application/x-ndjson'] },
          handle: async (_req, res) => {
            if (res.getHeader('x-request-id') === 'bad') throw notFound();
            res.end('raw');
          },
        },
      ],
    });
    expect((await post('/api/v1/raw?x=1', '{}')).body).toBe('raw');
    expect((await post('/api/v1/raw', '{}', { 'x-request-id': 'bad' })).body).toMatchObject({
      statusCode: 404,
      requestId: 'bad',
    });
    expect((await call('GET', '/api/v1/raw')).status).toBe(405);
    expect(await metricsText()).toContain('route="/api/v1/raw",status="404"} 1');
    const document = (await call('GET', '/api/docs/openapi.json')).body;
    expect(Object.keys(document.paths['/api/v1/raw'].post.requestBody.content)).toEqual([
      'application/json',
      'application/x-ndjson',
    ]);
  });

  test('what only some operations need is shown, and the service is ready without it', async () => {
    const down = async (): Promise<void> => {
      throw new Error('gone');
    };
    const { call } = await start({ checks: { log: async () => {} }, sideChecks: { store: down } });
    const answer = await call('GET', '/health/ready');
    expect(answer.status).toBe(200);
    expect(answer.body).toEqual({
      status: 'ready',
      dependencies: { log: { status: 'up' }, store: { status: 'down' } },
    });
  });

  test('a raw route with a wildcard takes what begins alike, slashes and all, and nothing else', async () => {
    const { call, metricsText } = await start({
      rawRoutes: [
        {
          spec: {
            method: 'get',
            path: '/files/*key',
            operationId: 'file',
            summary: 'File',
            tag: 'test',
            access: 'public',
            params: z.object({ key: z.string() }),
            responses: { 200: { description: 'It.' } },
          },
          handle: async (req, res) => void res.end(req.url),
        },
      ],
    });
    expect((await call('GET', '/files/a/b%20c?x=1')).body).toBe('/files/a/b%20c?x=1');
    expect((await call('GET', '/files')).status).toBe(404);
    expect((await call('GET', '/other/files/a')).status).toBe(404);
    const wrong = await call('POST', '/files/a/b');
    expect(wrong.status).toBe(405);
    expect(wrong.headers.get('allow')).toBe('GET');
    expect(await metricsText()).toContain('route="/files/*key",status="200"} 1');
    const document = (await call('GET', '/api/docs/openapi.json')).body;
    expect(document.paths['/files/{key}'].get.parameters).toMatchObject([{ name: 'key', in: 'path' }]);
  });

  test('a port in use is a clear message', async () => {
    const { port } = await start({});
    const log = silentLogger();
    const second = serve({ services: [], lifecycle, log, metrics: createMetrics(), host: '127.0.0.1', port });
    await expect(second).rejects.toMatchObject({
      code: 'PORT_IN_USE',
      message: `Port ${port} on 127.0.0.1 is in use by another program.`,
    });
  });
});
