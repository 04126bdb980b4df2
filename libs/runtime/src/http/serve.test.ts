import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import type { Duplex } from 'node:stream';
import { afterEach, expect, test } from '@jest/globals';
import { createLifecycle, type Lifecycle } from '../lifecycle.ts';
import { silentLogger } from '../log.ts';
import { createMetrics } from '../metrics.ts';
import { type RouteContext, route } from './route.ts';
import { type ServeOptions, serve } from './serve.ts';

let lifecycle: Lifecycle;
afterEach(() => lifecycle.close());

/** A server with one route, whose handler the test is. */
async function start(
  handler: (context: RouteContext) => Promise<unknown> | unknown,
  options: Partial<ServeOptions> & { deadlineMs?: number; opened?: (before: Lifecycle) => void } = {},
) {
  const { deadlineMs = 15_000, opened, ...more } = options;
  const log = silentLogger();
  lifecycle = createLifecycle({ log, deadlineMs });
  opened?.(lifecycle);
  const slow = route({
    method: 'get',
    path: '/slow',
    operationId: 'slow',
    summary: 'Slow',
    tag: 'test',
    access: 'public',
    responses: {},
    handler: async (context) => ({ status: 200, body: { done: await handler(context as RouteContext) } }),
  });
  const services = [{ name: 'test', routes: [slow], checks: {} }];
  return serve({ services, lifecycle, log, metrics: createMetrics(), host: '127.0.0.1', port: 0, ...more });
}

/** A handler that says when it is in and waits to be let out. */
function gate() {
  let enter: () => void = () => {};
  let leave: () => void = () => {};
  const entered = new Promise<void>((resolve) => {
    enter = resolve;
  });
  const left = new Promise<void>((resolve) => {
    leave = resolve;
  });
  const handler = async (): Promise<string> => {
    enter();
    await left;
    return 'whole';
  };
  return { handler, entered, leave: () => leave() };
}

const refusal = (port: number): Promise<NodeJS.ErrnoException> =>
  new Promise((resolve) => connect(port, '127.0.0.1').once('error', resolve));

test('a port in use is a clear message', async () => {
  const { port } = await start(() => 'x');
  const log = silentLogger();
  const second = serve({ services: [], lifecycle, log, metrics: createMetrics(), host: '127.0.0.1', port });
  await expect(second).rejects.toMatchObject({
    code: 'PORT_IN_USE',
    message: `Port ${port} on 127.0.0.1 is in use by another program.`,
  });
});

test('nothing is served when closing has begun', async () => {
  await start(() => 'x');
  const log = silentLogger();
  void lifecycle.close();
  const second = serve({ services: [], lifecycle, log, metrics: createMetrics(), host: '127.0.0.1', port: 0 });
  await expect(second).rejects.toMatchObject({ code: 'STOPPING' });
});

test('closing finishes the running request and takes no new one', async () => {
  const { handler, entered, leave } = gate();
  const { url, port } = await start(handler);
  const running = fetch(`${url}/slow`);
  await entered;
  const closed = lifecycle.close();
  expect((await refusal(port)).code).toBe('ECONNREFUSED');
  leave();
  expect(await (await running).json()).toEqual({ done: 'whole' });
  expect(await closed).toBe(true);
});

test('a request that does not end uses up its part of the deadline and no more; what was opened before is closed', async () => {
  const { handler, entered, leave } = gate();
  let budget = 0;
  const { url } = await start(handler, {
    deadlineMs: 1_000,
    opened: (own) =>
      own.onClose('postgres', ({ budgetMs }) => {
        budget = budgetMs;
      }),
  });
  const running = fetch(`${url}/slow`);
  await entered;
  const closing = lifecycle.close();
  await expect(running).rejects.toThrow();
  expect(await closing).toBe(true);
  expect(budget).toBeGreaterThan(100);
  leave();
});

test('handlers are told before they are cut, so that they can still answer', async () => {
  const { entered, handler } = gate();
  const { url } = await start(
    async ({ signal }) => {
      void handler();
      await once(signal, 'abort');
      return 'what there is';
    },
    { deadlineMs: 1_000 },
  );
  const running = fetch(`${url}/slow`);
  await entered;
  const closed = lifecycle.close();
  expect(await (await running).json()).toEqual({ done: 'what there is' });
  expect(await closed).toBe(true);
});

test('readiness says "stopping" for the drain delay, in which all else goes on', async () => {
  const { url, port, internalUrl } = await start(() => 'x', { drainMs: 1_000, metricsPort: 0 });
  const status = async (origin: string) => (await fetch(`${origin}/health/ready`)).status;
  expect([await status(url), await status(internalUrl)]).toEqual([200, 200]);
  const closed = lifecycle.close();
  expect([await status(url), await status(internalUrl)]).toEqual([503, 503]);
  expect(await (await fetch(`${url}/health/ready`)).json()).toEqual({ status: 'stopping', dependencies: {} });
  expect((await fetch(`${url}/slow`)).status).toBe(200);
  expect(await closed).toBe(true);
  expect((await refusal(port)).code).toBe('ECONNREFUSED');
});

test('a websocket goes to whom its path is; a wish for one elsewhere, or for HTTP/2, is a request like any other', async () => {
  const log = silentLogger();
  lifecycle = createLifecycle({ log });
  const taken: string[] = [];
  const open = new Set<{ destroy(): void }>();
  const upgrade = {
    path: '/ws/',
    handle(req: IncomingMessage, socket: Duplex, _head: Buffer, { address }: { address: string | undefined }) {
      taken.push(`${req.url} ${address}`);
      open.add(socket);
      socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n');
    },
    close() {
      for (const socket of open) socket.destroy();
    },
  };
  const hello = route({
    method: 'get',
    path: '/hello',
    operationId: 'hello',
    summary: 'Hello',
    tag: 'test',
    access: 'public',
    responses: {},
    handler: () => ({ status: 200, body: {} }),
  });
  const services = [{ name: 'test', routes: [hello], upgrades: [upgrade], checks: {} }];
  const options = { services, lifecycle, log, metrics: createMetrics(), host: '127.0.0.1', port: 0, trustedProxies: 1 };
  const { port } = await serve(options);
  const ask = async (path: string, upgradeTo: string): Promise<string> => {
    const socket = connect(port, '127.0.0.1');
    socket.write(
      `GET ${path} HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 192.0.2.7\r\nConnection: Upgrade\r\nUpgrade: ${upgradeTo}\r\n\r\n`,
    );
    const [data] = (await once(socket, 'data')) as [Buffer];
    if (!String(data).startsWith('HTTP/1.1 101')) socket.destroy();
    return String(data).split('\r\n')[0]!;
  };
  expect(await ask('/hello', 'h2c')).toBe('HTTP/1.1 200 OK');
  expect(await ask('/hello', 'websocket')).toBe('HTTP/1.1 200 OK');
  expect(await ask('/nowhere', 'websocket')).toBe('HTTP/1.1 404 Not Found');
  expect(await ask('/ws/?a=1', 'websocket')).toBe('HTTP/1.1 101 Switching Protocols');
  expect(taken).toEqual(['/ws/?a=1 192.0.2.7']);
  // It holds the server open no longer than whoever has it takes to let go.
  const startedAt = Date.now();
  expect(await lifecycle.close()).toBe(true);
  expect(Date.now() - startedAt).toBeLessThan(5_000);
});
