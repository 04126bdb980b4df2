import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { connect, type Socket } from 'node:net';
import { promisify } from 'node:util';
import { afterEach, describe, expect, test } from '@jest/globals';
import { metricOf, until } from '@worktide/testing';
import { z } from 'zod';
import { AppError } from '../errors.ts';
import { createLifecycle, type Lifecycle } from '../lifecycle.ts';
import { silentLogger } from '../log.ts';
import { createMetrics, type Metrics } from '../metrics.ts';
import { type RawRoute, route } from './route.ts';
import { type ServeOptions, serve } from './serve.ts';

let lifecycle: Lifecycle;
let metrics: Metrics;
let sockets: Socket[] = [];
/** How the raw handlers' waiting for their body ended. */
let outcomes: string[] = [];

afterEach(async () => {
  for (const socket of sockets) socket.destroy();
  sockets = [];
  outcomes = [];
  await lifecycle.close();
});

const spec = { operationId: 'x', summary: 'X', tag: 'test', access: 'public', responses: {} } as const;

/** A raw route that ends as its reading of the body does. */
const raw = (
  path: string,
  read: (req: IncomingMessage) => Promise<unknown>,
  more: Partial<RawRoute> = {},
): RawRoute => ({
  ...more,
  spec: { ...spec, method: 'post', path },
  async handle(req, res) {
    const outcome = await read(req).then(
      () => 'whole',
      (error: Error) => `failed: ${error.message}`,
    );
    outcomes.push(outcome);
    if (outcome !== 'whole') throw new Error(outcome);
    res.end('whole');
  },
});

async function byIterator(req: IncomingMessage): Promise<void> {
  for await (const _ of req);
}
const byClose = async (req: IncomingMessage): Promise<void> => {
  req.resume();
  await once(req, 'close');
  if (!req.readableEnded) throw new Error('cut');
};

const declared = route({
  ...spec,
  method: 'post',
  path: '/declared',
  body: z.unknown(),
  bodyLimit: 10_000_000,
  handler: () => ({ status: 200, body: {} }),
});

async function start(rawRoutes: RawRoute[], options: Partial<ServeOptions> = {}, deadlineMs = 15_000) {
  const log = silentLogger();
  lifecycle = createLifecycle({ log, deadlineMs });
  metrics = createMetrics();
  const services = [{ name: 'test', routes: [declared], rawRoutes, checks: {} }];
  const { port } = await serve({ services, lifecycle, log, metrics, host: '127.0.0.1', port: 0, ...options });
  return {
    begin(path: string, part: string, length = 100, connection = 'keep-alive'): Socket & { received: string } {
      const socket = Object.assign(connect(port, '127.0.0.1'), { received: '' });
      sockets.push(socket);
      socket.on('error', () => {});
      socket.setEncoding('utf8').on('data', (text) => {
        socket.received += text;
      });
      const head = `POST ${path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: ${length}\r\nconnection: ${connection}\r\n\r\n`;
      socket.write(head + part);
      return socket;
    },
  };
}

const untilGauge = (name: string, value: number) =>
  until(`${name} is ${value}`, async () => (await metricOf(metrics, name)) === value, { everyMs: 10 });
const untilNothingIsHeld = async (): Promise<void> => {
  for (const name of ['handlers', 'unfinished_bodies', 'unfinished_body_bytes']) {
    await untilGauge(`worktide_http_${name}`, 0);
  }
};
// Not `once` of node:events, which an error ends: who still writes when it is cut may be told so by a reset.
const ended = (socket: Socket): Promise<unknown> =>
  socket.closed ? Promise.resolve() : new Promise((resolve) => socket.once('close', resolve));

const routes = (more: Partial<RawRoute> = {}): RawRoute[] => [
  raw('/iterator', byIterator, more),
  raw('/close', byClose, more),
];
const paths = ['/iterator', '/close', '/declared'];

describe('what waits for a body hears of its end', () => {
  test.each(['', '{'])('when it takes too long, with 408 (%p came of it)', async (part) => {
    const { begin } = await start(routes(), { bodyTimeoutMs: 100 });
    const all = paths.map((path) => begin(path, part));
    await untilGauge('worktide_http_handlers', all.length);
    await Promise.all(all.map(ended));
    for (const { received } of all) {
      expect(received).toMatch(/^HTTP\/1\.1 408 /);
      expect(received).toContain('"code":"REQUEST_TOO_SLOW"');
    }
    await untilNothingIsHeld();
    expect(outcomes).toEqual([expect.stringMatching(/^failed/), expect.stringMatching(/^failed/)]);
  });

  test.each(['', '{'])('when the client goes away (%p came of it)', async (part) => {
    const { begin } = await start(routes());
    const all = paths.map((path) => begin(path, part));
    await untilGauge('worktide_http_unfinished_bodies', all.length);
    expect(await metricOf(metrics, 'worktide_http_handlers')).toBe(all.length);
    all[0]!.resetAndDestroy();
    for (const socket of all) socket.destroy();
    await untilNothingIsHeld();
    expect(outcomes).toHaveLength(2);
  });

  test('when the client goes away after the answer, while the handler still reads', async () => {
    let answered = (): void => {};
    const early = new Promise<void>((resolve) => {
      answered = resolve;
    });
    const { begin } = await start([
      {
        spec: { ...spec, method: 'post', path: '/early' },
        async handle(req, res) {
          res.end('early');
          answered();
          await byClose(req);
        },
      },
    ]);
    const socket = begin('/early', '{');
    await early;
    await untilGauge('worktide_http_unfinished_bodies', 1);
    socket.destroy();
    await untilNothingIsHeld();
  });

  test('when the server stops', async () => {
    const { begin } = await start(routes(), {}, 1_000);
    const all = paths.map((path) => begin(path, '{'));
    await untilGauge('worktide_http_unfinished_bodies', all.length);
    expect(await lifecycle.close()).toBe(true);
    await Promise.all(all.map(ended));
    await untilNothingIsHeld();
    expect(outcomes).toHaveLength(2);
  });
});

describe('the rate of a body', () => {
  test('one that drips is cut long before its time is over; one that comes as fast as its route asks is not', async () => {
    const slow = raw('/slow', byIterator, { minBodyRate: 1_000_000 });
    const fast = raw('/fast', byIterator, { minBodyRate: 10 });
    const { begin } = await start([slow, fast], { bodyTimeoutMs: 3_600_000, bodyGraceMs: 500 });
    const total = 100_000;
    const both = [begin('/slow', 'x', total), begin('/fast', 'x', total)];
    let sent = 1;
    const dripping = setInterval(() => {
      sent += 100;
      for (const socket of both) if (socket.writable) socket.write('x'.repeat(100));
    }, 50);
    await ended(both[0]!);
    expect(both[0]!.received).toMatch(/^HTTP\/1\.1 408 /);
    clearInterval(dripping);
    expect(both[1]!.received).toBe('');
    both[1]!.write('x'.repeat(total - sent));
    await once(both[1]!, 'data');
    expect(both[1]!.received).toMatch(/^HTTP\/1\.1 200 /);
    await untilNothingIsHeld();
  });

  test('one that came fast and then stands still is cut as well', async () => {
    const { begin } = await start([raw('/x', byIterator)], { bodyTimeoutMs: 3_600_000, bodyGraceMs: 500 });
    const socket = begin('/x', 'x'.repeat(1_000_000), 2_000_000);
    await ended(socket);
    expect(socket.received).toMatch(/^HTTP\/1\.1 408 /);
    await untilNothingIsHeld();
  });

  test('time in which we are the slow ones does not count', async () => {
    let goOn = (): void => {};
    const held = new Promise<void>((resolve) => {
      goOn = resolve;
    });
    const patient = raw('/patient', async (req) => {
      await held;
      await byIterator(req);
    });
    const { begin } = await start([patient, raw('/watch', byIterator)], {
      bodyTimeoutMs: 3_600_000,
      bodyGraceMs: 1_500,
    });
    const total = 2_000_000;
    const whole = begin('/patient', 'x'.repeat(total), total);
    await untilGauge('worktide_http_unfinished_bodies', 1);
    // One that was begun later and stands still is cut: so the time was up for the other, too.
    const stalled = begin('/watch', 'x');
    await ended(stalled);
    expect(stalled.received).toMatch(/^HTTP\/1\.1 408 /);
    expect(whole.received).toBe('');
    goOn();
    await once(whole, 'data');
    expect(whole.received).toMatch(/^HTTP\/1\.1 200 /);
  });
});

test('a request that is whole at once, or has no body, is not watched', async () => {
  const { begin } = await start(routes());
  const socket = begin('/iterator', 'x'.repeat(100));
  await once(socket, 'data');
  expect(socket.received).toMatch(/^HTTP\/1\.1 200 /);
  expect(await metricOf(metrics, 'worktide_http_unfinished_bodies')).toBe(0);
});

describe('a body that is refused before it has come, on a connection that is not kept', () => {
  const refusing: RawRoute = {
    spec: { ...spec, method: 'post', path: '/refused' },
    handle: () => Promise.reject(new AppError('BODY_TOO_LARGE', 'Too large.', { statusCode: 413 })),
  };
  const total = 2_000_000;

  async function refused(options: Partial<ServeOptions> = {}): Promise<Socket & { received: string }> {
    const { begin } = await start([refusing], options);
    const socket = begin('/refused', 'x', total, 'close');
    await once(socket, 'data');
    return socket;
  }

  test('is taken to its end, so that no reset takes the answer away', async () => {
    const socket = await refused();
    const write = promisify<string, void>((part, done) => socket.write(part, (error) => done(error)));
    for (let sent = 1; sent < total; sent += 99_999) await write('x'.repeat(Math.min(99_999, total - sent)));
    await ended(socket);
    expect(socket.received).toContain('"code":"BODY_TOO_LARGE"');
    await untilNothingIsHeld();
  });

  test('holds nothing when it never comes', async () => {
    const socket = await refused({ bodyTimeoutMs: 100 });
    expect(socket.received).toMatch(/^HTTP\/1\.1 413 /);
    await ended(socket);
    await untilNothingIsHeld();
  });

  test('holds nothing when its sender goes away', async () => {
    const socket = await refused();
    socket.destroy();
    await untilNothingIsHeld();
  });
});
