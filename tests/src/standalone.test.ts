import { readFile, stat } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Validator } from '@seriousme/openapi-schema-validator';
import { aptInstall, onPath } from '@worktide/backends';
import { call, expectStatus, until } from '@worktide/testing';
import { type Health, metricsToken, notReady } from './support/http.ts';
import { invite, makeAgentKey, passwordOfAll, ping, post, register, usageOf, yesterdayNoon } from './support/people.ts';
import { processesOn, runToEnd } from './support/processes.ts';
import { type Product, repository, standaloneMain, startProduct, temporaryFolder } from './support/product.ts';
import { settled, uploadScreenshot } from './support/screenshots.ts';

/** The calls of the public interface that exist so far; the document may have more. */
const documentedCalls = [
  'post /api/v1/auth/register',
  'post /api/v1/auth/login',
  'post /api/v1/auth/refresh',
  'post /api/v1/auth/logout',
  'post /api/v1/auth/logout-all',
  'get /api/v1/auth/me',
  'post /api/v1/auth/agent-keys',
  'get /api/v1/auth/agent-keys',
  'delete /api/v1/auth/agent-keys/{id}',
  'patch /api/v1/auth/me',
  'post /api/v1/auth/password/change',
  'post /api/v1/auth/password/forgot',
  'post /api/v1/auth/password/reset',
  'post /api/v1/auth/verify',
  'post /api/v1/auth/verify/resend',
  'get /api/v1/auth/sessions',
  'delete /api/v1/auth/sessions/{id}',
  'post /api/v1/invitations',
  'post /api/v1/invitations/accept',
  'get /api/v1/users',
  'get /api/v1/users/{id}',
  'patch /api/v1/users/{id}',
  'get /api/v1/organization',
  'patch /api/v1/organization',
  'get /api/v1/organization/storage',
  'post /api/v1/organization/deletion',
  'delete /api/v1/organization/deletion',
  'post /api/v1/billing/webhook',
  'get /api/v1/projects',
  'post /api/v1/projects',
  'get /api/v1/projects/active',
  'get /api/v1/projects/{id}',
  'patch /api/v1/projects/{id}',
  'delete /api/v1/projects/{id}',
  'get /api/v1/projects/{id}/tasks',
  'get /api/v1/projects/{id}/teams',
  'get /api/v1/teams/{id}/members',
  'post /api/v1/teams/{id}/members',
  'delete /api/v1/teams/{id}/members/{userId}',
  'get /api/v1/tasks',
  'post /api/v1/tasks',
  'get /api/v1/tasks/stats',
  'get /api/v1/tasks/{id}',
  'patch /api/v1/tasks/{id}',
  'delete /api/v1/tasks/{id}',
  'post /api/v1/tasks/{id}/restore',
  'post /api/v1/pings',
  'get /api/v1/usage',
  'get /api/v1/presence',
  'post /api/v1/time-entries',
  'post /api/v1/time-entries/manual',
  'get /api/v1/time-entries/active',
  'get /api/v1/time-entries',
  'get /api/v1/time-entries/{id}',
  'patch /api/v1/time-entries/{id}',
  'delete /api/v1/time-entries/{id}',
  'put /api/v1/time-entries/{id}/pause',
  'put /api/v1/time-entries/{id}/resume',
  'put /api/v1/time-entries/{id}/stop',
  'get /api/v1/time-entries/{id}/history',
  'post /api/v1/activity',
  'post /api/v1/sync/batch',
  'get /api/v1/sync/batches/{id}',
  'get /api/v1/reports/apps',
  'get /api/v1/reports/domains',
  'get /api/v1/reports/daily',
];

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let product: Product;

beforeAll(async () => {
  folder = await temporaryFolder();
  product = await startProduct(folder.dir, { BILLING_WEBHOOK_SECRET: 'billing-secret-of-this-test' });
}, 120_000);

afterAll(async () => {
  await product?.process.stop();
  await folder?.remove();
});

/** Starts the product where it must refuse to start, and waits for its end. */
const start = (env: Record<string, string>) => runToEnd(process.execPath, [standaloneMain], { env, cwd: folder.dir });

describe('a newcomer', () => {
  test('pastes what the start has printed and finds the first ping in the report', async () => {
    if (!(await onPath('curl'))) await aptInstall(['curl'], 'What npm start prints');
    const printed = (await product.printed()).split('\n').filter((line) => line.startsWith('  '));
    const report = printed.findIndex((line) => line.includes('/api/v1/reports/apps'));
    expect(report).toBeGreaterThan(0);
    const steps = printed.slice(0, report).join('\n');
    // A ping is visible within seconds, not at once: a person would ask twice.
    const ask = `for i in $(seq 100); do R=$(${printed[report]!.trim()}); case "$R" in *Firefox*) break;; esac; sleep 0.2; done`;
    const outcome = await runToEnd('bash', ['-ec', `${steps}\n${ask}\necho; echo "$R"`], { cwd: repository });
    expect(outcome).toMatchObject({ code: 0, output: expect.stringContaining('{"accepted":1,"rejected":[]}') });
    const shown = JSON.parse(outcome.output.trim().split('\n').at(-1)!);
    // Five minutes, or what of them lies in today.
    expect(shown.items).toEqual([{ app: 'Firefox', seconds: shown.totalSeconds }]);
    expect(shown.totalSeconds).toBeGreaterThan(0);
    expect(shown.totalSeconds).toBeLessThanOrEqual(300);
  });

  test('runs the session of the README, every command of it', async () => {
    const readme = await readFile(path.join(repository, 'README.md'), 'utf8');
    const session = readme.slice(readme.indexOf('## Five minutes'), readme.indexOf('### A fleet'));
    const blocks = [...session.matchAll(/^```\n(.*?)^```/gms)].map(([, text]) => text!);
    const commands = blocks.filter((text) => !text.startsWith('{') && !text.startsWith('Starting'));
    expect(commands.length).toBeGreaterThan(8);
    const mails = path.join(product.data, 'mail');
    const script = commands
      .join('\n')
      .replaceAll('http://127.0.0.1:8080', product.url)
      .replaceAll('data/mail', mails)
      .replaceAll('screen.png', path.join(folder.dir, 'screen.png'))
      .replaceAll('me@example.com', 'reader@example.com')
      .replaceAll('sleep 1;', `until grep -qs '^To: lin@example.com' ${mails}/*.eml; do sleep 0.1; done;`);
    const { code, output } = await runToEnd('bash', ['-euc', script], { cwd: repository });
    expect({ code, output }).toMatchObject({ code: 0 });
    for (const said of [
      '{"accepted":1,"rejected":[]}',
      '"code":"END_BEFORE_START"',
      '/accept-invitation?token=',
      '"status":"done"',
      '"code":"STALE_VERSION"',
      '"code":"UNAUTHORIZED"',
      '"code":"LAST_ADMIN"',
      '"workedSeconds":150',
      '"reason":"overlap"',
      '"status":"pending"',
      'This needs a login, not an agent key.',
      '"blurLevel":2',
      '"code":"UNSUPPORTED_PICTURE"',
    ]) {
      expect(output).toContain(said);
    }
  });

  test('registers, logs in, makes an agent key, posts pings, reads usage and every report', async () => {
    const { url } = product;
    const ada = await register(url, 'ada', 'Asia/Kathmandu');
    const credentials = { email: ada.email, password: passwordOfAll, refreshTokenIn: 'body' };
    const login = expectStatus(await call(url, 'post', '/api/v1/auth/login', { body: credentials }), 200);
    expect(login).toMatchObject({ user: { id: ada.userId, role: 'admin' }, expiresIn: 900 });
    const refresh = { body: { refreshToken: login.refreshToken } };
    const bearer = expectStatus(await call(url, 'post', '/api/v1/auth/refresh', refresh), 200).accessToken;
    const me = expectStatus(await call(url, 'get', '/api/v1/auth/me', { bearer }), 200);
    expect(me).toMatchObject({
      user: { id: ada.userId, email: ada.email, timezone: 'Asia/Kathmandu' },
      organization: { id: ada.organizationId, subscriptionStatus: 'trial' },
    });

    const { key, deviceId } = await makeAgentKey(url, ada, 'laptop');
    const at = yesterdayNoon();
    await post(url, key, [
      ping('Firefox', { at, seconds: 120, url: 'https://www.example.com:8443/a?b' }),
      ping('Firefox', { at: at + 120_000, seconds: 60, url: 'http://example.com/' }),
      ping('Code', { at: at + 180_000, seconds: 100, state: 'idle' }),
    ]);
    const usage = await until('two entries', async () => {
      const items = await usageOf(url, key);
      return items.length === 2 && items;
    });
    const shared = { userId: ada.userId, deviceId, source: 'window' };
    const iso = (ms: number): string => new Date(ms).toISOString();
    expect(usage.map(({ id, ...entry }) => entry).sort((a, b) => a.startedAt.localeCompare(b.startedAt))).toEqual([
      {
        ...shared,
        app: 'Firefox',
        host: 'example.com',
        state: 'active',
        startedAt: iso(at),
        endedAt: iso(at + 180_000),
        seconds: 180,
      },
      {
        ...shared,
        app: 'Code',
        host: null,
        state: 'idle',
        startedAt: iso(at + 180_000),
        endedAt: iso(at + 280_000),
        seconds: 100,
      },
    ]);

    // 12:00 UTC is 17:45 of the same day in Kathmandu, the zone that reports take where none is given.
    const date = iso(at).slice(0, 10);
    const report = async (query: string) =>
      expectStatus(await call(url, 'get', `/api/v1/reports/${query}`, { bearer }), 200);
    await until('the idle time in a report', async () => {
      const { items } = await report(`daily?from=${date}&to=${date}`);
      return items[0]?.workSeconds === 280;
    });
    expect(await report(`apps?date=${date}`)).toEqual({
      date,
      timezone: 'Asia/Kathmandu',
      totalSeconds: 180,
      items: [{ app: 'Firefox', seconds: 180 }],
    });
    expect(await report(`domains?date=${date}&timezone=UTC`)).toEqual({
      date,
      timezone: 'UTC',
      totalSeconds: 180,
      items: [{ host: 'example.com', seconds: 180 }],
    });
    expect((await report(`daily?from=${date}&to=${date}`)).items).toEqual([
      expect.objectContaining({
        date,
        workSeconds: 280,
        activeSeconds: 180,
        idleSeconds: 100,
        productivityScore: 64.3,
      }),
    ]);

    expect((await call(url, 'post', '/api/v1/auth/logout', { bearer })).status).toBe(204);
    await until('the logged-out token is refused', async () => {
      const answer = await call(url, 'get', '/api/v1/auth/me', { bearer });
      return answer.status === 401;
    });
    expect((await call(url, 'get', '/api/v1/usage', { bearer: key })).status).not.toBe(401);
  });
});

test('what an organisation has stored is shown to its managers, from the upload to its deletion', async () => {
  const { url } = product;
  const ada = await register(url);
  const lin = await invite(product, ada, 'employee');
  const bearer = ada.accessToken;
  const { key } = await makeAgentKey(url, ada);
  const storage = async () => expectStatus(await call(url, 'get', '/api/v1/organization/storage', { bearer }), 200);
  const limits = { screenshots: { bytes: 0, limitBytes: 1e11 }, pings: { bytes: 0, limitBytes: 1e11 } };
  expect(await storage()).toEqual(limits);
  await post(url, key, ping('Stored'));
  expect((await storage()).pings.bytes).toBeGreaterThan(50);
  const id = await uploadScreenshot(url, key, 'stored');
  await until('the screenshot', () => settled(url, key, id));
  await until('its bytes', async () => (await storage()).screenshots.bytes > 0, { seconds: 60 });
  expectStatus(await call(url, 'delete', `/api/v1/screenshots/${id}`, { bearer }), 204);
  await until('they are gone', async () => (await storage()).screenshots.bytes === 0, { seconds: 60 });
  expect((await call(url, 'get', '/api/v1/organization/storage', { bearer: lin.accessToken })).status).toBe(403);
}, 150_000);

test('an organisation that says so shows employees only their own tasks, within seconds, and managers all', async () => {
  const ada = await register(product.url);
  const lin = await invite(product, ada, 'employee');
  const ask = (who: typeof ada, method: 'get' | 'post' | 'patch', route: string, body?: object) =>
    call(product.url, method, `/api/v1${route}`, { bearer: who.accessToken, ...(body ? { body } : {}) });
  const project = expectStatus(await ask(ada, 'post', '/projects', { name: 'Apollo' }), 201);
  const make = async (assigneeId: string) =>
    expectStatus(await ask(ada, 'post', '/tasks', { projectId: project.id, title: 'T', assigneeId }), 201).id;
  const [foreign, own] = [await make(ada.userId), await make(lin.userId)];
  expectStatus(await ask(lin, 'get', `/tasks/${foreign}`), 200);
  expectStatus(await ask(ada, 'patch', '/organization', { settings: { taskVisibility: 'own' } }), 200);
  await until('it is gone', async () => (await ask(lin, 'get', `/tasks/${foreign}`)).status === 404);
  expectStatus(await ask(lin, 'get', `/tasks/${own}`), 200);
  const titles = async (who: typeof ada) => expectStatus(await ask(who, 'get', '/tasks'), 200).items.length;
  expect([await titles(lin), await titles(ada)]).toEqual([1, 2]);
});

describe('an operator', () => {
  test('sees every dependency by name and a metric of every part', async () => {
    const ready = expectStatus(await call<Health>(product.url, 'get', '/health/ready'), 200);
    expect(ready.status).toBe('ready');
    expect(Object.keys(ready.dependencies)).toEqual(
      expect.arrayContaining(['auth', 'clickhouse', 'event log', 'postgres', 'schema registry']),
    );
    expect(await call(product.url, 'get', '/health/live')).toMatchObject({ status: 200, body: { status: 'live' } });
    const metrics = await call(product.url, 'get', '/metrics', { bearer: metricsToken });
    expect((await call(product.url, 'get', '/metrics')).status).toBe(404);
    expect(metrics.headers.get('content-type')).toContain('text/plain');
    for (const name of [
      'process_resident_memory_bytes',
      'nodejs_eventloop_lag_p99_seconds',
      'worktide_http_requests_total',
      'worktide_pings_accepted_total',
      'worktide_consumer_state',
      'worktide_postgres_pool_used',
    ]) {
      expect(metrics.text).toContain(`\n${name}`);
    }
  });

  test('reads a valid OpenAPI document whose every operation answers', async () => {
    const document = expectStatus(await call(product.url, 'get', '/api/docs/openapi.json'), 200);
    const { valid, errors } = await new Validator().validate(structuredClone(document));
    expect({ valid, errors }).toMatchObject({ valid: true });
    expect(document.openapi).toBe('3.1.0');

    const operations = Object.entries(document.paths as Record<string, object>).flatMap(([route, methods]) =>
      Object.keys(methods).map((method) => `${method} ${route}`),
    );
    expect(operations).toEqual(expect.arrayContaining(documentedCalls));
    expect(operations.filter((operation) => operation.includes('internal'))).toEqual([]);
    const ids = Object.values(document.paths as Record<string, Record<string, { operationId: string }>>).flatMap(
      (methods) => Object.values(methods).map(({ operationId }) => operationId),
    );
    expect(new Set(ids).size).toBe(ids.length);

    for (const operation of operations) {
      const [method, route] = operation.split(' ') as [string, string];
      const answer = await call(
        product.url,
        method,
        route.replaceAll(/\{\w+\}/g, '0198c000-0000-7000-8000-000000000000'),
      );
      const known = answer.status < 500 && answer.status !== 405 && answer.status !== 404;
      expect({ operation, known, answer: answer.text }).toMatchObject({ known: true });
    }
    const page = await call(product.url, 'get', '/api/docs');
    expect(page).toMatchObject({ status: 200, text: expect.stringContaining('swagger-ui') });
  });
});

describe('a start that cannot be', () => {
  test('names the port in use and ends with 1, before anything has been made', async () => {
    const other = createServer();
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    const { port } = other.address() as AddressInfo;
    const data = path.join(folder.dir, 'second');
    const outcome = await start({ WORKTIDE_PORT: String(port), WORKTIDE_DATA: data });
    await new Promise((resolve) => other.close(resolve));
    expect(outcome).toMatchObject({
      code: 1,
      output: expect.stringMatching(new RegExp(`Port ${port} is in use.*WORKTIDE_PORT`)),
    });
    expect(outcome.output).not.toContain(' at ');
    expect(await processesOn(data)).toEqual([]);
  });

  test('names the data folder in use and ends with 1, and the owner goes on', async () => {
    const log = path.join(product.data, 'worktide.log');
    const { ino } = await stat(log);
    // On the same port, as who forgot that it runs: the folder is what is said.
    const outcome = await start({ WORKTIDE_PORT: new URL(product.url).port, WORKTIDE_DATA: product.data });
    expect(outcome.code).toBe(1);
    // The log is still the owner's.
    expect((await stat(log)).ino).toBe(ino);
    expect(outcome.output).toContain(`The data folder ${product.data} is in use by process ${product.process.pid}.`);
    expect(await notReady(product.url)).toEqual([]);
  });

  test('names every problem of the configuration at once and ends with 78', async () => {
    const outcome = await start({
      WORKTIDE_PORT: 'eighty',
      LOG_LEVEL: 'loud',
      WORKTIDE_DATA: path.join(folder.dir, 'third'),
    });
    expect(outcome.code).toBe(78);
    expect(outcome.output).toContain('WORKTIDE_PORT');
    expect(outcome.output).toContain('LOG_LEVEL');
    expect(outcome.output).not.toContain('eighty');
  });
});
