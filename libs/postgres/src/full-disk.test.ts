import { expect, test } from '@jest/globals';
import { smallDisk, startPostgres } from '@worktide/backends';
import { silentLogger } from '@worktide/runtime';
import { createPool, transaction } from './index.ts';

test('a full disk is 503 STORAGE_FULL until there is room again; reads go on', async () => {
  const disk = await smallDisk(160);
  const postgres = await startPostgres({ dir: `${disk.dir}/postgres` });
  const pool = createPool(postgres.url, { applicationName: 'full-disk-test', log: silentLogger() });
  try {
    await pool.query('CREATE TABLE things (text text)');
    const write = () =>
      transaction(pool, (client) =>
        client.query('INSERT INTO things SELECT repeat(md5(n::text), 30) FROM generate_series(1, 2000) n'),
      );
    await write();
    await disk.fill();
    // The segments of its write-ahead log are there already: it is the table that cannot grow.
    await expect(write()).rejects.toMatchObject({ code: 'STORAGE_FULL', statusCode: 503, retryAfterSeconds: 30 });
    expect((await pool.query('SELECT count(*) AS n FROM things')).rows).toEqual([{ n: 2000 }]);
    await disk.free();
    await write();
    expect((await pool.query('SELECT count(*) AS n FROM things')).rows).toEqual([{ n: 4000 }]);
  } finally {
    await pool.end();
    await postgres.stop();
    await disk.remove();
  }
});
