import { request } from 'node:http';

// biome-ignore lint/suspicious/noExplicitAny: answers of every route; what they are is what the tests assert.
export type Json = any;

export interface Answer<T = Json> {
  status: number;
  headers: Headers;
  text: string;
  /** The JSON of the answer; undefined where it is none. */
  body: T;
}

export interface CallOptions {
  /** An access token or a key. */
  bearer?: string | undefined;
  /** Anything but text and bytes goes out as JSON. */
  body?: unknown;
  headers?: Record<string, string>;
  /** Until the last byte of the answer; 15 s unless said. */
  timeoutMs?: number;
}

/**
 * One request on a connection of its own: tests kill and stop servers, and a kept connection would still be to the
 * one before.
 */
export function call<T = Json>(
  origin: string,
  method: string,
  path: string,
  { bearer, body, headers = {}, timeoutMs = 15_000 }: CallOptions = {},
): Promise<Answer<T>> {
  const given = typeof body === 'string' || body instanceof Uint8Array ? body : undefined;
  const payload = given ?? (body === undefined ? undefined : JSON.stringify(body));
  const sent: Record<string, string> = { 'user-agent': 'tests', ...headers };
  if (bearer !== undefined) sent.authorization = `Bearer ${bearer}`;
  if (payload !== undefined) {
    sent['content-type'] ??= 'application/json';
    sent['content-length'] = String(Buffer.byteLength(payload));
  }
  return new Promise((resolve, reject) => {
    const outgoing = request(
      `${origin}${path}`,
      { method: method.toUpperCase(), headers: sent, agent: false },
      (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('error', reject);
        response.on('end', () => {
          const text = Buffer.concat(chunks).toString('utf8');
          const status = response.statusCode ?? 0;
          resolve({ status, headers: headersOf(response.rawHeaders), text, body: parse(text) });
        });
      },
    );
    outgoing.setTimeout(timeoutMs, () =>
      outgoing.destroy(new Error(`${method} ${path}: no answer in ${timeoutMs} ms`)),
    );
    outgoing.on('error', reject);
    outgoing.end(payload);
  });
}

/** @param raw names and values by turns. */
function headersOf(raw: readonly string[]): Headers {
  const headers = new Headers();
  for (let i = 0; i < raw.length; i += 2) headers.append(raw[i]!, raw[i + 1]!);
  return headers;
}

function parse(text: string): Json {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** @throws Error that shows the answer where its status is another. */
export function expectStatus<T>(answer: Answer<T>, status: number): T {
  if (answer.status !== status) {
    throw new Error(`expected ${status}, got ${answer.status}: ${answer.text.slice(0, 500)}`);
  }
  return answer.body;
}
