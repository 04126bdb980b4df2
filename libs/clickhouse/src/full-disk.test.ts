import { expect, test } from '@jest/globals';
import { smallDisk, startClickHouse } from '@worktide/backends';
import { silentLogger } from '@worktide/runtime';
import { createClickHouse } from './index.ts';

test('a full disk is 503 STORAGE_FULL until there is room again; reads go on', async () => {
  const disk = await smallDisk(64);
  const server = await startClickHouse({ dir: `${disk.dir}/clickhouse` });
  const clickhouse = createClickHouse(server.url, { log: silentLogger() });
  try {
    await clickhouse.command('CREATE TABLE t (a UInt64, b String) ENGINE = MergeTree ORDER BY a');
    const write = () => clickhouse.command('INSERT INTO t SELECT number, randomString(1000) FROM numbers(2000)');
    const count = () => clickhouse.query('SELECT toUInt32(count()) AS n FROM t');
    await write();
    await disk.fill();
    await expect(write()).rejects.toMatchObject({ code: 'STORAGE_FULL', statusCode: 503, retryAfterSeconds: 30 });
    // Where what is sent waits in a file before it is stored, too.
    const data = Array.from({ length: 5_000 }, (_, a) =>
      Buffer.from(`${JSON.stringify({ a, b: 'x'.repeat(1_000) })}\n`),
    );
    const insert = clickhouse.insert({ table: 't', columns: ['a', 'b'], format: 'JSONEachRow', data });
    // Never a fault of the rows. Which 503 it is depends on whether all was sent before the answer came.
    await expect(insert).rejects.toMatchObject({ statusCode: 503 });
    expect(await count()).toEqual([{ n: 2000 }]);
    await disk.free();
    await write();
    expect(await count()).toEqual([{ n: 4000 }]);
  } finally {
    await clickhouse.close();
    await server.stop();
    await disk.remove();
  }
});
