import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { AppError, type Logger, sleep } from '@worktide/runtime';
import pg from 'pg';
import { mapPostgresError } from './errors.ts';
import { verifiedUrl } from './url.ts';

export interface MigrateOptions {
  /** A superuser, or a role that may create roles and schemas in this database. */
  adminUrl: string;
  /** Schema and role of one service; the role owns its schema, and has nothing anywhere else. */
  service: { schema: string; role: string; password: string };
  /** Folder of `0001_name.sql` files. */
  folder: string;
  /** Extensions the files need; created by the administrator in `public`. */
  extensions?: string[];
  /** Also make the table of `createOutbox`. */
  outbox?: boolean;
  log: Logger;
}

/** A statement of a single-query connection outlives this only when the role's server default is changed on purpose. */
const roleStatementTimeout = '30s';
/** A process that died with an open transaction holds its locks no longer than this. */
const roleIdleTimeout = '60s';
/** A migration that cannot get its lock fails rather than queue every request of the service behind itself. */
const migrationLockTimeout = '10s';

const outboxFolder = fileURLToPath(new URL('../migrations/outbox', import.meta.url));

/**
 * Makes role and schema where missing, sets the role's password, and applies the SQL files not yet applied, in order,
 * each in one transaction, as the service's role. Several may run at once: each file is applied by one of them.
 * @returns names of the files applied now.
 * @throws AppError `MIGRATION_EDITED` (an applied file has changed), `MIGRATION_OUT_OF_ORDER` (a new file sorts before
 *   an applied one), `MIGRATION_FAILED` (file and reason in the cause; the file left nothing behind), 503 when the
 *   database is away.
 */
export async function migrate(options: MigrateOptions): Promise<string[]> {
  const { adminUrl, service, folder, outbox = false, log } = options;
  const sets = [...(outbox ? [{ prefix: 'outbox/', folder: outboxFolder }] : []), { prefix: '', folder }];
  const client = new pg.Client({ connectionString: verifiedUrl(adminUrl), connectionTimeoutMillis: 10_000 });
  client.on('error', (error) => log.warn({ err: error }, 'postgres: connection of the migration lost'));
  const applied: string[] = [];
  try {
    await client.connect();
    await prepare(client, options);
    for (const set of sets) {
      const files = await readMigrations(set.folder, set.prefix);
      for (const file of files) {
        if (await applyOne(client, service, set.prefix, file)) {
          log.info({ schema: service.schema, migration: file.name }, 'migration applied');
          applied.push(file.name);
        }
      }
    }
    return applied;
  } catch (error) {
    throw mapPostgresError(error);
  } finally {
    await client.end().catch(() => {});
  }
}

/**
 * The role of `tenantTransaction`. It owns nothing, so row-level security holds for it; the service's own role owns the
 * tables and is free of it, for migrations, sweeps and whatever begins without a tenant.
 */
const tenantRole = (role: string): string => `${role}_tenant`;

interface MigrationFile {
  name: string;
  sql: string;
  checksum: string;
}

async function readMigrations(folder: string, prefix: string): Promise<MigrationFile[]> {
  const names = (await readdir(folder)).filter((name) => name.endsWith('.sql')).sort();
  return Promise.all(
    names.map(async (name) => {
      if (!/^\d{4}_[a-z0-9_]+\.sql$/.test(name)) {
        throw new AppError('MIGRATION_FAILED', `${name} is not a migration's name: 0001_some_words.sql.`);
      }
      // A checkout on Windows may turn line ends: the same migration all the same.
      const sql = (await readFile(join(folder, name), 'utf8')).replaceAll('\r\n', '\n');
      return { name: prefix + name, sql, checksum: createHash('sha256').update(sql).digest('hex') };
    }),
  );
}

async function prepare(client: pg.Client, { service, extensions = [] }: MigrateOptions): Promise<void> {
  const { schema, role, password } = service;
  for (const name of [schema, tenantRole(role), ...extensions]) {
    if (!/^[a-z][a-z0-9_]{0,62}$/.test(name)) throw new AppError('MIGRATION_FAILED', `${name} is not a plain name.`);
  }
  // Roles belong to the cluster, advisory locks to a database: migrations of two databases meet here, and retry.
  await retryConcurrentUpdate(async () => {
    const { rowCount } = await client.query('SELECT 1 FROM pg_roles WHERE rolname = $1', [role]);
    if (!rowCount) await client.query(`CREATE ROLE ${role} LOGIN`);
    const { rowCount: tenants } = await client.query('SELECT 1 FROM pg_roles WHERE rolname = $1', [tenantRole(role)]);
    if (!tenants) await client.query(`CREATE ROLE ${tenantRole(role)} NOLOGIN`);
    await client.query(`GRANT ${tenantRole(role)} TO ${role}`);
    await client.query(`ALTER ROLE ${role} LOGIN PASSWORD ${client.escapeLiteral(password)}`);
    const { rows } = await client.query<{ super: boolean }>(
      'SELECT rolsuper AS super FROM pg_roles WHERE rolname = current_user',
    );
    if (!rows[0]!.super) await client.query(`GRANT ${role} TO CURRENT_USER`);
  });
  await inLockedTransaction(client, schema, async () => {
    const { rows } = await client.query<{ name: string }>('SELECT quote_ident(current_database()) AS name');
    const database = rows[0]!.name;
    for (const extension of extensions) await client.query(`CREATE EXTENSION IF NOT EXISTS ${extension} SCHEMA public`);
    await client.query(`CREATE SCHEMA IF NOT EXISTS ${schema} AUTHORIZATION ${role}`);
    // Defaults of the role on the server: they hold behind a pooler too, where a client's own settings would leak.
    const settings = `ALTER ROLE ${role} IN DATABASE ${database} SET`;
    await client.query(`${settings} search_path = ${schema}, public`);
    await client.query(`${settings} statement_timeout = '${roleStatementTimeout}'`);
    await client.query(`${settings} idle_in_transaction_session_timeout = '${roleIdleTimeout}'`);
    await client.query(`SET LOCAL ROLE ${role}`);
    // Into the schema, but into none of its tables: a migration grants those it has put a policy on.
    await client.query(`GRANT USAGE ON SCHEMA ${schema} TO ${tenantRole(role)}`);
    await client.query(
      `CREATE TABLE IF NOT EXISTS ${schema}.migrations
         (name text PRIMARY KEY, checksum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())`,
    );
  });
}

async function applyOne(
  client: pg.Client,
  { schema, role }: MigrateOptions['service'],
  prefix: string,
  file: MigrationFile,
): Promise<boolean> {
  return inLockedTransaction(client, schema, async () => {
    const { rows } = await client.query<{ name: string; checksum: string }>(
      `SELECT name, checksum FROM ${schema}.migrations`,
    );
    const before = rows.find((row) => row.name === file.name);
    if (before?.checksum === file.checksum) return false;
    if (before) {
      throw new AppError('MIGRATION_EDITED', `${file.name} was changed after it was applied; add a new file instead.`);
    }
    const later = rows.find((row) => setOf(row.name) === prefix && row.name > file.name);
    if (later) {
      throw new AppError('MIGRATION_OUT_OF_ORDER', `${file.name} sorts before ${later.name}, applied already.`);
    }
    await client.query(
      `SET LOCAL lock_timeout = '${migrationLockTimeout}'; SET LOCAL ROLE ${role};
       SET LOCAL search_path = ${schema}, public`,
    );
    try {
      await client.query(file.sql);
    } catch (error) {
      throw new AppError('MIGRATION_FAILED', `${file.name} failed and was rolled back.`, { cause: error });
    }
    await client.query(`INSERT INTO ${schema}.migrations (name, checksum) VALUES ($1, $2)`, [file.name, file.checksum]);
    return true;
  });
}

// Each set of files is ordered by itself: the outbox's may gain one after the service's.
const setOf = (name: string): string => name.slice(0, name.indexOf('/') + 1);

async function inLockedTransaction<T>(client: pg.Client, schema: string, fn: () => Promise<T>): Promise<T> {
  await client.query('BEGIN');
  try {
    await client.query("SELECT pg_advisory_xact_lock(hashtextextended('worktide migrations of ' || $1, 0))", [schema]);
    const result = await fn();
    await client.query('COMMIT');
    return result;
  } catch (error) {
    await client.query('ROLLBACK').catch(() => {});
    throw error;
  }
}

async function retryConcurrentUpdate(fn: () => Promise<void>): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await fn();
    } catch (error) {
      const { code, message } = error as { code?: string; message?: string };
      // duplicate_object, unique_violation, or the catalogue row changed under us (XX000 without a code of its own).
      const met = code === '42710' || code === '23505' || /tuple concurrently updated/.test(message ?? '');
      if (!met || attempt === 20) throw error;
      await sleep(10 + Math.random() * 40);
    }
  }
}
