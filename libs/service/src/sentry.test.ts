import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { AppError, createLogger } from '@worktide/runtime';
import { eventually } from '@worktide/testing';
import { type ErrorSink, reportErrors } from './sentry.ts';

/** Somebody's Sentry, which keeps what it is sent. */
const received: { url: string; body: string }[] = [];
let answers = 200;
const server = createServer(async (req, res) => {
  let body = '';
  for await (const chunk of req.setEncoding('utf8')) body += chunk;
  received.push({ url: req.url!, body });
  res.writeHead(answers).end('{}');
});
const lines: string[] = [];
let sink: ErrorSink;

beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const dsn = `http://publickey@127.0.0.1:${port}/7`;
  sink = await reportErrors({ write: (line) => void lines.push(line) }, { dsn, service: 'auth', release: '1.2.3' });
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});

test('a fault of ours is reported once, with what is known of it and no secret', async () => {
  const log = createLogger({ service: 'auth', destination: sink });
  const cause = new Error('the pool is on fire');
  const err = new AppError('INTERNAL', 'Something went wrong on our side.', { cause });
  for (let i = 0; i < 5; i++)
    log.error(
      { err, requestId: 'request-1', path: '/api/v1/auth/login', password: 'hunter2', token: 'waka_x' },
      err.message,
    );
  log.warn({ err }, 'an engine is away');
  log.info({ statusCode: 404 }, 'not there');
  await eventually(() => expect(received).toHaveLength(1));
  await sink.flush(2_000);
  expect(received).toHaveLength(1);
  expect(lines).toHaveLength(7);

  const { url, body } = received[0]!;
  expect(url).toMatch(/^\/api\/7\/envelope\/\?.*sentry_key=publickey/);
  const event = JSON.parse(body.split('\n')[2]!);
  expect(event).toMatchObject({
    level: 'error',
    message: 'Something went wrong on our side.',
    release: '1.2.3',
    server_name: 'auth',
    transaction: '/api/v1/auth/login',
    tags: { service: 'auth', code: 'INTERNAL', requestId: 'request-1' },
  });
  const [exception] = event.exception.values;
  expect(exception.value).toContain('the pool is on fire');
  expect(exception.stacktrace.frames.at(-1).filename).toContain('sentry.test.ts');
  expect(body).not.toMatch(/hunter2|waka_x|authorization|cookie/i);
});

test('a Sentry that is away, or refuses, holds up nothing', async () => {
  const log = createLogger({ service: 'auth', destination: sink });
  answers = 500;
  log.error({ err: new Error('another') }, 'another');
  await eventually(() => expect(received).toHaveLength(2));
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  log.fatal({ err: new Error('a third') }, 'a third');
  expect(lines.at(-1)).toContain('a third');
  await sink.flush(2_000);
});
