import { mkdir, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import type { Session } from 'chdb';
import { ClickHouseError, errorCodes } from './errors.ts';

export interface EngineOptions {
  /** Folder of this server alone; made when missing. */
  dataDir: string;
  /** Bytes all queries together may hold. */
  maxServerMemory: number;
  /** Bytes one query may hold. */
  maxQueryMemory: number;
  /** Bytes of one answer. */
  maxResultBytes: number;
  /** Seconds a statement may run; a request may ask for less, not for more. */
  maxExecutionSeconds: number;
}

export interface Run {
  sql: string;
  queryId: string;
  database: string | undefined;
  /** Settings of this request alone. */
  settings: Record<string, string>;
  /** Query parameters, in the escaped form of the HTTP interface. */
  params: Record<string, string>;
  /** Format of an answer whose statement names none. */
  defaultFormat: string;
}

export interface Outcome {
  bytes: Uint8Array;
  rowsRead: number;
  bytesRead: number;
  elapsedSeconds: number;
}

export interface Engine {
  readonly version: string;
  /** Where insert data waits for the engine; emptied at start. */
  readonly spoolDir: string;
  /** A connection with settings and temporary tables of its own; give it to `closeSession` when nothing runs on it. */
  openSession(): Session;
  closeSession(session: Session): void;
  run(session: Session, run: Run): Promise<Outcome>;
  /** Puts settings of a long-lived session back as they were. */
  restore(session: Session, names: string[], before: Record<string, string>): Promise<void>;
  /** The session's own values of the named settings, where they differ from the defaults. */
  changedSettings(session: Session, names: string[]): Promise<Record<string, string>>;
  cancel(queryId: string): Promise<void>;
  close(): Promise<void>;
}

/** What is used of chDB's native addon beside its JavaScript. */
interface Native {
  CloseConnection(connection: unknown): void;
}

/** A ClickHouse string literal. */
export const literal = (value: string): string => `'${value.replace(/\\/g, '\\\\').replace(/'/g, "\\'")}'`;

/**
 * Server configuration. `fsync_*`: the event log forgets what was acknowledged, so an acknowledged insert must
 * survive a power cut. The caches are small because the process shares a desk with everything else.
 */
const serverConfig = (options: EngineOptions): string => `<clickhouse>
  <max_server_memory_usage>${options.maxServerMemory}</max_server_memory_usage>
  <mark_cache_size>67108864</mark_cache_size>
  <index_mark_cache_size>16777216</index_mark_cache_size>
  <uncompressed_cache_size>0</uncompressed_cache_size>
  <mmap_cache_size>100</mmap_cache_size>
  <merge_tree>
    <fsync_after_insert>1</fsync_after_insert>
    <fsync_part_directory>1</fsync_part_directory>
  </merge_tree>
</clickhouse>
`;

/** Bounds of every statement, set before the request's own settings. */
const defaults = (options: EngineOptions): Record<string, string> => ({
  max_memory_usage: String(options.maxQueryMemory),
  max_execution_time: String(options.maxExecutionSeconds),
  max_result_bytes: String(options.maxResultBytes),
  result_overflow_mode: 'throw',
  // An insert is acknowledged when its part is on disk; chDB has no queue that could outlive a connection.
  async_insert: '0',
  // A laptop's questions are over before the machine code for them would be: compiling took longer than all else of a report.
  compile_expressions: '0',
  compile_aggregate_expressions: '0',
  compile_sort_description: '0',
});

const assignments = (settings: Record<string, string>): string =>
  Object.entries(settings)
    .map(([name, value]) => `${name} = ${literal(value)}`)
    .join(', ');

/**
 * chDB (ClickHouse as a library) behind the few calls the HTTP server needs. One per process: the library
 * binds one data folder, and its loading takes ~0.3 s.
 * @throws when the folder is in use by another process or cannot be made.
 */
export async function openEngine(options: EngineOptions): Promise<Engine> {
  const spoolDir = join(options.dataDir, 'spool');
  const dataPath = join(options.dataDir, 'engine');
  await mkdir(options.dataDir, { recursive: true });
  const configPath = join(options.dataDir, 'server.xml');
  await writeFile(configPath, serverConfig(options));

  // Loaded here, not at import: half a gigabyte of library that a caller with a bad flag never needs.
  const require = createRequire(import.meta.url);
  const chdb = require('chdb') as typeof import('chdb');
  const loader = require(join(dirname(require.resolve('chdb')), 'dist/loader.js')) as { loadNative(): Native };
  const native = loader.loadNative();
  // The first connection configures the process and keeps the folder bound; later ones share it.
  const keep = new chdb.Session(dataPath, { connectionArgs: [`--config-file=${configPath}`] });
  // Not before: until here the folder may have been another server's.
  await rm(spoolDir, { recursive: true, force: true });
  await mkdir(spoolDir);
  const text = async (session: Session, sql: string, format = 'TabSeparated'): Promise<string> =>
    (await session.queryAsync(sql, { format })).text();
  await text(keep, 'CREATE DATABASE IF NOT EXISTS default');
  const version = (await text(keep, 'SELECT version()')).trim();

  /** A statement's limit is the smaller of the request's and the server's; 0 means "no limit" to ClickHouse. */
  const withinLimits = (settings: Record<string, string>): Record<string, string> => {
    const bounded = { ...defaults(options), ...settings };
    for (const [name, most] of [
      ['max_execution_time', options.maxExecutionSeconds],
      ['max_memory_usage', options.maxQueryMemory],
      ['max_result_bytes', options.maxResultBytes],
    ] as const) {
      const asked = Number(bounded[name]);
      if (!(asked > 0 && asked <= most)) bounded[name] = String(most);
    }
    return bounded;
  };

  return {
    version,
    spoolDir,
    openSession: () => new chdb.Session(dataPath),
    closeSession(session) {
      // Session.close() puts the closing off until no statement runs on any connection: beside one long statement
      // idle connections, a megabyte each, would pile up until the memory limit kills it. Ours is idle: close it now.
      const { connection } = session;
      session.connection = null;
      if (connection) native.CloseConnection(connection);
      session.close();
    },
    async run(session, run) {
      for (const name of [...Object.keys(run.settings), ...Object.keys(run.params)]) {
        if (!/^[A-Za-z_][\w.]*$/.test(name)) {
          throw new ClickHouseError(errorCodes.UNKNOWN_SETTING, `Setting name ${literal(name)} is not a name`);
        }
      }
      if (run.database) await text(session, `USE \`${run.database.replace(/[\\`]/g, '\\$&')}\``);
      // The comment is how cancel() finds the statement: chDB makes query ids of its own.
      const settings = withinLimits({ ...run.settings, log_comment: run.queryId });
      const params = Object.fromEntries(Object.entries(run.params).map(([name, value]) => [`param_${name}`, value]));
      await text(session, `SET ${assignments({ ...settings, ...params })}`);
      const result = await session.queryAsync(run.sql, { format: run.defaultFormat });
      const bytes = result.bytes();
      // max_result_bytes counts the engine's blocks; text formats can be several times that.
      if (bytes.length > options.maxResultBytes) {
        const message = `Limit for result exceeded, max bytes: ${options.maxResultBytes}, current bytes: ${bytes.length}`;
        throw new ClickHouseError(errorCodes.TOO_MANY_ROWS_OR_BYTES, message);
      }
      return { bytes, rowsRead: result.rowsRead, bytesRead: result.bytesRead, elapsedSeconds: result.elapsed };
    },
    async changedSettings(session, names) {
      const list = names.map(literal).join(', ');
      const rows = await text(
        session,
        `SELECT name, value FROM system.settings WHERE changed AND name IN (${list || "''"})`,
        'JSONCompactEachRow',
      );
      return Object.fromEntries(
        rows
          .split('\n')
          .filter(Boolean)
          .map((row) => JSON.parse(row) as [string, string]),
      );
    },
    async restore(session, names, before) {
      const list = names.map((name) => (name in before ? `${name} = ${literal(before[name]!)}` : `${name} = DEFAULT`));
      if (list.length > 0) await text(session, `SET ${list.join(', ')}`);
    },
    async cancel(queryId) {
      await text(keep, `KILL QUERY WHERE Settings['log_comment'] = ${literal(queryId)} ASYNC`);
    },
    async close() {
      await text(keep, "KILL QUERY WHERE Settings['log_comment'] != '' ASYNC").catch(() => {});
      await chdb.drainPending();
      keep.close();
      await chdb.drainPending();
    },
  };
}
