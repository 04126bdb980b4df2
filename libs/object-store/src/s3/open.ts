import type { Readable } from 'node:stream';
import {
  DeleteObjectCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  type HeadObjectCommandOutput,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
  type S3ClientConfig,
} from '@aws-sdk/client-s3';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import type { Driver } from '../driver.ts';
import { createStore } from '../store.ts';
import type { ObjectStore, ObjectStoreOptions } from '../types.ts';
import { fromS3, isAbsent } from './errors.ts';
import { plain, putS3 } from './put.ts';
import { parseS3Url, type S3Address } from './url.ts';

/** An attempt as a whole: a part of 8 MB over a slow line is to come through. */
const attemptTimeoutMs = 60_000;
const connectTimeoutMs = 2_000;

export function createClient(address: S3Address, endpoint: string | undefined, timeoutMs: number): S3Client {
  const region = address.region ?? (endpoint ? 'us-east-1' : undefined);
  const config: S3ClientConfig = {
    ...(endpoint ? { endpoint } : {}),
    ...(region ? { region } : {}),
    ...(address.credentials ? { credentials: address.credentials } : {}),
    forcePathStyle: address.pathStyle,
    maxAttempts: 3,
    retryMode: 'standard',
    // Else a checksum of the empty body is signed into the URL of a PUT, and some stores refuse the trailers.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    // It costs a connection and a round trip for each part.
    expectContinueHeader: false,
    requestHandler: {
      connectionTimeout: connectTimeoutMs,
      socketTimeout: timeoutMs,
      requestTimeout: attemptTimeoutMs,
      throwOnRequestTimeout: true,
      httpAgent: { keepAlive: true, maxSockets: 64 },
      httpsAgent: { keepAlive: true, maxSockets: 64 },
    },
  };
  return new S3Client(config);
}

/** Objects in a bucket of anything that speaks S3. */
export function openS3(url: string, options: ObjectStoreOptions): ObjectStore {
  const { log, timeoutMs = 10_000 } = options;
  const address = parseS3Url(url);
  const { bucket, prefix, endpoint, publicEndpoint } = address;
  const client = createClient(address, endpoint, timeoutMs);
  const signing = publicEndpoint ? createClient(address, publicEndpoint, timeoutMs) : client;
  const object = (key: string) => ({ Bucket: bucket, Key: prefix + key });

  async function ask<T>(act: Promise<T>): Promise<T> {
    try {
      return await act;
    } catch (error) {
      throw fromS3(error);
    }
  }

  async function ifPresent<T>(act: Promise<T>): Promise<T | undefined> {
    try {
      return await act;
    } catch (error) {
      if (isAbsent(error)) return undefined;
      throw fromS3(error);
    }
  }

  const driver: Driver = {
    put: (key, source, put) => putS3({ client, bucket, log }, prefix + key, source, put),
    async get(key) {
      const found = await ifPresent(client.send(new GetObjectCommand(object(key))));
      if (!found) return undefined;
      return { ...describe(found), body: found.Body as Readable, range: undefined };
    },
    async head(key) {
      const found = await ifPresent(client.send(new HeadObjectCommand(object(key))));
      return found && describe(found);
    },
    async delete(key) {
      await ifPresent(client.send(new DeleteObjectCommand(object(key))));
    },
    async deleteMany(keys) {
      const Objects = keys.map((key) => ({ Key: prefix + key }));
      const command = new DeleteObjectsCommand({ Bucket: bucket, Delete: { Objects, Quiet: true } });
      const { Errors = [] } = await ask(client.send(command));
      const bad = Errors.find(({ Code }) => Code !== 'NoSuchKey');
      if (bad) throw new Error(`${Errors.length} of ${keys.length} objects were not deleted: ${bad.Code}`);
    },
    async list(start, after, limit) {
      const { Contents = [], IsTruncated } = await ask(
        client.send(
          new ListObjectsV2Command({
            Bucket: bucket,
            Prefix: prefix + start,
            MaxKeys: limit,
            ...(after === undefined ? {} : { StartAfter: prefix + after }),
          }),
        ),
      );
      const items = Contents.map(({ Key = '', Size = 0, LastModified = new Date(0) }) => ({
        key: Key.slice(prefix.length),
        size: Size,
        modifiedAt: LastModified,
      }));
      return { items, more: IsTruncated === true };
    },
    signedGet(key, { expiresSeconds, fileName }) {
      const saved = fileName === undefined ? {} : { ResponseContentDisposition: `attachment; filename="${fileName}"` };
      const command = new GetObjectCommand({ ...object(key), ...saved });
      return ask(getSignedUrl(signing, command, { expiresIn: expiresSeconds }));
    },
    async signedPut(key, { contentType, size, expiresSeconds }) {
      const command = new PutObjectCommand({ ...object(key), ContentType: contentType, ContentLength: size });
      // By default the type is not among what is signed.
      const signableHeaders = new Set(['host', 'content-type', 'content-length']);
      const signed = await ask(getSignedUrl(signing, command, { expiresIn: expiresSeconds, signableHeaders }));
      return { url: signed, headers: { 'content-type': contentType, 'content-length': String(size) } };
    },
    async check() {
      await ask(client.send(new HeadBucketCommand({ Bucket: bucket })));
    },
    close() {
      client.destroy();
      signing.destroy();
    },
  };
  return createStore(driver, options);
}

const describe = (found: Pick<HeadObjectCommandOutput, 'ContentLength' | 'ContentType' | 'ETag'>) => ({
  size: found.ContentLength ?? 0,
  contentType: found.ContentType ?? 'application/octet-stream',
  etag: plain(found.ETag),
});
