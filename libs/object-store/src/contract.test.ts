import { randomBytes, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { setTimeout as wait } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { backend } from '@worktide/backends';
import { createLifecycle, createMetrics, type Lifecycle, serve, silentLogger } from '@worktide/runtime';
import { until } from '@worktide/testing';
import { type ObjectStore, openObjectStore } from './index.ts';

const png = { contentType: 'image/png' };
const minute = { expiresSeconds: 60 };
const megabyte = 1024 * 1024;

/** A stream of unknown size, in chunks that fit nothing. */
const streamOf = (whole: Buffer, chunk = 70_001): Readable =>
  Readable.from(
    (function* () {
      for (let start = 0; start < whole.length; start += chunk) yield whole.subarray(start, start + chunk);
    })(),
  );

/** PUT with exactly these headers: fetch sets the length by itself. */
async function putTo(url: string, headers: Record<string, string>, body: Buffer): Promise<number> {
  const call = request(url, { method: 'PUT', headers, agent: false });
  // A store may refuse and hang up before it has read all.
  call.on('error', () => {});
  call.end(body);
  const [response] = await once(call, 'response');
  response.on('error', () => {}).resume();
  return response.statusCode;
}

describe.each(['folder', 's3'])('object store: %s', (kind) => {
  const metrics = createMetrics();
  const log = silentLogger();
  let lifecycle: Lifecycle;
  let folder: string;
  let store: ObjectStore;

  beforeAll(async () => {
    lifecycle = createLifecycle({ log });
    folder = await mkdtemp(path.join(tmpdir(), 'worktide-objects-'));
    if (kind === 's3') {
      store = openObjectStore(`${await backend('s3')}&prefix=${randomUUID()}/`, { log, metrics });
      return;
    }
    // The routes need the store and the URLs need the port, so there are two of them, on one folder.
    const options = { log, metrics, signingSecret: 'a secret' };
    const served = openObjectStore(`file:${folder}`, options);
    const { url: publicUrl } = await serve({
      services: [{ name: 'objects', routes: [], rawRoutes: [...served.routes], checks: {} }],
      lifecycle,
      log,
      metrics,
      host: '127.0.0.1',
      port: 0,
    });
    store = openObjectStore(`file:${folder}`, { ...options, publicUrl });
  });
  afterAll(async () => {
    await store.close();
    await lifecycle.close();
    await rm(folder, { recursive: true });
  });

  const newKey = (name = 'x'): string => `${randomUUID()}/${name}`;
  async function read(key: string): Promise<Buffer | undefined> {
    const found = await store.get(key);
    return found && buffer(found.body);
  }
  async function keysUnder(prefix: string): Promise<string[]> {
    const { items } = await store.list(prefix, { limit: 1_000 });
    return items.map(({ key }) => key);
  }

  test('answers', async () => {
    await store.check();
  });

  test('what is put is got, with type, size and etag, and replaced by the next', async () => {
    const key = newKey();
    const before = Date.now();
    const first = await store.put(key, Buffer.from('one'), png);
    const second = await store.put(key, streamOf(Buffer.from('other')), { contentType: 'text/plain', size: 5 });
    expect(second.size).toBe(5);
    expect(second.etag).not.toBe(first.etag);
    const found = await store.get(key);
    expect(found).toMatchObject({ size: 5, contentType: 'text/plain', etag: second.etag });
    expect((await buffer(found!.body)).toString()).toBe('other');
    expect(await store.head(key)).toEqual({ size: 5, contentType: 'text/plain', etag: second.etag });
    const { items } = await store.list(key, { limit: 10 });
    expect(items).toMatchObject([{ key, size: 5 }]);
    expect(Math.abs(items[0]!.modifiedAt.getTime() - before)).toBeLessThan(60_000);
  });

  test('an empty object is an object', async () => {
    for (const body of [Buffer.alloc(0), Readable.from([])]) {
      const key = newKey();
      expect(await store.put(key, body, png)).toMatchObject({ size: 0 });
      expect(await store.head(key)).toMatchObject({ size: 0, contentType: 'image/png' });
      expect(await read(key)).toEqual(Buffer.alloc(0));
    }
  });

  test('what is not there is undefined, and deleting it is fine', async () => {
    const key = newKey();
    expect(await store.get(key)).toBeUndefined();
    expect(await store.head(key)).toBeUndefined();
    await store.delete(key);
    await store.deleteMany([key, newKey()]);
    await store.deleteMany([]);
  });

  test('30 MB of unknown size come and go as a stream', async () => {
    const whole = randomBytes(30 * megabyte);
    const key = newKey();
    expect(await store.put(key, streamOf(whole), png)).toMatchObject({ size: whole.length });
    expect(await store.head(key)).toMatchObject({ size: whole.length, contentType: 'image/png' });
    expect((await read(key))?.equals(whole)).toBe(true);
  });

  test('exactly one and two parts are whole too', async () => {
    for (const size of [8 * megabyte, 16 * megabyte]) {
      const whole = randomBytes(size);
      const key = newKey();
      await store.put(key, whole, { ...png, size });
      expect((await read(key))?.equals(whole)).toBe(true);
      await store.delete(key);
    }
  });

  test.each([1, 20])('a stream that breaks after %i MB leaves nothing and fails with its own error', async (length) => {
    const key = newKey();
    const broken = Readable.from(
      (async function* () {
        for (let sent = 0; sent < length; sent++) yield randomBytes(megabyte);
        throw new Error('the line is cut');
      })(),
    );
    await expect(store.put(key, broken, png)).rejects.toThrow('the line is cut');
    expect(await store.head(key)).toBeUndefined();
    expect(await keysUnder(key)).toEqual([]);
  });

  test.each([1, 20])('a put that is aborted after %i MB leaves nothing and lets go of its stream', async (length) => {
    const key = newKey();
    const aborter = new AbortController();
    const stalled = new Readable({ read() {} });
    for (let sent = 0; sent < length; sent++) stalled.push(randomBytes(megabyte));
    const put = store.put(key, stalled, { ...png, signal: aborter.signal });
    const reason = new Error('no longer wanted');
    void until('the stalled body was read', () => stalled.readableLength === 0).then(() => aborter.abort(reason));
    await expect(put).rejects.toBe(reason);
    expect(stalled.destroyed).toBe(true);
    expect(await store.head(key)).toBeUndefined();
    await expect(store.put(key, Buffer.from('x'), { ...png, signal: aborter.signal })).rejects.toBe(reason);
    expect(await store.head(key)).toBeUndefined();
  });

  test('another size than announced is refused and leaves what was there', async () => {
    const key = newKey();
    await store.put(key, Buffer.from('old'), png);
    for (const body of ['four', 'fives!', '']) {
      const put = store.put(key, streamOf(Buffer.from(body)), { ...png, size: 5 });
      await expect(put).rejects.toMatchObject({ code: 'OBJECT_SIZE_MISMATCH', statusCode: 400 });
    }
    const endless = store.put(key, streamOf(Buffer.alloc(20 * megabyte)), { ...png, size: 9 * megabyte });
    await expect(endless).rejects.toMatchObject({ code: 'OBJECT_SIZE_MISMATCH' });
    expect((await read(key))?.toString()).toBe('old');
  });

  test('ifAbsent: of twenty that race exactly one stores, and the others are told', async () => {
    const key = newKey();
    const outcomes = await Promise.allSettled(
      Array.from({ length: 20 }, (_, i) => store.put(key, Buffer.from(`by ${i}`), { ...png, ifAbsent: true })),
    );
    const winners = outcomes.flatMap(({ status }, i) => (status === 'fulfilled' ? [i] : []));
    expect(winners).toHaveLength(1);
    for (const outcome of outcomes) {
      if (outcome.status === 'rejected') {
        expect(outcome.reason).toMatchObject({ code: 'OBJECT_EXISTS', statusCode: 409 });
      }
    }
    expect((await read(key))?.toString()).toBe(`by ${winners[0]}`);
    const large = store.put(key, streamOf(randomBytes(9 * megabyte)), { ...png, ifAbsent: true });
    await expect(large).rejects.toMatchObject({ code: 'OBJECT_EXISTS' });
    expect((await read(key))?.toString()).toBe(`by ${winners[0]}`);
  });

  test('lists in the order of keys, page by page', async () => {
    const root = `${randomUUID()}/`;
    const names = ['a-b', 'a/b', 'a/b-c/d', 'a/b@', 'a@', 'a%', 'aa/x', 'b/ä ö', 'b/ü/日本', 'b/z'];
    await Promise.all(names.map((name) => store.put(root + name, Buffer.from(name), png)));
    const sorted = names.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b))).map((name) => root + name);
    expect(await keysUnder(root)).toEqual(sorted);
    for (const limit of [1, 3]) {
      const seen: string[] = [];
      let after: string | undefined;
      do {
        const page = await store.list(root, { after, limit });
        expect(page.items.length).toBeLessThanOrEqual(limit);
        seen.push(...page.items.map(({ key }) => key));
        after = page.next;
      } while (after !== undefined);
      expect(seen).toEqual(sorted);
    }
    expect(await keysUnder(`${root}a/`)).toEqual([`${root}a/b`, `${root}a/b-c/d`, `${root}a/b@`]);
    expect(await keysUnder(`${root}a/b-c/`)).toEqual([`${root}a/b-c/d`]);
    expect(await keysUnder(`${root}aa`)).toEqual([`${root}aa/x`]);
    expect(await keysUnder(`${root}nothing`)).toEqual([]);
    const { items } = await store.list(root, { after: `${root}a/bb`, limit: 2 });
    expect(items.map(({ key }) => key)).toEqual([`${root}a@`, `${root}aa/x`]);
    for (const name of names) expect((await read(root + name))?.toString()).toBe(name);
    await store.deleteMany(names.slice(1).map((name) => root + name));
    expect(await keysUnder(root)).toEqual([`${root}a-b`]);
    await store.delete(`${root}a-b`);
    expect(await keysUnder(root)).toEqual([]);
  });

  test('more objects than one request of S3 names are deleted, there or not', async () => {
    const root = `${randomUUID()}/`;
    const keys = Array.from({ length: 1_100 }, (_, i) => `${root}${i}`);
    await Promise.all(keys.slice(990, 1_010).map((key) => store.put(key, Buffer.from('x'), png)));
    await store.deleteMany(keys);
    expect(await keysUnder(root)).toEqual([]);
  });

  test.each(['with spaces  and +&?#%41=;,!', 'ünïcödé/日本/😀.png', 'quotes\'"<>&amp;'])(
    'the key %j is kept as it is, by signed links too',
    async (name) => {
      const key = newKey(name);
      await store.put(key, Buffer.from('x'), png);
      expect(await keysUnder(key)).toEqual([key]);
      expect((await read(key))?.toString()).toBe('x');
      const answer = await fetch(await store.signedGet(key, minute));
      expect(await answer.text()).toBe('x');
      await store.deleteMany([key]);
      expect(await store.head(key)).toBeUndefined();
    },
  );

  test.each([
    '',
    '/',
    '/a',
    'a/',
    'a//b',
    '.',
    '..',
    '../a',
    'a/../../b',
    'a/./b',
    'a\\b',
    'a\u0000',
    'a\nb',
    'a\u0085',
    '\ud800',
    'x'.repeat(201),
    'x/'.repeat(300),
  ])('refuses the key %j everywhere', async (key) => {
    const refused = { code: 'INVALID_OBJECT_KEY', statusCode: 400 };
    await expect(store.put(key, Buffer.from('x'), png)).rejects.toMatchObject(refused);
    await expect(store.get(key)).rejects.toMatchObject(refused);
    await expect(store.head(key)).rejects.toMatchObject(refused);
    await expect(store.delete(key)).rejects.toMatchObject(refused);
    await expect(store.deleteMany([newKey(), key])).rejects.toMatchObject(refused);
    await expect(store.signedGet(key, minute)).rejects.toMatchObject(refused);
    await expect(store.signedPut(key, { ...png, ...minute, size: 1 })).rejects.toMatchObject(refused);
  });

  test('refuses a content type that could end a header', async () => {
    const put = store.put(newKey(), Buffer.from('x'), { contentType: 'text/html\r\nx: y' });
    await expect(put).rejects.toMatchObject({ code: 'INVALID_CONTENT_TYPE', statusCode: 400 });
  });

  test('a signed GET gives the object and its type, or a part of it, and 404 where there is none', async () => {
    const key = newKey('a/b c.png');
    await store.put(key, Buffer.from('0123456789'), png);
    const url = await store.signedGet(key, minute);
    const answer = await fetch(url);
    expect(answer.status).toBe(200);
    expect(answer.headers.get('content-type')).toBe('image/png');
    expect(answer.headers.get('content-length')).toBe('10');
    expect(await answer.text()).toBe('0123456789');
    const part = await fetch(url, { headers: { range: 'bytes=2-4' } });
    expect([part.status, part.headers.get('content-range'), await part.text()]).toEqual([206, 'bytes 2-4/10', '234']);
    expect((await fetch(await store.signedGet(newKey(), minute))).status).toBe(404);
  });

  test('a signed GET is for nothing else: not another key, another method, another time', async () => {
    const [mine, other] = [newKey('mine'), newKey('other')];
    await store.put(mine, Buffer.from('mine'), png);
    await store.put(other, Buffer.from('other'), png);
    const url = await store.signedGet(mine, minute);
    const statusOf = async (target: string, init?: RequestInit): Promise<number> => (await fetch(target, init)).status;
    const refused = (status: number): boolean => [400, 403, 405].includes(status);
    expect(refused(await statusOf(url.replace(mine, other)))).toBe(true);
    expect(refused(await statusOf(url.split('?')[0]!))).toBe(true);
    expect(refused(await statusOf(url, { method: 'DELETE' }))).toBe(true);
    expect(refused(await statusOf(url, { method: 'PUT', body: 'new' }))).toBe(true);
    const later = url.replace(/(expires)=\d+/i, (_, name) => `${name}=${kind === 's3' ? 3_600 : 9_999_999_999}`);
    expect(later).not.toBe(url);
    expect(refused(await statusOf(later))).toBe(true);
    const wrong = url.replace(/(signature=)(.)/i, (_, name, first) => name + (first === '0' ? '1' : '0'));
    expect(wrong).not.toBe(url);
    expect(refused(await statusOf(wrong))).toBe(true);
    expect((await read(mine))?.toString()).toBe('mine');
  });

  test('a GET with a file name is saved under it, and under no other', async () => {
    const key = newKey();
    await store.put(key, Buffer.from('{}'), { contentType: 'application/json' });
    const url = await store.signedGet(key, { ...minute, fileName: 'daily_2026-11-20.json' });
    const answer = await fetch(url);
    expect(answer.headers.get('content-disposition')).toBe('attachment; filename="daily_2026-11-20.json"');
    expect(await answer.text()).toBe('{}');
    expect((await fetch(url.replace('daily_2026-11-20.json', 'virus.exe'))).status).toBe(403);
    await expect(store.signedGet(key, { ...minute, fileName: 'a"\r\nb' })).rejects.toThrow(TypeError);
  });

  test('a signed GET ends', async () => {
    const key = newKey();
    await store.put(key, Buffer.from('x'), png);
    const url = await store.signedGet(key, { expiresSeconds: 1 });
    const deadline = Date.now() + 30_000;
    let status = 200;
    while (status === 200 && Date.now() < deadline) {
      ({ status } = await fetch(url));
      if (status === 200) await wait(100);
    }
    expect([400, 403]).toContain(status);
  });

  test('a signed PUT stores what it was signed for, and only that', async () => {
    const key = newKey('ä b');
    const body = randomBytes(1_000);
    const { url, headers } = await store.signedPut(key, { ...png, ...minute, size: 1_000 });
    const refused = async (changes: Record<string, string>, bytes: Buffer, target = url): Promise<void> => {
      const status = await putTo(target, { ...headers, ...changes }, bytes);
      expect([400, 403]).toContain(status);
      expect(await store.head(key)).toBeUndefined();
    };
    await refused({ 'content-length': '1001' }, randomBytes(1_001));
    await refused({ 'content-length': '999' }, randomBytes(999));
    await refused({ 'content-type': 'text/html' }, body);
    await refused(
      {},
      body,
      url.replace(/signature=..../i, (found) => `${found.slice(0, -4)}0000`),
    );
    expect([400, 403]).toContain((await fetch(url)).status);
    expect(await putTo(url, headers, body)).toBe(200);
    expect(await store.head(key)).toMatchObject({ size: 1_000, contentType: 'image/png' });
    expect((await read(key))?.equals(body)).toBe(true);
    // As a client does it that knows nothing of us: the length comes by itself.
    const again = await fetch(url, { method: 'PUT', headers: { 'content-type': 'image/png' }, body });
    expect(again.status).toBe(200);
  });

  test('a signed PUT of an upload that is cut stores nothing', async () => {
    const key = newKey();
    const { url, headers } = await store.signedPut(key, { ...png, ...minute, size: 100_000 });
    const call = request(url, { method: 'PUT', headers, agent: false });
    call.on('error', () => {});
    await new Promise<void>((resolve) => call.write(randomBytes(50_000), () => resolve()));
    call.destroy();
    await new Promise((resolve) => call.once('close', resolve));
    expect(await store.head(key)).toBeUndefined();
  });

  test('what it does is counted', async () => {
    const key = newKey();
    await store.put(key, Buffer.from('x'), png);
    await read(key);
    const { text } = await metrics.render();
    expect(text).toMatch(/worktide_object_store_operations_total\{operation="put"\} [1-9]/);
    expect(text).toMatch(/worktide_object_store_bytes_total\{direction="in"\} [1-9]/);
    expect(text).toMatch(/worktide_object_store_bytes_total\{direction="out"\} [1-9]/);
    expect(text).toMatch(/worktide_object_store_seconds_count\{operation="get"\} [1-9]/);
  });

  test('is of no more use once it is closed', async () => {
    const url = kind === 's3' ? await backend('s3') : `file:${folder}`;
    const other = openObjectStore(url, { log, metrics: createMetrics() });
    await other.close();
    const gone = { code: 'DEPENDENCY_UNAVAILABLE', statusCode: 503 };
    await expect(other.head('x')).rejects.toMatchObject(gone);
    await expect(other.put('x', Buffer.from('x'), png)).rejects.toMatchObject(gone);
  });
});
