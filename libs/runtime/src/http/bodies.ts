import type { IncomingMessage, ServerResponse } from 'node:http';
import { AppError, bodyAborted } from '../errors.ts';
import type { Metrics } from '../metrics.ts';

/** How long the body of a request may be on its way, unless its route says otherwise. */
export const defaultBodyMs = 60_000;
/** Bytes a second at which it has to come, unless its route says otherwise. */
export const defaultBodyRate = 1024;
/** The time over which that is measured, and before the end of which no body is too slow. */
const defaultGraceMs = 10_000;
const sweepMs = 1_000;

export interface BodyBounds {
  timeoutMs: number;
  /** Bytes a second. */
  minRate: number;
}

export interface Bodies {
  /**
   * Watches a request until its body is here. One that is too slow is answered 408 by way of `answer` and cut.
   * Whatever ends it, the request is destroyed then, so that it emits `close` (and `error`, to whoever listens) and
   * all that waits for the body goes on.
   */
  watch(req: IncomingMessage, res: ServerResponse, bounds: BodyBounds, answer: (error: AppError) => void): void;
  /** Looks at all of them now: after connections were closed, those that were answered are told only by this. */
  sweep(): void;
}

interface Arriving {
  req: IncomingMessage;
  res: ServerResponse;
  bounds: BodyBounds;
  answer: (error: AppError) => void;
  startedAt: number;
  /** `socket.bytesRead` at the start, and at the beginning of the present window. */
  bytesBefore: number;
  seenBytes: number;
  seenAt: number;
  /** It was answered 408 and ends when the answer has left, or at the next look. */
  isCut: boolean;
}

/** Whether a request announces a body, of however many bytes. */
export const hasBody = ({ headers }: IncomingMessage): boolean =>
  headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;

/**
 * The bodies that are on their way to one server. Nearly every one comes with its headers and is whole before the turn
 * of the event loop is over: such a request costs a place in a list and no timer. One timer looks after all others,
 * by the bytes that the socket has read, without touching the stream.
 */
export function createBodies(options: { metrics: Metrics; graceMs?: number | undefined }): Bodies {
  const { metrics, graceMs = defaultGraceMs } = options;
  let fresh: Arriving[] = [];
  const unfinished = new Set<Arriving>();
  let timer: NodeJS.Timeout | undefined;

  const isOver = ({ req }: Arriving): boolean => req.complete || req.destroyed;

  function keepUnfinished(): void {
    const now = performance.now();
    for (const body of fresh) {
      if (isOver(body)) continue;
      body.startedAt = body.seenAt = now;
      body.bytesBefore = body.seenBytes = body.req.socket.bytesRead;
      unfinished.add(body);
      // It may come a moment later, and nothing of the request is kept then.
      body.req.once('close', () => unfinished.delete(body));
    }
    fresh = [];
    if (unfinished.size > 0 && !timer) {
      timer = setInterval(sweep, sweepMs);
      timer.unref();
    }
  }

  function sweep(): void {
    const now = performance.now();
    for (const body of unfinished) {
      // Node tells a request of the end of its connection only as long as it is not answered.
      if (!isOver(body) && body.req.socket.destroyed) body.req.destroy(bodyAborted());
      else if (!isOver(body) && (body.isCut || isLate(body, now))) cut(body);
      if (isOver(body)) unfinished.delete(body);
    }
    if (unfinished.size > 0) return;
    clearInterval(timer);
    timer = undefined;
  }

  function isLate(body: Arriving, now: number): boolean {
    const { req, bounds } = body;
    if (now - body.startedAt >= bounds.timeoutMs) return true;
    // We are the slow ones: what has come was not taken, so nothing more is read.
    if (req.readableLength >= req.readableHighWaterMark) body.seenAt = Math.min(now, body.seenAt + sweepMs);
    const ms = now - body.seenAt;
    if (ms < graceMs) return false;
    const { bytesRead } = req.socket;
    const rate = (bytesRead - body.seenBytes) / (ms / 1_000);
    body.seenBytes = bytesRead;
    body.seenAt = now;
    return rate < bounds.minRate;
  }

  function cut(body: Arriving): void {
    const { req, res, answer } = body;
    const error = new AppError('REQUEST_TOO_SLOW', 'The body of the request took too long.', { statusCode: 408 });
    // Answered already: nobody waits for what would still come.
    if (res.headersSent) return void req.destroy(error);
    body.isCut = true;
    // Takes the connection along, so not before the answer has left.
    res.once('close', () => req.destroy(error));
    res.setHeader('connection', 'close');
    answer(error);
  }

  metrics.observed('worktide_http_unfinished_bodies', 'Requests whose body is still on its way.', () => {
    let count = 0;
    for (const body of unfinished) if (!isOver(body)) count++;
    return count;
  });
  metrics.observed('worktide_http_unfinished_body_bytes', 'Bytes that have come of bodies still on their way.', () => {
    let bytes = 0;
    for (const body of unfinished) if (!isOver(body)) bytes += body.req.socket.bytesRead - body.bytesBefore;
    return bytes;
  });

  return {
    watch(req, res, bounds, answer) {
      if (!hasBody(req)) return;
      const body = { req, res, bounds, answer, startedAt: 0, bytesBefore: 0, seenBytes: 0, seenAt: 0, isCut: false };
      if (fresh.push(body) === 1) setImmediate(keepUnfinished);
    },
    sweep,
  };
}
