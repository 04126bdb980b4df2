import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, request, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, expect, test } from '@jest/globals';
import { type Answer, call, until } from '@worktide/testing';
import { readArguments } from './arguments.ts';
import { sendQueue } from './send.ts';
import { listen } from './server.ts';
import { openStore, type QueuedPing, type Store } from './store.ts';

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});
async function folder(): Promise<string> {
  const dir = await mkdtemp(path.join(tmpdir(), 'worktide-bridge-'));
  closers.push(() => rm(dir, { recursive: true, force: true }));
  return dir;
}

const key = 'waka_019cd7a0-0000-4000-8000-00000000000a';

/** What stands for Worktide: takes pings as it does, or answers what it is told to. */
async function startWorktide() {
  const taken: QueuedPing[] = [];
  const requests: number[] = [];
  const state: { status: number; headers: Record<string, string> } = { status: 202, headers: {} };
  const server: Server = createServer((req, res) => {
    const chunks: Buffer[] = [];
    req.on('data', (chunk) => chunks.push(chunk));
    req.on('end', () => {
      const pings = JSON.parse(Buffer.concat(chunks).toString()) as QueuedPing[];
      requests.push(pings.length);
      if (req.headers.authorization !== `Bearer ${key}`) state.status = 401;
      if (state.status === 202) taken.push(...pings);
      res.writeHead(state.status, state.headers).end(JSON.stringify({ accepted: pings.length, rejected: [] }));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closers.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, taken, requests, state };
}

async function startBridge(store: Store) {
  const said: string[] = [];
  const { server, port } = await listen({ store, port: 0, origins: [], err: (line) => said.push(line) });
  closers.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${port}`, port, said };
}

const window = { client: 'aw-watcher-window', type: 'currentwindow', hostname: 'h' };
const at = Date.parse('2026-11-27T10:00:00Z');
const heartbeat = (seconds: number, app: string, duration = 0) => ({
  timestamp: new Date(at + seconds * 1_000).toISOString(),
  duration,
  data: { app, title: `${app} title` },
});
const beat = (url: string, bucket: string, body: object, pulsetime = 10) =>
  call(url, 'post', `/api/0/buckets/${bucket}/heartbeat?pulsetime=${pulsetime}`, { body });
const spans = (pings: QueuedPing[]) =>
  pings.map(({ app, startedAt, endedAt }) => [
    app,
    (Date.parse(startedAt) - at) / 1_000,
    (Date.parse(endedAt) - at) / 1_000,
  ]);
const all = (store: Store) => store.next(10_000, Number.MAX_SAFE_INTEGER);

test('two applications by turns, without durations, are the time that they were there, and none of it twice', async () => {
  const store = openStore(await folder());
  closers.push(() => store.close());
  const { url } = await startBridge(store);
  expect((await call(url, 'post', '/api/0/buckets/w', { body: window })).status).toBe(200);
  expect((await call(url, 'post', '/api/0/buckets/w', { body: window })).status).toBe(304);
  for (let second = 0; second <= 60; second += 5)
    await beat(url, 'w', heartbeat(second, second % 10 === 0 ? 'A' : 'B'));
  const found = spans(all(store)) as [string, number, number][];
  expect(found.reduce((sum, [, from, to]) => sum + to - from, 0)).toBe(60);
  expect(found.slice(0, 3)).toEqual([
    ['A', 0, 5],
    ['B', 5, 10],
    ['A', 10, 15],
  ]);
  expect((await call(url, 'get', '/api/0/buckets/w/events')).body).toMatchObject([{ data: { app: 'A' } }]);
  expect((await call(url, 'get', '/api/0/info')).body.version).toMatch(/^v0\.13/);
  expect(Object.keys((await call(url, 'get', '/api/0/buckets/')).body)).toEqual(['w']);
});

test('one that goes on is one ping, sent again with its new end; private windows are nowhere', async () => {
  const store = openStore(await folder());
  closers.push(() => store.close());
  const { url } = await startBridge(store);
  await call(url, 'post', '/api/0/buckets/w', { body: window });
  await beat(url, 'w', heartbeat(0, 'A'));
  await beat(url, 'w', heartbeat(40, 'A'), 60);
  const [first] = store.next(10, 0);
  expect(spans([first!])).toEqual([['A', 0, 40]]);
  store.done([first!]);
  expect(all(store)).toEqual([]);
  await beat(url, 'w', heartbeat(50, 'A'), 60);
  expect(all(store)).toEqual([{ ...first, endedAt: new Date(at + 50_000).toISOString() }]);

  const browser = { client: 'aw-watcher-web-firefox', type: 'web.tab.current', hostname: 'h' };
  await call(url, 'post', '/api/0/buckets/b', { body: browser });
  const secret = { url: 'https://secret.example/', title: 'secret', incognito: true };
  await beat(url, 'b', { timestamp: new Date(at).toISOString(), duration: 0, data: secret });
  expect(JSON.stringify([all(store), store.lastEvent('b')])).not.toContain('secret');
});

/** A request whose headers are all its own. */
function ask(port: number, headers: Record<string, string>): Promise<number> {
  return new Promise((resolve, reject) => {
    const sent = request({ host: '127.0.0.1', port, path: '/api/0/buckets/', headers }, (res) => {
      res.resume();
      resolve(res.statusCode!);
    });
    sent.on('error', reject);
    sent.end();
  });
}

test('a page that a name leads here by a trick gets nothing', async () => {
  const store = openStore(await folder());
  closers.push(() => store.close());
  const { port } = await startBridge(store);
  const host = `127.0.0.1:${port}`;
  expect(await ask(port, { host })).toBe(200);
  expect(await ask(port, { host: `localhost:${port}` })).toBe(200);
  expect(await ask(port, { host, origin: 'moz-extension://0b0c7a3e-1d9c-4f35-8c4e-0d8f3a0f6f6a' })).toBe(200);
  for (const other of [`evil.example:${port}`, 'evil.example', '127.0.0.1', '127.0.0.1:1'])
    expect(await ask(port, { host: other })).toBe(403);
  for (const origin of ['https://evil.example', 'null', `http://evil.example:${port}`, 'chrome-extension://abc']) {
    expect(await ask(port, { host, origin })).toBe(403);
  }
});

test('what was taken survives kill -9, and is sent once by whoever comes next', async () => {
  const dir = await folder();
  const worktide = await startWorktide();
  worktide.state.status = 503;
  async function start() {
    const main = fileURLToPath(new URL('./main.ts', import.meta.url));
    const args = [main, '--url', worktide.url, '--port', '0', '--data', dir];
    const child = spawn(process.execPath, args, {
      env: { ...process.env, WORKTIDE_KEY: key },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const ended = new Promise((resolve) => child.once('exit', resolve));
    closers.push(async () => {
      child.kill('SIGKILL');
      await ended;
    });
    let printed = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (printed += chunk));
    const url = await until('the bridge', () => /http:\/\/127\.0\.0\.1:\d+/.exec(printed)?.[0]);
    return { child, ended, url, printed: () => printed };
  }
  const bridge = await start();
  await call(bridge.url, 'post', '/api/0/buckets/w', { body: window });
  const answers: Answer[] = [];
  for (let second = 0; second < 100; second += 5)
    answers.push(await beat(bridge.url, 'w', heartbeat(second, `App ${second}`)));
  expect(answers.every(({ status }) => status === 200)).toBe(true);
  bridge.child.kill('SIGKILL');
  await bridge.ended;
  worktide.state.status = 202;
  const next = await start();
  await until('all of it', () => worktide.taken.length >= 19);
  expect(spans(worktide.taken)).toEqual(Array.from({ length: 19 }, (_, i) => [`App ${i * 5}`, i * 5, i * 5 + 5]));
  expect(bridge.printed() + next.printed()).not.toContain(key);
  next.child.kill('SIGTERM');
  expect(await next.ended).toBe(0);
}, 60_000);

test('a week offline comes in order, one request after the other, each bounded, and waits as it is told', async () => {
  const store = openStore(await folder());
  closers.push(() => store.close());
  store.createBucket({ id: 'w', ...window, created: 'x' });
  const bucket = store.bucket('w')!;
  const events = Array.from({ length: 1_200 }, (_, i) => ({
    startedAt: at + i * 60_000,
    endedAt: at + i * 60_000 + 30_000,
    data: { app: `A${i}` },
  }));
  store.events(bucket, events);
  const worktide = await startWorktide();
  worktide.state.status = 429;
  worktide.state.headers = { 'retry-after': '7' };
  const stop = new AbortController();
  const slept: number[] = [];
  const said: string[] = [];
  await sendQueue(
    {
      store,
      url: worktide.url,
      key,
      out: (line) => said.push(line),
      err: (line) => said.push(line),
      async sleep(ms) {
        slept.push(ms);
        if (slept.length === 2) worktide.state.status = 202;
        if (store.waiting() === 0) stop.abort();
      },
    },
    stop.signal,
  );
  expect(slept.slice(0, 2)).toEqual([7_000, 7_000]);
  expect(worktide.requests).toEqual([500, 500, 500, 500, 200]);
  expect(worktide.taken.map(({ app }) => app)).toEqual(events.map(({ data }) => data.app));
  expect(slept.slice(2)).toEqual([250, 250, 250]);
  expect(said).toEqual([
    expect.stringMatching(/it answers 429.*1200 pings wait/),
    expect.stringMatching(/reached again/),
  ]);
});

test('a full disk says so, answers so, and keeps what it has', async () => {
  const store = openStore(await folder(), { maxPages: 24 });
  closers.push(() => store.close());
  const { url, said } = await startBridge(store);
  await call(url, 'post', '/api/0/buckets/w', { body: window });
  let taken = 0;
  let status = 200;
  for (let second = 0; status === 200 && second < 100_000; second += 5) {
    ({ status } = await beat(url, 'w', {
      ...heartbeat(second, 'A'),
      data: { app: `A${second}`, title: 'x'.repeat(1_000) },
    }));
    if (status === 200) taken++;
  }
  expect(status).toBe(507);
  expect(said).toEqual([expect.stringContaining('The disk is full')]);
  expect(taken).toBeGreaterThan(3);
  expect(store.waiting()).toBe(taken);
});

test('arguments are read, and a key is never repeated', () => {
  expect(readArguments(['--url', 'https://a.b/', '--key', key], {})).toMatchObject({ url: 'https://a.b', port: 5_600 });
  expect(readArguments(['--url', 'https://a.b'], { WORKTIDE_KEY: key })).toMatchObject({ key });
  for (const wrong of [['--key', 'waka_secret', '--url', 'x'], ['--kye', 'secret'], []]) {
    const said = readArguments(wrong, {});
    expect(typeof said).toBe('string');
    expect(said).not.toContain('secret');
  }
});
