import { Agent as HttpAgent, request as httpRequest, type RequestOptions } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';

/** A request as it goes out. */
export interface Outgoing {
  method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** With the query. */
  path: string;
  headers?: Record<string, string>;
  body?: string | Buffer;
}

export interface Answer {
  status: number;
  headers: Record<string, string | string[] | undefined>;
  text: string;
}

/**
 * No whole answer came: refused, reset, timed out or cut off. Whether the other side has done what was asked is
 * unknown, so who needs to know must ask again.
 */
export class AnswerLost extends Error {
  constructor(cause: unknown) {
    super(cause instanceof Error ? cause.message : String(cause), { cause });
    this.name = 'AnswerLost';
  }
}

/** Keeps connections, bounds how many, bounds what it reads. One for the whole fleet. */
export interface HttpClient {
  /** @throws AnswerLost */
  send(origin: string, outgoing: Outgoing): Promise<Answer>;
  close(): void;
}

/** A page of 500 entries is below 200 kB; past this something else is answering. */
const maxAnswerBytes = 8 * 1024 * 1024;

/**
 * @param maxSockets connections per origin.
 * @param timeoutMs from sending to the last byte of the answer.
 */
export function createHttpClient({ maxSockets = 256, timeoutMs = 30_000 } = {}): HttpClient {
  const agentOptions = { keepAlive: true, maxSockets, scheduling: 'lifo' as const };
  const http = new HttpAgent(agentOptions);
  const https = new HttpsAgent(agentOptions);
  // Parsing the same origin again for each request is a good part of making one.
  const origins = new Map<string, { secure: boolean; target: RequestOptions }>();

  function targetOf(origin: string): { secure: boolean; target: RequestOptions } {
    const known = origins.get(origin);
    if (known) return known;
    const { protocol, hostname, port } = new URL(origin);
    const secure = protocol === 'https:';
    // A URL has IPv6 addresses in brackets, a connection has not.
    const target = { agent: secure ? https : http, host: hostname.replace(/^\[|\]$/g, ''), ...(port ? { port } : {}) };
    origins.set(origin, { secure, target });
    return { secure, target };
  }

  return {
    send(origin, { method, path, headers, body }) {
      return new Promise((resolve, reject) => {
        const { secure, target } = targetOf(origin);
        const length = body === undefined ? {} : { 'content-length': String(Buffer.byteLength(body)) };
        const options: RequestOptions = { ...target, method, path, headers: { ...headers, ...length } };
        const request = (secure ? httpsRequest : httpRequest)(options, (response) => {
          const chunks: Buffer[] = [];
          let bytes = 0;
          response.on('data', (chunk: Buffer) => {
            bytes += chunk.length;
            if (bytes > maxAnswerBytes) request.destroy(new Error('the answer is too large'));
            else chunks.push(chunk);
          });
          response.on('error', fail);
          // 'end' does not come for an answer that was cut off; 'close' always does.
          response.on('close', () => {
            if (!response.complete) return fail(new Error('the answer was cut off'));
            clearTimeout(timer);
            const text = Buffer.concat(chunks).toString('utf8');
            resolve({ status: response.statusCode ?? 0, headers: response.headers, text });
          });
        });
        function fail(error: unknown): void {
          clearTimeout(timer);
          reject(new AnswerLost(error));
        }
        const timer = setTimeout(() => request.destroy(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs);
        request.on('error', fail);
        request.end(body);
      });
    },
    close() {
      http.destroy();
      https.destroy();
    },
  };
}

/** Whether the same request may succeed later: the service said so, or something in front of it did. */
export const isTemporary = (status: number): boolean =>
  status === 408 || status === 429 || status === 500 || status === 502 || status === 503 || status === 504;

/**
 * How long to wait before trying again: what the service asked for, else doubling from 50 ms to 5 s;
 * always with jitter, so that a fleet does not come back all at once.
 * @param chance in [0, 1)
 */
export function retryDelayMs(attempt: number, chance: number, answer?: Answer): number {
  const asked = Number(answer?.headers['retry-after']);
  if (asked > 0) return Math.min(asked, 120) * 1000 * (1 + 0.2 * chance);
  return Math.min(5_000, 50 * 2 ** Math.min(attempt, 10)) * (0.5 + chance);
}

/**
 * Sends until there is an answer that is not temporary; for the calls that are not part of the simulation.
 * @throws AnswerLost when the deadline (epoch ms) passes first.
 */
export async function sendUntilAnswered(
  client: HttpClient,
  origin: string,
  outgoing: Outgoing,
  options: { deadline: number; signal?: AbortSignal },
): Promise<Answer> {
  for (let attempt = 0; ; attempt++) {
    let answer: Answer | undefined;
    let lost: unknown;
    try {
      answer = await client.send(origin, outgoing);
      if (!isTemporary(answer.status)) return answer;
    } catch (error) {
      lost = error;
    }
    const wait = retryDelayMs(attempt, Math.random(), answer);
    if (Date.now() + wait > options.deadline || options.signal?.aborted) {
      throw new AnswerLost(lost ?? new Error(`${outgoing.path} keeps answering ${answer?.status}`));
    }
    await new Promise((resolve) => setTimeout(resolve, wait));
  }
}
