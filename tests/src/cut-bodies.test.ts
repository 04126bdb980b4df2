import { readdir, readFile, readlink } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { freePort } from '@worktide/backends';
import { call, expectStatus, type Json, until } from '@worktide/testing';
import { metric } from './support/http.ts';
import { register } from './support/people.ts';
import { type Product, startProduct, temporaryFolder } from './support/product.ts';
import { formOf, pictureOf } from './support/screenshots.ts';

// Every operation that takes a body, cut at every stage of it and in every way: nothing waits for it afterwards, and
// nothing is held for it.

interface Operation {
  name: string;
  origin: string;
  /** Request line and headers without those of the body's length. */
  head: string;
  body: Buffer;
}

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let product: Product;
let internal: string;
let operations: Operation[];
const sockets: Socket[] = [];

beforeAll(async () => {
  folder = await temporaryFolder();
  const metricsPort = await freePort();
  internal = `http://127.0.0.1:${metricsPort}`;
  product = await startProduct(folder.dir, {
    METRICS_PORT: String(metricsPort),
    BILLING_WEBHOOK_SECRET: 'billing-secret-of-this-test',
    UPLOADS_MAX: '400',
    IMPORT_UPLOADS_MAX: '400',
    SYNC_LIMIT_PER_MINUTE: '10000',
  });
  const ada = await register(product.url);
  const picture = await pictureOf(1);
  const form = formOf(picture);
  const json = Buffer.from(JSON.stringify({ text: 'x'.repeat(2_000) }));
  const operation = (name: string, origin: string, headers: Record<string, string>, body: Buffer): Operation => {
    const [method = '', route = ''] = name.split(' ');
    const target = route.replaceAll(/\{\w+\}/g, '0198c000-0000-7000-8000-000000000000');
    const lines = Object.entries({ host: 'x', ...headers }).map(([header, value]) => `${header}: ${value}\r\n`);
    return { name, origin, head: `${method.toUpperCase()} ${target} HTTP/1.1\r\n${lines.join('')}`, body };
  };

  const { paths } = expectStatus(await call(product.url, 'get', '/api/docs/openapi.json'), 200);
  const documented = Object.entries(paths as Json).flatMap(([route, methods]) =>
    Object.entries(methods as Json)
      .filter(([, spec]) => (spec as Json).requestBody)
      .map(([method, spec]) => ({
        name: `${method} ${route}`,
        types: Object.keys((spec as Json).requestBody.content),
      })),
  );
  const authorization = `Bearer ${ada.accessToken}`;
  operations = documented.map(({ name, types }) => {
    const multipart = types.includes('multipart/form-data');
    const headers = {
      authorization,
      'x-worktide-signature': `t=${Math.floor(Date.now() / 1_000)},v1=${'0'.repeat(64)}`,
      ...(multipart ? form.headers : { 'content-type': 'application/json' }),
    };
    return operation(name, product.url, headers, multipart ? form.body : json);
  });

  // What is in no document: the signed URL of an upload, and what services ask of each other.
  const agreed = expectStatus(
    await call(product.url, 'post', '/api/v1/sync/screenshots/presign', {
      bearer: ada.accessToken,
      body: { contentType: 'image/png', size: picture.length },
    }),
    201,
  );
  const link = new URL(agreed.uploadUrl);
  const sent = Object.fromEntries(
    Object.entries(agreed.headers as Record<string, string>).filter(([header]) => !/^content-length$/i.test(header)),
  );
  operations.push(operation(`put ${link.pathname}${link.search}`, product.url, sent, picture));
  const { internalToken } = JSON.parse(await readFile(path.join(product.data, 'secrets.json'), 'utf8'));
  const ours = { authorization: `Bearer ${internalToken}`, 'content-type': 'application/json' };
  operations.push(operation('post /internal/credentials/resolve', internal, ours, json));
}, 120_000);

afterAll(async () => {
  for (const socket of sockets) socket.destroy();
  await product?.process.stop();
  await folder?.remove();
});

const stages = {
  'headers only': () => 0,
  half: (size: number) => Math.floor(size / 2),
  'all but the last byte': (size: number) => size - 1,
};

interface Begun extends Socket {
  received: string;
  operation: string;
}

const ended = (socket: Socket): Promise<unknown> =>
  socket.closed ? Promise.resolve() : new Promise((resolve) => socket.once('close', resolve));

/** Begins every operation up to every stage; resolves when their handlers wait for the rest. */
async function beginAll(): Promise<Begun[]> {
  const begun = operations.flatMap(({ name, origin, head, body }) =>
    Object.entries(stages).map(([stage, upTo]) => {
      const socket = Object.assign(connect(Number(new URL(origin).port), '127.0.0.1'), {
        received: '',
        operation: `${name}, ${stage}`,
      });
      sockets.push(socket);
      socket.on('error', () => {});
      socket.setEncoding('utf8').on('data', (text) => {
        socket.received += text;
      });
      const part = body.subarray(0, upTo(body.length));
      socket.write(Buffer.concat([Buffer.from(`${head}content-length: ${body.length}\r\n\r\n`), part]));
      return socket;
    }),
  );
  await until(
    'every handler to wait',
    async () => {
      const early = begun.filter(({ received }) => received !== '');
      if (early.length > 0) {
        throw new Error(
          early
            .map(({ operation, received }) => `${operation}: ${received}`)
            .join('\n')
            .slice(0, 2_000),
        );
      }
      const { bodies, handlers, pings, uploads, files } = await held();
      return (
        bodies === begun.length &&
        handlers >= begun.length &&
        pings > 0 &&
        // By form, and by signed URL.
        uploads === 2 * stagesCount &&
        files > stagesCount
      );
    },
    { seconds: 20 },
  );
  return begun;
}
const stagesCount = Object.keys(stages).length;

/** What the product holds for bodies that are on their way. */
async function held(): Promise<Record<'bodies' | 'bytes' | 'handlers' | 'pings' | 'uploads' | 'files', number>> {
  const of = (name: string): Promise<number> => metric(internal, name);
  return {
    bodies: await of('worktide_http_unfinished_bodies'),
    bytes: await of('worktide_http_unfinished_body_bytes'),
    handlers: await of('worktide_http_handlers'),
    pings: await metric(internal, 'worktide_budget_held', { budget: 'requests' }),
    uploads: await of('worktide_uploads_in_flight'),
    files: await openTemporaryFiles(),
  };
}

/** Handles that the product has on objects that are being written. */
async function openTemporaryFiles(): Promise<number> {
  const handles = `/proc/${product.process.pid}/fd`;
  const targets = await Promise.all(
    (await readdir(handles)).map((fd) => readlink(path.join(handles, fd)).catch(() => '')),
  );
  return targets.filter((target) => target.startsWith(path.join(product.data, 'objects', 'temporary'))).length;
}

const nothing = { bodies: 0, bytes: 0, handlers: 0, pings: 0, uploads: 0, files: 0 };
async function untilNothingIsHeld(): Promise<void> {
  await until('nothing is held', async () => {
    const now = await held();
    if (JSON.stringify(now) === JSON.stringify(nothing)) return true;
    throw new Error(JSON.stringify(now));
  });
  expect(await readdir(path.join(product.data, 'objects', 'temporary'))).toEqual([]);
}

test('there are operations of every kind', () => {
  const names = operations.map(({ name }) => name);
  expect(names.length).toBeGreaterThan(25);
  for (const one of [
    'post /api/v1/pings',
    'post /api/v1/sync/screenshots',
    'post /api/v1/billing/webhook',
    'post /api/v1/auth/login',
    'patch /api/v1/tasks/{id}',
  ]) {
    expect(names).toContain(one);
  }
});

test.each([
  ['closes', (socket: Socket) => socket.destroy()],
  ['resets', (socket: Socket) => socket.resetAndDestroy()],
  ['ends its side of', (socket: Socket) => socket.end()],
])('a client that %s the connection leaves nothing behind', async (_how, leave) => {
  for (const socket of await beginAll()) leave(socket);
  await untilNothingIsHeld();
});

test('a client that falls silent is answered 408 and leaves nothing behind', async () => {
  const begun = await beginAll();
  await Promise.all(begun.map(ended));
  const others = begun.filter(({ received }) => !/^HTTP\/1\.1 408 /.test(received));
  expect(others.map(({ operation, received }) => `${operation}: ${received}`)).toEqual([]);
  await untilNothingIsHeld();
});

test('what was cut has left room for what is whole', async () => {
  const grace = await register(product.url);
  const form = formOf(await pictureOf(2));
  const upload = await call(product.url, 'post', '/api/v1/sync/screenshots', { bearer: grace.accessToken, ...form });
  expectStatus(upload, 202);
});

test('a stop waits for them for its part of the time only, and closes everything', async () => {
  const begun = await beginAll();
  await product.process.stop();
  await Promise.all(begun.map(ended));
  const lines = (await readFile(path.join(product.data, 'worktide.log'), 'utf8')).trim().split('\n');
  const log = lines.map((line) => JSON.parse(line) as { msg: string; closer?: string; clean?: boolean });
  expect(log.filter(({ closer }) => closer !== undefined)).toEqual([]);
  expect(log.at(-1)).toMatchObject({ msg: 'stopped', clean: true });
  expect(await product.printed()).toContain('Stopped.');
});
