import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import * as agentProtocols from '@worktide/agent-protocols';
import * as analytics from '@worktide/analytics';
import * as auth from '@worktide/auth';
import * as dashboard from '@worktide/dashboard';
import { buildDashboard } from '@worktide/dashboard-pages';
import * as ingestGateway from '@worktide/ingest-gateway';
import * as realtime from '@worktide/realtime';
import { createLifecycle, createMetrics, loadConfig, type Service, silentLogger } from '@worktide/runtime';
import { allTopics } from '@worktide/schemas';
import * as screenshotProcessor from '@worktide/screenshot-processor';
import type { RunnableService } from '@worktide/service';
import * as sessionWriter from '@worktide/session-writer';
import * as workspace from '@worktide/workspace';
import { composeIngress } from './compose-ingress.ts';
import { deployFolder, readTable, serviceOf } from './table.ts';
import { unexplained, valuesSchema } from './values-schema.ts';

const runnable: RunnableService[] = [
  agentProtocols,
  analytics,
  auth,
  dashboard,
  ingestGateway,
  realtime,
  screenshotProcessor,
  sessionWriter,
  workspace,
];
const table = readTable();
const running = new Map<string, { service: Service; groups: Set<string> }>();
const closing: (() => Promise<unknown>)[] = [];

/** Each as it runs with nothing but what the table says that it is given; its engines are away, which no start minds. */
beforeAll(async () => {
  const log = silentLogger();
  const DASHBOARD_FILES = await buildDashboard();
  for (const { serviceName, configSchema, run } of runnable) {
    const folder = await mkdtemp(path.join(tmpdir(), 'deployment-'));
    const lifecycle = createLifecycle({ log });
    closing.push(async () => {
      await lifecycle.close();
      await rm(folder, { recursive: true, force: true });
    });
    const given = table.services[serviceName]!;
    const engines: Record<string, string> = {
      CLICKHOUSE_URL: 'http://127.0.0.1:9/worktide',
      OBJECT_STORE_URL: 's3://key:secretsecret@bucket?endpoint=http://127.0.0.1:9&region=us-east-1&pathStyle=true',
    };
    const config = loadConfig(configSchema, {
      EVENT_LOG_URL: `lmdb:${folder}`,
      KEY_VALUE_URL: 'memory:',
      AUTH_URL: 'http://127.0.0.1:9',
      WORKSPACE_URL: 'http://127.0.0.1:9',
      WRITER_URL: 'http://127.0.0.1:9',
      DASHBOARD_FILES,
      API_URL: 'http://127.0.0.1:9',
      INTERNAL_TOKEN: 'internal-token-of-tests-0123456789abcdef',
      ...(given.postgres ? { POSTGRES_URL: 'postgres://nobody@127.0.0.1:9/worktide' } : {}),
      ...Object.fromEntries(given.secret.map((name) => [name, engines[name]!])),
    });
    const metrics = createMetrics();
    const service = await run(config, { lifecycle, log, metrics });
    const text = (await metrics.render()).text;
    const groups = new Set([...text.matchAll(/worktide_consumer_state\{group="([^"]+)"/g)].map(([, group]) => group!));
    running.set(serviceName, { service, groups });
  }
}, 60_000);
afterAll(() => Promise.all(closing.map((close) => close())));

test('every service is deployed, with what its configuration requires', () => {
  expect(Object.keys(table.services).sort()).toEqual([...running.keys()].sort());
});

test('every public path leads to the service that answers it, and no other path leads anywhere', () => {
  for (const [name, { service }] of running) {
    for (const { path: route } of service.routes.filter(({ path: one }) => !one.startsWith('/internal'))) {
      // Links of a folder that stands in for S3: no deployment has one.
      if (route.startsWith('/objects')) continue;
      expect(`${route} → ${serviceOf(route.replaceAll(/:\w+/g, 'x'), table.routes)}`).toBe(`${route} → ${name}`);
    }
  }
  expect(serviceOf('/socket.io/', table.routes)).toBe('realtime');
  expect(serviceOf('/', table.routes)).toBe('dashboard');
  expect(running.get('dashboard')!.service.routes).toEqual([]);
  // The dashboard has pages and nothing else; `services/dashboard` tests that none of these is one.
  for (const hidden of ['/metrics', '/health', '/health/ready', '/internal/revocations', '/api/v1x', '/socket.iox'])
    expect(serviceOf(hidden, table.routes)).toBe('dashboard');
});

test('who is scaled by lag is so by groups and topics that there are', () => {
  const topics = new Set(allTopics().map(({ name }) => name));
  for (const [name, { lag, scale }] of Object.entries(table.services)) {
    expect(`${name}: ${lag.length > 0}`).toBe(`${name}: ${scale === 'lag'}`);
    for (const { group, topic } of lag) {
      expect([...running.get(name)!.groups]).toContain(group);
      expect([...topics]).toContain(topic);
    }
  }
});

test('the ingress of compose is made from the table', async () => {
  const written = await readFile(new URL('compose/ingress.conf', deployFolder), 'utf8');
  expect({ written, remedy: 'npm run deployment' }).toEqual({
    written: composeIngress(table),
    remedy: 'npm run deployment',
  });
});

test('every value has a line that explains it, and the schema is made from them', async () => {
  expect(unexplained()).toEqual([]);
  const written = await readFile(new URL('helm/worktide/values.schema.json', deployFolder), 'utf8');
  expect({ written, remedy: 'npm run deployment' }).toEqual({ written: valuesSchema(), remedy: 'npm run deployment' });
});
