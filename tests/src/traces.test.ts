import { randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { backend, freePort, freshClickHouseDatabase, freshDatabase, startEngine } from '@worktide/backends';
import { preparePostgres } from '@worktide/prepare';
import { createLifecycle, silentLogger } from '@worktide/runtime';
import { traceWith } from '@worktide/service';
import { call, until } from '@worktide/testing';
import { appsReport, makeAgentKey, ping, register, yesterdayNoon } from './support/people.ts';
import { repository, temporaryFolder } from './support/product.ts';
import { type Services, startServices } from './support/services.ts';

/** Traces of the whole: on Kafka, sent to somebody's collector. */

interface Span {
  traceId: string;
  spanId: string;
  parentSpanId?: string;
  name: string;
}

const spans: Span[] = [];
let raw = '';
const collector = createServer(async (req, res) => {
  let body = '';
  for await (const chunk of req.setEncoding('utf8')) body += chunk;
  raw += body;
  const { resourceSpans } = JSON.parse(body) as { resourceSpans: { scopeSpans: { spans: Span[] }[] }[] };
  for (const { scopeSpans } of resourceSpans) for (const scope of scopeSpans) spans.push(...scope.spans);
  res.writeHead(200, { 'content-type': 'application/json' }).end('{}');
});
let endpoint: string;
let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let postgres: Awaited<ReturnType<typeof freshDatabase>>;
let clickhouse: Awaited<ReturnType<typeof freshClickHouseDatabase>>;
let services: Services;
const log = silentLogger();
const lifecycle = createLifecycle({ log });

beforeAll(async () => {
  await new Promise<void>((resolve) => collector.listen(0, '127.0.0.1', resolve));
  endpoint = `http://127.0.0.1:${(collector.address() as AddressInfo).port}`;
  [folder, postgres, clickhouse] = await Promise.all([temporaryFolder(), freshDatabase(), freshClickHouseDatabase()]);
  const urls = await preparePostgres({ adminUrl: postgres.adminUrl, passwordOf: () => 'secret', log });
  await traceWith(
    { OTEL_EXPORTER_OTLP_ENDPOINT: endpoint, OTEL_TRACES_SAMPLER_ARG: 1 },
    { service: 'worktide', lifecycle, log },
  );
  services = await startServices({
    dir: folder.dir,
    clickhouseUrl: clickhouse.url,
    eventLogUrl: `${await backend('kafka')}?prefix=${randomBytes(4).toString('hex')}-`,
    env: Object.fromEntries(Object.entries(urls).map(([service, url]) => [service, { POSTGRES_URL: url }])),
  });
}, 120_000);
afterAll(async () => {
  await services?.close();
  await lifecycle.close();
  collector.closeAllConnections();
  collector.close();
  await postgres?.drop();
  await clickhouse?.drop();
  await folder?.remove();
});

test('one trace from the caller’s request to what session-writer and analytics store, and nothing personal in it', async () => {
  const { url } = services;
  const person = await register(url, 'privateperson');
  const { key } = await makeAgentKey(url, person, 'laptop-of-somebody');
  const [traceId, parentId] = [randomBytes(16).toString('hex'), randomBytes(8).toString('hex')];
  const options = {
    bearer: key,
    body: ping('SecretApp', { title: 'Private title', url: 'https://example.com/private?token=hidden' }),
    headers: { traceparent: `00-${traceId}-${parentId}-01` },
  };
  expect((await call(url, 'post', '/api/v1/pings', options)).status).toBe(202);
  await until('a report', async () => (await appsReport(url, person.accessToken)).SecretApp === 60);
  const date = new Date(yesterdayNoon()).toISOString().slice(0, 10);
  await call(url, 'get', `/api/v1/reports/apps?date=${date}&timezone=UTC&userId=${person.userId}`, {
    bearer: person.accessToken,
  });

  const mine = (): Span[] => spans.filter((span) => span.traceId === traceId);
  const wayOf = (span: Span | undefined): string[] =>
    span ? [...wayOf(mine().find(({ spanId }) => spanId === span.parentSpanId)), span.name] : [];
  /** Names from the caller on to where one of these ends. */
  const ways = (): string[] => mine().map((span) => wayOf(span).join(' > '));
  const pings = 'POST /api/v1/pings > send pings';
  for (const way of [
    `${pings} > process pings > postgres transaction`,
    `${pings} > process pings > clickhouse insert pings`,
    `${pings} > process pings > postgres transaction > process usage > clickhouse insert usage`,
  ]) {
    await until(way, () => ways().includes(way) || Promise.reject(new Error(ways().join('\n'))));
  }
  expect(
    mine()
      .filter(({ parentSpanId }) => parentSpanId === parentId)
      .map(({ name }) => name),
  ).toEqual(['POST /api/v1/pings']);
  expect(spans.map(({ name }) => name)).toContain('POST /api/v1/auth/register');
  for (const secret of [
    ...['SecretApp', 'Private title', 'example.com', 'hidden', 'privateperson', 'laptop-of-somebody', 'timezone='],
    ...[key, person.accessToken, person.password, person.userId, person.organizationId],
  ]) {
    expect({ secret, said: raw.includes(secret) }).toEqual({ secret, said: false });
  }
  // Asked again and again, by whoever watches over it.
  expect(spans.map(({ name }) => name).filter((name) => /health|metrics|revocations|jwks/.test(name))).toEqual([]);
});

test.each([
  [false, 'without an endpoint nothing of OpenTelemetry is loaded'],
  [true, 'with one it is'],
])('%s: %s', async (isOn) => {
  const seen = path.join(folder.dir, `modules-${isOn}`);
  const hook = path.join(folder.dir, 'hook.mjs');
  await writeFile(
    hook,
    `import { appendFileSync } from 'node:fs';
     import { registerHooks } from 'node:module';
     registerHooks({ load(url, context, next) { appendFileSync(process.env.SEEN, url + '\\n'); return next(url, context); } });`,
  );
  const port = await freePort();
  const origin = `http://127.0.0.1:${port}`;
  const nobody = '127.0.0.1:9';
  const service = await startEngine({
    name: `workspace-${isOn}`,
    url: origin,
    command: process.execPath,
    args: ['--import', pathToFileURL(hook).href, path.join(repository, 'services/workspace/src/main.ts')],
    env: {
      SEEN: seen,
      HOST: '127.0.0.1',
      PORT: String(port),
      // It starts while all of them are away.
      POSTGRES_URL: `postgres://nobody@${nobody}/worktide`,
      EVENT_LOG_URL: `kafka://${nobody}`,
      AUTH_URL: `http://${nobody}`,
      INTERNAL_TOKEN: 'x'.repeat(32),
      ...(isOn ? { OTEL_EXPORTER_OTLP_ENDPOINT: `http://${nobody}` } : {}),
    },
    dir: path.join(folder.dir, `workspace-${isOn}`),
    ready: () =>
      fetch(`${origin}/health/live`).then(
        ({ ok }) => ok,
        () => false,
      ),
  });
  // A request with a trace, too.
  const headers = { traceparent: `00-${'1'.repeat(32)}-${'1'.repeat(16)}-01` };
  expect((await call(origin, 'get', '/api/v1/projects', { headers })).status).toBe(401);
  await service.stop();
  const modules = await readFile(seen, 'utf8');
  expect(modules).toContain('/libs/service/src/');
  // But for its API, which prom-client brings along.
  expect(/@opentelemetry\/(?!api\/)/.test(modules)).toBe(isOn);
});
