import { type IncomingHttpHeaders, request } from 'node:http';

export interface Answer<T = Json> {
  status: number;
  headers: IncomingHttpHeaders;
  text: string;
  /** The JSON of the answer; undefined where it is none. */
  body: T;
}

// biome-ignore lint/suspicious/noExplicitAny: answers of every route; what they are is what the tests assert.
export type Json = any;

export interface CallOptions {
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
  const given = typeof body === 'string' || Buffer.isBuffer(body) ? body : undefined;
  const payload = given ?? (body === undefined ? undefined : JSON.stringify(body));
  const sent: Record<string, string> = { ...headers };
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
          resolve({ status: response.statusCode ?? 0, headers: response.headers, text, body: parse(text) });
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

function parse(text: string): Json {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** @throws Error that shows the answer where its status is another. */
export function expectStatus<T>(answer: Answer<T>, status: number): T {
  if (answer.status !== status)
    throw new Error(`expected ${status}, got ${answer.status}: ${answer.text.slice(0, 500)}`);
  return answer.body;
}

/** As `GET /health/ready` answers. */
export interface Health {
  status: string;
  dependencies: Record<string, { status: 'up' | 'down'; message?: string }>;
}

/** The names of the dependencies that are down, in order; undefined where the service does not answer. */
export async function notReady(origin: string): Promise<string[] | undefined> {
  const answer = await call<Health>(origin, 'get', '/health/ready', { timeoutMs: 5_000 }).catch(() => undefined);
  if (!answer?.body) return undefined;
  const down = Object.entries(answer.body.dependencies).filter(([, { status }]) => status === 'down');
  return down.map(([name]) => name).sort();
}

/** What products that tests start ask for their metrics, where these have no port of their own. */
export const metricsToken = 'metrics-token-of-these-tests';

/** The sum of a metric over all its labels, or over those given; 0 where it has not been counted yet. */
export async function metric(origin: string, name: string, labels: Record<string, string> = {}): Promise<number> {
  const { text } = await call(origin, 'get', '/metrics', { bearer: metricsToken });
  const wanted = Object.entries(labels).map(([label, value]) => `${label}="${value}"`);
  return text
    .split('\n')
    .filter((line) => line.startsWith(`${name} `) || line.startsWith(`${name}{`))
    .filter((line) => wanted.every((label) => line.includes(label)))
    .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0);
}
