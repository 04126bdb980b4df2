import { Agent, type ClientRequest, request as httpRequest, type IncomingMessage } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { setTimeout as sleep } from 'node:timers/promises';

/** A request of an attacker: it may stall, and comes from an address of its own where the product is on loopback. */
export interface Shot {
  method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  path: string;
  headers?: Record<string, string>;
  /** What is sent at once. */
  body?: string | Buffer;
  /** Announced and never sent; the request then waits for whatever the other side does. */
  announced?: number;
  /** Sent a byte each so many ms after `body`. */
  trickleMs?: number;
  /** Sent from this loopback address. */
  from?: string;
}

export interface Sender {
  /**
   * `401 UNAUTHORIZED`, `202`, or `cut` where the connection ended without an answer.
   * @throws never; after the signal it is `ended`.
   */
  fire(origin: string, shot: Shot): Promise<string>;
}

/** Longer than every bound of the product: what is still open then hangs. */
const patienceMs = 150_000;

function outcomeOf(response: IncomingMessage, text: string): string {
  const code = /"code":"([A-Z_]+)"/.exec(text)?.[1];
  const status = response.statusCode ?? 0;
  return code !== undefined && status >= 400 ? `${status} ${code}` : String(status);
}

/** Connections are not kept: each attack comes as somebody new. */
export function createSender(signal: AbortSignal): Sender {
  const http = new Agent({ keepAlive: false });
  const https = new HttpsAgent({ keepAlive: false });

  async function trickle(request: ClientRequest, everyMs: number): Promise<void> {
    while (!request.destroyed && !signal.aborted) {
      await sleep(everyMs, undefined, { signal }).catch(() => {});
      if (!request.destroyed) request.write('x');
    }
  }

  return {
    fire(origin, shot) {
      return new Promise((resolve) => {
        if (signal.aborted) return resolve('ended');
        const url = new URL(shot.path, origin);
        const secure = url.protocol === 'https:';
        const known = shot.body === undefined ? 0 : Buffer.byteLength(shot.body);
        const length = shot.announced ?? known;
        const request = (secure ? httpsRequest : httpRequest)({
          agent: secure ? https : http,
          host: url.hostname.replace(/^\[|\]$/g, ''),
          port: url.port,
          path: url.pathname + url.search,
          method: shot.method,
          headers: { ...shot.headers, ...(length > 0 ? { 'content-length': String(length) } : {}) },
          ...(shot.from !== undefined && url.hostname === '127.0.0.1' ? { localAddress: shot.from } : {}),
        });
        const stop = (): void => finish('ended');
        const timer = setTimeout(() => finish('hangs'), patienceMs);
        function finish(outcome: string): void {
          clearTimeout(timer);
          signal.removeEventListener('abort', stop);
          request.destroy();
          resolve(outcome);
        }
        signal.addEventListener('abort', stop, { once: true });
        request.on('error', () => finish('cut'));
        request.on('response', (response) => {
          let text = '';
          response.setEncoding('utf8');
          response.on('data', (chunk: string) => {
            if (text.length < 2_000) text += chunk;
          });
          response.on('error', () => finish('cut'));
          response.on('close', () => finish(response.complete ? outcomeOf(response, text) : 'cut'));
        });
        if (shot.body !== undefined) request.write(shot.body);
        if (length <= known) request.end();
        else {
          request.flushHeaders();
          if (shot.trickleMs !== undefined) void trickle(request, shot.trickleMs);
        }
      });
    },
  };
}
