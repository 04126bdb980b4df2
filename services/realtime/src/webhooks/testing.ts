import { once } from 'node:events';
import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type RequestListener,
  type ServerResponse,
} from 'node:http';
import { createServer as createTlsServer, type ServerOptions } from 'node:https';
import type { AddressInfo } from 'node:net';

/** Helpers of tests: somebody's system, which takes what it is sent or does not. */

export interface Received {
  method: string;
  url: string;
  headers: IncomingHttpHeaders;
  body: string;
}

export type Behaviour = (received: Received, res: ServerResponse, req: IncomingMessage) => unknown;

export interface Receiver {
  port: number;
  /** Of plain ones. */
  url: string;
  /** All requests that came whole, in order. */
  received: Received[];
  /** How it answers from now on; 204 unless said. */
  behave(behaviour: Behaviour): void;
  close(): void;
}

const taken: Behaviour = (_, res) => res.writeHead(204).end();

export async function startReceiver(tls?: ServerOptions): Promise<Receiver> {
  let behaviour = taken;
  const received: Received[] = [];
  const listener: RequestListener = async (req, res) => {
    let body = '';
    for await (const chunk of req.setEncoding('utf8')) body += chunk;
    const one = { method: req.method!, url: req.url!, headers: req.headers, body };
    received.push(one);
    behaviour(one, res, req);
  };
  const server = tls ? createTlsServer(tls, listener) : createServer(listener);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    port,
    url: `http://127.0.0.1:${port}/hook`,
    received,
    behave(next) {
      behaviour = next;
    },
    close() {
      server.closeAllConnections();
      server.close();
    },
  };
}
