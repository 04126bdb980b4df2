import { timingSafeEqual } from 'node:crypto';
import express, { type Request, type Response } from 'express';
import { AppError, forbidden, requestAborted, unauthorized } from '../errors.ts';
import type { Logger } from '../log.ts';
import { hasBody } from './bodies.ts';
import { sendJson } from './errors.ts';
import { addressGroup, takeLimit, userSubject } from './limits.ts';
import {
  type AnyRoute,
  accessOf,
  type Caller,
  isLimitedByAddress,
  type Reply,
  requireVerified,
  type Service,
} from './route.ts';
import { requireJson, validatePart } from './validate.ts';

const defaultBodyLimit = 100_000;

/** Handlers that are at work, so that they are seen and can be told to give up. */
export interface AtWork {
  /** How many have not come to their end, answered or not. */
  count: number;
  /** Those of declared routes, which look at a signal. */
  aborters: Set<AbortController>;
}

/** Whether a header is this bearer; a token that is not set fits nothing. */
export function hasBearer(authorization: string | undefined, token: string | undefined): boolean {
  if (!token || !authorization) return false;
  const given = Buffer.from(authorization);
  const expected = Buffer.from(`Bearer ${token}`);
  return given.length === expected.length && timingSafeEqual(given, expected);
}

/** The time that there is to answer a request. */
interface Deadline {
  /** Rejects 503 `TIMEOUT` when it is over. */
  over: Promise<never>;
  /** Waits for what the sender has to do, and what has bounds of its own: it does not count. */
  without<T>(work: () => Promise<T>): Promise<T>;
  end(): void;
}

function startDeadline(ms: number, onOver: () => void): Deadline {
  let refuse: (error: AppError) => void = () => {};
  const over = new Promise<never>((_, reject) => {
    refuse = reject;
  });
  const expire = (): void => {
    refuse(new AppError('TIMEOUT', 'The answer took too long.', { statusCode: 503, retryAfterSeconds: 5 }));
    onOver();
  };
  const startedAt = performance.now();
  let notCounted = 0;
  let timer: NodeJS.Timeout | undefined = setTimeout(expire, ms);
  return {
    over,
    async without(work) {
      clearTimeout(timer);
      const before = performance.now();
      const result = await work();
      const now = performance.now();
      notCounted += now - before;
      timer = setTimeout(expire, ms - (now - startedAt - notCounted));
      return result;
    },
    end: () => clearTimeout(timer),
  };
}

async function callerOf(
  route: AnyRoute,
  service: Service,
  req: Request,
  signal: AbortSignal,
): Promise<Caller | undefined> {
  if (route.access === 'public') return undefined;
  const authorization = req.headers.authorization;
  if (route.access === 'internal') {
    if (!hasBearer(authorization, service.internalToken)) throw unauthorized();
    return undefined;
  }
  if (!service.authenticate) throw new Error(`${service.name} has a route with callers but no authenticate`);
  const caller = await service.authenticate(authorization, () => addressGroup(req.ip), signal);
  if (accessOf(route) === 'session' && !caller.sessionId) throw forbidden('This needs a login, not an agent key.');
  if (route.roles && !route.roles.includes(caller.role)) throw forbidden();
  if (route.method !== 'get' && !route.unverified) requireVerified(caller);
  // Whoever holds an admin's key is still an agent: it sees its own person's data.
  return caller.sessionId ? caller : { ...caller, role: 'employee' };
}

/**
 * Express handler of a declared route: limits and credential first, then body, then validation, then the handler. All of
 * it has `timeoutMs` together, the arrival of the body apart.
 */
export function handlerOf(
  route: AnyRoute,
  service: Service,
  { log, atWork, timeoutMs }: { log: Logger; atWork: AtWork; timeoutMs: number },
) {
  const parseBody = express.json({ limit: route.bodyLimit ?? defaultBodyLimit, strict: false, type: () => true });
  const ipLimit = isLimitedByAddress(service, route) ? service.ipLimit : undefined;
  const { userLimit } = route;

  async function admit(req: Request, res: Response, signal: AbortSignal): Promise<Caller | undefined> {
    if (ipLimit) await takeLimit(res, ipLimit, addressGroup(req.ip));
    const caller = await callerOf(route, service, req, signal);
    if (userLimit && caller) await takeLimit(res, userLimit, userSubject(caller));
    return caller;
  }

  async function receive(req: Request, res: Response, deadline: Deadline): Promise<void> {
    requireJson(req.headers['content-type'], hasBody(req));
    await deadline.without(
      () => new Promise<void>((resolve, reject) => parseBody(req, res, (error) => (error ? reject(error) : resolve()))),
    );
  }

  const handle = (req: Request, res: Response, caller: Caller | undefined, signal: AbortSignal) => {
    const requestId = res.locals.requestId as string;
    return route.handler({
      req,
      res,
      body: route.body ? validatePart(route.body, req.body, 'body') : undefined,
      query: route.query ? validatePart(route.query, req.query, 'query') : undefined,
      params: route.params ? validatePart(route.params, req.params, 'path') : undefined,
      requestId,
      log: log.child({ requestId }),
      signal,
      get caller() {
        if (!caller) throw new Error(`${route.operationId} is ${route.access}: it has no caller`);
        return caller;
      },
    });
  };

  async function answer(req: Request, res: Response, aborter: AbortController, deadline: Deadline): Promise<Reply> {
    const { signal } = aborter;
    const caller = await admit(req, res, signal);
    // Nobody waits any more: what was not begun is not begun.
    if (signal.aborted) throw requestAborted();
    if (route.body) await receive(req, res, deadline);
    atWork.aborters.add(aborter);
    try {
      return await handle(req, res, caller, signal);
    } finally {
      if (caller && route.method !== 'get') await service.wrote?.(caller);
    }
  }

  return async (req: Request, res: Response): Promise<void> => {
    const aborter = new AbortController();
    const deadline = startDeadline(timeoutMs, () => aborter.abort());
    // Not of one that was answered: nothing waits for it, and each abort makes an error.
    res.once('close', () => {
      if (!res.writableFinished) aborter.abort();
    });
    atWork.count++;
    const work = answer(req, res, aborter, deadline);
    // One that was answered for goes on until it notices.
    const over = (): void => {
      atWork.count--;
      atWork.aborters.delete(aborter);
    };
    work.then(over, over);
    try {
      const reply = await Promise.race([work, deadline.over]);
      for (const [name, value] of Object.entries(reply.headers ?? {})) res.setHeader(name, value);
      if (reply.body === undefined) res.status(reply.status).end();
      // A file, of the type that its headers say.
      else if (Buffer.isBuffer(reply.body)) res.status(reply.status).end(reply.body);
      else sendJson(res, reply.status, reply.body);
    } finally {
      deadline.end();
    }
  };
}
