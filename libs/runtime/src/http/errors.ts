import type { ServerResponse } from 'node:http';
import { AppError, type ErrorDetail, toAppError } from '../errors.ts';
import type { Logger } from '../log.ts';
import { hasBody } from './bodies.ts';
import { shownPath } from './shown-path.ts';

export interface ErrorBody {
  statusCode: number;
  code: string;
  message: string;
  timestamp: string;
  path: string;
  requestId: string;
  details?: ErrorDetail[];
}

interface HttpLikeError {
  status?: number;
  type?: string;
  message: string;
}

/** Errors of Express and body-parser as ours, by their documented `type`s. */
export function fromHttpError(error: unknown): AppError {
  if (error instanceof AppError) return error;
  const e = error as HttpLikeError;
  if (typeof e?.status !== 'number' || e.status < 400 || e.status >= 500) return toAppError(error);
  const known: Record<string, [string, string]> = {
    'entity.parse.failed': ['MALFORMED_JSON', 'The body is not valid JSON.'],
    'entity.too.large': ['BODY_TOO_LARGE', 'The body is larger than this operation takes.'],
    'encoding.unsupported': ['UNSUPPORTED_ENCODING', 'This content encoding is not taken.'],
    'charset.unsupported': ['UNSUPPORTED_CHARSET', 'Only UTF-8 is taken.'],
    'request.aborted': ['REQUEST_ABORTED', 'The request ended before its body did.'],
    'request.size.invalid': ['REQUEST_ABORTED', 'The body is shorter than its Content-Length.'],
  };
  const [code, message] = known[e.type ?? ''] ?? ['BAD_REQUEST', 'The request is malformed.'];
  return new AppError(code, message, { statusCode: e.status, cause: error });
}

/** An answer of so many bytes may stay with us for want of a reader; after so long it goes. */
const largeAnswer = 65_536;
const unreadMs = 20_000;

/** Answers JSON with its length, so that the connection can be kept. */
export function sendJson(res: ServerResponse, status: number, body: unknown): void {
  const text = JSON.stringify(body);
  res.statusCode = status;
  res.setHeader('content-type', 'application/json; charset=utf-8');
  res.setHeader('content-length', Buffer.byteLength(text));
  // Held until it is taken; whoever takes nothing of it for so long never will.
  if (text.length > largeAnswer) res.setTimeout(unreadMs, () => void res.destroy());
  if (closesTooEarly(res)) endWithBody(res, text);
  else res.end(text);
}

/** A connection that is closed while a body still comes is reset, and the answer may be lost with it. */
const closesTooEarly = (res: ServerResponse): boolean =>
  !res.req.complete && hasBody(res.req) && (!res.shouldKeepAlive || res.getHeader('connection') === 'close');

/**
 * Ends an answer when the body that it does not wait for has come, all of which is thrown away; the sender has the
 * answer before (RFC 9112 §9.6). How long that may take is bounded as for every body.
 */
function endWithBody(res: ServerResponse, text: string): void {
  const { req } = res;
  res.write(text);
  req.once('end', () => res.end());
  req.once('close', () => res.end());
  req.unpipe();
  req.resume();
}

/** Logs what an operator must see of a failed request. */
export type ErrorReporter = (error: AppError, context: { path: string; requestId: string }) => void;

/**
 * What is our fault is logged with its cause, what is the caller's is only counted. While a dependency is away or a
 * queue is full thousands of requests a second fail alike: of 503 each code is logged once a second, with a count.
 */
export function createErrorReporter(log: Logger): ErrorReporter {
  const seen = new Map<string, { at: number; suppressed: number }>();
  return (error, context) => {
    if (error.statusCode < 500) return;
    if (error.statusCode !== 503) return log.error({ err: error, ...context }, error.message);
    const now = performance.now();
    const last = seen.get(error.code);
    if (last && now - last.at < 1_000) {
      last.suppressed++;
      return;
    }
    seen.set(error.code, { at: now, suppressed: 0 });
    log.warn({ err: error, ...context, alsoFailed: last?.suppressed ?? 0 }, error.message);
  };
}

/** Answers any thrown value in the one error shape. */
export function sendError(
  res: ServerResponse,
  thrown: unknown,
  context: { path: string; requestId: string; report: ErrorReporter },
): void {
  const error = fromHttpError(thrown);
  const { requestId } = context;
  const path = shownPath(context.path);
  context.report(error, { path, requestId });
  if (res.headersSent || res.destroyed) {
    res.destroy();
    return;
  }
  for (const [name, value] of Object.entries(error.headers ?? {})) res.setHeader(name, value);
  if (error.retryAfterSeconds !== undefined) res.setHeader('retry-after', String(error.retryAfterSeconds));
  if (error.statusCode === 401) res.setHeader('www-authenticate', 'Bearer');
  const body: ErrorBody = {
    statusCode: error.statusCode,
    code: error.code,
    message: error.message,
    timestamp: new Date().toISOString(),
    path,
    requestId,
    ...(error.details ? { details: error.details } : {}),
  };
  sendJson(res, error.statusCode, body);
}
