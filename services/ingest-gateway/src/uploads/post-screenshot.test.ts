import { readdir, rm } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { afterEach, describe, expect, test } from '@jest/globals';
import { backend } from '@worktide/backends';
import { uuidv7 } from '@worktide/runtime';
import { uploadKey } from '@worktide/schemas';
import { until } from '@worktide/testing';
import { caller } from '../testing.ts';
import {
  contentType,
  end,
  field,
  fileHead,
  fileOf,
  form,
  type Gateway,
  heads,
  picture,
  startGateway,
} from './testing.ts';

let gateway: Gateway;
const stores: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  await Promise.all(stores.splice(0).map((close) => close()));
});

async function start(env: Record<string, string> = {}, s3?: string): Promise<Gateway> {
  gateway = await startGateway(env, s3);
  stores.push(gateway.close);
  return gateway;
}

const keyOf = (screenshotId: string): string => uploadKey(caller.organizationId, caller.userId, screenshotId);
const bytesOf = async (key: string): Promise<Buffer> =>
  Buffer.concat((await (await gateway.store.get(key))!.body.toArray()) as Buffer[]);
/** Nothing of an upload, not even what a store in a folder writes before it gives it a name. */
async function expectNothingLeft(): Promise<void> {
  await until('nothing is in flight', async () => (await gateway.metric('worktide_uploads_in_flight')) === 0);
  expect(await gateway.keys()).toEqual([]);
  expect(await gateway.events()).toEqual([]);
  const files = await readdir(gateway.folder, { recursive: true, withFileTypes: true }).catch(() => []);
  expect(files.filter((file) => file.isFile()).map(({ name }) => name)).toEqual([]);
}

describe.each(['folder', 's3'])('into a store of kind %s', (kind) => {
  const open = async (env?: Record<string, string>): Promise<Gateway> =>
    start(env, kind === 's3' ? await backend('s3') : undefined);

  test('object and event are what was sent; the answer comes when both are durable', async () => {
    const { post, events, keys, metric } = await open();
    const screenshotId = uuidv7();
    const timeEntryId = uuidv7();
    const capturedAt = new Date(Date.now() - 60_000).toISOString();
    const bytes = picture(700_000);
    const before = Date.now();
    const answer = await post(
      form(
        field('screenshotId', screenshotId.toUpperCase()),
        field('capturedAt', capturedAt),
        field('organizationId', uuidv7()),
        fileOf(bytes, 'file', 'text/plain'),
        field('blurLevel', '2'),
        field('timeEntryId', timeEntryId),
        field('metadata', '{"display":{"width":1920}}'),
      ),
    );
    expect(answer).toMatchObject({ status: 202, body: { screenshotId } });
    const objectKey = keyOf(screenshotId);
    expect(await keys()).toEqual([objectKey]);
    expect((await bytesOf(objectKey)).equals(bytes)).toBe(true);
    expect((await gateway.store.head(objectKey))!.contentType).toBe('image/png');
    const [event, ...more] = await events();
    expect(more).toEqual([]);
    expect(event).toEqual({
      organizationId: caller.organizationId,
      userId: caller.userId,
      screenshotId,
      objectKey,
      contentType: 'image/png',
      size: bytes.length,
      capturedAt: Date.parse(capturedAt),
      receivedAt: expect.any(Number),
      timeEntryId,
      blurLevel: 2,
      metadata: { display: { width: 1920 } },
    });
    expect(event!.receivedAt).toBeGreaterThanOrEqual(before);
    expect(await metric('worktide_uploads_accepted_total', { way: 'form' })).toBe(1);
    expect(await metric('worktide_uploads_bytes_total', { way: 'form' })).toBe(bytes.length);
  });

  test('every kind of picture, with nothing beside it: the id is ours, a UUIDv7', async () => {
    const { post, events } = await open();
    for (const type of Object.keys(heads) as (keyof typeof heads)[]) {
      const answer = await post(form(field('blurLevel', ''), fileOf(picture(300, type))));
      expect(answer.body.screenshotId).toMatch(/^[\da-f]{8}-[\da-f]{4}-7/);
    }
    const all = await events();
    expect(all.map((event) => event.contentType).sort()).toEqual(Object.keys(heads).sort());
    expect(all[0]).toMatchObject({ blurLevel: null, timeEntryId: null, metadata: null });
    expect(all[0]!.capturedAt).toBe(all[0]!.receivedAt);
  });

  test('sent again with its id, before or behind the file: the same answer, the first picture, the event again', async () => {
    const { post, events, keys } = await open();
    const screenshotId = uuidv7();
    const id = field('screenshotId', screenshotId);
    const first = picture(500_000);
    const forms = [
      form(id, fileOf(first)),
      form(id, fileOf(picture(400_000, 'image/jpeg'))),
      form(fileOf(picture(10, 'image/jpeg')), id),
      form(fileOf(first), id),
    ];
    for (const body of forms) expect(await post(body)).toMatchObject({ status: 202, body: { screenshotId } });
    expect(await keys()).toEqual([keyOf(screenshotId)]);
    expect((await bytesOf(keyOf(screenshotId))).equals(first)).toBe(true);
    const all = await events();
    expect(all).toHaveLength(4);
    for (const event of all) expect(event).toMatchObject({ screenshotId, size: 500_000, contentType: 'image/png' });
  });

  test('an id behind the file names the object all the same, and nothing else is left', async () => {
    const { post, keys, events } = await open();
    const screenshotId = uuidv7();
    const bytes = picture(6_000_000, 'image/jpeg');
    expect((await post(form(fileOf(bytes), field('screenshotId', screenshotId)))).status).toBe(202);
    expect(await keys()).toEqual([keyOf(screenshotId)]);
    expect((await bytesOf(keyOf(screenshotId))).equals(bytes)).toBe(true);
    expect(await events()).toMatchObject([{ screenshotId, objectKey: keyOf(screenshotId), contentType: 'image/jpeg' }]);
  });

  test('the same id at once: everybody is answered, and there is one object', async () => {
    const { post, keys, events } = await open({ UPLOADS_MAX: '40' });
    const screenshotId = uuidv7();
    const id = field('screenshotId', screenshotId);
    const bodies = Array.from({ length: 8 }, (_, i) =>
      i % 2 ? form(id, fileOf(picture(100_000 + i))) : form(fileOf(picture(100_000 + i)), id),
    );
    const answers = await Promise.all(bodies.map((body) => post(body)));
    expect(answers.map(({ status }) => status)).toEqual(bodies.map(() => 202));
    expect(await keys()).toEqual([keyOf(screenshotId)]);
    const { size } = (await gateway.store.head(keyOf(screenshotId)))!;
    const all = await events();
    expect(all).toHaveLength(8);
    expect(new Set(all.map((event) => event.size))).toEqual(new Set([size]));
  });

  const day = 86_400_000;
  const at = (ms: number): string => new Date(Date.now() + ms).toISOString();
  const good = fileOf(picture(100_000));
  const deep = `{"a":${'['.repeat(8_000)}${']'.repeat(8_000)}}`;
  const refusals: [string, Buffer, number, string][] = [
    ['no file', form(field('blurLevel', '1')), 400, 'FILE_MISSING'],
    ['a file that is text', form(field('file', 'abc')), 400, 'FILE_MISSING'],
    ['an empty file', form(fileOf('')), 400, 'EMPTY_FILE'],
    ['SVG', form(fileOf('<svg xmlns="http://www.w3.org/2000/svg"/>')), 415, 'UNSUPPORTED_PICTURE'],
    ['GIF', form(fileOf('GIF89a'.padEnd(1_000))), 415, 'UNSUPPORTED_PICTURE'],
    ['three bytes', form(fileOf('\x89PN')), 415, 'UNSUPPORTED_PICTURE'],
    ['two files', form(good, good), 400, 'TOO_MANY_FILES'],
    ['a file under another name', form(fileOf(picture(500), 'picture')), 400, 'UNEXPECTED_FILE'],
    ['an id that is none, before', form(field('screenshotId', 'x'), good), 400, 'VALIDATION_FAILED'],
    ['an id that is none, behind', form(good, field('screenshotId', '../x')), 400, 'VALIDATION_FAILED'],
    ['a blur level that is none', form(good, field('blurLevel', '4')), 400, 'VALIDATION_FAILED'],
    ['a field twice', form(field('blurLevel', '3'), good, field('blurLevel', '0')), 400, 'DUPLICATE_FIELD'],
    ['a time that is none', form(good, field('capturedAt', 'now')), 400, 'VALIDATION_FAILED'],
    ['in the future', form(good, field('capturedAt', at(400_000))), 400, 'CAPTURED_IN_FUTURE'],
    ['long ago', form(field('capturedAt', at(-90 * day - 1_000)), good), 400, 'CAPTURED_TOO_LONG_AGO'],
    ['metadata that is no JSON', form(good, field('metadata', '{')), 400, 'MALFORMED_METADATA'],
    ['metadata that is no object', form(good, field('metadata', '[1]')), 400, 'VALIDATION_FAILED'],
    ['metadata too deep', form(good, field('metadata', deep)), 400, 'VALIDATION_FAILED'],
    ['metadata too long', form(good, field('metadata', `{"a":"${'x'.repeat(8_200)}"}`)), 400, 'VALIDATION_FAILED'],
    ['metadata with U+0000', form(good, field('metadata', '{"a":["\\u0000"]}')), 400, 'VALIDATION_FAILED'],
    ['half a surrogate pair', form(good, field('metadata', '{"a":"\\ud800"}')), 400, 'VALIDATION_FAILED'],
    ['a huge field', form(good, field('metadata', 'x'.repeat(70_000))), 400, 'FIELD_TOO_LONG'],
    ['many fields', form(good, ...Array.from({ length: 30 }, (_, i) => field(`f${i}`, 'x'))), 400, 'TOO_MANY_FIELDS'],
    ['a form without an end', form(good).subarray(0, -end.length), 400, 'MALFORMED_FORM'],
    ['a form cut in its fields', form(good, field('blurLevel', '1')).subarray(0, -30), 400, 'MALFORMED_FORM'],
    ['no form at all', Buffer.from('abc'), 400, 'MALFORMED_FORM'],
    ['nothing', Buffer.alloc(0), 400, 'MALFORMED_FORM'],
    ['one byte too many', form(fileOf(picture(200_001))), 413, 'BODY_TOO_LARGE'],
    ['endless padding', form(good, 'x'.repeat(1_500_000)), 413, 'BODY_TOO_LARGE'],
  ];
  test('whatever is refused says why and leaves nothing', async () => {
    const { post, metric } = await open({ SCREENSHOT_MAX_BYTES: '200000' });
    const answers = [];
    for (const [what, body] of refusals) {
      const { status, body: answer } = await post(body);
      answers.push([what, status, answer.code]);
    }
    expect(answers).toEqual(refusals.map(([what, , status, code]) => [what, status, code]));
    await expectNothingLeft();
    expect(await metric('worktide_uploads_refused_total', { code: 'EMPTY_FILE' })).toBe(1);
    expect((await post(form(fileOf(picture(200_000))))).status).toBe(202);
  });

  test('an upload that breaks off, in the file or behind it, leaves nothing', async () => {
    const { begin, metric } = await open();
    const starts = [
      form(fileOf(picture(3_000_000))).subarray(0, 2_000_000),
      Buffer.concat([fileOf(picture(100_000)), Buffer.from(`${field('blurLevel', '1')}\r\n--bound`)]),
      Buffer.concat([Buffer.from(field('screenshotId', uuidv7())), Buffer.from(fileHead()), heads['image/png']]),
      Buffer.from(fileHead()),
    ];
    for (const part of starts) {
      const socket = await begin(part, 4_000_000);
      await until('one is in flight', async () => (await metric('worktide_uploads_in_flight')) === 1);
      socket.destroy();
      await until('nothing is in flight', async () => (await metric('worktide_uploads_in_flight')) === 0);
    }
    await expectNothingLeft();
    expect(await metric('worktide_uploads_refused_total', { code: 'REQUEST_ABORTED' })).toBe(starts.length);
  });

  test('an upload that takes too long is told so and cut', async () => {
    const { begin } = await open({ UPLOAD_TIMEOUT_SECONDS: '0.5' });
    const socket = await begin(form(fileOf(picture(300_000))).subarray(0, 200_000), 4_000_000);
    await new Promise((resolve) => socket.once('close', resolve));
    expect(socket.received).toMatch(/^HTTP\/1\.1 408 /);
    expect(socket.received).toMatch(/connection: close/i);
    expect(socket.received).toContain('"code":"UPLOAD_TOO_SLOW"');
    await expectNothingLeft();
  });

  test('while the log is away: 503, and what is sent again is there once', async () => {
    const { post, log, keys, events } = await open();
    const screenshotId = uuidv7();
    const body = form(field('screenshotId', screenshotId), fileOf(picture(1_000)));
    log.away = true;
    const refused = await post(body);
    expect(refused).toMatchObject({ status: 503, body: { code: 'DEPENDENCY_UNAVAILABLE' } });
    expect(refused.headers.get('retry-after')).toBe('1');
    expect(await events()).toEqual([]);
    expect(await keys()).toEqual([keyOf(screenshotId)]);
    log.away = false;
    expect((await post(body)).status).toBe(202);
    expect(await keys()).toEqual([keyOf(screenshotId)]);
    expect(await events()).toHaveLength(1);
  });
});

describe('the gateway', () => {
  test('takes 50 MB to the byte, and not one more', async () => {
    const { post, keys } = await start();
    const most = await post(form(fileOf(picture(50_000_000))));
    expect(most.status).toBe(202);
    expect(await post(form(fileOf(picture(50_000_001))))).toMatchObject({
      status: 413,
      body: { code: 'BODY_TOO_LARGE' },
    });
    const announced = await post(form(fileOf(picture(60_000_000))));
    expect(announced.status).toBe(413);
    expect(await keys()).toEqual([keyOf(most.body.screenshotId)]);
  });

  test('wants a form', async () => {
    const { post } = await start();
    const answers = [];
    for (const headers of [
      { 'content-type': 'application/json' },
      { 'content-type': 'multipart/mixed; boundary=x' },
      { 'content-type': 'multipart/form-data' },
      { 'content-encoding': 'gzip' },
      { authorization: 'Bearer nobody' },
    ]) {
      const { status, body } = await post(form(fileOf(picture(100))), headers as Record<string, string>);
      answers.push([status, body.code]);
    }
    expect(answers).toEqual([
      [415, 'UNSUPPORTED_MEDIA_TYPE'],
      [415, 'UNSUPPORTED_MEDIA_TYPE'],
      [400, 'MALFORMED_FORM'],
      [415, 'UNSUPPORTED_ENCODING'],
      [401, 'UNAUTHORIZED'],
    ]);
    await expectNothingLeft();
  });

  test('without a store answers 503 and says so in its health, ready for pings all the same', async () => {
    const { post, json, url } = await start();
    await rm(gateway.folder, { recursive: true });
    const body = form(fileOf(picture(3_000_000)));
    expect(await post(body)).toMatchObject({ status: 503, body: { code: 'DEPENDENCY_UNAVAILABLE' } });
    expect((await json('presign', { contentType: 'image/png', size: 5 })).status).toBe(503);
    const health = await fetch(`${url}/health/ready`);
    expect(health.status).toBe(200);
    expect(await health.json()).toMatchObject({
      status: 'ready',
      dependencies: { 'object store': { status: 'down' } },
    });
  });

  test('with an S3 that nobody answers for: 503, nobody waits for the rest of the body', async () => {
    const { post, metric } = await start({
      OBJECT_STORE_URL: 's3://key:secret@bucket?endpoint=http://127.0.0.1:1&region=us-east-1&pathStyle=true',
    });
    expect(await post(form(fileOf(picture(9_000_000))))).toMatchObject({ status: 503 });
    expect(await metric('worktide_uploads_in_flight')).toBe(0);
  });

  test('bounds the uploads at once, and what one user has of them', async () => {
    const { post, begin, metric } = await start({ UPLOADS_MAX: '4' });
    const body = form(fileOf(picture(1_000)));
    const held = await begin(body.subarray(0, 500), body.length);
    await until('one is in flight', async () => (await metric('worktide_uploads_in_flight')) === 1);
    const refused = await post(body);
    expect(refused).toMatchObject({ status: 503, body: { code: 'BUSY' } });
    expect(refused.headers.get('retry-after')).toBe('5');
    expect((await post(body, { authorization: 'Bearer other' })).status).toBe(202);
    held.write(body.subarray(500));
    await until('the held one is taken', () => held.received.includes('202 Accepted'));
    expect((await post(body)).status).toBe(202);
  });

  test('takes so many requests a minute of a user, of all kinds together', async () => {
    const { post, json } = await start({ SYNC_LIMIT_PER_MINUTE: '2' });
    const body = form(fileOf(picture(1_000)));
    expect((await post(body)).headers.get('ratelimit-remaining')).toBe('1');
    expect((await json('presign', { contentType: 'image/png', size: 5 })).status).toBe(201);
    const refused = await post(body);
    expect(refused).toMatchObject({ status: 429, body: { code: 'RATE_LIMITED' } });
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
    expect((await post(body, { authorization: 'Bearer other' })).status).toBe(202);
  });

  test('holds little of what streams through: ten times 40 MB', async () => {
    const { url } = await start({ UPLOADS_MAX: '40' });
    const size = 40_000_000;
    const chunk = picture(1_000_000);
    const memory = (): number => process.memoryUsage().arrayBuffers + process.memoryUsage().heapUsed;
    const before = memory();
    let peak = 0;
    async function* body(): AsyncGenerator<Buffer | string> {
      yield fileHead();
      for (let sent = 0; sent < size; sent += chunk.length) {
        peak = Math.max(peak, memory());
        yield chunk;
      }
      yield end;
    }
    const answers = await Promise.all(
      Array.from({ length: 10 }, async () => {
        const response = await fetch(`${url}/api/v1/sync/screenshots`, {
          method: 'POST',
          headers: { authorization: 'Bearer agent', 'content-type': contentType },
          body: Readable.toWeb(Readable.from(body())) as ReadableStream,
          duplex: 'half',
        } as RequestInit);
        return response.status;
      }),
    );
    expect(answers).toEqual(Array(10).fill(202));
    expect((peak - before) / 1e6).toBeLessThan(150);
  });

  test('is documented as a form with a file', async () => {
    const { url } = await start();
    const document = JSON.parse(await text((await fetch(`${url}/api/docs/openapi.json`)).body!));
    const { post } = document.paths['/api/v1/sync/screenshots'];
    const { schema } = post.requestBody.content['multipart/form-data'];
    expect(Object.keys(post.requestBody.content)).toEqual(['multipart/form-data']);
    expect(schema.properties.file).toMatchObject({ type: 'string', format: 'binary' });
    expect(schema.required).toEqual(['file']);
    expect(Object.keys(post.responses)).toEqual(
      expect.arrayContaining(['202', '400', '408', '413', '415', '429', '503']),
    );
    expect(document.paths['/api/v1/sync/screenshots/presign'].post.responses['429']).toBeDefined();
  });
});
