import { randomUUID } from 'node:crypto';
import { ClickHouseLogLevel, createClient } from '@clickhouse/client';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { AuditAction } from '@worktide/audit';
import { freshClickHouseDatabase } from '@worktide/backends';
import { createClickHouse, migrateClickHouse } from '@worktide/clickhouse';
import { type Caller, createLifecycle, createMetrics, serve, silentLogger, unauthorized } from '@worktide/runtime';
import { call } from '@worktide/testing';
import { migrationsFolder } from '../index.ts';
import { openAccounts } from './accounts.ts';
import { exampleParameters, examples } from './examples.ts';
import { openAnalysts } from './open.ts';
import { analystRoutes } from './routes.ts';
import { fillTables } from './testing.ts';

const log = silentLogger();
const organizationId = randomUUID();
const person = (role: Caller['role'], organization = organizationId): Caller => ({
  organizationId: organization,
  userId: randomUUID(),
  role,
  timezone: 'UTC',
  sessionId: randomUUID(),
});
const { sessionId: _, ...agent } = { ...person('admin'), agentKeyId: randomUUID() };
const people: Record<string, Caller> = {
  admin: person('admin'),
  manager: person('manager'),
  employee: person('employee'),
  stranger: person('admin', randomUUID()),
  agent,
};
const lifecycle = createLifecycle({ log });
const told: { organizationId: string; actions: readonly AuditAction[] }[] = [];
let database: Awaited<ReturnType<typeof freshClickHouseDatabase>>;

async function start(clickhouseUrl: string): Promise<string> {
  const metrics = createMetrics();
  const analysts = openAnalysts(clickhouseUrl, { places: 2, log, metrics, limits: { resultRows: 100, seconds: 5 } });
  lifecycle.onClose('analysts', () => analysts.close());
  const clickhouse = createClickHouse(clickhouseUrl, { log });
  lifecycle.onClose('clickhouse', () => clickhouse.close());
  const accounts = openAccounts(clickhouse, { url: clickhouseUrl, publicUrl: clickhouseUrl, log });
  const audit = {
    tell: (organization: string, _source: object, actions: readonly AuditAction[]) =>
      void told.push({ organizationId: organization, actions }),
  };
  const service = {
    name: 'analytics',
    checks: {},
    authenticate: async (authorization: string | undefined) => {
      const caller = people[authorization?.slice('Bearer '.length) ?? ''];
      if (!caller) throw unauthorized();
      return caller;
    },
    routes: analystRoutes({ analysts, accounts, audit }),
  };
  return (await serve({ services: [service], lifecycle, log, metrics, host: '127.0.0.1', port: 0 })).url;
}

let url: string;
beforeAll(async () => {
  database = await freshClickHouseDatabase();
  const clickhouse = createClickHouse(database.url, { log });
  await migrateClickHouse(database.url, migrationsFolder, { log });
  await fillTables(clickhouse, organizationId, 'mine');
  await clickhouse.close();
  url = await start(database.url);
});
afterAll(async () => {
  await lifecycle.close();
  await database?.drop();
});

async function post(body: object, as = 'manager', origin = url): Promise<Response> {
  return fetch(`${origin}/api/v1/analytics/query`, {
    method: 'POST',
    headers: { authorization: `Bearer ${as}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
}
// biome-ignore lint/suspicious/noExplicitAny: answers of several shapes, each compared as a whole.
const json = async (body: object, as?: string): Promise<any> => (await post(body, as)).json();

describe('a query', () => {
  test('answers columns and rows, and leaves who asked what in the trail', async () => {
    told.length = 0;
    const sql = 'SELECT user_name, work_seconds, productivity_score FROM days WHERE date = {day:Date32}';
    expect(await json({ sql, parameters: { day: '2026-11-20' } })).toEqual({
      columns: [
        { name: 'user_name', type: 'String' },
        { name: 'work_seconds', type: 'UInt32' },
        { name: 'productivity_score', type: 'Nullable(Float64)' },
      ],
      rows: [['mine', 3600, 83.3]],
      rowCount: 1,
      truncated: false,
      elapsedMs: expect.any(Number),
    });
    await post({ sql: 'SELECT file()' });
    await post({ sql: 'SELECT 1 FROM people', format: 'csv' });
    const after = (extra: object) => ({
      organizationId,
      actions: [{ action: 'analytics.queried', entityType: 'analytics', entityId: 'query', after: extra }],
    });
    expect(told).toEqual([
      after({ sql, format: 'json', rows: 1, truncated: false }),
      after({ sql: 'SELECT file()', format: 'json', outcome: 'QUERY_REFUSED' }),
      after({ sql: 'SELECT 1 FROM people', format: 'csv', bytes: 6 }),
    ]);
  });

  test('says where more rows are than it gives; a file is whole or refused', async () => {
    const many = 'SELECT n FROM people ARRAY JOIN range(5000) AS n ORDER BY n';
    const answer = await json({ sql: many });
    expect(answer).toMatchObject({ rowCount: 100, truncated: true });
    expect(answer.rows).toHaveLength(100);
    expect(await json({ sql: `${many} LIMIT 100` })).toMatchObject({ rowCount: 100, truncated: false });
    for (const format of ['csv', 'parquet']) {
      expect(await json({ sql: many, format })).toMatchObject({ statusCode: 422, code: 'QUERY_TOO_EXPENSIVE' });
    }
    const none = 'SELECT arrayJoin(range(5000)) AS n';
    expect(await json({ sql: none })).toMatchObject({ rowCount: 100, truncated: true });
    expect(await json({ sql: none, format: 'csv' })).toMatchObject({ statusCode: 400, code: 'QUERY_REFUSED' });
  });

  test('comes as CSV and Parquet', async () => {
    const csv = await post({ sql: 'SELECT name, role FROM people', format: 'csv' });
    expect(csv.headers.get('content-type')).toMatch(/^text\/csv/);
    expect(await csv.text()).toBe('"name","role"\n"mine","manager"\n');
    const parquet = await post({ sql: 'SELECT name FROM people', format: 'parquet' });
    expect(parquet.headers.get('content-type')).toBe('application/vnd.apache.parquet');
    const bytes = Buffer.from(await parquet.arrayBuffer());
    expect([bytes.subarray(0, 4).toString(), bytes.subarray(-4).toString()]).toEqual(['PAR1', 'PAR1']);
  });

  test('values never become SQL', async () => {
    const sql = 'SELECT {a:String} AS a, {b:Array(Int64)} AS b, {c:Bool} AS c, {d:Float64} AS d';
    const a = "'; DROP TABLE usage; -- \\ \t \n";
    const { rows } = await json({ sql, parameters: { a, b: [1, -2], c: true, d: 1.5 } });
    expect(rows).toEqual([[a, [1, -2], true, 1.5]]);
  });

  test.each([
    ['SELECT name FROM people WHERE', 400, 'QUERY_FAILED', /syntax error at line 1, column 30/],
    ['SELECT name\nFROM people\nWHERE (1 2)', 400, 'QUERY_FAILED', /line 3, column 10/],
    ["SELECT 'ü', name FROM people WHERE )", 400, 'QUERY_REFUSED', /brackets/],
    ["SELECT 'ü' x y", 400, 'QUERY_FAILED', /line 1, column 14/],
    ['SELECT nothing FROM people', 400, 'QUERY_FAILED', /Unknown expression identifier `nothing`\.$/],
    ['SELECT * FROM nothing', 400, 'QUERY_FAILED', /Unknown table expression identifier 'nothing'\.$/],
    ["SELECT toInt32('what I wrote')", 400, 'QUERY_FAILED', /^The query failed: CANNOT_PARSE_TEXT\.$/],
    ['SELECT {p:Int8}', 400, 'QUERY_FAILED', /`p` is not set/],
    ['SELECT 1 FORMAT CSV', 400, 'QUERY_REFUSED', /the format is asked for beside it/],
    [
      'SELECT sum(a) FROM (SELECT arrayJoin(range(900000000)) AS a)',
      400,
      'QUERY_FAILED',
      /^The query failed: ARGUMENT_OUT_OF_BOUND\.$/,
    ],
  ])('%j is %d %s', async (sql, statusCode, code, message) => {
    expect(await json({ sql })).toMatchObject({ statusCode, code, message: expect.stringMatching(message) });
  });

  test('a body that is none is 400 as everywhere', async () => {
    for (const body of [
      {},
      { sql: '' },
      { sql: 1 },
      { sql: 'SELECT 1', format: 'xml' },
      { sql: 'SELECT 1', parameters: { 'a b': 1 } },
    ]) {
      expect(await json(body)).toMatchObject({ statusCode: 400, code: 'VALIDATION_FAILED' });
    }
  });

  test('is for managers and admins, by log-in, each of their own organisation', async () => {
    const sql = 'SELECT count() AS n FROM people';
    expect(await json({ sql }, 'admin')).toMatchObject({ rows: [[1]] });
    expect(await json({ sql }, 'stranger')).toMatchObject({ rows: [[0]] });
    for (const [who, status] of [
      ['employee', 403],
      ['agent', 403],
      ['nobody', 401],
    ] as const) {
      expect((await post({ sql }, who)).status).toBe(status);
      expect((await call(url, 'get', '/api/v1/analytics/schema', { bearer: who })).status).toBe(status);
    }
  });

  test('is 503 while ClickHouse is away, or not prepared', async () => {
    const away = await start('http://default:@127.0.0.1:9/worktide');
    expect((await post({ sql: 'SELECT 1' }, 'manager', away)).status).toBe(503);
    const nowhere = new URL(database.url);
    nowhere.pathname = '/nowhere';
    expect((await post({ sql: 'SELECT 1' }, 'manager', await start(nowhere.href))).status).toBe(503);
  });

  test('ends with its request', async () => {
    const ender = new AbortController();
    const endless =
      'SELECT count() FROM (SELECT arrayJoin(range(300000)) AS a) AS x, (SELECT arrayJoin(range(300000)) AS b) AS y WHERE cityHash64(a, b) = 7';
    const gone = fetch(`${url}/api/v1/analytics/query`, {
      method: 'POST',
      headers: { authorization: 'Bearer manager', 'content-type': 'application/json' },
      body: JSON.stringify({ sql: endless }),
      signal: ender.signal,
    });
    told.length = 0;
    setTimeout(() => ender.abort(), 300);
    await expect(gone).rejects.toThrow();
    // The organisation has one place: this waits for it.
    expect(await json({ sql: 'SELECT 1 AS a' })).toMatchObject({ rows: [[1]] });
    expect(told.map(({ actions }) => (actions[0]!.after as { outcome?: string }).outcome)).toEqual([
      'REQUEST_ABORTED',
      undefined,
    ]);
  });
});

test('the schema names every view and column with its meaning', async () => {
  const { status, body } = await call(url, 'get', '/api/v1/analytics/schema', { bearer: 'manager' });
  expect(status).toBe(200);
  for (const view of body.views) {
    expect(view.meaning).toMatch(/^One row for each .+\. Key: .+\. Late data: /);
    for (const column of view.columns)
      expect({ view: view.name, ...column, meaning: !!column.meaning }).toMatchObject({ meaning: true });
  }
  expect(body.examples).toEqual(examples);
});

test.each(examples.map(({ title, sql }) => [title, sql]))('the example "%s" runs', async (_, sql) => {
  expect(await json({ sql, parameters: exampleParameters })).toMatchObject({ truncated: false });
});

describe('accounts', () => {
  const path = '/api/v1/analytics/credentials';
  const make = (as = 'admin', name?: string) =>
    call(url, 'post', path, { bearer: as, body: { ...(name ? { name } : {}) } });

  test('are made with a password that is shown once, listed, and removed; and the trail says so', async () => {
    told.length = 0;
    const made = await make('admin', ' Grafana ');
    expect(made).toMatchObject({ status: 201, body: { name: 'Grafana', url: new URL(database.url).origin } });
    const { id, user, password, ...rest } = made.body;
    expect(rest.database).toBe(`${new URL(database.url).pathname.slice(1)}_v1`);
    expect(password).toMatch(/^[\w-]{43}$/);
    const list = async (as = 'admin') => (await call(url, 'get', path, { bearer: as })).body.items;
    expect(await list()).toEqual([{ id, user, ...rest }]);
    expect(await list('stranger')).toEqual([]);

    const login = { username: user, password, database: rest.database };
    const ask = async () => {
      const client = createClient({ url: rest.url, ...login, log: { level: ClickHouseLogLevel.OFF } });
      try {
        return await (await client.query({ query: 'SELECT name FROM people', format: 'JSONEachRow' })).json();
      } finally {
        await client.close();
      }
    };
    expect(await ask()).toEqual([{ name: 'mine' }]);
    expect((await call(url, 'delete', `${path}/${id}`, { bearer: 'stranger' })).status).toBe(404);
    expect((await call(url, 'delete', `${path}/${id}`, { bearer: 'admin' })).status).toBe(204);
    expect((await call(url, 'delete', `${path}/${id}`, { bearer: 'admin' })).status).toBe(404);
    await expect(ask()).rejects.toMatchObject({ code: '516' });
    expect(await list()).toEqual([]);
    const entity = { entityType: 'analytics-account', entityId: id };
    expect(told.flatMap(({ actions }) => actions)).toEqual([
      { action: 'analytics.account-created', ...entity, after: { name: 'Grafana', user } },
      { action: 'analytics.account-deleted', ...entity, before: { name: 'Grafana', user } },
    ]);
    expect(JSON.stringify(told)).not.toContain(password);
  });

  test('are for admins, and few', async () => {
    for (const [who, status] of [
      ['manager', 403],
      ['employee', 403],
      ['agent', 403],
      ['nobody', 401],
    ] as const) {
      expect((await make(who)).status).toBe(status);
      expect((await call(url, 'get', path, { bearer: who })).status).toBe(status);
      expect((await call(url, 'delete', `${path}/${randomUUID()}`, { bearer: who })).status).toBe(status);
    }
    for (let i = 0; i < 10; i++) expect((await make('stranger')).status).toBe(201);
    expect(await make('stranger')).toMatchObject({ status: 409, body: { code: 'TOO_MANY_ACCOUNTS' } });
    expect((await make('admin')).status).toBe(201);
  });

  test('are 503 while ClickHouse is away', async () => {
    const away = await start('http://default:@127.0.0.1:9/worktide');
    for (const [method, at] of [
      ['post', path],
      ['get', path],
      ['delete', `${path}/${randomUUID()}`],
    ] as const) {
      expect(
        (await call(away, method, at, { bearer: 'admin', ...(method === 'post' ? { body: {} } : {}) })).status,
      ).toBe(503);
    }
  });
});
