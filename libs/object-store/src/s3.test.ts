import { randomBytes, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Readable, Writable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { ListMultipartUploadsCommand, S3Client } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { backend, type Engine, startS3 } from '@worktide/backends';
import { createLogger, createMetrics, describeError, silentLogger } from '@worktide/runtime';
import { until } from '@worktide/testing';
import { type ObjectStore, openObjectStore } from './index.ts';

const png = { contentType: 'image/png' };
const gone = { code: 'DEPENDENCY_UNAVAILABLE', statusCode: 503 };
const megabyte = 1024 * 1024;

describe('an S3 URL', () => {
  const open = (url: string) => openObjectStore(url, { log: silentLogger(), metrics: createMetrics() });

  test.each([
    's3://',
    's3://b',
    's3://bucket/path',
    's3://bucket?endpoint=host:9000',
    's3://bucket?endpoint=http://user:hush@host',
    's3://bucket?pathStyle=yes',
    's3://bucket?colour=red',
    's3://bucket?prefix=a b',
    's3://key@bucket',
    's3://key:hush/hush@bucket',
    's3://key:12?hush@bucket',
    's3://key:12?hush=hush@bucket',
    'http://bucket',
    'bucket',
    'file:',
  ])('refuses %s without repeating it', (url) => {
    expect(() => open(url)).toThrow(expect.objectContaining({ code: 'BAD_CONFIGURATION' }));
    expect(() => open(url)).toThrow(expect.not.objectContaining({ message: expect.stringContaining('hush') }));
  });

  test('names in signed links the endpoint that people reach', async () => {
    const store = open(
      's3://k:s%2F%2B@bucket?endpoint=http://inside:9000&publicEndpoint=https://files.example&pathStyle=true&prefix=t/',
    );
    const url = new URL(await store.signedGet('a b', { expiresSeconds: 60 }));
    expect(url.origin + url.pathname).toBe('https://files.example/bucket/t/a%20b');
    expect(url.searchParams.get('X-Amz-Expires')).toBe('60');
    expect(store.routes).toEqual([]);
    await store.close();
  });

  test('without an endpoint is AWS, the bucket in the host', async () => {
    const store = open('s3://k:s@bucket?region=eu-central-1');
    const url = new URL(await store.signedGet('a', { expiresSeconds: 60 }));
    expect(url.host).toBe('bucket.s3.eu-central-1.amazonaws.com');
    await store.close();
  });
});

test('an upload in parts that fails leaves no parts behind', async () => {
  const url = await backend('s3');
  const prefix = `${randomUUID()}/`;
  const store = openObjectStore(`${url}&prefix=${prefix}`, { log: silentLogger(), metrics: createMetrics() });
  const broken = Readable.from(
    (async function* () {
      for (let sent = 0; sent < 20; sent++) yield randomBytes(megabyte);
      throw new Error('the line is cut');
    })(),
  );
  await expect(store.put('x', broken, png)).rejects.toThrow('the line is cut');
  await store.close();
  const { username, password, searchParams, hostname } = new URL(url);
  const client = new S3Client({
    endpoint: searchParams.get('endpoint')!,
    region: 'us-east-1',
    forcePathStyle: true,
    credentials: { accessKeyId: username, secretAccessKey: decodeURIComponent(password) },
  });
  const { Uploads = [] } = await client.send(new ListMultipartUploadsCommand({ Bucket: hostname }));
  expect(Uploads.filter(({ Key }) => Key?.startsWith(prefix))).toEqual([]);
  client.destroy();
});

describe('what is wrong with S3', () => {
  let dir: string;
  let engine: Engine;
  let store: ObjectStore;
  let logged: string;
  const metrics = createMetrics();
  const destination = {
    write(line: string) {
      logged += line;
    },
  };
  const log = createLogger({ service: 'test', level: 'trace', destination });

  beforeAll(async () => {
    dir = await mkdtemp(path.join(tmpdir(), 'worktide-s3-'));
    engine = await startS3({ dir });
    store = openObjectStore(engine.url, { log, metrics, timeoutMs: 300 });
  });
  beforeEach(() => {
    logged = '';
  });
  afterAll(async () => {
    await store.close();
    await engine.kill9();
    await rm(dir, { recursive: true });
  });

  async function failsEverywhere(): Promise<void> {
    await expect(store.check()).rejects.toMatchObject(gone);
    await expect(store.put('a', Buffer.from('x'), png)).rejects.toMatchObject(gone);
    await expect(store.put('a', Readable.from([randomBytes(9 * megabyte)]), png)).rejects.toMatchObject(gone);
    await expect(store.get('a')).rejects.toMatchObject(gone);
    await expect(store.head('a')).rejects.toMatchObject(gone);
    await expect(store.delete('a')).rejects.toMatchObject(gone);
    await expect(store.deleteMany(['a'])).rejects.toMatchObject(gone);
    await expect(store.list('', { limit: 1 })).rejects.toMatchObject(gone);
  }

  test('away: every call is 503 and counted, until it is back', async () => {
    await store.put('kept', Buffer.from('kept'), png);
    await engine.kill9();
    await failsEverywhere();
    expect((await metrics.render()).text).toMatch(/worktide_object_store_failures_total\{operation="put"\} 2/);
    await engine.restart();
    // Just started it may take longer for its first answers than this store waits.
    await until('it is back', () => store.check().then(() => true));
    const kept = await until('the object', () => store.get('kept'));
    expect((await buffer(kept.body)).toString()).toBe('kept');
  });

  test('silent: the same, after a bounded time', async () => {
    process.kill(engine.pid, 'SIGSTOP');
    try {
      await expect(store.head('kept')).rejects.toMatchObject(gone);
      await expect(store.put('kept', Buffer.from('x'), png)).rejects.toMatchObject(gone);
    } finally {
      process.kill(engine.pid, 'SIGCONT');
    }
  });

  test('gone while an object is read: the body ends in an error', async () => {
    const patient = openObjectStore(engine.url, { log, metrics });
    await patient.put('large', randomBytes(40 * megabyte), png);
    const found = await patient.get('large');
    const [first] = await once(found!.body, 'data');
    expect(first.length).toBeGreaterThan(0);
    found!.body.pause();
    await engine.kill9();
    let read = first.length;
    const sink = new Writable({
      write(chunk: Buffer, _encoding, done) {
        read += chunk.length;
        done();
      },
    });
    await expect(pipeline(found!.body, sink)).rejects.toMatchObject(gone);
    expect(read).toBeLessThan(40 * megabyte);
    await patient.close();
    await engine.restart();
  });

  test.each([
    ['another secret', (url: string) => url.replace(/:[^:@/]+@/, ':wrong-hush@')],
    ['another bucket', (url: string) => url.replace(/@\w+\?/, '@elsewhere?')],
  ])('%s: 503 that says why to operators, and no secret, key or signature is logged', async (_what, change) => {
    const wrong = openObjectStore(change(engine.url), { log, metrics, timeoutMs: 2_000 });
    const calls = [() => wrong.check(), () => wrong.get('kept'), () => wrong.put('a', Buffer.from('x'), png)];
    for (const call of calls) {
      const error = await call().then(
        () => undefined,
        (thrown: unknown) => thrown,
      );
      expect(error).toMatchObject(gone);
      log.warn({ err: error }, describeError(error));
    }
    await wrong.close();
    expect(logged).toMatch(/status 40[34]/);
    expect(logged).not.toMatch(/hush|worktide-secret|Signature=|AWSAccessKeyId|Credential=/);
  });
});
