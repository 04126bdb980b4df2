import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { afterEach, describe, expect, test } from '@jest/globals';
import { z } from 'zod';
import { notFound, unauthorized, unavailable } from '../errors.ts';
import { createLifecycle, type Lifecycle } from '../lifecycle.ts';
import { silentLogger } from '../log.ts';
import { createMetrics } from '../metrics.ts';
import { type Caller, type RawRoute, route, type Service } from './route.ts';
import { serve } from './serve.ts';

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
  query: z.object({ times: z.coerce.number().int().max(3).default(1) }),
  body: z.object({ text: z.string() }).meta({ id: 'EchoBody' }),
  bodyLimit: 1_000,
  responses: { 200: { description: 'The text.', schema: z.object({ text: z.string() }) } },
  handler: ({ body, query, params }) => ({ status: 200, body: { text: params.name + body.text.repeat(query.times) } }),
});

async function start(service: Partial<Service>, options: { handlerTimeoutMs?: number; bodyTimeoutMs?: number } = {}) {
  const log = silentLogger();
  lifecycle = createLifecycle({ log });
  const whole: Service = { name: 'test', routes: [], checks: {}, ...service };
  const metrics = createMetrics();
  const { url, port } = await serve({
    services: [whole],
    lifecycle,
    log,
    metrics,
    host: '127.0.0.1',
    port: 0,
    ...options,
  });
  const call = async (method: string, path: string, init: RequestInit = {}) => {
    const response = await fetch(url + path, { method, ...init });
    const text = await response.text();
    return { status: response.status, headers: response.headers, body: text.startsWith('{') ? JSON.parse(text) : text };
  };
  const post = (path: string, body: string, headers: Record<string, string> = {}) =>
    call('POST', path, { body, headers: { 'content-type': 'application/json', ...headers } });
  return { url, port, call, post };
}

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

  test.each([
    ['malformed JSON', '/api/v1/echo/a', '{"text":', {}, 400, 'MALFORMED_JSON'],
    ['a wrong type', '/api/v1/echo/a', '{"text":1}', {}, 400, 'VALIDATION_FAILED'],
    ['a bad query', '/api/v1/echo/a?times=9', '{"text":"x"}', {}, 400, 'VALIDATION_FAILED'],
    ['a bad parameter', '/api/v1/echo/abcdef', '{"text":"x"}', {}, 400, 'VALIDATION_FAILED'],
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

describe('what every service has', () => {
  test('live, ready with each dependency named, metrics, OpenAPI and docs without an outside host', async () => {
    let up = false;
    const { call, post } = await start({
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
      dependencies: { good: { status: 'up' }, flaky: { status: 'down', message: 'connection refused' } },
    });
    up = true;
    const deadline = Date.now() + 10_000;
    let status = 503;
    while (status !== 200 && Date.now() < deadline) status = (await call('GET', '/health/ready')).status;
    expect(status).toBe(200);

    await post('/api/v1/echo/a', '{"text":"x"}');
    const metrics = await call('GET', '/metrics');
    expect(metrics.body).toContain(
      'worktide_http_requests_total{method="POST",route="/api/v1/echo/:name",status="200"} 1',
    );

    const document = (await call('GET', '/api/docs/openapi.json')).body;
    const operation = document.paths['/api/v1/echo/{name}'].post;
    expect(operation.parameters.map((p: { name: string; in: string }) => `${p.in}:${p.name}`)).toEqual([
      'path:name',
      'query:times',
    ]);
    expect(operation.requestBody.content['application/json'].schema).toEqual({ $ref: '#/components/schemas/EchoBody' });
    expect(document.components.schemas.EchoBody.properties.text).toEqual({ type: 'string' });
    expect(Object.keys(operation.responses)).toEqual(['200', '400', '404', '408', '409', '413', '415', '500', '503']);

    const docs = (await call('GET', '/api/docs')).body as string;
    expect(docs).not.toMatch(/https?:\/\//);
    expect((await call('GET', '/api/docs/assets/swagger-ui-bundle.js')).status).toBe(200);
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
    expect(await answer.json()).toMatchObject({ dependencies: { log: { status: 'down', message: 'not for a' } } });
  });

  test('a raw route is matched first, counted and documented; its errors take the one shape', async () => {
    const { post, call } = await start({
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
    expect((await call('GET', '/metrics')).body).toContain('route="/api/v1/raw",status="404"} 1');
    const document = (await call('GET', '/api/docs/openapi.json')).body;
    expect(Object.keys(document.paths['/api/v1/raw'].post.requestBody.content)).toEqual([
      'application/json',
      'application/x-ndjson',
    ]);
  });

  test('a body that does not come is answered 408 and cut, at every kind of route', async () => {
    const handle: RawRoute['handle'] = async (req, res) => {
      for await (const _ of req);
      res.end();
    };
    const spec = { operationId: 'slow', summary: 'Slow', tag: 'test', access: 'public', responses: {} } as const;
    const { port } = await start(
      {
        routes: [echo],
        rawRoutes: [
          { spec: { ...spec, method: 'post', path: '/raw' }, handle },
          { spec: { ...spec, method: 'post', path: '/patient' }, handle, bodyTimeoutMs: 60_000 },
        ],
      },
      { bodyTimeoutMs: 100 },
    );
    const begin = (target: string): Socket & { received: string } => {
      const socket = Object.assign(connect(port, '127.0.0.1'), { received: '' });
      socket.setEncoding('utf8').on('data', (text) => {
        socket.received += text;
      });
      socket.write(
        `POST ${target} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{`,
      );
      return socket;
    };
    const patient = begin('/patient');
    for (const target of ['/raw', '/api/v1/echo/a']) {
      const socket = begin(target);
      await once(socket, 'close');
      expect(socket.received).toMatch(/^HTTP\/1\.1 408 /);
      expect(socket.received).toContain('"code":"REQUEST_TOO_SLOW"');
    }
    patient.end('"a":1234');
    await once(patient, 'close');
    expect(patient.received).toMatch(/^HTTP\/1\.1 200 /);
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
      dependencies: { log: { status: 'up' }, store: { status: 'down', message: 'gone' } },
    });
  });

  test('a raw route with a wildcard takes what begins alike, slashes and all, and nothing else', async () => {
    const { call } = await start({
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
    expect((await call('GET', '/metrics')).body).toContain('route="/files/*key",status="200"} 1');
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

  test('closing finishes the running request, takes no new one and turns readiness to 503', async () => {
    let release: () => void = () => {};
    const entered = new Promise<void>((inside) => {
      release = inside;
    });
    let answer: () => void = () => {};
    const slow = route({
      ...echo,
      path: '/slow',
      body: undefined as never,
      params: z.object({}),
      handler: async () => {
        release();
        await new Promise<void>((resolve) => {
          answer = resolve;
        });
        return { status: 200, body: { done: true } };
      },
    });
    const { call, port } = await start({ routes: [slow] });
    const running = call('POST', '/slow');
    await entered;
    const closed = lifecycle.close();
    const refused = await new Promise((resolve) => connect(port, '127.0.0.1').once('error', resolve));
    expect((refused as NodeJS.ErrnoException).code).toBe('ECONNREFUSED');
    answer();
    expect((await running).body).toEqual({ done: true });
    expect(await closed).toBe(true);
  });
});
