import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { type IncomingMessage, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Readable } from 'node:stream';
import { setTimeout as wait } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { type ClickHouseClient, ClickHouseLogLevel, createClient } from '@clickhouse/client';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { until } from '@worktide/testing';

const main = fileURLToPath(new URL('./main.ts', import.meta.url));
const password = 'a secret';

interface Running {
  child: ChildProcess;
  url: string;
  stderr: () => string;
}

async function start(dataDir: string, ...flags: string[]): Promise<Running> {
  const child = spawn(process.execPath, [main, '--data', dataDir, ...flags], {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { ...process.env, CLICKHOUSE_PASSWORD: password },
  });
  let stderr = '';
  child.stderr!.on('data', (chunk) => {
    stderr += chunk;
  });
  const line = await Promise.race([
    once(createInterface(child.stdout!), 'line').then(([text]) => text as string),
    once(child, 'exit').then(([code]) => {
      throw new Error(`exit ${code}: ${stderr}`);
    }),
  ]);
  return { child, url: (JSON.parse(line) as { listening: string }).listening, stderr: () => stderr };
}

const ended = (child: ChildProcess): Promise<unknown[]> =>
  child.exitCode !== null || child.signalCode !== null
    ? Promise.resolve([child.exitCode, child.signalCode])
    : once(child, 'exit');

const connect = (url: string, settings = {}): ClickHouseClient =>
  createClient({
    url,
    username: 'default',
    password,
    compression: { request: true, response: true },
    clickhouse_settings: settings,
    log: { level: ClickHouseLogLevel.OFF },
  });

let folder: string;
let server: Running;
let client: ClickHouseClient;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'clickhouse-server-'));
  server = await start(join(folder, 'data'), '--memory-mb', '512');
  client = connect(server.url);
});
afterAll(async () => {
  await client.close();
  server.child.stdin!.end();
  await ended(server.child);
  await rm(folder, { recursive: true, force: true });
});

const rows = async <T>(query: string, params: Record<string, unknown> = {}): Promise<T[]> =>
  (await client.query({ query, query_params: params, format: 'JSONEachRow' })).json<T>();
const post = (parameters: Record<string, string>, body?: Buffer | string, headers: Record<string, string> = {}) =>
  fetch(`${server.url}/?${new URLSearchParams(parameters)}`, {
    method: 'POST',
    headers: { 'x-clickhouse-key': password, ...headers },
    ...(body === undefined ? {} : { body }),
  });

describe('the stock client', () => {
  beforeEach(async () => {
    await client.command({ query: 'CREATE OR REPLACE TABLE t (a Int64, b String) ENGINE = MergeTree ORDER BY a' });
  });

  test('pings without a credential, and is refused with a wrong one', async () => {
    expect(await client.ping()).toEqual({ success: true });
    const stranger = createClient({ url: server.url, password: 'wrong', log: { level: ClickHouseLogLevel.OFF } });
    await expect(stranger.query({ query: 'SELECT 1' })).rejects.toMatchObject({ code: '516' });
    await stranger.close();
  });

  test('inserts JSONEachRow, compressed', async () => {
    const values = [
      { a: 1, b: "it's \\ \t\n\u0000 ✓" },
      { a: 2, b: 'x'.repeat(100_000) },
    ];
    const result = await client.insert({ table: 't', values, format: 'JSONEachRow' });
    expect(result.summary).toMatchObject({ written_rows: '2' });
    expect(await rows('SELECT * FROM t ORDER BY a')).toEqual(values);
  });

  test('inserts nothing', async () => {
    await client.insert({ table: 't', values: [], format: 'JSONEachRow' });
    expect(await rows('SELECT count() AS n FROM t')).toEqual([{ n: 0 }]);
  });

  test('inserts RowBinary byte by byte', async () => {
    // A row that begins with a line break and holds every byte.
    const text = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
    const row = Buffer.alloc(8 + 2 + 256);
    row.writeBigInt64LE(10n);
    row.set([0x80, 0x02], 8);
    text.copy(row, 10);
    await client.exec({
      query: 'INSERT INTO t FORMAT RowBinary',
      values: Readable.from([row, row], { objectMode: false }),
    });
    expect(await rows('SELECT a, hex(b) AS h FROM t')).toEqual(
      Array(2).fill({ a: 10, h: text.toString('hex').toUpperCase() }),
    );
  });

  test('takes statement and binary data in one body, and VALUES with expressions', async () => {
    const row = Buffer.from([0x0a, 0, 0, 0, 0, 0, 0, 0, 1, 0x0a]);
    expect((await post({}, Buffer.concat([Buffer.from('INSERT INTO t FORMAT RowBinary\n'), row]))).status).toBe(200);
    await client.command({ query: "INSERT INTO t (b, a) VALUES (concat('a', 'ü'), 1 + 1), ('; DROP TABLE t', 3)" });
    await client.command({ query: 'INSERT INTO t SELECT number, toString(number) FROM numbers(4, 1)' });
    expect(await rows('SELECT * FROM t ORDER BY a')).toEqual([
      { a: 2, b: 'aü' },
      { a: 3, b: '; DROP TABLE t' },
      { a: 4, b: '4' },
      { a: 10, b: '\n' },
    ]);
  });

  test('binds parameters of any text', async () => {
    const texts = ["'", '\\', '\t', '\n', "\\'", '\u0000', '✓', '{a:String}', '', "'; DROP TABLE t; --"];
    for (const text of texts) {
      expect(await rows('SELECT {s:String} AS s, {l:Array(String)} AS l', { s: text, l: [text, text] })).toEqual([
        { s: text, l: [text, text] },
      ]);
    }
    expect(await rows('SELECT {n:Nullable(Int64)} AS n', { n: null })).toEqual([{ n: null }]);
  });

  test('gets ClickHouse’s own error codes', async () => {
    const code = (query: string, clickhouse_settings = {}) =>
      client.query({ query, clickhouse_settings }).then(
        () => 'none',
        (error: { code?: string }) => error.code,
      );
    expect(await code('SELEC 1')).toBe('62');
    expect(await code('SELECT * FROM nowhere')).toBe('60');
    expect(await code('SELECT nothing')).toBe('47');
    expect(await code('SELECT 1; SELECT 2')).toBe('62');
    expect(await code('SELECT groupArray(number) FROM numbers(100000000)')).toBe('241');
    expect(await code('SELECT sum(sleepEachRow(0.1)) FROM numbers(100)', { max_execution_time: 1 })).toMatch(
      /^(159|160)$/,
    );
    expect(await code('SELECT * FROM numbers(100000000)')).toBe('396');
    expect(await code('SELECT 1', { no_such_setting: 1 })).toBe('115');
    expect(await code('SELECT 1', { 'a=1, b': 1 })).toBe('115');
    const elsewhere = createClient({ url: `${server.url}/nowhere`, password, log: { level: ClickHouseLogLevel.OFF } });
    await expect(elsewhere.query({ query: 'SELECT 1' })).rejects.toMatchObject({ code: '81' });
    await elsewhere.close();
    // A failed statement leaves nothing behind: the next ones on the same connection work.
    expect(await rows('SELECT 1 AS x')).toEqual([{ x: 1 }]);
  });

  test('settings, parameters and databases of one request are gone in the next', async () => {
    const query = "SELECT getSetting('max_block_size') AS m, currentDatabase() AS d";
    const before = await rows(query);
    await client.command({ query: 'CREATE DATABASE IF NOT EXISTS other' });
    const other = connect(`${server.url}/other`, { max_block_size: '7' });
    const changed = await other.query({
      query: `${query}, {x:String} AS x`,
      query_params: { x: 'y' },
      format: 'JSONEachRow',
    });
    expect(await changed.json()).toEqual([{ m: 7, d: 'other', x: 'y' }]);
    await other.close();
    expect(await rows(query)).toEqual(before);
    await expect(rows('SELECT {x:String}')).rejects.toMatchObject({ code: '456' });
  });
});

describe('sessions', () => {
  const inSession = (id: string, body: string, more = {}) => post({ session_id: id, ...more }, body);

  test('keep temporary tables and SET, but not the settings of one request', async () => {
    await inSession('s1', 'CREATE TEMPORARY TABLE mine (a Int64)');
    await inSession('s1', 'SET max_block_size = 5');
    const seen = await inSession('s1', "SELECT getSetting('max_block_size'), getSetting('max_insert_block_size')", {
      max_block_size: '9',
      max_insert_block_size: '11',
    });
    expect(await seen.text()).toBe('9\t11\n');
    const after = await inSession(
      's1',
      "SELECT getSetting('max_block_size'), getSetting('max_insert_block_size') = 11",
    );
    expect(await after.text()).toBe('5\t0\n');
    expect((await inSession('s1', 'SELECT count() FROM mine')).status).toBe(200);
    expect((await inSession('s2', 'SELECT count() FROM mine')).status).toBe(404);
  });

  test('one request at a time, and they expire', async () => {
    const first = inSession('s3', 'SELECT sleep(1)', { session_timeout: '1' });
    await until('the session is locked', async () => {
      const answer = await inSession('s3', 'SELECT 1', { session_timeout: '1' });
      return (await answer.text()).includes('Code: 373');
    });
    expect((await first).status).toBe(200);
    await until('the session has expired', async () => {
      await wait(1_100);
      const answer = await inSession('s3', 'SELECT 1', { session_check: '1', session_timeout: '1' });
      return (await answer.text()).includes('Code: 372');
    });
  });
});

describe('bounds', () => {
  test('a body that unpacks past the limit is refused, and leaves no file', async () => {
    const bomb = gzipSync(Buffer.alloc(65 * 1024 * 1024));
    const query = "INSERT INTO FUNCTION null('a String') FORMAT RowBinary";
    const answer = await post({ query }, bomb, { 'content-encoding': 'gzip' });
    expect(answer.status).toBe(413);
    expect(await answer.text()).toContain('Code: 311');
    expect((await post({}, bomb, { 'content-encoding': 'gzip' })).status).toBe(413);
    expect(await readdir(join(folder, 'data', 'spool'))).toEqual([]);
  });

  test('broken and unknown compression', async () => {
    expect(await (await post({}, 'SELECT 1', { 'content-encoding': 'gzip' })).text()).toContain('Code: 271');
    expect((await post({}, 'SELECT 1', { 'content-encoding': 'x' })).status).toBe(501);
    expect((await post({ decompress: '1' }, 'SELECT 1')).status).toBe(501);
  });

  test('more than the queue holds is refused, everything else is answered', async () => {
    // Seven have the places, until their statements are there in full: nothing ends while the others come.
    const url = `${server.url}/`;
    const headers = { 'x-clickhouse-key': password, expect: '100-continue' };
    const inside = Array.from({ length: 7 }, () => request(url, { method: 'POST', headers }));
    const answered = inside.map(async (req) => ((await once(req, 'response')) as [IncomingMessage])[0].resume());
    for (const req of inside) req.flushHeaders();
    await Promise.all(inside.map((req) => once(req, 'continue')));

    const refused: Response[] = [];
    const others = Array.from({ length: 253 }, async () => {
      const answer = await post({}, 'SELECT sleep(0.02)');
      if (answer.status === 503) refused.push(answer);
      return answer.status;
    });
    await until('the rest is refused', () => refused.length === 53);
    for (const req of inside) req.end('SELECT 1');
    const statuses = [...(await Promise.all(others)), ...(await Promise.all(answered)).map((a) => a.statusCode)];
    expect(statuses.filter((status) => status === 200)).toHaveLength(207);
    expect(refused).toHaveLength(53);
    expect(refused.map((answer) => answer.headers.get('retry-after'))).toEqual(refused.map(() => '1'));
  });

  test('an insert waits for no question', async () => {
    await client.command({ query: 'CREATE OR REPLACE TABLE t (a Int64) ENGINE = MergeTree ORDER BY a' });
    const gone = new AbortController();
    const query = 'SELECT count() FROM numbers(3000000000000) WHERE number % 7 = 3';
    const asked = connect(server.url, { max_threads: 1 });
    const answers = Array.from({ length: 9 }, () => asked.query({ query, abort_signal: gone.signal }).catch(() => {}));
    try {
      // Would not come back before they end, which they do not.
      await client.exec({ query: 'INSERT INTO t FORMAT TSV', values: Readable.from(['1\n'], { objectMode: false }) });
    } finally {
      gone.abort();
      await Promise.all(answers);
      await asked.close();
    }
    expect(await rows('SELECT count() AS n FROM t')).toEqual([{ n: 1 }]);
  });

  test('a reader that goes away ends its statement', async () => {
    const controller = new AbortController();
    const query = 'SELECT count() FROM numbers(1000000000000) WHERE number % 7 = 3';
    const answer = client.query({ query, abort_signal: controller.signal });
    const running = async () =>
      (await rows('SELECT query FROM system.processes')).some((r) => JSON.stringify(r).includes('1000000000000'));
    await until('the statement runs', running);
    controller.abort();
    await expect(answer).rejects.toThrow();
    await until('the statement ended', async () => !(await running()));
  });
});

test('short statements beside a long one leave no connections behind', async () => {
  const controller = new AbortController();
  const long = client
    .query({
      query: 'SELECT count() FROM numbers(2000000000000) WHERE number % 7 = 3',
      abort_signal: controller.signal,
    })
    .catch(() => {});
  const tracked = async () =>
    Number(
      (await rows<{ value: number }>("SELECT value FROM system.metrics WHERE metric = 'MemoryTracking'"))[0]!.value,
    );
  const before = await tracked();
  for (let i = 0; i < 200; i++) await post({}, 'SELECT 1');
  // A connection that stays takes about a megabyte.
  expect(await tracked()).toBeLessThan(before + 100 * 1024 * 1024);
  controller.abort();
  await long;
});

describe('the process', () => {
  test('loses nothing acknowledged under kill -9, and goes on with the same folder', async () => {
    const data = join(folder, 'killed');
    const acknowledged: number[] = [];
    for (let round = 0; round < 3; round++) {
      const running = await start(data);
      const c = connect(running.url);
      await c.command({ query: 'CREATE TABLE IF NOT EXISTS t (a Int64) ENGINE = MergeTree ORDER BY a' });
      const stored = await c.query({ query: 'SELECT DISTINCT a FROM t', format: 'JSONCompactEachRow' });
      const found = new Set((await stored.json<[number]>()).map(([a]) => a));
      expect(acknowledged.filter((a) => !found.has(a))).toEqual([]);
      const goal = acknowledged.length + 20;
      const writers = [0, 1, 2].map(async (writer) => {
        for (let i = 0; ; i++) {
          const a = round * 1_000_000 + writer * 100_000 + i;
          await c.insert({ table: 't', values: [{ a }], format: 'JSONEachRow' });
          acknowledged.push(a);
          if (acknowledged.length >= goal) running.child.kill('SIGKILL');
        }
      });
      const outcomes = await Promise.allSettled(writers);
      expect(outcomes.every((o) => o.status === 'rejected')).toBe(true);
      await ended(running.child);
      await c.close();
    }
    expect(acknowledged.length).toBeGreaterThanOrEqual(60);
  });

  test('SIGTERM ends it with 0, also with a statement running', async () => {
    const running = await start(join(folder, 'terminated'));
    const c = connect(running.url);
    const query = c.query({ query: 'SELECT count() FROM numbers(1000000000000) WHERE number % 7 = 3' }).catch(() => {});
    await until('the statement runs', async () => {
      const r = await c.query({ query: 'SELECT count() > 1 AS x FROM system.processes', format: 'JSONEachRow' });
      return (await r.json<{ x: number }>())[0]!.x === 1;
    });
    running.child.kill('SIGTERM');
    expect(await ended(running.child)).toEqual([0, null]);
    await query;
    await c.close();
  });

  test('ends when its parent lets go of the pipe', async () => {
    const running = await start(join(folder, 'orphan'));
    running.child.stdin!.destroy();
    expect(await ended(running.child)).toEqual([0, null]);
  });

  test('a folder in use and a port in use are clear failures', async () => {
    await expect(start(join(folder, 'data'))).rejects.toThrow(/exit 1: .*already running/s);
    const port = new URL(server.url).port;
    await expect(start(join(folder, 'second'), '--port', port)).rejects.toThrow(/exit 1: .*EADDRINUSE/);
    expect(await client.ping()).toEqual({ success: true });
  });
});
