import { freshDatabase } from '@worktide/backends';
import { createPool, type Pool, prepareServiceDatabase } from '@worktide/postgres';
import { createLifecycle, createMetrics, type Metrics, serve, silentLogger } from '@worktide/runtime';
import type { SignedIn } from '@worktide/schemas';
import { configSchema, database, run } from './index.ts';

/** Helpers of this service's tests: the service on a real database, spoken to over HTTP. */

export const internalToken = 'internal-token-of-tests-0123456789abcdef';

export interface Answer {
  status: number;
  headers: Headers;
  // biome-ignore lint/suspicious/noExplicitAny: answers are looked into by tests, each at its own fields.
  body: any;
}

export interface CallOptions {
  body?: unknown;
  token?: string | undefined;
  headers?: Record<string, string>;
}

export interface Running {
  url: string;
  metrics: Metrics;
  call(method: string, path: string, options?: CallOptions): Promise<Answer>;
  close(): Promise<void>;
}

/** One process of the service; several may share a database. */
export async function startAuth(postgresUrl: string, env: Record<string, string> = {}): Promise<Running> {
  const log = silentLogger();
  const metrics = createMetrics();
  const lifecycle = createLifecycle({ log });
  const config = configSchema.parse({
    POSTGRES_URL: postgresUrl,
    INTERNAL_TOKEN: internalToken,
    LOGIN_LIMIT_PER_MINUTE: '10000',
    REGISTER_LIMIT_PER_MINUTE: '10000',
    HOST: '127.0.0.1',
    PORT: '0',
    ...env,
  });
  const service = await run(config, { lifecycle, log, metrics });
  const { url } = await serve({
    services: [service],
    lifecycle,
    log,
    metrics,
    host: config.HOST,
    port: config.PORT,
    trustedProxies: config.TRUSTED_PROXIES,
  });
  return {
    url,
    metrics,
    call: (method, path, options = {}) => callUrl(url, method, path, options),
    async close() {
      await lifecycle.close();
    },
  };
}

async function callUrl(url: string, method: string, path: string, options: CallOptions): Promise<Answer> {
  const response = await fetch(url + path, {
    method,
    headers: {
      ...(options.body === undefined ? {} : { 'content-type': 'application/json' }),
      ...(options.token === undefined ? {} : { authorization: `Bearer ${options.token}` }),
      ...options.headers,
    },
    ...(options.body === undefined
      ? {}
      : { body: typeof options.body === 'string' ? options.body : JSON.stringify(options.body) }),
  });
  const text = await response.text();
  return { status: response.status, headers: response.headers, body: text === '' ? undefined : JSON.parse(text) };
}

export interface TestDatabase {
  url: string;
  /** As the administrator, to look and to turn clocks. */
  admin: Pool;
  drop(): Promise<void>;
}

export async function authDatabase(): Promise<TestDatabase> {
  const log = silentLogger();
  const { adminUrl, drop } = await freshDatabase();
  const url = await prepareServiceDatabase({ adminUrl, database, password: 'secret', log });
  const admin = createPool(adminUrl, { applicationName: 'auth-test', log });
  return {
    url,
    admin,
    async drop() {
      await admin.end();
      await drop();
    },
  };
}

let people = 0;

/** A registration that nobody made before. */
export function newPerson(more: Record<string, unknown> = {}): Record<string, unknown> & { email: string } {
  people++;
  return {
    email: `person-${people}@example.com`,
    password: 'correct horse battery',
    name: `Person ${people}`,
    organizationName: `Company ${people}`,
    ...more,
  } as Record<string, unknown> & { email: string };
}

/** Registers a new organisation; tokens in the body. */
export async function signUp(
  auth: Running,
  more: Record<string, unknown> = {},
): Promise<SignedIn & { refreshToken: string }> {
  const { status, body } = await auth.call('POST', '/api/v1/auth/register', {
    body: newPerson({ refreshTokenIn: 'body', ...more }),
  });
  if (status !== 201) throw new Error(`not registered: ${status} ${JSON.stringify(body)}`);
  return body;
}

/** Polls until the promise gives true; fails after ten seconds. */
export async function until(what: string, condition: () => Promise<boolean> | boolean): Promise<void> {
  for (const deadline = Date.now() + 10_000; !(await condition()); ) {
    if (Date.now() > deadline) throw new Error(`not within ten seconds: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
