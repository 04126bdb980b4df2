import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { createLifecycle, createMetrics, loadConfig, silentLogger } from '@worktide/runtime';
import { configSchema } from './config.ts';
import { run } from './run.ts';

test('starts without its dependencies, says which are missing, and closes', async () => {
  const log = silentLogger();
  const lifecycle = createLifecycle({ log });
  const folder = await mkdtemp(join(tmpdir(), 'analytics-'));
  const config = loadConfig(configSchema, {
    CLICKHOUSE_URL: 'http://default:@127.0.0.1:9/worktide',
    POSTGRES_URL: 'postgres://worktide_analytics@127.0.0.1:9/worktide',
    OBJECT_STORE_URL: 's3://bucket?endpoint=http://127.0.0.1:9&region=x',
    EVENT_LOG_URL: `lmdb:${folder}`,
    AUTH_URL: 'http://127.0.0.1:9',
    INTERNAL_TOKEN: 'x'.repeat(32),
  });
  const service = await run(config, { lifecycle, log, metrics: createMetrics() });
  expect(service.routes.map((r) => r.path).sort()).toEqual([
    '/api/v1/analytics/credentials',
    '/api/v1/analytics/credentials',
    '/api/v1/analytics/credentials/:id',
    '/api/v1/analytics/query',
    '/api/v1/analytics/schema',
    '/api/v1/audit',
    '/api/v1/privacy/preview',
    '/api/v1/reports/apps',
    '/api/v1/reports/daily',
    '/api/v1/reports/domains',
    ...Array.from({ length: 2 }, () => '/api/v1/reports/exports'),
    ...Array.from({ length: 2 }, () => '/api/v1/reports/exports/:id'),
    '/api/v1/reports/organization',
    '/api/v1/reports/team',
    '/api/v1/reports/timesheet',
    '/api/v1/reports/user/:id',
  ]);
  for (const name of ['clickhouse', 'auth']) {
    await expect((async () => service.checks[name]!())()).rejects.toMatchObject({ statusCode: 503 });
  }
  // Reports are given without what exports need.
  for (const name of ['postgres', 'object store']) {
    await expect((async () => service.sideChecks![name]!())()).rejects.toMatchObject({ statusCode: 503 });
    expect(Object.keys(service.checks)).not.toContain(name);
  }
  const topics =
    'pings usage input-minutes erasures time-entries alerts audit workspace-events screenshots-ready'.split(' ');
  for (const topic of topics) {
    expect(Object.keys(service.checks)).toContain(`${topic} into clickhouse`);
  }
  await expect((async () => service.checks['event log']!())()).resolves.toBeUndefined();
  expect(await lifecycle.close()).toBe(true);
  await rm(folder, { recursive: true, force: true });
});
