import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { freshClickHouseDatabase } from '@worktide/backends';
import { silentLogger } from '@worktide/runtime';
import { type ClickHouse, type ClickHouseOptions, createClickHouse } from './client.ts';
import { resultIsTooLarge } from './errors.ts';

const log = silentLogger();
const opened: ClickHouse[] = [];
const open = (url: string, options: Partial<ClickHouseOptions> = {}): ClickHouse => {
  const clickhouse = createClickHouse(url, { log, ...options });
  opened.push(clickhouse);
  return clickhouse;
};
const late = { code: 'DEPENDENCY_TIMEOUT', statusCode: 503 };
const away = { code: 'DEPENDENCY_UNAVAILABLE', statusCode: 503 };

let database: Awaited<ReturnType<typeof freshClickHouseDatabase>>;
let clickhouse: ClickHouse;
beforeAll(async () => {
  database = await freshClickHouseDatabase();
  clickhouse = open(database.url);
  await clickhouse.command('CREATE TABLE t (a Int64, b String) ENGINE = MergeTree ORDER BY a');
});
afterAll(async () => {
  await database.drop();
  await Promise.all(opened.map((c) => c.close()));
});

describe.each([false, true])('with compression %s', (compress) => {
  test('inserts chunks of bytes and asks with parameters', async () => {
    const client = open(database.url, { compress });
    const row = (a: bigint, b: string): Buffer => {
      const bytes = Buffer.alloc(9);
      bytes.writeBigInt64LE(a);
      bytes[8] = Buffer.byteLength(b);
      return Buffer.concat([bytes, Buffer.from(b)]);
    };
    const bytes = Buffer.concat([row(10n, 'x\n\0'), row(11n, 'ü')]);
    const data = [bytes.subarray(0, 5), bytes.subarray(5)];
    await client.insert({ table: 't', columns: ['a', 'b'], format: 'RowBinary', data });
    const rows = await client.query('SELECT * FROM t WHERE b IN {b:Array(String)} ORDER BY a', {
      params: { b: ['x\n\0', 'ü'] },
    });
    expect(rows).toEqual([
      { a: 10, b: 'x\n\0' },
      { a: 11, b: 'ü' },
    ]);
    await client.command('TRUNCATE TABLE t');
  });
});

describe.each([false, true])('an answer as it comes, with compression %s', (compress) => {
  const collect = async (client: ClickHouse, sql: string, settings = {}, signal?: AbortSignal): Promise<string> => {
    let text = '';
    const options = { params: { n: 3 }, settings, ...(signal ? { signal } : {}) };
    for await (const chunk of client.stream(sql, 'JSONCompactEachRow', options)) text += chunk;
    return text;
  };

  test('is in the format asked for, and never ends in the middle of a failure', async () => {
    const client = open(database.url, { compress });
    expect(await collect(client, 'SELECT toUInt8(number), 1 FROM numbers({n:UInt8})')).toBe('[0, 1]\n[1, 1]\n[2, 1]\n');
    // It fails after a million rows, when much of the answer is there.
    const failing = 'SELECT throwIf(number = 1000000) FROM numbers(2000000)';
    let came = 0;
    const reading = (async () => {
      for await (const chunk of client.stream(failing, 'JSONCompactEachRow')) came += chunk.length;
    })();
    await expect(reading).rejects.toMatchObject({ code: '395' });
    expect(came).toBe(0);
    const aborted = AbortSignal.abort();
    await expect(collect(client, 'SELECT 1', {}, aborted)).rejects.toMatchObject({ code: 'REQUEST_ABORTED' });
    const large = await collect(client, 'SELECT number FROM numbers(1000)', { max_result_bytes: '10' }).catch((e) => e);
    expect([resultIsTooLarge(large), resultIsTooLarge(new Error('x'))]).toEqual([true, false]);
    const nobody = collect(open('http://127.0.0.1:9/none', { compress }), 'SELECT 1');
    await expect(nobody).rejects.toMatchObject(away);
  });
});

describe('what may succeed later is 503', () => {
  const gone = 'http://default:@127.0.0.1:9/default';
  test('nobody listens', async () => {
    const client = open(gone);
    await expect(client.check()).rejects.toMatchObject(away);
    await expect(client.query('SELECT 1')).rejects.toMatchObject(away);
    await expect(client.command('SELECT 1')).rejects.toMatchObject(away);
    const insert = { table: 't', columns: ['a'], format: 'RowBinary', data: [Buffer.alloc(8)] };
    await expect(client.insert(insert)).rejects.toMatchObject(away);
  });

  test('a wrong password, a missing database or table', async () => {
    const wrong = new URL(database.url);
    wrong.password = 'wrong';
    await expect(open(wrong.href).check()).rejects.toMatchObject(away);
    const missing = new URL(database.url);
    missing.pathname = '/nowhere';
    await expect(open(missing.href).check()).rejects.toMatchObject(away);
    await expect(clickhouse.query('SELECT * FROM nowhere')).rejects.toMatchObject(away);
  });

  test('too slow, too large, cancelled by us', async () => {
    const endless = 'SELECT count() FROM numbers(1000000000000) WHERE number % 7 = 3';
    await expect(open(database.url, { requestTimeoutMs: 300 }).query(endless)).rejects.toMatchObject(late);
    await expect(clickhouse.query(endless, { settings: { max_execution_time: 1 } })).rejects.toMatchObject(late);
    const gone = AbortSignal.timeout(100);
    await expect(clickhouse.query(endless, { signal: gone })).rejects.toMatchObject({ code: 'REQUEST_ABORTED' });
    const greedy = 'SELECT groupArray(number) FROM numbers(10000000)';
    await expect(clickhouse.query(greedy, { settings: { max_memory_usage: '1000000' } })).rejects.toMatchObject(away);
  });

  test('a proxy that answers for the server', async () => {
    const proxy = createServer((_req, res) => res.writeHead(502).end('<html>Bad Gateway</html>'));
    await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
    const { port } = proxy.address() as AddressInfo;
    const client = open(`http://127.0.0.1:${port}/default`);
    await expect(client.query('SELECT 1')).rejects.toMatchObject(away);
    await expect(client.check()).rejects.toMatchObject(away);
    await client.close();
    await new Promise((resolve) => proxy.close(resolve));
  });
});

describe('what can never succeed is not', () => {
  test.each([
    ['SELEC 1', '62'],
    ['SELECT nothing', '47'],
    ['SELECT {x:String}', '456'],
    ["INSERT INTO t (a) VALUES ('x')", '6'],
  ])('%s', async (sql, code) => {
    await expect(clickhouse.command(sql)).rejects.toMatchObject({ name: 'Error', code });
  });
});

test('a working server is ready, a bad URL is a configuration error without the password', async () => {
  await expect(clickhouse.check()).resolves.toBeUndefined();
  for (const url of ['clickhouse://u:hush@h/d', 'http://u:hush@h/a/b', 'http://u:hush@h/d?x=1', 'hush']) {
    expect(() => open(url)).toThrow(expect.objectContaining({ code: 'BAD_CONFIGURATION' }));
    expect(() => open(url)).not.toThrow(/hush/);
  }
});
