import type { IncomingMessage } from 'node:http';
import { AppError, bodyAborted, type Holding, invalid } from '@worktide/runtime';

/**
 * The JSON of a request, whatever its headers call it: plugins send it as text, too.
 * @param holding told of what has come of it.
 * @throws AppError 413 `BODY_TOO_LARGE`, 400 `MALFORMED_JSON`, `REQUEST_ABORTED`.
 */
export async function readJson(req: IncomingMessage, limit: number, holding: Pick<Holding, 'set'>): Promise<unknown> {
  if ((req.headers['content-encoding'] ?? 'identity') !== 'identity') {
    throw new AppError('UNSUPPORTED_ENCODING', 'Send it without a content encoding.', { statusCode: 415 });
  }
  const tooLarge = () => new AppError('BODY_TOO_LARGE', `A body may have ${limit} bytes.`, { statusCode: 413 });
  if (Number(req.headers['content-length'] ?? 0) > limit) {
    req.resume();
    throw tooLarge();
  }
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of req.iterator({ destroyOnReturn: false })) {
      size += (chunk as Buffer).length;
      if (size > limit) throw tooLarge();
      // What is read of it takes as much again.
      holding.set(3 * size);
      chunks.push(chunk as Buffer);
    }
  } catch (error) {
    req.resume();
    throw error instanceof AppError ? error : bodyAborted(error);
  }
  try {
    return JSON.parse(
      Buffer.concat(chunks)
        .toString('utf8')
        .replace(/^\ufeff/, ''),
    );
  } catch {
    throw invalid('MALFORMED_JSON', 'The body is not valid JSON.');
  }
}
