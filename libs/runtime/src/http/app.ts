import { randomUUID, timingSafeEqual } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createRequire } from 'node:module';
import { dirname } from 'node:path';
import cors from 'cors';
import express, { type ErrorRequestHandler, type Express, type Request, type Response } from 'express';
import helmet from 'helmet';
import { AppError, forbidden, notFound, unauthorized } from '../errors.ts';
import type { Logger } from '../log.ts';
import type { Metrics } from '../metrics.ts';
import { addressOf } from './address.ts';
import { createErrorReporter, sendError, sendJson } from './errors.ts';
import { createReadiness } from './health.ts';
import { addressGroup, limitHeaderNames, takeLimit, userSubject } from './limits.ts';
import { openApiDocument } from './openapi.ts';
import { type AnyRoute, type Caller, isLimitedByAddress, type RawRoute, type Service } from './route.ts';
import { boundBody, defaultBodyMs } from './slow-body.ts';
import { requireJson, validatePart } from './validate.ts';

export interface HttpAppOptions {
  services: readonly Service[];
  log: Logger;
  metrics: Metrics;
  /** Aborted when the process is stopping: readiness turns to 503 so that balancers look elsewhere. */
  stopping: AbortSignal;
  /** How many proxies in front are trusted to have set `X-Forwarded-For`; 0 unless said. */
  trustedProxies?: number;
  /** A handler that takes longer is answered 503 `TIMEOUT`; 30 s unless said. */
  handlerTimeoutMs?: number;
  /** A body that takes longer to arrive is answered 408 `REQUEST_TOO_SLOW` and cut; 60 s unless said. */
  bodyTimeoutMs?: number;
  /** Origins whose pages may read answers and send credentials; none unless said. */
  corsOrigins?: readonly string[];
}

export type RequestListener = (req: IncomingMessage, res: ServerResponse) => void;

const durationBuckets = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
const defaultBodyLimit = 100_000;

/** A caller's own request id is kept where it is short and plain, else a new one is made. */
function requestIdOf(req: IncomingMessage): string {
  const given = req.headers['x-request-id'];
  return typeof given === 'string' && /^[\w.:-]{1,128}$/.test(given) ? given : randomUUID();
}

const pathOf = (url: string | undefined): string => {
  const path = url ?? '/';
  const query = path.indexOf('?');
  return query < 0 ? path : path.slice(0, query);
};

function isInternal(authorization: string | undefined, token: string | undefined): boolean {
  if (!token || !authorization) return false;
  const given = Buffer.from(authorization);
  const expected = Buffer.from(`Bearer ${token}`);
  return given.length === expected.length && timingSafeEqual(given, expected);
}

async function callerOf(route: AnyRoute, service: Service, req: Request): Promise<Caller | undefined> {
  if (route.access === 'public') return undefined;
  const authorization = req.headers.authorization;
  if (route.access === 'internal') {
    if (!isInternal(authorization, service.internalToken)) throw unauthorized();
    return undefined;
  }
  if (!service.authenticate) throw new Error(`${service.name} has a route with callers but no authenticate`);
  const caller = await service.authenticate(authorization, () => addressGroup(req.ip));
  if (route.access === 'session' && !caller.sessionId) throw forbidden('This needs a login, not an agent key.');
  if (route.roles && !route.roles.includes(caller.role)) throw forbidden();
  return caller;
}

/** Express handler of a declared route: limits and credential first, then body, then validation, then the handler. */
function handlerOf(route: AnyRoute, service: Service, options: HttpAppOptions) {
  const parseBody = express.json({ limit: route.bodyLimit ?? defaultBodyLimit, strict: false, type: () => true });
  const timeoutMs = options.handlerTimeoutMs ?? 30_000;

  const ipLimit = isLimitedByAddress(service, route) ? service.ipLimit : undefined;
  const { userLimit } = route;

  return async (req: Request, res: Response): Promise<void> => {
    if (ipLimit) await takeLimit(res, ipLimit, addressGroup(req.ip));
    const caller = await callerOf(route, service, req);
    if (userLimit && caller) await takeLimit(res, userLimit, userSubject(caller));
    if (route.body) {
      const hasBody = req.headers['transfer-encoding'] !== undefined || Number(req.headers['content-length'] ?? 0) > 0;
      requireJson(req.headers['content-type'], hasBody);
      await new Promise<void>((resolve, reject) => parseBody(req, res, (error) => (error ? reject(error) : resolve())));
    }
    const aborter = new AbortController();
    res.once('close', () => aborter.abort());
    const requestId = res.locals.requestId as string;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        reject(new AppError('TIMEOUT', 'The answer took too long.', { statusCode: 503, retryAfterSeconds: 5 }));
        aborter.abort();
      }, timeoutMs);
    });
    try {
      const work = Promise.resolve().then(() =>
        route.handler({
          req,
          res,
          body: route.body ? validatePart(route.body, req.body, 'body') : undefined,
          query: route.query ? validatePart(route.query, req.query, 'query') : undefined,
          params: route.params ? validatePart(route.params, req.params, 'path') : undefined,
          requestId,
          log: options.log.child({ requestId }),
          signal: aborter.signal,
          get caller() {
            if (!caller) throw new Error(`${route.operationId} is ${route.access}: it has no caller`);
            return caller;
          },
        }),
      );
      const reply = await Promise.race([work, late]);
      for (const [name, value] of Object.entries(reply.headers ?? {})) res.setHeader(name, value);
      if (reply.body === undefined) res.status(reply.status).end();
      else sendJson(res, reply.status, reply.body);
    } finally {
      clearTimeout(timer);
    }
  };
}

/** Answers preflights and marks answers for pages of the given origins; without any there is nothing to do. */
function crossOrigin(origins: readonly string[]): ReturnType<typeof cors> | undefined {
  if (origins.length === 0) return undefined;
  return cors({
    origin: [...origins],
    credentials: true,
    exposedHeaders: ['X-Request-Id', 'Retry-After', ...limitHeaderNames],
    maxAge: 600,
  });
}

function mountDocs(app: Express, services: readonly Service[]): void {
  const assets = dirname(createRequire(import.meta.url).resolve('swagger-ui-dist/package.json'));
  const page = `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Worktide API</title>
<link rel="stylesheet" href="/api/docs/assets/swagger-ui.css"></head><body><div id="ui"></div>
<script src="/api/docs/assets/swagger-ui-bundle.js"></script><script src="/api/docs/start.js"></script></body></html>`;
  const start = `SwaggerUIBundle({ url: '/api/docs/openapi.json', dom_id: '#ui', validatorUrl: null });`;
  let document: unknown;
  app.get('/api/docs/openapi.json', (_req, res) => {
    document ??= openApiDocument(services);
    sendJson(res, 200, document);
  });
  app.get('/api/docs/start.js', (_req, res) => void res.type('application/javascript').send(start));
  for (const file of ['swagger-ui.css', 'swagger-ui-bundle.js']) {
    app.get(`/api/docs/assets/${file}`, (_req, res) => {
      res.type(file.endsWith('.css') ? 'text/css' : 'application/javascript').send(readFileSync(`${assets}/${file}`));
    });
  }
  app.get('/api/docs', (_req, res) => void res.type('text/html').send(page));
}

/**
 * The HTTP face of some services: their routes, `/health/*`, `/metrics`, `/api/docs`, request ids, security
 * headers, limits, timeouts and the one error shape. Raw routes are matched first, by exact method and path, or by
 * what their path begins with.
 */
export function createHttpApp(options: HttpAppOptions): RequestListener {
  const { services, log, metrics, stopping, trustedProxies = 0 } = options;
  const app = express();
  const report = createErrorReporter(log);
  app.disable('x-powered-by');
  app.disable('etag');
  app.set('trust proxy', trustedProxies);
  app.set('query parser', 'simple');

  const requests = metrics.counter('worktide_http_requests_total', 'Requests answered.', ['method', 'route', 'status']);
  const durations = metrics.histogram('worktide_http_request_seconds', 'Time to answer.', durationBuckets, [
    'method',
    'route',
  ]);
  const count = (method: string, route: string, status: number, startedAt: number): void => {
    requests.inc({ method, route, status: String(status) });
    durations.observe({ method, route }, (performance.now() - startedAt) / 1000);
  };

  app.use(
    helmet({
      contentSecurityPolicy: { directives: { styleSrc: ["'self'", "'unsafe-inline'"], upgradeInsecureRequests: null } },
    }),
  );
  app.use((req, res, next) => {
    const startedAt = performance.now();
    const requestId = requestIdOf(req);
    res.locals.requestId = requestId;
    boundBody(req, res, options.bodyTimeoutMs ?? defaultBodyMs, (error) =>
      sendError(res, error, { path: pathOf(req.originalUrl), requestId, report }),
    );
    res.setHeader('x-request-id', requestId);
    res.setHeader('cache-control', 'no-store');
    res.once('finish', () => {
      const route = (req.route as { path?: string } | undefined)?.path ?? 'none';
      count(req.method, route, res.statusCode, startedAt);
      if (route.startsWith('/api/') || res.statusCode >= 500) {
        const ms = Math.round(performance.now() - startedAt);
        log.info(
          { requestId, method: req.method, path: pathOf(req.originalUrl), status: res.statusCode, ms },
          'request',
        );
      }
    });
    next();
  });
  const allowOrigins = crossOrigin(options.corsOrigins ?? []);
  if (allowOrigins) app.use(allowOrigins);

  app.get('/health/live', (_req, res) => sendJson(res, 200, { status: 'live' }));
  const readiness = createReadiness(
    services.map((s) => s.checks),
    services.map((s) => s.sideChecks ?? {}),
  );
  app.get('/health/ready', async (_req, res) => {
    const answer = await readiness();
    const ready = answer.status === 'ready' && !stopping.aborted;
    sendJson(res, ready ? 200 : 503, stopping.aborted ? { ...answer, status: 'stopping' } : answer);
  });
  app.get('/metrics', async (_req, res) => {
    const { contentType, text } = await metrics.render();
    res.type(contentType).send(text);
  });
  mountDocs(app, services);

  const methodsOf = new Map<string, Set<string>>();
  const know = (path: string, method: string): void => {
    methodsOf.set(path, (methodsOf.get(path) ?? new Set()).add(method.toUpperCase()));
  };
  const rawRoutes = new Map<string, RawRoute>();
  const rawPrefixes: { start: string; raw: RawRoute }[] = [];
  for (const service of services) {
    for (const raw of service.rawRoutes ?? []) {
      const start = `${raw.spec.method.toUpperCase()} ${raw.spec.path}`;
      const wildcard = /\*\w+$/.exec(start);
      if (wildcard) rawPrefixes.push({ start: start.slice(0, wildcard.index), raw });
      else rawRoutes.set(start, raw);
      know(raw.spec.path, raw.spec.method);
    }
    for (const route of service.routes) {
      app[route.method](route.path, handlerOf(route, service, options));
      know(route.path, route.method);
    }
  }
  for (const [path, methods] of methodsOf) {
    app.all(path, (_req, res) => {
      res.setHeader('allow', [...methods].join(', '));
      throw new AppError('METHOD_NOT_ALLOWED', `This takes ${[...methods].join(', ')}.`, { statusCode: 405 });
    });
  }
  app.use(() => {
    throw notFound('There is no such path.');
  });
  const onError: ErrorRequestHandler = (error, req, res, _next) => {
    sendError(res, error, { path: pathOf(req.originalUrl), requestId: res.locals.requestId as string, report });
  };
  app.use(onError);

  return (req, res) => {
    const path = pathOf(req.url);
    const asked = `${req.method} ${path}`;
    const raw = rawRoutes.get(asked) ?? rawPrefixes.find(({ start }) => asked.startsWith(start))?.raw;
    if (!raw) return void app(req, res);
    const startedAt = performance.now();
    const requestId = requestIdOf(req);
    res.setHeader('x-request-id', requestId);
    res.setHeader('x-content-type-options', 'nosniff');
    res.setHeader('cache-control', 'no-store');
    res.once('finish', () => count(raw.spec.method.toUpperCase(), raw.spec.path, res.statusCode, startedAt));
    // Never a preflight, which has another method: it only sets headers.
    allowOrigins?.(req, res, () => {});
    boundBody(req, res, raw.bodyTimeoutMs ?? options.bodyTimeoutMs ?? defaultBodyMs, (error) =>
      sendError(res, error, { path, requestId, report }),
    );
    raw
      .handle(req, res, { requestId, log, sender: () => addressGroup(addressOf(req, trustedProxies)) })
      .catch((error: unknown) => sendError(res, error, { path, requestId, report }));
  };
}
