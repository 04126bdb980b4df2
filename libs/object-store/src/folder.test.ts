import { randomBytes, randomUUID } from 'node:crypto';
import { mkdtemp, readdir, rename, rm, truncate, utimes, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { setTimeout as wait } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { createLifecycle, createMetrics, type Lifecycle, serve, silentLogger } from '@worktide/runtime';
import { until } from '@worktide/testing';
import { fileOf } from './folder/layout.ts';
import { type ObjectStore, openObjectStore } from './index.ts';

const png = { contentType: 'image/png' };
const minute = { expiresSeconds: 60 };
const gone = { code: 'DEPENDENCY_UNAVAILABLE', statusCode: 503 };
const log = silentLogger();
let folder: string;
let store: ObjectStore;
let lifecycle: Lifecycle;

beforeEach(async () => {
  folder = path.join(await mkdtemp(path.join(tmpdir(), 'worktide-folder-')), 'a b');
  store = openObjectStore(`file:${folder}`, { log, metrics: createMetrics(), signingSecret: 's' });
  lifecycle = createLifecycle({ log });
});
afterEach(async () => {
  await store.close();
  await lifecycle.close();
  await rm(path.dirname(folder), { recursive: true });
});

const temporaries = (): Promise<string[]> => readdir(path.join(folder, 'temporary'));
const keys = async (prefix = ''): Promise<string[]> =>
  (await store.list(prefix, { limit: 1_000 })).items.map(({ key }) => key);

describe('a folder', () => {
  test('is one store for all who open it, by either form of its URL', async () => {
    const other = openObjectStore(pathToFileURL(folder).href, { log, metrics: createMetrics() });
    await store.put('x', Buffer.from('x'), png);
    expect(await other.head('x')).toMatchObject({ size: 1, contentType: 'image/png' });
    expect(other.routes).toEqual([]);
    await expect(other.signedGet('x', minute)).rejects.toMatchObject({ code: 'BAD_CONFIGURATION' });
    await other.close();
  });

  test('takes keys that are beginnings of others, in order', async () => {
    const names = ['a', 'a-b', 'a/b', 'a/b/c', 'a/b@', 'a/b%', 'a@', 'a@/x', 'a%', 'a%%', 'a@%', 'a%@'];
    await Promise.all(names.map((name) => store.put(name, Buffer.from(name), png)));
    const sorted = names.toSorted();
    expect(await keys()).toEqual(sorted);
    for (const [i, after] of sorted.entries()) {
      const { items } = await store.list('', { after, limit: 1_000 });
      expect(items.map(({ key }) => key)).toEqual(sorted.slice(i + 1));
    }
    for (const name of names) expect((await buffer((await store.get(name))!.body)).toString()).toBe(name);
  });

  test('keeps no empty folders and no temporary files, also where puts and deletes meet', async () => {
    for (let round = 0; round < 20; round++) {
      await Promise.all([
        store.put('deep/er/a', Buffer.from('a'), png),
        store.delete('deep/er/a'),
        store.put('deep/er/b', Buffer.from('b'), { ...png, ifAbsent: true }).catch(() => {}),
        store.deleteMany(['deep/er/b', 'deep/er/c']),
      ]);
    }
    await store.deleteMany(['deep/er/a', 'deep/er/b']);
    expect(await readdir(path.join(folder, 'objects'))).toEqual([]);
    expect(await temporaries()).toEqual([]);
    const broken = Readable.from(
      (async function* () {
        yield Buffer.from('x');
        throw new Error('the line is cut');
      })(),
    );
    await expect(store.put('x', broken, png)).rejects.toThrow('the line is cut');
    expect(await temporaries()).toEqual([]);
  });

  test('what a crash left is removed by the next that opens it, what is under way is not', async () => {
    const [old, young] = [path.join(folder, 'temporary', 'old'), path.join(folder, 'temporary', 'young')];
    await Promise.all([writeFile(old, ''), writeFile(young, '')]);
    await utimes(old, 0, 0);
    await openObjectStore(`file:${folder}`, { log, metrics: createMetrics() }).close();
    await until('what is old is gone', async () => (await temporaries()).join() === 'young');
  });

  test('that is away is 503, never empty, and is not made anew', async () => {
    await store.put('x', Buffer.from('x'), png);
    await rename(folder, `${folder}-away`);
    await expect(store.check()).rejects.toMatchObject(gone);
    await expect(store.put('x', Buffer.from('y'), png)).rejects.toMatchObject(gone);
    await expect(store.get('x')).rejects.toMatchObject(gone);
    await expect(store.head('x')).rejects.toMatchObject(gone);
    await expect(store.list('', { limit: 1 })).rejects.toMatchObject(gone);
    await expect(store.delete('x')).rejects.toMatchObject(gone);
    await expect(store.deleteMany(['x'])).rejects.toMatchObject(gone);
    await rename(`${folder}-away`, folder);
    await store.check();
    expect(await keys()).toEqual(['x']);
  });

  test('that cannot be made is bad configuration', () => {
    const open = () => openObjectStore('file:/dev/null/folder', { log, metrics: createMetrics() });
    expect(open).toThrow(expect.objectContaining({ code: 'BAD_CONFIGURATION' }));
  });

  test('a file that is damaged is no object, and one cut while it is read ends in an error', async () => {
    await store.put('x', randomBytes(3_000_000), png);
    const found = await store.get('x');
    await truncate(fileOf(folder, 'x'), 1_000_000);
    await expect(buffer(found!.body)).rejects.toMatchObject(gone);
    await expect(store.get('x')).rejects.toMatchObject(gone);
    await expect(store.head('x')).rejects.toMatchObject(gone);
  });
});

describe('links of a folder', () => {
  let publicUrl: string;
  let port: number;
  beforeEach(async () => {
    const service = { name: 'objects', routes: [], rawRoutes: [...store.routes], checks: {} };
    const options = { services: [service], lifecycle, log, metrics: createMetrics(), host: '127.0.0.1', port: 0 };
    ({ url: publicUrl, port } = await serve(options));
  });
  const linkTo = async (key: string): Promise<string> => publicUrl + (await store.signedGet(key, minute));

  test('whoever stops reading is cut off, whoever reads is not', async () => {
    // More than the buffers of both sides take.
    const body = randomBytes(48_000_000);
    await store.put('x', body, png);
    const openWith = async (readGraceMs: number) => {
      const opened = openObjectStore(`file:${folder}`, {
        log,
        metrics: createMetrics(),
        signingSecret: 's',
        readGraceMs,
      });
      lifecycle.onClose('store', () => opened.close());
      const service = { name: 'objects', routes: [], rawRoutes: [...opened.routes], checks: {} };
      const { port: other } = await serve({
        services: [service],
        lifecycle,
        log,
        metrics: createMetrics(),
        host: '127.0.0.1',
        port: 0,
      });
      return { port: other, link: await opened.signedGet('x', minute) };
    };
    // On a busy machine one that reads may stand still for some tenths of a second.
    const [impatient, patient] = [await openWith(200), await openWith(5_000)];
    const stopped = connect(impatient.port, '127.0.0.1');
    stopped.write(`GET ${impatient.link} HTTP/1.1\r\nhost: x\r\n\r\n`);
    await new Promise((resolve) => stopped.once('readable', resolve));
    // Only what waits in buffers still comes when it reads on.
    const slow = await fetch(`http://127.0.0.1:${patient.port}${patient.link}`);
    let read = 0;
    for await (const part of slow.body!) {
      read += part.length;
      if (read % 7 === 0) await wait(5);
    }
    expect(read).toBe(body.length);
    await wait(1_000);
    let came = 0;
    stopped.on('data', (part) => {
      came += part.length;
    });
    stopped.on('error', () => {});
    await new Promise((resolve) => stopped.once('close', resolve));
    expect(came).toBeLessThan(body.length);
  });

  test('begin with /objects/ where no origin was given', async () => {
    expect(await store.signedGet('a/b', minute)).toMatch(/^\/objects\/a\/b\?expires=\d+&signature=[\w-]{43}$/);
  });

  test('nothing that is stored can run as a page: what is no picture is only saved', async () => {
    const key = randomUUID();
    await store.put(key, Buffer.from('<script>alert(1)</script>'), { contentType: 'text/html' });
    const answer = await fetch(await linkTo(key));
    expect(Object.fromEntries(answer.headers)).toMatchObject({
      'content-disposition': 'attachment',
      'x-content-type-options': 'nosniff',
      'content-security-policy': "default-src 'none'; sandbox",
    });
    expect(answer.headers.get('cache-control')).toMatch(/^private, max-age=\d+$/);
    await store.put(key, Buffer.from('x'), png);
    expect((await fetch(await linkTo(key))).headers.get('content-disposition')).toBe('inline');
  });

  test.each([
    ['bytes=0-0', 206, 'bytes 0-0/10', '0'],
    ['bytes=8-', 206, 'bytes 8-9/10', '89'],
    ['bytes=8-100', 206, 'bytes 8-9/10', '89'],
    ['bytes=-3', 206, 'bytes 7-9/10', '789'],
    ['bytes=-30', 206, 'bytes 0-9/10', '0123456789'],
    ['bytes=0-1,3-4', 200, null, '0123456789'],
    ['bytes=5-2', 200, null, '0123456789'],
    ['bytes=-', 200, null, '0123456789'],
    ['lines=1-2', 200, null, '0123456789'],
  ])('the range %s is answered %i', async (range, status, shown, text) => {
    await store.put('x', Buffer.from('0123456789'), png);
    const answer = await fetch(await linkTo('x'), { headers: { range } });
    expect([answer.status, answer.headers.get('content-range'), await answer.text()]).toEqual([status, shown, text]);
  });

  test.each(['bytes=10-', 'bytes=-0', 'bytes=99-100'])('the range %s lies outside', async (range) => {
    await store.put('x', Buffer.from('0123456789'), png);
    const answer = await fetch(await linkTo('x'), { headers: { range } });
    expect([answer.status, answer.headers.get('content-range')]).toEqual([416, 'bytes */10']);
  });

  test('no path leads out of the folder', async () => {
    const link = await linkTo('x');
    const query = link.slice(link.indexOf('?'));
    for (const tried of [
      '/objects/../../etc/passwd',
      '/objects/..%2f..%2fetc%2fpasswd',
      '/objects/%00',
      '/objects/%zz',
    ]) {
      const status = await new Promise<string>((resolve, reject) => {
        // fetch would tidy the path first.
        const socket = connect(port, '127.0.0.1', () => {
          socket.write(`GET ${tried}${query} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n`);
        });
        socket.once('error', reject);
        socket.once('data', (data) => {
          resolve(data.toString().slice(9, 12));
          socket.destroy();
        });
      });
      expect(status).toBe('403');
    }
  });

  test('a refusal says which, in the shape of all errors; an expired link is told from a wrong one', async () => {
    await store.put('x', Buffer.from('x'), png);
    const link = await store.signedGet('x', { expiresSeconds: 1 });
    await until('the link has expired', async () => (await fetch(publicUrl + link)).status === 403);
    expect(await (await fetch(publicUrl + link)).json()).toMatchObject({ statusCode: 403, code: 'LINK_EXPIRED' });
    const wrong = await fetch(`${publicUrl}/objects/x?expires=9999999999&signature=AAAA`);
    expect(await wrong.json()).toMatchObject({ statusCode: 403, code: 'LINK_INVALID' });
    const { url } = await store.signedPut('y', { ...png, ...minute, size: 3 });
    const put = (body: string, type: string) =>
      fetch(publicUrl + url, { method: 'PUT', body, headers: { 'content-type': type } });
    expect(await (await put('four', 'image/png')).json()).toMatchObject({ code: 'OBJECT_SIZE_MISMATCH' });
    expect(await (await put('two', 'image/gif')).json()).toMatchObject({ code: 'OBJECT_TYPE_MISMATCH' });
    expect((await fetch(publicUrl + url, { method: 'DELETE' })).status).toBe(405);
    // Signed with another secret: another store's.
    const other = openObjectStore(`file:${folder}`, { log, metrics: createMetrics(), signingSecret: 'other' });
    expect((await fetch(publicUrl + (await other.signedGet('x', minute)))).status).toBe(403);
    await other.close();
  });

  test('an object that breaks off while it is sent does not look whole', async () => {
    await store.put('x', randomBytes(30_000_000), png);
    const answer = await fetch(await linkTo('x'));
    await truncate(fileOf(folder, 'x'), 1_000);
    await expect(answer.arrayBuffer()).rejects.toThrow();
  });
});
