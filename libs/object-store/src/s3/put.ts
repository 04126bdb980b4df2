import { setTimeout as wait } from 'node:timers/promises';
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  PutObjectCommand,
  type S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { describeError, type Logger } from '@worktide/runtime';
import type { DriverPut } from '../driver.ts';
import { fromS3, isUndecided } from './errors.ts';

/** Of an upload in parts; 10,000 of them are an object's limit, so 80 GB. */
export const partBytes = 8 * 1024 * 1024;
/** Parts of one object on their way at once. With the one that is being filled this bounds its memory. */
const partsAtOnce = 2;
const attempts = 5;

export interface S3Target {
  client: S3Client;
  bucket: string;
  log: Logger;
}

/** Parts of exactly `partBytes`, the last one smaller; none of an empty source. */
async function* partsOf(source: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let held: Buffer[] = [];
  let length = 0;
  for await (const chunk of source) {
    let rest = chunk;
    while (length + rest.length >= partBytes) {
      const fits = partBytes - length;
      held.push(rest.subarray(0, fits));
      const part = held.length === 1 ? held[0]! : Buffer.concat(held);
      // Before it is handed over: the pieces are not to live as long as the part.
      held = [];
      length = 0;
      yield part;
      rest = rest.subarray(fits);
    }
    if (rest.length > 0) held.push(rest);
    length += rest.length;
  }
  if (length > 0) yield Buffer.concat(held);
}

/**
 * Stores what comes: in one request where it is less than a part, else as an upload in parts. Each body is a buffer,
 * so that the client can send it again; a stream could only be sent once.
 */
export async function putS3(
  target: S3Target,
  key: string,
  source: AsyncIterable<Buffer>,
  options: DriverPut,
): Promise<{ size: number; etag: string }> {
  const parts = partsOf(source);
  const first = await parts.next();
  const body = first.done ? Buffer.alloc(0) : first.value;
  if (body.length < partBytes) {
    // To the end: a source that has another size than was announced says so there.
    if (!first.done) await parts.next();
    return putWhole(target, key, body, options);
  }
  return putParts(target, key, body, parts, options);
}

async function putWhole({ client, bucket }: S3Target, key: string, body: Buffer, options: DriverPut) {
  const { contentType, ifAbsent, signal } = options;
  for (let attempt = 1; ; attempt++) {
    try {
      const { ETag } = await client.send(
        new PutObjectCommand({
          Bucket: bucket,
          Key: key,
          Body: body,
          ContentType: contentType,
          ContentLength: body.length,
          ...(ifAbsent ? { IfNoneMatch: '*' } : {}),
        }),
        { abortSignal: signal },
      );
      return { size: body.length, etag: plain(ETag) };
    } catch (error) {
      if (!ifAbsent || !isUndecided(error) || attempt === attempts) throw fromS3(error);
      await wait(50 * attempt * Math.random(), undefined, { signal });
    }
  }
}

async function putParts(
  target: S3Target,
  key: string,
  first: Buffer,
  rest: AsyncIterable<Buffer>,
  { contentType, ifAbsent, signal }: DriverPut,
) {
  const { client, bucket } = target;
  const object = { Bucket: bucket, Key: key };
  const { UploadId: id } = await client
    .send(new CreateMultipartUploadCommand({ ...object, ContentType: contentType }), { abortSignal: signal })
    .catch((error: unknown) => {
      throw fromS3(error);
    });
  if (!id) throw new Error('the store began an upload without an id');
  const upload = { ...object, UploadId: id };
  const failure = new AbortController();
  const either = AbortSignal.any([signal, failure.signal]);
  const sending = new Set<Promise<void>>();
  const sent: { PartNumber: number; ETag: string | undefined }[] = [];
  let size = 0;
  let begun = 0;

  async function send(number: number, part: Buffer): Promise<void> {
    const { ETag } = await client.send(
      new UploadPartCommand({ ...upload, PartNumber: number, Body: part, ContentLength: part.length }),
      { abortSignal: either },
    );
    sent.push({ PartNumber: number, ETag });
  }

  async function add(part: Buffer): Promise<void> {
    size += part.length;
    const one: Promise<void> = send(++begun, part).finally(() => sending.delete(one));
    sending.add(one);
    // Seen below, by whoever waits first; here only so that it never counts as unheard.
    one.catch((error: unknown) => failure.abort(error));
    if (sending.size >= partsAtOnce) await Promise.race(sending);
  }

  try {
    await add(first);
    for await (const part of rest) {
      failure.signal.throwIfAborted();
      await add(part);
    }
    await Promise.all(sending);
    failure.signal.throwIfAborted();
    sent.sort((a, b) => a.PartNumber - b.PartNumber);
    const { ETag } = await client.send(
      new CompleteMultipartUploadCommand({
        ...upload,
        MultipartUpload: { Parts: sent },
        ...(ifAbsent ? { IfNoneMatch: '*' } : {}),
      }),
      { abortSignal: signal },
    );
    return { size, etag: plain(ETag) };
  } catch (error) {
    failure.abort(error);
    await Promise.allSettled(sending);
    await dropParts(target, upload);
    throw fromS3(failure.signal.reason);
  }
}

/** Parts of an upload that was begun cost money until somebody drops them. */
async function dropParts({ client, log }: S3Target, upload: { Bucket: string; Key: string; UploadId: string }) {
  try {
    await client.send(new AbortMultipartUploadCommand(upload));
  } catch (error) {
    if ((error as Error).name === 'NoSuchUpload') return;
    const reason = describeError(fromS3(error));
    log.warn({ object: upload.Key, upload: upload.UploadId, reason }, 'parts of an upload were left in the store');
  }
}

export const plain = (etag: string | undefined): string => (etag ?? '').replaceAll('"', '');
