import type { IncomingMessage, ServerResponse } from 'node:http';
import { AppError } from '../errors.ts';

/** How long the body of a request may be on its way, unless its route says otherwise. */
export const defaultBodyMs = 60_000;

const hasBody = ({ headers }: IncomingMessage): boolean =>
  headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;

/**
 * Cuts a request whose body is not here after `ms`: `answer` is given the error, and the connection ends with the answer.
 * The handler sees a request that was aborted. One that was answered already while its body still comes is cut as well.
 */
export function boundBody(
  req: IncomingMessage,
  res: ServerResponse,
  ms: number,
  answer: (error: AppError) => void,
): void {
  if (!hasBody(req)) return;
  const timer = setTimeout(() => {
    if (req.complete || req.destroyed) return;
    const { socket } = req;
    if (res.headersSent) return void socket.destroy();
    res.setHeader('connection', 'close');
    answer(new AppError('REQUEST_TOO_SLOW', 'The body of the request took too long.', { statusCode: 408 }));
    // The handler waits for the rest, which no longer comes.
    res.once('close', () => socket.destroy());
  }, ms);
  timer.unref();
  req.once('close', () => clearTimeout(timer));
}
