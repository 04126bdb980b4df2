import { createWriteStream } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { type Readable, Transform, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createBrotliDecompress, createGunzip, createInflate, createZstdDecompress } from 'node:zlib';
import { ClickHouseError, errorCodes } from './errors.ts';

const decoders: Record<string, () => NodeJS.ReadWriteStream> = {
  gzip: createGunzip,
  deflate: createInflate,
  br: createBrotliDecompress,
  zstd: createZstdDecompress,
};

/** Counts what passes, so that a small compressed body cannot become a huge one. */
function limit(maxBytes: number): Transform {
  let seen = 0;
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      seen += chunk.length;
      if (seen <= maxBytes) return done(null, chunk);
      done(new ClickHouseError(errorCodes.QUERY_IS_TOO_LARGE, `Request body is larger than ${maxBytes} bytes`));
    },
  });
}

function stages(req: IncomingMessage, maxBytes: number): [Readable, ...NodeJS.ReadWriteStream[]] {
  const encoding = req.headers['content-encoding'] ?? 'identity';
  if (encoding === 'identity' || encoding === '') return [req, limit(maxBytes)];
  const decoder = decoders[encoding];
  if (!decoder) {
    throw new ClickHouseError(errorCodes.NOT_IMPLEMENTED, `Content-Encoding ${encoding} is not supported`);
  }
  return [req, decoder(), limit(maxBytes)];
}

const failure = (error: unknown): unknown =>
  error instanceof Error &&
  String((error as NodeJS.ErrnoException).code).match(/^(Z_|ERR_BROTLI|ERR_ZSTD|ZSTD_|ERR__ERROR)/)
    ? new ClickHouseError(errorCodes.CANNOT_DECOMPRESS, `Cannot decompress the request body: ${error.message}`)
    : error;

/**
 * The decoded body in memory.
 * @throws ClickHouseError 311 past `maxBytes`, 271 where it cannot be decompressed, 48 for an unknown encoding.
 */
export async function readBody(req: IncomingMessage, maxBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  try {
    const sink = new Writable({
      write(chunk: Buffer, _encoding, done) {
        chunks.push(chunk);
        done();
      },
    });
    await pipeline([...stages(req, maxBytes), sink]);
  } catch (error) {
    throw failure(error);
  }
  return Buffer.concat(chunks);
}

/** Like `readBody`, into a file after `head`: what arrives is never held in memory. */
export async function spoolBody(req: IncomingMessage, maxBytes: number, path: string, head: Buffer): Promise<void> {
  const file = createWriteStream(path, { flags: 'wx', mode: 0o600 });
  if (head.length > 0) file.write(head);
  try {
    await pipeline([...stages(req, maxBytes), file]);
  } catch (error) {
    file.destroy();
    throw failure(error);
  }
}
