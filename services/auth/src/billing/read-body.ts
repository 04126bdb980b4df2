import type { IncomingMessage } from 'node:http';
import { AppError, bodyAborted } from '@worktide/runtime';

/**
 * The raw bytes of a body, which are what is signed. A sender that is too slow is cut off by the server.
 * @throws AppError `BODY_TOO_LARGE` (413), `UNSUPPORTED_ENCODING` (415), `REQUEST_ABORTED` (400).
 */
export function readBody(req: IncomingMessage, limit: number): Promise<Buffer> {
  if ((req.headers['content-encoding'] ?? 'identity').toLowerCase() !== 'identity') {
    throw new AppError('UNSUPPORTED_ENCODING', 'No content encoding is taken here.', { statusCode: 415 });
  }
  const tooLarge = () => new AppError('BODY_TOO_LARGE', `The body has more than ${limit} bytes.`, { statusCode: 413 });
  if (Number(req.headers['content-length'] ?? 0) > limit) throw tooLarge();
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    req.on('data', (chunk: Buffer) => {
      size += chunk.length;
      if (size <= limit) return void chunks.push(chunk);
      req.removeAllListeners('data');
      req.resume();
      reject(tooLarge());
    });
    req.once('end', () => resolve(Buffer.concat(chunks, size)));
    const aborted = (cause?: unknown): void => reject(bodyAborted(cause));
    req.once('error', aborted);
    // Also of a body that came whole: what was not read of it before the connection ended is no longer given.
    req.once('close', () => {
      if (!req.readableEnded) aborted();
    });
    if (req.destroyed) aborted();
  });
}
