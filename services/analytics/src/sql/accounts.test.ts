import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ClickHouseClient, ClickHouseLogLevel, createClient } from '@clickhouse/client';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { freshClickHouseDatabase, startClickHouse } from '@worktide/backends';
import { type ClickHouse, createClickHouse, migrateClickHouse } from '@worktide/clickhouse';
import { silentLogger } from '@worktide/runtime';
import { migrationsFolder } from '../index.ts';
import { type AnalystAccounts, openAccounts } from './accounts.ts';
import { fillTables } from './testing.ts';

const log = silentLogger();
const organizationId = randomUUID();
let database: Awaited<ReturnType<typeof freshClickHouseDatabase>>;
let clickhouse: ClickHouse;
let accounts: AnalystAccounts;
let account: Awaited<ReturnType<AnalystAccounts['create']>>;
let client: ClickHouseClient;

beforeAll(async () => {
  database = await freshClickHouseDatabase();
  clickhouse = createClickHouse(database.url, { log });
  await migrateClickHouse(database.url, migrationsFolder, { log });
  await fillTables(clickhouse, organizationId, 'mine');
  accounts = openAccounts(clickhouse, { url: database.url, publicUrl: database.url, log });
  account = await accounts.create(organizationId, randomUUID(), 'test');
  client = createClient({
    url: `${account.url.replace('//', `//${account.user}:${account.password}@`)}/${account.database}`,
    compression: { response: true, request: false },
    log: { level: ClickHouseLogLevel.OFF },
  });
});
afterAll(async () => {
  await client?.close();
  await clickhouse?.close();
  await database?.drop();
});

const basic = (password = account.password): string =>
  `Basic ${Buffer.from(`${account.user}:${password}`).toString('base64')}`;
async function get(query: Record<string, string>, headers: Record<string, string> = { authorization: basic() }) {
  const response = await fetch(`${account.url}/?${new URLSearchParams({ database: account.database, ...query })}`, {
    headers,
  });
  return {
    status: response.status,
    code: response.headers.get('x-clickhouse-exception-code'),
    text: await response.text(),
  };
}

describe('an account, as clients use it', () => {
  test('by the stock client: ping, parameters, settings of the answer, compression, a URL with all of it', async () => {
    expect(await client.ping({ select: true })).toEqual({ success: true });
    const result = await client.query({
      query: 'SELECT user_name, work_seconds, toUInt64(7) AS n FROM days WHERE date = {day:Date32}',
      query_params: { day: '2026-11-20' },
      format: 'JSONEachRow',
      clickhouse_settings: { output_format_json_quote_64bit_integers: 0, max_execution_time: 5 },
    });
    expect(await result.json()).toEqual([{ user_name: 'mine', work_seconds: 3600, n: 7 }]);
    for (const format of ['JSON', 'JSONCompact', 'CSVWithNames', 'TabSeparated', 'Parquet'] as const) {
      const answer = await client.query({ query: 'SELECT name FROM people', format });
      expect(await answer.text()).toContain('mine');
    }
  });

  test('by headers, Basic authorization and parameters of the URL', async () => {
    const { user, password } = account;
    const query = 'SELECT name FROM people FORMAT TSV';
    for (const headers of [{ 'x-clickhouse-user': user, 'x-clickhouse-key': password }, { authorization: basic() }]) {
      expect(await get({ query }, headers as unknown as Record<string, string>)).toMatchObject({
        status: 200,
        text: 'mine\n',
      });
    }
    expect(await get({ query, user, password }, {})).toMatchObject({ status: 200, text: 'mine\n' });
    // Without a database it is that of the views.
    expect(await get({ query, database: '' })).toMatchObject({ status: 200, text: 'mine\n' });
    expect(await (await fetch(`${account.url}/ping`)).text()).toBe('Ok.\n');
  });

  test('answers what clients ask before anything else', async () => {
    for (const query of ['SELECT 1', 'SELECT version()', 'SELECT displayName(), version(), revision(), timezone()']) {
      expect(await get({ query })).toMatchObject({ status: 200 });
    }
    const asked = (query: string) => get({ query }).then(({ text }) => text.trim().split('\n'));
    expect(await asked('SHOW DATABASES')).toContain(account.database);
    expect(await asked(`SHOW TABLES FROM \`${account.database}\``)).toEqual(expect.arrayContaining(['days', 'usage']));
    expect((await asked('DESCRIBE TABLE days FORMAT TSV'))[0]).toMatch(/^user_id\tUUID\t.*The person/);
    expect(await asked("SELECT name FROM system.tables WHERE database != '' ORDER BY name LIMIT 2")).toEqual([
      'alerts',
      'app_days',
    ]);
    expect(await asked("SELECT name, type FROM system.columns WHERE table = 'days' ORDER BY position LIMIT 1")).toEqual(
      ['user_id\tUUID'],
    );
    expect(await get({ query: 'EXISTS TABLE days' })).toMatchObject({ status: 200, text: '1\n' });
  });

  test('takes HTTP compression', async () => {
    const response = await fetch(
      `${account.url}/?${new URLSearchParams({ database: account.database, query: 'SELECT name FROM people', enable_http_compression: '1' })}`,
      { headers: { authorization: basic(), 'accept-encoding': 'gzip' } },
    );
    // fetch has decompressed it.
    expect([response.headers.get('content-encoding'), await response.text()]).toEqual(['gzip', 'mine\n']);
  });

  test('is read by clients that speak the native protocol over HTTP, such as Grafana’s', async () => {
    const views = (await get({ query: 'SHOW TABLES FORMAT TSV' })).text.trim().split('\n');
    expect(views.length).toBeGreaterThan(10);
    for (const view of views) {
      const parameters = { query: `SELECT * FROM ${view}`, default_format: 'Native', client_protocol_version: '54460' };
      const response = await fetch(`${account.url}/?${new URLSearchParams(parameters)}`, {
        headers: { authorization: basic(), 'x-clickhouse-database': account.database },
      });
      const bytes = Buffer.from(await response.arrayBuffer());
      expect({ view, status: response.status, info: bytes.subarray(0, 8).toString('hex') }).toEqual({
        view,
        status: 200,
        info: '010002ffffffff00',
      });
    }
  });

  test('nothing of the tables beneath, or of another database', async () => {
    const tables = new URL(database.url).pathname.slice(1);
    for (const query of [
      'SELECT create_table_query FROM system.tables',
      "SELECT as_select AS a FROM system.tables WHERE name = 'days'",
      'SELECT * FROM system.tables',
      'SELECT name FROM system.users',
      `SHOW TABLES FROM ${tables}`,
      `DESCRIBE ${tables}.usage`,
      'SHOW CREATE TABLE days',
    ]) {
      const { status, text } = await get({ query });
      expect({ query, status: status === 200 && !text.includes(`${tables}.`) ? 'harmless' : status }).not.toMatchObject(
        { status: 200 },
      );
    }
    expect((await get({ query: `SELECT count() FROM system.tables WHERE database = '${tables}'` })).text).toBe('0\n');
    expect((await get({ query: 'SELECT 1', database: tables })).status).not.toBe(200);
  });

  test('a wrong password, no such account, and another account’s name are refused alike', async () => {
    const wrong = await get({ query: 'SELECT 1' }, { authorization: basic('x') });
    expect(wrong).toMatchObject({ code: '516' });
    const nobody = `analyst_${randomUUID().replaceAll('-', '')}`;
    for (const user of [nobody, 'analyst_', "analyst_' OR 1", 'ANALYST_x']) {
      const answer = await get({ query: 'SELECT 1', user, password: account.password }, {});
      expect({ user, code: answer.code }).toEqual({ user, code: '516' });
    }
  });

  test('settings that would widen it are refused or change nothing', async () => {
    for (const [name, value] of [
      ['additional_table_filters', '{}'],
      ['allow_ddl', '1'],
      ['max_query_size', '100000000'],
      ['format_schema', '/etc/passwd'],
      ['output_format_schema', '/tmp/x'],
    ]) {
      expect((await get({ query: 'SELECT count() FROM people', [name!]: value! })).status).not.toBe(200);
    }
    const wide = await get({ query: 'SELECT count() FROM people', max_execution_time: '5', readonly: '0' });
    expect([200, 500, 403]).toContain(wide.status);
    if (wide.status === 200) expect(wide.text).toBe('1\n');
  });

  test('a query ends with its request, and gives its place back', async () => {
    const query =
      'SELECT count() FROM (SELECT arrayJoin(range(300000)) AS a) AS x, (SELECT arrayJoin(range(300000)) AS b) AS y WHERE cityHash64(a, b) = 7';
    const ender = new AbortController();
    const running = fetch(`${account.url}/?${new URLSearchParams({ database: account.database, query })}`, {
      headers: { authorization: basic() },
      signal: ender.signal,
    });
    setTimeout(() => ender.abort(), 300);
    await expect(running).rejects.toThrow();
    expect(await get({ query: 'SELECT 1' })).toMatchObject({ status: 200 });
  });
});

test('twenty accounts at their limits leave inserts and the service’s own questions their places', async () => {
  // A server of its own: the others' tests are not to wait for it.
  const dir = await mkdtemp(join(tmpdir(), 'worktide-accounts-'));
  const server = await startClickHouse({ dir });
  const url = server.url.replace(/\/default$/, '/worktide');
  await migrateClickHouse(url, migrationsFolder, { log });
  const busy = createClickHouse(url, { log });
  const ender = new AbortController();
  try {
    const there = openAccounts(busy, { url, publicUrl: url, log });
    const made = await Promise.all(Array.from({ length: 20 }, () => there.create(randomUUID(), randomUUID(), 'heavy')));
    const query =
      'SELECT count() FROM (SELECT arrayJoin(range(900000)) AS a) AS x, (SELECT arrayJoin(range(900000)) AS b) AS y WHERE cityHash64(a, b) = 7';
    const answers: (number | string)[] = [];
    const heavy = made.flatMap(({ user, password, database: name }) =>
      Array.from({ length: 3 }, async () => {
        const parameters = new URLSearchParams({ database: name, query, user, password });
        const answer = fetch(`${new URL(url).origin}/?${parameters}`, { signal: ender.signal });
        answers.push(await answer.then(({ status }) => status).catch(() => 'ended'));
      }),
    );
    for (let i = 0; i < 20; i++) {
      await fillTables(busy, randomUUID(), `insert ${i}`);
      expect(await busy.query('SELECT 1 AS a')).toEqual([{ a: 1 }]);
    }
    ender.abort();
    await Promise.all(heavy);
    // Too dear, not yet, or ended: none was answered, and none made the service wait for it.
    expect(answers.filter((answer) => ![500, 503, 'ended'].includes(answer))).toEqual([]);
    expect(answers).toHaveLength(60);
  } finally {
    ender.abort();
    await busy.close();
    await server.stop();
    await rm(dir, { recursive: true, force: true });
  }
});

test('all of an organisation end with it; and renewing them changes nothing', async () => {
  await accounts.renew();
  const other = randomUUID();
  const theirs = await accounts.create(other, randomUUID(), 'theirs');
  await accounts.removeAll(other);
  expect(await accounts.list(other)).toEqual([]);
  const { user, password } = theirs;
  expect(await get({ query: 'SELECT 1', user, password }, {})).toMatchObject({ code: '516' });
  expect(await get({ query: 'SELECT name FROM people' })).toMatchObject({ status: 200, text: 'mine\n' });
});

test('one that the server would not let in is never handed out', async () => {
  const nowhere = new URL(database.url);
  nowhere.username = 'default';
  nowhere.port = '9';
  const broken = openAccounts(clickhouse, { url: nowhere.href, publicUrl: database.url, log });
  const organization = randomUUID();
  await expect(broken.create(organization, randomUUID(), 'x')).rejects.toMatchObject({ statusCode: 503 });
  expect(await accounts.list(organization)).toEqual([]);
});
