import { createServer } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { isBelow } from '@worktide/deployment';
import { AppError, createErrorReporter, type Lifecycle, type Logger, sendError, uuidv7 } from '@worktide/runtime';
import { createProxyServer } from 'http-proxy-3';

/** First match wins; a path may have several targets, taken in turn. */
export interface IngressRule {
  prefix: string;
  targets: string[];
}

/**
 * Stands in for the cluster's ingress: one origin, the same paths, requests spread over the replicas.
 * A replica that is away costs its request a 503, as behind any balancer before its probes notice. A websocket is at the
 * replica that it came to; one that finds it away is cut, and comes again.
 */
export async function startIngress(
  options: { port: number; host: string; rules: IngressRule[] },
  { lifecycle, log }: { lifecycle: Lifecycle; log: Logger },
): Promise<string> {
  const { port, host, rules } = options;
  const proxy = createProxyServer({ xfwd: true, proxyTimeout: 65_000 });
  const report = createErrorReporter(log);
  let turn = 0;
  const server = createServer((req, res) => {
    const path = (req.url ?? '/').split('?', 1)[0]!;
    const context = { path, requestId: uuidv7(), report };
    const rule = rules.find(({ prefix }) => isBelow(path, prefix));
    if (!rule) {
      return sendError(res, new AppError('NOT_FOUND', 'There is no such path.', { statusCode: 404 }), context);
    }
    const target = rule.targets[turn++ % rule.targets.length]!;
    proxy.web(req, res, { target }, (error: Error) => {
      const unreachable = { statusCode: 503, cause: error };
      sendError(
        res,
        new AppError('DEPENDENCY_UNAVAILABLE', 'The service cannot answer at the moment.', unreachable),
        context,
      );
    });
  });
  const upgraded = new Set<Duplex>();
  server.on('upgrade', (req, socket, head) => {
    socket.on('error', () => {});
    const rule = rules.find(({ prefix }) => isBelow((req.url ?? '/').split('?', 1)[0]!, prefix));
    if (!rule || lifecycle.signal.aborted)
      return void socket.end('HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\n');
    upgraded.add(socket);
    socket.once('close', () => upgraded.delete(socket));
    const target = rule.targets[turn++ % rule.targets.length]!;
    proxy.ws(req, socket as Socket, head, { target }, () => {
      socket.end('HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\n\r\n');
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, resolve);
  });
  lifecycle.onClose('ingress', async () => {
    await new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
      for (const socket of upgraded) socket.destroy();
    });
    proxy.close();
  });
  return `http://${host}:${port}`;
}
