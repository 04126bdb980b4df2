import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { AppError } from '../errors.ts';
import type { Lifecycle } from '../lifecycle.ts';
import type { Logger } from '../log.ts';
import type { Metrics } from '../metrics.ts';
import { sleep } from '../sleep.ts';
import { addressOf } from './address.ts';
import { createHttpApp, type HttpAppOptions, type RequestListener } from './app.ts';
import { plainAddress } from './limits.ts';
import type { Service, UpgradeRoute } from './route.ts';

export interface ServeOptions
  extends Pick<
    HttpAppOptions,
    'trustedProxies' | 'handlerTimeoutMs' | 'bodyTimeoutMs' | 'bodyGraceMs' | 'corsOrigins' | 'metricsToken'
  > {
  services: readonly Service[];
  lifecycle: Lifecycle;
  log: Logger;
  metrics: Metrics;
  /** All addresses, of IPv6 where there is any and of IPv4, unless said. */
  host?: string | undefined;
  /** 0 takes any free port. */
  port: number;
  /** A port of their own for `/metrics` and internal routes, which `port` then does not have. */
  metricsPort?: number | undefined;
  /** How long readiness says "stopping" before the ports are closed; not at all unless said. */
  drainMs?: number;
}

export interface Served {
  url: string;
  port: number;
  /** Where `/metrics` and internal routes are: `url`, unless they have a port of their own. */
  internalUrl: string;
}

/** Of the time that lifecycles grant: what http may use before the rest of the connections is closed … */
const shareOfHttp = 0.6;
/** … and the part of that after which running handlers are told (`RouteContext.signal`). */
const toldAfter = 0.75;

/**
 * Serves some services on one port, or on two. Closing says so in readiness for `drainMs`, then stops taking
 * connections and lets running requests finish; when its part of the lifecycle's deadline is over it cuts what is left.
 * @throws AppError `PORT_IN_USE` with a sentence that says what to do; `STOPPING` where the lifecycle is closing already.
 */
export async function serve(options: ServeOptions): Promise<Served> {
  const { lifecycle, log, host, port, metricsPort, drainMs = 0 } = options;
  lifecycle.signal.throwIfAborted();
  const app = createHttpApp({ ...options, stopping: lifecycle.signal });
  const servers: Server[] = [];
  const upgrades = options.services.flatMap((service) => service.upgrades ?? []);
  // What is still on its way then is nobody's to watch.
  const longestBodyMs = Math.max(
    120_000,
    ...options.services.flatMap(({ rawRoutes = [] }) => rawRoutes.map((raw) => raw.bodyTimeoutMs ?? 0)),
  );
  const requestTimeout = longestBodyMs + 10_000;
  const open = async (
    onPort: number,
    listener: RequestListener,
    taken: readonly UpgradeRoute[],
  ): Promise<{ url: string; port: number }> => {
    const server = await listen(host, onPort, listener, {
      taken,
      requestTimeout,
      trustedProxies: options.trustedProxies ?? 0,
    });
    servers.push(server);
    const { address, port: actual } = server.address() as AddressInfo;
    const name = host ?? address;
    return { url: `http://${name.includes(':') ? `[${name}]` : name}:${actual}`, port: actual };
  };
  lifecycle.onClose(
    'http',
    async ({ signal, budgetMs }) => {
      if (drainMs > 0) await sleep(drainMs, signal);
      const telling = setTimeout(() => app.tellHandlers(), (budgetMs - drainMs) * toldAfter);
      try {
        await Promise.all([
          ...servers.map((server) => closeServer(server, signal, app.sweepBodies)),
          // Beside, not before: the ports take nobody new by then.
          ...upgrades.map((upgrade) => upgrade.close()),
        ]);
      } finally {
        clearTimeout(telling);
      }
    },
    { share: shareOfHttp, extraMs: drainMs },
  );
  const outer = await open(port, app.listener(metricsPort === undefined ? 'whole' : 'public'), upgrades);
  const inner = metricsPort === undefined ? outer : await open(metricsPort, app.listener('internal'), []);
  const served = { ...outer, internalUrl: inner.url };
  log.info(
    { url: served.url, internalUrl: served.internalUrl, services: options.services.map((s) => s.name) },
    'listening',
  );
  return served;
}

async function listen(
  host: string | undefined,
  port: number,
  listener: RequestListener,
  {
    taken: upgrades,
    requestTimeout,
    trustedProxies,
  }: { taken: readonly UpgradeRoute[]; requestTimeout: number; trustedProxies: number },
): Promise<Server> {
  const takerOf = ({ url = '/' }: IncomingMessage) => upgrades.find(({ path }) => url.startsWith(path));
  const server = createServer(
    // Slow clients: headers within 15 s. Bodies have their own bounds (`bodyTimeoutMs`); what gets past them ends here.
    {
      headersTimeout: 15_000,
      requestTimeout,
      keepAliveTimeout: 65_000,
      // Curl asks for HTTP/2 with each request: only where somebody takes a connection over it is one.
      shouldUpgradeCallback: (req) => /^websocket$/i.test(req.headers.upgrade ?? '') && takerOf(req) !== undefined,
    },
    listener,
  );
  server.on('upgrade', (req, socket, head) => {
    const address = addressOf(req, trustedProxies);
    takerOf(req)!.handle(req, socket, head, { address: address === undefined ? undefined : plainAddress(address) });
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const where = host === undefined ? '' : ` on ${host}`;
      reject(
        error.code === 'EADDRINUSE'
          ? new AppError('PORT_IN_USE', `Port ${port}${where} is in use by another program.`, { cause: error })
          : error,
      );
    });
    // Without a host Node listens on `::`, for both kinds of addresses, or on 0.0.0.0 where there is no IPv6.
    server.listen({ port, ...(host === undefined ? {} : { host }) }, () => resolve());
  });
  return server;
}

async function closeServer(server: Server, timeUp: AbortSignal, sweepBodies: () => void): Promise<void> {
  const cut = (): void => {
    server.closeAllConnections();
    sweepBodies();
  };
  // A kept-alive connection that falls idle after close() began would hold the server open.
  const sweeper = setInterval(() => server.closeIdleConnections(), 50);
  timeUp.addEventListener('abort', cut, { once: true });
  try {
    await new Promise<void>((resolve) => {
      server.close(() => resolve());
      if (timeUp.aborted) cut();
      else server.closeIdleConnections();
    });
  } finally {
    clearInterval(sweeper);
    timeUp.removeEventListener('abort', cut);
  }
}
