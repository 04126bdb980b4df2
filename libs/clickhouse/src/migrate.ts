import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { AppError, type Logger } from '@worktide/runtime';
import { type ClickHouse, createClickHouse, parseClickHouseUrl } from './client.ts';
import { refuseCluster } from './cluster.ts';
import { mapClickHouseError } from './errors.ts';
import { splitStatements } from './sql.ts';
import { viewsOf } from './views.ts';

interface MigrationFile {
  name: string;
  statements: string[];
  checksum: string;
}

async function readMigrations(folder: string, database: string): Promise<MigrationFile[]> {
  const names = (await readdir(folder)).filter((name) => name.endsWith('.sql')).sort();
  return Promise.all(
    names.map(async (name) => {
      if (!/^\d{4}_[a-z0-9_]+\.sql$/.test(name)) {
        throw new AppError('MIGRATION_FAILED', `${name} is not a migration's name: 0001_some_words.sql.`);
      }
      // A checkout on Windows may turn line ends: the same migration all the same.
      const text = (await readFile(join(folder, name), 'utf8')).replaceAll('\r\n', '\n');
      const statements = splitStatements(
        text.replace(/\$\{database\}/g, database).replace(/\$\{views\}/g, viewsOf(database)),
      );
      return { name, statements, checksum: createHash('sha256').update(text).digest('hex') };
    }),
  );
}

/**
 * Makes the URL's database where missing and applies the `0001_name.sql` files not applied yet, in order; what was
 * applied stands in the table `migrations`. ClickHouse has neither transactions over DDL nor locks: each statement
 * must be one that may run again (`IF NOT EXISTS`), since a run that failed half-way starts its file over, and two
 * runs at once may both apply it. `${database}` in a file is the name of the database, `${views}` that of its views.
 * @returns names of the files applied now.
 * @throws AppError `MIGRATION_EDITED` (an applied file has changed), `MIGRATION_OUT_OF_ORDER` (a new file sorts before
 *   an applied one), `BAD_CONFIGURATION` for a cluster (`refuseCluster`), `MIGRATION_FAILED` (file and statement in the cause), 503 when the server is away.
 */
export async function migrateClickHouse(url: string, folder: string, options: { log: Logger }): Promise<string[]> {
  const { log } = options;
  const target = parseClickHouseUrl(url);
  const database = decodeURIComponent(target.pathname.slice(1)) || 'default';
  if (!/^[A-Za-z_]\w*$/.test(database)) throw new AppError('BAD_CONFIGURATION', `${database} is not a database name.`);
  const files = await readMigrations(folder, database);

  const server = new URL(target);
  server.pathname = '/default';
  await withClient(server.href, log, async (admin) => {
    await refuseCluster(admin);
    await admin.command(`CREATE DATABASE IF NOT EXISTS ${database}`);
  });
  return withClient(url, log, async (clickhouse) => {
    await clickhouse.command(
      `CREATE TABLE IF NOT EXISTS migrations
         (name String, checksum String, applied_at DateTime64(3, 'UTC') DEFAULT now64(3))
       ENGINE = MergeTree ORDER BY name`,
    );
    const rows = await clickhouse.query<{ name: string; checksum: string }>('SELECT name, checksum FROM migrations');
    const known = new Map(rows.map((row) => [row.name, row.checksum]));
    const last = [...known.keys()].sort().at(-1) ?? '';
    const applied: string[] = [];
    for (const file of files) {
      const before = known.get(file.name);
      if (before === file.checksum) continue;
      if (before !== undefined) {
        throw new AppError(
          'MIGRATION_EDITED',
          `${file.name} was changed after it was applied; add a new file instead.`,
        );
      }
      if (file.name < last) {
        throw new AppError('MIGRATION_OUT_OF_ORDER', `${file.name} sorts before ${last}, applied already.`);
      }
      await apply(clickhouse, file);
      log.info({ database, migration: file.name }, 'migration applied');
      applied.push(file.name);
    }
    return applied;
  });
}

async function apply(clickhouse: ClickHouse, file: MigrationFile): Promise<void> {
  for (const [index, statement] of file.statements.entries()) {
    try {
      await clickhouse.command(statement);
    } catch (error) {
      if (mapClickHouseError(error) instanceof AppError) throw error;
      throw new AppError('MIGRATION_FAILED', `Statement ${index + 1} of ${file.name} failed.`, { cause: error });
    }
  }
  const row = Buffer.from(`${JSON.stringify({ name: file.name, checksum: file.checksum })}\n`);
  await clickhouse.insert({ table: 'migrations', columns: ['name', 'checksum'], format: 'JSONEachRow', data: [row] });
}

async function withClient<T>(url: string, log: Logger, fn: (clickhouse: ClickHouse) => Promise<T>): Promise<T> {
  const clickhouse = createClickHouse(url, { log, application: 'worktide-migrations' });
  try {
    return await fn(clickhouse);
  } finally {
    await clickhouse.close();
  }
}
