import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { freshClickHouseDatabase } from '@worktide/backends';
import { silentLogger } from '@worktide/runtime';
import { createClickHouse } from './client.ts';
import { migrateClickHouse } from './migrate.ts';

const log = silentLogger();
let database: Awaited<ReturnType<typeof freshClickHouseDatabase>>;
let folder: string;
beforeEach(async () => {
  database = await freshClickHouseDatabase();
  folder = await mkdtemp(join(tmpdir(), 'migrations-'));
  // The migration makes the database itself.
  await database.drop();
});
afterEach(async () => {
  await database.drop();
  await rm(folder, { recursive: true, force: true });
});

const file = (name: string, sql: string): Promise<void> => writeFile(join(folder, name), sql);
const migrate = (): Promise<string[]> => migrateClickHouse(database.url, folder, { log });
async function query<T>(sql: string): Promise<T[]> {
  const clickhouse = createClickHouse(database.url, { log });
  try {
    return await clickhouse.query<T>(sql);
  } finally {
    await clickhouse.close();
  }
}
const create = (table: string): string =>
  `CREATE TABLE IF NOT EXISTS ${table} (a Int64) ENGINE = MergeTree ORDER BY a;\n`;

test('applies files in order, once, statement by statement', async () => {
  await file('0002_b.sql', `-- two; statements\n${create('b')}INSERT INTO b SELECT a + 1 FROM a;`);
  await file('0001_a.sql', `${create('a')}INSERT INTO a VALUES (1);`);
  await file('notes.txt', 'not SQL');
  expect(await migrate()).toEqual(['0001_a.sql', '0002_b.sql']);
  expect(await migrate()).toEqual([]);
  await file('0003_c.sql', create('c'));
  expect(await migrate()).toEqual(['0003_c.sql']);
  expect(await query('SELECT a FROM b')).toEqual([{ a: 2 }]);
});

test('a file may name the database, and that of its views', async () => {
  await file(
    '0001_a.sql',
    `CREATE DATABASE IF NOT EXISTS \${views};
    CREATE VIEW IF NOT EXISTS \${views}.a AS SELECT name FROM \${database}.migrations;`,
  );
  await migrate();
  const name = new URL(database.url).pathname.slice(1);
  expect(await query(`SELECT name FROM ${name}_v1.a`)).toEqual([{ name: '0001_a.sql' }]);
  expect(await migrate()).toEqual([]);
});

test('a file that fails half-way names itself, and starts over once mended', async () => {
  await file('0001_a.sql', `${create('a')}SELEC 1;`);
  await expect(migrate()).rejects.toMatchObject({
    code: 'MIGRATION_FAILED',
    message: 'Statement 2 of 0001_a.sql failed.',
  });
  await file('0001_a.sql', create('a'));
  expect(await migrate()).toEqual(['0001_a.sql']);
});

test('refuses an edited file, one that comes too late, and a bad name', async () => {
  await file('0002_b.sql', create('b'));
  await migrate();
  await file('0002_b.sql', create('b2'));
  await expect(migrate()).rejects.toMatchObject({ code: 'MIGRATION_EDITED' });
  await file('0002_b.sql', create('b').replaceAll('\n', '\r\n'));
  expect(await migrate()).toEqual([]);
  await file('0001_a.sql', create('a'));
  await expect(migrate()).rejects.toMatchObject({ code: 'MIGRATION_OUT_OF_ORDER' });
  await file('3_c.sql', create('c'));
  await expect(migrate()).rejects.toMatchObject({ code: 'MIGRATION_FAILED' });
});

test('several at once do no harm', async () => {
  await file('0001_a.sql', create('a'));
  await Promise.all([migrate(), migrate(), migrate()]);
  expect(await migrate()).toEqual([]);
  expect(await query('SELECT uniqExact(name) AS n FROM migrations')).toEqual([{ n: 1 }]);
});

test('a server that is away is 503', async () => {
  await file('0001_a.sql', create('a'));
  await expect(migrateClickHouse('http://127.0.0.1:9/d', folder, { log })).rejects.toMatchObject({ statusCode: 503 });
});
