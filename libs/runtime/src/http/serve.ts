import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { AppError } from '../errors.ts';
import type { Lifecycle } from '../lifecycle.ts';
import type { Logger } from '../log.ts';
import type { Metrics } from '../metrics.ts';
import { createHttpApp, type HttpAppOptions } from './app.ts';
import type { Service } from './route.ts';

export interface ServeOptions
  extends Pick<HttpAppOptions, 'trustedProxies' | 'handlerTimeoutMs' | 'bodyTimeoutMs' | 'corsOrigins'> {
  services: readonly Service[];
  lifecycle: Lifecycle;
  log: Logger;
  metrics: Metrics;
  host: string;
  /** 0 takes any free port. */
  port: number;
}

/**
 * Serves some services on one port. Closing stops taking connections, lets running requests finish and
 * cuts what is left when the lifecycle's deadline passes.
 * @throws AppError `PORT_IN_USE` with a sentence that says what to do.
 */
export async function serve(options: ServeOptions): Promise<{ url: string; port: number }> {
  const { lifecycle, log, host, port } = options;
  const server = createServer(
    // Slow clients: headers within 15 s. Bodies have their own bounds (`bodyTimeoutMs`), 120 s at most; what gets past
    // them ends here.
    { headersTimeout: 15_000, requestTimeout: 130_000, keepAliveTimeout: 65_000 },
    createHttpApp({ ...options, stopping: lifecycle.signal }),
  );
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      reject(
        error.code === 'EADDRINUSE'
          ? new AppError('PORT_IN_USE', `Port ${port} on ${host} is in use by another program.`, { cause: error })
          : error,
      );
    });
    server.listen(port, host, () => resolve());
  });
  lifecycle.onClose('http', async () => {
    // A kept-alive connection that falls idle after close() began would hold the server open.
    const sweeper = setInterval(() => server.closeIdleConnections(), 50);
    try {
      await new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeIdleConnections();
      });
    } finally {
      clearInterval(sweeper);
    }
  });
  const address = server.address() as AddressInfo;
  const url = `http://${host.includes(':') ? `[${host}]` : host}:${address.port}`;
  log.info({ url, services: options.services.map((s) => s.name) }, 'listening');
  return { url, port: address.port };
}
