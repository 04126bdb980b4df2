import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import cors from 'cors';
import express, { type ErrorRequestHandler, type Express, type Request } from 'express';
import helmet from 'helmet';
import { AppError, notFound } from '../errors.ts';
import type { Logger } from '../log.ts';
import type { Metrics } from '../metrics.ts';
import { isTracing, traced, traceHeader, type Work } from '../tracing.ts';
import { addressOf, noteSender, toldSender } from './address.ts';
import { createBodies, defaultBodyMs, defaultBodyRate } from './bodies.ts';
import { createErrorReporter, sendError } from './errors.ts';
import { type AtWork, handlerOf } from './handler.ts';
import { createReadiness } from './health.ts';
import { addressGroup, limitHeaderNames, plainAddress } from './limits.ts';
import { type Face, mountDocs, mountHealth, noPath } from './operations.ts';
import type { RawRoute, Service } from './route.ts';
import { shownPath } from './shown-path.ts';

export interface HttpAppOptions {
  services: readonly Service[];
  log: Logger;
  metrics: Metrics;
  /** Aborted when the process is stopping: readiness turns to 503 so that balancers look elsewhere. */
  stopping: AbortSignal;
  /** How many proxies in front are trusted to have set `X-Forwarded-For`; 0 unless said. */
  trustedProxies?: number;
  /** A request of a declared route that takes longer is answered 503 `TIMEOUT`, not counting its body's arrival; 30 s unless said. */
  handlerTimeoutMs?: number;
  /** A body that takes longer to arrive is answered 408 `REQUEST_TOO_SLOW` and cut; 60 s unless said. */
  bodyTimeoutMs?: number;
  /** So is one that comes more slowly than its route takes, over this time; 10 s unless said. */
  bodyGraceMs?: number;
  /** Origins whose pages may read answers and send credentials; none unless said. */
  corsOrigins?: readonly string[];
  /** The bearer of `/metrics` on a port that is open to the public; none: not there. */
  metricsToken?: string | undefined;
}

/** Of a raw route whose path has `:name` for one segment, or ends in `/*name` for all that follows. */
function patternOf(asked: string): RegExp {
  const parts = asked.split(/(:\w+|\*\w+$)/);
  const source = parts.map((part) =>
    part.startsWith(':') ? '[^/]+' : part.startsWith('*') ? '.*' : part.replace(/[.+?^${}()|[\]\\]/g, '\\$&'),
  );
  return new RegExp(`^${source.join('')}${asked.includes('*') ? '' : '/?'}$`, 's');
}

export type RequestListener = (req: IncomingMessage, res: ServerResponse) => void;

export interface HttpApp {
  /** What answers on a port. */
  listener(face: Face): RequestListener;
  /** Aborts the signal of every handler at work: there is not much time left. */
  tellHandlers(): void;
  /** To be called when connections were closed: those who still wait for a body hear of it. */
  sweepBodies(): void;
}

/** Asked every few seconds by those who look after it, and by every service. */
const untraced = /^\/(health|api\/health|metrics|\.well-known\/|internal\/revocations)/;
const methods = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']);
const durationBuckets = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

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

/** `req.ip` as it is logged, counted and kept: a socket for both kinds of addresses tells IPv4 as IPv6. */
function showPlainAddresses(app: Express): void {
  const { get } = Object.getOwnPropertyDescriptor(express.request, 'ip')!;
  Object.defineProperty(app.request, 'ip', {
    configurable: true,
    enumerable: true,
    get(this: Request) {
      const ip = toldSender(this) ?? (get!.call(this) as string | undefined);
      return ip === undefined ? undefined : plainAddress(ip);
    },
  });
}

/** What is routed on a port: internal routes only where nobody from outside gets to. */
function routesFor(face: Face, services: readonly Service[]): readonly Service[] {
  if (face === 'whole') return services;
  const isFor = ({ access, path }: { access: string; path: string }): boolean =>
    face === 'internal' ? access === 'internal' || path.startsWith('/.well-known/') : access !== 'internal';
  return services.map((service) => ({
    ...service,
    routes: service.routes.filter(isFor),
    rawRoutes: (service.rawRoutes ?? []).filter(({ spec }) => isFor(spec)),
  }));
}

/**
 * The HTTP face of some services: their routes, `/health/*`, `/metrics`, `/api/docs`, request ids, security
 * headers, limits, timeouts and the one error shape. Raw routes are matched first, by exact method and path, or by
 * what their path begins with.
 */
export function createHttpApp(options: HttpAppOptions): HttpApp {
  const {
    log,
    metrics,
    handlerTimeoutMs: timeoutMs = 30_000,
    bodyTimeoutMs = defaultBodyMs,
    trustedProxies = 0,
  } = options;
  const report = createErrorReporter(log);
  const bodies = createBodies({ metrics, graceMs: options.bodyGraceMs });
  const atWork: AtWork = { count: 0, aborters: new Set() };
  metrics.observed('worktide_http_handlers', 'Handlers of routes that are at work.', () => atWork.count);
  const allowOrigins = crossOrigin(options.corsOrigins ?? []);
  const readiness = createReadiness(
    options.services.map((s) => s.checks),
    options.services.map((s) => s.sideChecks ?? {}),
    log,
  );
  const requests = metrics.counter('worktide_http_requests_total', 'Requests answered.', ['method', 'route', 'status']);
  const durations = metrics.histogram('worktide_http_request_seconds', 'Time to answer.', durationBuckets, [
    'method',
    'route',
  ]);
  /** Spans of requests that are at work. */
  const works = new WeakMap<ServerResponse, Work>();
  const count = (res: ServerResponse, method: string, route: string, startedAt: number): void => {
    requests.inc({ method, route, status: String(res.statusCode) });
    durations.observe({ method, route }, (performance.now() - startedAt) / 1000);
    const work = works.get(res);
    if (!work) return;
    work.name = `${method} ${route}`;
    work.attributes['http.route'] = route;
    work.attributes['http.response.status_code'] = res.statusCode;
  };

  function createApp(face: Face, services: readonly Service[]): Express {
    const app = express();
    app.disable('x-powered-by');
    app.disable('etag');
    app.set('trust proxy', trustedProxies);
    app.set('query parser', 'simple');
    showPlainAddresses(app);
    const directives = { styleSrc: ["'self'", "'unsafe-inline'"], upgradeInsecureRequests: null };
    app.use(helmet({ contentSecurityPolicy: { directives } }));
    app.use((req, res, next) => {
      const startedAt = performance.now();
      const requestId = requestIdOf(req);
      res.locals.requestId = requestId;
      bodies.watch(req, res, { timeoutMs: bodyTimeoutMs, minRate: defaultBodyRate }, (error) =>
        sendError(res, error, { path: pathOf(req.originalUrl), requestId, report }),
      );
      res.setHeader('x-request-id', requestId);
      res.setHeader('cache-control', 'no-store');
      res.once('finish', () => {
        const route = (req.route as { path?: string } | undefined)?.path ?? 'none';
        count(res, req.method, route, startedAt);
        if ((route.startsWith('/api/') && route !== '/api/health') || res.statusCode >= 500) {
          const ms = Math.round(performance.now() - startedAt);
          log.info(
            { requestId, method: req.method, path: shownPath(pathOf(req.originalUrl)), status: res.statusCode, ms },
            'request',
          );
        }
      });
      next();
    });
    if (allowOrigins) app.use(allowOrigins);
    const { metricsToken, stopping } = options;
    mountHealth(app, face, { metrics, metricsToken, readiness, stopping });
    if (face !== 'internal') mountDocs(app, options.services);

    const methodsOf = new Map<string, Set<string>>();
    const know = (path: string, method: string): void => {
      methodsOf.set(path, (methodsOf.get(path) ?? new Set()).add(method.toUpperCase()));
    };
    for (const service of services) {
      for (const { spec } of service.rawRoutes ?? []) know(spec.path, spec.method);
      for (const route of service.routes) {
        app[route.method](route.path, handlerOf(route, service, { log, atWork, timeoutMs }));
        know(route.path, route.method);
      }
    }
    for (const [path, methods] of methodsOf) {
      app.all(path, (req, res) => {
        res.setHeader('allow', [...methods].join(', '));
        // Also a preflight where no other origins are named: what it lacks then is the leave, not the method.
        if (req.method === 'OPTIONS') return void res.status(204).end();
        throw new AppError('METHOD_NOT_ALLOWED', `This takes ${[...methods].join(', ')}.`, { statusCode: 405 });
      });
    }
    const pages = face === 'internal' ? [] : services.flatMap((service) => service.pages ?? []);
    app.use((req, res) => {
      const isRead = req.method === 'GET' || req.method === 'HEAD';
      if (!isRead || !pages.some((answer) => answer(req, res))) throw notFound(noPath);
    });
    const onError: ErrorRequestHandler = (error, req, res, _next) => {
      sendError(res, error, { path: pathOf(req.originalUrl), requestId: res.locals.requestId as string, report });
    };
    app.use(onError);
    return app;
  }

  function handleRaw(raw: RawRoute, path: string, req: IncomingMessage, res: ServerResponse): void {
    const startedAt = performance.now();
    const requestId = requestIdOf(req);
    res.setHeader('x-request-id', requestId);
    res.setHeader('x-content-type-options', 'nosniff');
    res.setHeader('cache-control', 'no-store');
    res.once('finish', () => count(res, raw.spec.method.toUpperCase(), raw.spec.path, startedAt));
    // Never a preflight, which has another method: it only sets headers.
    allowOrigins?.(req, res, () => {});
    const fail = (error: unknown): void => sendError(res, error, { path, requestId, report });
    const bounds = { timeoutMs: raw.bodyTimeoutMs ?? bodyTimeoutMs, minRate: raw.minBodyRate ?? defaultBodyRate };
    bodies.watch(req, res, bounds, fail);
    atWork.count++;
    const sender = (): string => addressGroup(addressOf(req, trustedProxies));
    raw.handle(req, res, { requestId, log, sender }).then(
      () => void atWork.count--,
      (error: unknown) => {
        atWork.count--;
        fail(error);
      },
    );
  }

  return {
    listener(face) {
      const services = routesFor(face, options.services);
      const app = createApp(face, services);
      const rawRoutes = new Map<string, RawRoute>();
      const rawPatterns: { pattern: RegExp; raw: RawRoute }[] = [];
      for (const raw of services.flatMap((service) => service.rawRoutes ?? [])) {
        const asked = `${raw.spec.method.toUpperCase()} ${raw.spec.path}`;
        if (/[:*]/.test(asked)) rawPatterns.push({ pattern: patternOf(asked), raw });
        else rawRoutes.set(asked, raw);
      }
      const takers = services.flatMap(({ takeCredential }) => takeCredential ?? []);
      const secrets = [...new Set(services.flatMap(({ internalToken }) => internalToken ?? []))];
      const respond: RequestListener = (req, res) => {
        noteSender(req, secrets);
        for (const take of takers) take(req);
        const path = pathOf(req.url);
        const asked = `${req.method} ${path}`;
        const raw = rawRoutes.get(asked) ?? rawPatterns.find(({ pattern }) => pattern.test(asked))?.raw;
        if (raw) handleRaw(raw, path, req, res);
        else app(req, res);
      };
      return (req, res) => {
        if (!isTracing() || untraced.test(pathOf(req.url))) return respond(req, res);
        const method = methods.has(req.method!) ? req.method! : '_OTHER';
        const given = req.headers[traceHeader];
        const work: Work = {
          name: method,
          kind: 'server',
          attributes: { 'http.request.method': method },
          traceparent: typeof given === 'string' ? given : undefined,
        };
        works.set(res, work);
        // Answered or cut off; nobody waits for it.
        void traced(
          () => work,
          () =>
            new Promise<void>((resolve) => {
              res.once('close', resolve);
              respond(req, res);
            }),
        );
      };
    },
    tellHandlers() {
      for (const aborter of atWork.aborters) aborter.abort();
    },
    sweepBodies: bodies.sweep,
  };
}
