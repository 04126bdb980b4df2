import { randomUUID } from 'node:crypto';
import { Agent, request } from 'node:http';
import { setImmediate as turnOfTheLoop } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import * as auth from '@worktide/auth';
import { freePort, freshServiceDatabase } from '@worktide/backends';
import { openEventLog } from '@worktide/event-log';
import * as gateway from '@worktide/ingest-gateway';
import {
  createLifecycle,
  createMetrics,
  httpOptions,
  type Lifecycle,
  loadConfig,
  serve,
  silentLogger,
} from '@worktide/runtime';
import { allTopics } from '@worktide/schemas';
import { call, expectStatus } from '@worktide/testing';
import { makeAgentKey, ping, register } from './support/people.ts';
import { temporaryFolder } from './support/product.ts';

/** What strangers do to the gateway and to auth, each a process of its own elsewhere and here a server of its own. */

let lifecycle: Lifecycle;
let database: Awaited<ReturnType<typeof freshServiceDatabase>>;
let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let authUrl: string;
let gatewayUrl: string;

beforeAll(async () => {
  const log = silentLogger();
  lifecycle = createLifecycle({ log });
  database = await freshServiceDatabase(auth.database);
  folder = await temporaryFolder();
  const [authPort, gatewayPort] = [await freePort(), await freePort()];
  authUrl = `http://127.0.0.1:${authPort}`;
  gatewayUrl = `http://127.0.0.1:${gatewayPort}`;
  const shared = {
    EVENT_LOG_URL: `lmdb:${folder.dir}/log`,
    INTERNAL_TOKEN: 'internal-token-of-the-strangers-test-0123',
    HOST: '127.0.0.1',
    TRUSTED_PROXIES: '1',
  };
  const eventLog = openEventLog(shared.EVENT_LOG_URL, { clientId: 'test', log, metrics: createMetrics() });
  lifecycle.onClose('event log of the test', () => eventLog.close());
  await eventLog.admin.ensureTopics(allTopics());

  const authConfig = loadConfig(auth.configSchema, { ...shared, POSTGRES_URL: database.url, PORT: String(authPort) });
  const gatewayConfig = loadConfig(gateway.configSchema, {
    ...shared,
    AUTH_URL: authUrl,
    OBJECT_STORE_URL: `file:${folder.dir}/objects`,
    OBJECT_SIGNING_SECRET: 'signing-secret-of-the-strangers-test-0123',
    PUBLIC_URL: gatewayUrl,
    PORT: String(gatewayPort),
  });
  for (const [run, config] of [
    [(deps: Deps) => auth.run(authConfig, deps), authConfig],
    [(deps: Deps) => gateway.run(gatewayConfig, deps), gatewayConfig],
  ] as const) {
    const deps = { lifecycle, log, metrics: createMetrics() };
    await serve({ services: [await run(deps)], ...deps, ...httpOptions(config) });
  }
});
type Deps = Parameters<typeof gateway.run>[1];

afterAll(async () => {
  await lifecycle.close();
  await database.drop();
  await folder.remove();
});

const agent = new Agent({ keepAlive: true, maxSockets: 1_000 });
afterAll(() => agent.destroy());

function postPing(address: string, key: string): Promise<number> {
  const body = JSON.stringify(ping('App'));
  return new Promise((resolve, reject) => {
    const headers = {
      authorization: `Bearer ${key}`,
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(body),
      'x-forwarded-for': address,
    };
    const sent = request(`${gatewayUrl}/api/v1/pings`, { method: 'POST', agent, headers }, (answer) => {
      answer.resume().once('end', () => resolve(answer.statusCode!));
    });
    sent.once('error', reject).end(body);
  });
}

const stranger = '198.51.100.1';
/** More than look-ups are made at once, for all addresses together. */
const connections = 350;

test('agents that are new come in at their first try while one address tries key after key', async () => {
  const keys: string[] = [];
  // Of two people: one has sixteen requests at a time at most.
  const [person, other] = [await register(authUrl), await register(authUrl)];
  for (let i = 0; i < 25; i++) keys.push((await makeAgentKey(authUrl, i % 2 ? person : other)).key);

  const answers = new Map<number, number>();
  let flooding = true;
  const strangers = Array.from({ length: connections }, async () => {
    while (flooding) {
      const status = await postPing(stranger, `waka_${randomUUID()}`);
      answers.set(status, (answers.get(status) ?? 0) + 1);
    }
  });
  const tried = (): number => [...answers.values()].reduce((sum, n) => sum + n, 0);
  // In full flow before the first of them comes, and for as long as they do.
  while (tried() < 500) await turnOfTheLoop();
  const statuses = await Promise.all(keys.map((key, i) => postPing(`192.0.2.${i}`, key)));
  flooding = false;
  await Promise.all(strangers);

  expect(statuses).toEqual(keys.map(() => 202));
  // Refused for what they are, or told to wait: never let in, never an error of ours.
  for (const status of answers.keys()) expect([401, 503]).toContain(status);
  expectStatus(await call(authUrl, 'get', '/api/v1/auth/me', { bearer: person.accessToken }), 200);
});
