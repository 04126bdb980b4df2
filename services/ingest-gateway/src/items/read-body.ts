import type { IncomingMessage } from 'node:http';
import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import { AppError, bodyAborted, type GiveUp } from '@worktide/runtime';

const inflateGzip = promisify(gunzip);

export interface BodyKind {
  format: 'json' | 'ndjson';
  gzip: boolean;
}

const formats = new Map<string, BodyKind['format']>([
  ['application/json', 'json'],
  ['application/x-ndjson', 'ndjson'],
  ['application/ndjson', 'ndjson'],
]);

/**
 * What the headers say of a body, before any of it is read.
 * @throws AppError `UNSUPPORTED_MEDIA_TYPE`, `UNSUPPORTED_ENCODING` (415), `BODY_TOO_LARGE` (413).
 */
export function bodyKind({ headers }: IncomingMessage, limit: number): BodyKind {
  const type = (headers['content-type'] ?? '').split(';', 1)[0]!.trim().toLowerCase();
  const format = formats.get(type);
  if (!format) {
    throw new AppError('UNSUPPORTED_MEDIA_TYPE', 'Send application/json or application/x-ndjson.', { statusCode: 415 });
  }
  // RFC 9110 §8.4.1: names of codings know no case, and x-gzip is gzip.
  const encoding = (headers['content-encoding'] ?? 'identity').trim().toLowerCase();
  const gzip = encoding === 'gzip' || encoding === 'x-gzip';
  if (!gzip && encoding !== 'identity') {
    throw new AppError('UNSUPPORTED_ENCODING', 'Only gzip is taken as a content encoding.', { statusCode: 415 });
  }
  if (Number(headers['content-length'] ?? 0) > limit) throw tooLarge(limit);
  return { format, gzip };
}

const byteOrderMark = Buffer.from([0xef, 0xbb, 0xbf]);

/** What stands behind a byte order mark, which some systems put before all text that they write. */
export const withoutMark = (body: Buffer): Buffer =>
  body[0] === byteOrderMark[0] && body.subarray(0, 3).equals(byteOrderMark) ? body.subarray(3) : body;

/** What can be ended from outside as long as it lasts. */
export interface Endable {
  /** False, and nothing, when it is over. */
  giveUp: GiveUp;
}

/** Nothing that could be ended. */
export const endable = (): Endable => ({ giveUp: () => false });

/**
 * The bytes of a request, as they were sent. Events, not `for await`: an async iterator costs more than the parsing of a
 * small body.
 * @param hold told of all bytes that have arrived, while they come; what it throws ends the reading.
 * @param reading can be ended while the body comes, and then rejects with what it is ended with.
 * @throws AppError `BODY_TOO_LARGE` (413), `REQUEST_ABORTED` (400).
 */
export function readBody(
  req: IncomingMessage,
  limit: number,
  hold: (bytes: number) => void,
  reading: Endable,
): Promise<Buffer> {
  const over = (): void => {
    reading.giveUp = () => false;
  };
  return new Promise<Buffer>((resolve, reject) => {
    let chunks: Buffer[] = [];
    let size = 0;
    const take = (chunk: Buffer): void => {
      size += chunk.length;
      try {
        if (size > limit) throw tooLarge(limit);
        hold(size);
        chunks.push(chunk);
      } catch (error) {
        refuse(error);
      }
    };
    const refuse = (error: unknown): true => {
      over();
      // The rest is thrown away as it comes.
      req.off('data', take);
      req.resume();
      chunks = [];
      reject(error);
      return true;
    };
    reading.giveUp = refuse;
    const aborted = (cause?: unknown): void => {
      over();
      chunks = [];
      reject(bodyAborted(cause));
    };
    req.on('data', take);
    req.once('end', () => {
      over();
      resolve(chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks));
    });
    req.once('error', aborted);
    // Also of a body that came whole: what was not read of it before the connection ended is no longer given.
    req.once('close', () => {
      if (!req.readableEnded) aborted();
    });
    if (req.destroyed) aborted();
  });
}

/** The least gzip: header and trailer. */
const minGzipBytes = 18;

/**
 * Bytes that a gzip body says it comes to, so that what it will cost is known, and may be refused, before any of it is
 * spent.
 * @throws AppError `MALFORMED_BODY` (400), `BODY_TOO_LARGE` (413).
 */
export function inflatedSize(raw: Buffer, limit: number): number {
  if (raw.length < minGzipBytes) throw malformed();
  const size = raw.readUInt32LE(raw.length - 4);
  if (size > limit) throw tooLarge(limit);
  return size;
}

/**
 * @param size as `inflatedSize` says. A body that comes to more lies, or is several bodies behind each other: refused
 * as soon as it shows.
 * @throws AppError `MALFORMED_BODY` (400).
 */
export async function inflate(raw: Buffer, size: number): Promise<Buffer> {
  try {
    const options = { maxOutputLength: Math.max(1, size), chunkSize: Math.max(64, size + 1) };
    return await inflateGzip(raw, options);
  } catch (error) {
    throw malformed(error);
  }
}

export const tooLarge = (limit: number): AppError =>
  new AppError('BODY_TOO_LARGE', `The body has more than ${limit} bytes.`, { statusCode: 413 });

const malformed = (cause?: unknown): AppError =>
  new AppError('MALFORMED_BODY', 'The body is not valid gzip of one member.', { statusCode: 400, cause });
