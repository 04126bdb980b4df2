import { randomBytes } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { type SmallDisk, smallDisk } from '@worktide/backends';
import { createMetrics, silentLogger, sleep } from '@worktide/runtime';
import { type ObjectStore, openObjectStore } from './index.ts';

const png = { contentType: 'image/png' };
const full = { code: 'STORAGE_FULL', statusCode: 503, retryAfterSeconds: 30 };
const open = (url: string): ObjectStore => openObjectStore(url, { log: silentLogger(), metrics: createMetrics() });

describe('a folder on a disk that is full', () => {
  let disk: SmallDisk;
  let store: ObjectStore;
  beforeEach(async () => {
    disk = await smallDisk(16);
  });
  afterEach(async () => {
    await store.close();
    await disk.remove();
  });

  test('refuses, leaves nothing of what it refused, reads and removes on, and goes on when there is room', async () => {
    store = open(`file:${disk.dir}/objects`);
    const bytes = randomBytes(100_000);
    await store.put('a/before', bytes, png);
    await disk.fill({ butBytes: 50_000 });
    for (const body of [bytes, Readable.from([bytes.subarray(0, 40_000), bytes.subarray(40_000)])]) {
      await expect(store.put('a/refused', body, png)).rejects.toMatchObject(full);
    }
    await expect(store.put('a/before', bytes, png)).rejects.toMatchObject(full);
    expect(await readdir(path.join(disk.dir, 'objects/temporary'))).toEqual([]);
    expect(await store.head('a/refused')).toBeUndefined();
    expect((await buffer((await store.get('a/before'))!.body)).equals(bytes)).toBe(true);
    // What is removed makes the room.
    await store.delete('a/before');
    await store.put('a/after', bytes, png);
    await disk.free();
    await store.put('a/refused', bytes, png);
    expect((await store.list('', { limit: 10 })).items.map(({ key }) => key)).toEqual(['a/after', 'a/refused']);
  });

  test('with a reserve refuses before it is full', async () => {
    store = open(`file:${disk.dir}/objects?reserveBytes=8000000`);
    await store.put('before', randomBytes(100_000), png);
    await disk.fill({ butBytes: 7_000_000 });
    const put = (): Promise<unknown> => store.put('one', randomBytes(10), png).catch((error: unknown) => error);
    for (let answer = await put(); !(answer instanceof Error); answer = await put()) await sleep(50);
    expect(await put()).toMatchObject(full);
    expect(await store.head('before')).toBeDefined();
    expect(await readdir(path.join(disk.dir, 'objects'))).toEqual(['objects', 'temporary']);
  });
});

describe('an S3 that is full', () => {
  test.each([
    [507, 'XMinioStorageFull'],
    [507, 'SomethingElse'],
    [400, 'XMinioAdminBucketQuotaExceeded'],
    [403, 'QuotaExceeded'],
  ])('%i %s is STORAGE_FULL, without the request in its cause', async (status, code) => {
    const server = createServer((req, res) => {
      req.resume();
      res.writeHead(status, { 'content-type': 'application/xml' });
      res.end(`<?xml version="1.0"?><Error><Code>${code}</Code><Message>No room.</Message></Error>`);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    const store = open(`s3://k:verysecret@bucket?endpoint=http://127.0.0.1:${port}&region=us-east-1&pathStyle=true`);
    try {
      const error = (await store.put('x', Buffer.from('x'), png).catch((e: unknown) => e)) as Error;
      expect(error).toMatchObject(full);
      expect((error.cause as Error).message).toMatch(/No room/);
      expect(JSON.stringify(error.cause)).not.toMatch(/verysecret|authorization/i);
    } finally {
      await store.close();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
  });
});
