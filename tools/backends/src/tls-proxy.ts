import { readFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { createServer } from 'node:tls';
import type { Certificate } from './certificates.ts';

export interface TlsProxy {
  port: number;
  close(): Promise<void>;
}

/** TLS in front of an engine that has none, on a loopback port. */
export async function startTlsProxy(target: { port: number }, { cert, key }: Certificate): Promise<TlsProxy> {
  const sockets = new Set<{ destroy(): void }>();
  const server = createServer({ cert: await readFile(cert), key: await readFile(key) }, (outer) => {
    const inner = connect({ port: target.port, host: '127.0.0.1' });
    for (const [from, to] of [
      [outer, inner],
      [inner, outer],
    ] as const) {
      sockets.add(from);
      from.on('error', () => to.destroy());
      from.on('close', () => {
        sockets.delete(from);
        to.destroy();
      });
      from.pipe(to);
    }
  });
  // A client that refuses our certificate is an error here.
  server.on('tlsClientError', () => {});
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  return {
    port: (server.address() as { port: number }).port,
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => {
        server.close(resolve);
      });
    },
  };
}
