import type { IncomingMessage } from 'node:http';
import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import { AppError, invalid } from '@worktide/runtime';
import type { PingProblem } from '@worktide/schemas';

const inflate = promisify(gunzip);

/** An item of a request before it is judged: parsed JSON, or the problem of a line that is none. */
export type Item = { value: unknown } | { problem: PingProblem };

const tooLarge = (limit: number): AppError =>
  new AppError('BODY_TOO_LARGE', `The body has more than ${limit} bytes.`, { statusCode: 413 });

export type BodyFormat = 'json' | 'ndjson';

/** @throws AppError `UNSUPPORTED_MEDIA_TYPE` (415) for anything but JSON and NDJSON. */
export function bodyFormat(contentType: string | undefined): BodyFormat {
  const type = (contentType ?? '').split(';', 1)[0]!.trim().toLowerCase();
  if (type === 'application/json') return 'json';
  if (type === 'application/x-ndjson') return 'ndjson';
  throw new AppError('UNSUPPORTED_MEDIA_TYPE', 'Send application/json or application/x-ndjson.', { statusCode: 415 });
}

/**
 * Reads a body of at most `limit` bytes, before and after decompression.
 * @throws AppError `BODY_TOO_LARGE` (413), `UNSUPPORTED_ENCODING` (415), `MALFORMED_BODY`, `REQUEST_ABORTED` (400).
 */
export async function readBody(req: IncomingMessage, limit: number): Promise<Buffer> {
  if (Number(req.headers['content-length'] ?? 0) > limit) throw tooLarge(limit);
  const raw = await collect(req, limit);
  const encoding = req.headers['content-encoding'] ?? 'identity';
  if (encoding === 'identity') return raw;
  if (encoding !== 'gzip') {
    throw new AppError('UNSUPPORTED_ENCODING', 'Only gzip is taken as a content encoding.', { statusCode: 415 });
  }
  try {
    return await inflate(raw, { maxOutputLength: limit });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE') throw tooLarge(limit);
    throw new AppError('MALFORMED_BODY', 'The body is not valid gzip.', { statusCode: 400, cause: error });
  }
}

/** Events, not `for await`: an async iterator costs more than the parsing of a small body. */
function collect(req: IncomingMessage, limit: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    req.on('data', (chunk: Buffer) => {
      size += chunk.length;
      if (size > limit) {
        req.removeAllListeners('data');
        req.resume();
        reject(tooLarge(limit));
        return;
      }
      chunks.push(chunk);
    });
    req.once('end', () => resolve(chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks, size)));
    const aborted = (cause?: unknown): void =>
      reject(new AppError('REQUEST_ABORTED', 'The request ended before its body did.', { statusCode: 400, cause }));
    req.once('error', aborted);
    req.once('close', () => {
      if (!req.complete) aborted();
    });
  });
}

/**
 * Splits a body into items: a JSON object is one, a JSON array its members, NDJSON its lines that are not blank.
 * A line that is not JSON (cut off, say) is a problem of that item alone.
 * @throws AppError `MALFORMED_JSON`, `EMPTY_REQUEST` (400) or `TOO_MANY_PINGS` (413).
 */
export function readItems(body: Buffer, format: BodyFormat, maxItems: number): Item[] {
  const items = format === 'json' ? jsonItems(body, maxItems) : ndjsonItems(body, maxItems);
  if (items.length === 0) throw invalid('EMPTY_REQUEST', 'The request holds no ping.');
  return items;
}

function tooMany(maxItems: number): AppError {
  return new AppError('TOO_MANY_PINGS', `At most ${maxItems} pings a request; nothing of this one was taken.`, {
    statusCode: 413,
  });
}

function jsonItems(body: Buffer, maxItems: number): Item[] {
  let value: unknown;
  try {
    value = JSON.parse(body.toString('utf8'));
  } catch (error) {
    throw new AppError('MALFORMED_JSON', 'The body is not valid JSON.', { statusCode: 400, cause: error });
  }
  if (!Array.isArray(value)) return [{ value }];
  if (value.length > maxItems) throw tooMany(maxItems);
  return value.map((member) => ({ value: member }));
}

function ndjsonItems(body: Buffer, maxItems: number): Item[] {
  const items: Item[] = [];
  for (const line of body.toString('utf8').split('\n')) {
    if (line.trim() === '') continue;
    if (items.length === maxItems) throw tooMany(maxItems);
    try {
      items.push({ value: JSON.parse(line) });
    } catch {
      items.push({ problem: { code: 'MALFORMED_JSON', message: 'The line is not valid JSON.' } });
    }
  }
  return items;
}
