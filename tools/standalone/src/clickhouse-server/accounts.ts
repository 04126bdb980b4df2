import { timingSafeEqual } from 'node:crypto';
import {
  accountUser,
  type Catalog,
  type CatalogRow,
  catalogOf,
  catalogSql,
  defaultLimits,
  failureOf,
  passGate,
  viewsOf,
} from '@worktide/clickhouse/gate';
import { AppError, createMetrics, createTurns } from '@worktide/runtime';
import { type Engine, literal, type Outcome } from './engine.ts';
import { ClickHouseError, errorCodes } from './errors.ts';
import { digest } from './request.ts';

/** An account of analysts that has logged in: whose rows it sees, in which database. */
export interface AnalystLogin {
  organizationId: string;
  /** The database of the tables. */
  tables: string;
}

export interface AccountRun {
  sql: string;
  queryId: string;
  /** What the request asks for beside the query. */
  settings: Record<string, string>;
  params: Record<string, string>;
  defaultFormat: string;
}

export interface Accounts {
  /** @throws ClickHouseError 516. */
  logIn(user: string, password: string, database: string | undefined): Promise<AnalystLogin>;
  /** @throws ClickHouseError, with the words of the gate: nothing of what lies beneath the views. */
  run(login: AnalystLogin, asked: AccountRun, signal: AbortSignal): Promise<{ outcome: Outcome; format: string }>;
}

/** As `API` has them, but that clients page through larger answers. */
const limits = { ...defaultLimits, resultRows: 200_000 };
/** How long what is known of a database is good for. */
const catalogMs = 5_000;

const formats =
  /^(JSON\w*|CSV(WithNames(AndTypes)?)?|TSV\w*|TabSeparated\w*|Pretty\w*|RowBinary\w*|Native|Parquet|Arrow(Stream)?|Values|Vertical|Null|Markdown|XML)$/;

/** How an answer is written. What the files of a format are is not among them. */
const shaping =
  /^(output_format_(?!schema)\w+|date_time_output_format|format_csv_delimiter|bool_(true|false)_representation)$/;
/** What may be made smaller. */
const bounds: Record<string, number> = {
  max_execution_time: limits.seconds,
  max_memory_usage: limits.memoryBytes,
  max_threads: limits.threads,
  max_rows_to_read: limits.rowsRead,
  max_bytes_to_read: limits.bytesRead,
  max_result_rows: limits.resultRows,
  max_result_bytes: limits.resultBytes,
};
/** What clients send without being asked, and what makes no difference to a SELECT. */
const ignored = new Set(
  `async_insert wait_for_async_insert insert_deduplicate log_comment log_queries readonly result_overflow_mode limit_ui
   use_client_time_zone extremes allow_experimental_analyzer prefer_column_name_to_alias max_block_size
   connect_timeout receive_timeout send_timeout http_receive_timeout http_send_timeout
   select_sequential_consistency input_format_skip_unknown_fields low_cardinality_allow_in_native_format`.split(/\s+/),
);

/** Tables of the system in which clients look for what there is, with the rows that an account sees. */
const systemTables = (views: string): ReadonlyMap<string, string> =>
  new Map([
    ['system.databases', `name = ${literal(views)}`],
    ['system.tables', `database = ${literal(views)}`],
    ['system.columns', `database = ${literal(views)}`],
    ['system.one', '1'],
  ]);
/** Columns of theirs that say what lies beneath. */
const beneath =
  /(^|[^\w])(create_table_query|as_select|data_paths?|metadata_path|\w*dependencies\w*|definer|uuid)([^\w]|$)/i;

const refused = (message: string): ClickHouseError => new ClickHouseError(errorCodes.ACCESS_DENIED, message);

/**
 * Statements of clients that are no SELECT, as the SELECT that answers them: `SHOW DATABASES`, `SHOW TABLES`, `DESCRIBE` and
 * `EXISTS` of a view.
 */
function translate(sql: string, { views, viewNames }: Catalog): string {
  const text = sql.trim().replace(/[;\s]+$/, '');
  const name = '(?:`?(\\w+)`?\\.)?`?(\\w+)`?';
  const format = '(?:\\s+FORMAT\\s+(\\w+))?';
  const found = (pattern: string) => new RegExp(`^${pattern}${format}$`, 'i').exec(text);
  const withFormat = (select: string, last: string | undefined): string => (last ? `${select} FORMAT ${last}` : select);
  const named = (database: string | undefined, view: string): boolean =>
    (database === undefined || database === views) && viewNames.has(view);

  let parts = found('SHOW\\s+DATABASES');
  if (parts) return withFormat(`SELECT name FROM system.databases WHERE name = '${views}'`, parts[1]);
  parts = found('SHOW\\s+(?:FULL\\s+)?TABLES(?:\\s+(?:FROM|IN)\\s+`?(\\w+)`?)?');
  if (parts && (parts[1] === undefined || parts[1] === views)) {
    return withFormat(`SELECT name FROM system.tables WHERE database = '${views}' ORDER BY name`, parts[2]);
  }
  parts = found(`(?:DESCRIBE|DESC)\\s+(?:TABLE\\s+)?${name}`);
  if (parts && named(parts[1], parts[2]!)) {
    const columns =
      "name, type, '' AS default_type, '' AS default_expression, comment, '' AS codec_expression, '' AS ttl_expression";
    return withFormat(
      `SELECT ${columns} FROM system.columns WHERE database = '${views}' AND table = '${parts[2]}' ORDER BY position`,
      parts[3],
    );
  }
  parts = found(`EXISTS\\s+(?:TABLE\\s+|VIEW\\s+)?${name}`);
  if (parts) return withFormat(`SELECT toUInt8(${named(parts[1], parts[2]!) ? 1 : 0}) AS result`, parts[3]);
  return sql;
}

/** The settings of a request that an account may have, each within what it may have at most. */
function allowed(asked: Record<string, string>): { limits: typeof limits; shape: Record<string, string> } {
  const shape: Record<string, string> = {};
  const own: Record<string, number> = {};
  for (const [name, value] of Object.entries(asked)) {
    if (shaping.test(name)) shape[name] = value;
    else if (name in bounds) own[name] = Number(value) > 0 ? Math.min(Number(value), bounds[name]!) : bounds[name]!;
    else if (!ignored.has(name)) {
      throw new ClickHouseError(
        errorCodes.READONLY,
        `Cannot modify '${name.replace(/\W/g, '?')}' setting in readonly mode`,
      );
    }
  }
  return {
    shape,
    limits: {
      seconds: Math.ceil(own.max_execution_time ?? limits.seconds),
      memoryBytes: own.max_memory_usage ?? limits.memoryBytes,
      threads: own.max_threads ?? limits.threads,
      rowsRead: own.max_rows_to_read ?? limits.rowsRead,
      bytesRead: own.max_bytes_to_read ?? limits.bytesRead,
      resultRows: own.max_result_rows ?? limits.resultRows,
      resultBytes: own.max_result_bytes ?? limits.resultBytes,
    },
  };
}

/**
 * Accounts of analysts, as the services of a database keep them in its table `analyst_accounts`: looked up at every request,
 * so that one that is removed is out at once. Their queries go through the gate of libs/clickhouse, and by turns: an
 * organisation has one at a time, and all of them together two of the server's places.
 */
export function createAccounts(engine: Engine, options: { places?: number } = {}): Accounts {
  const turns = createTurns({
    name: 'accounts',
    places: options.places ?? 2,
    placesEach: 1,
    maxWaitingEach: 40,
    maxWaitMs: 10_000,
    // Nobody scrapes this process.
    metrics: createMetrics(),
  });
  const catalogs = new Map<string, { until: number; read: Promise<Catalog> }>();

  async function run(
    sql: string,
    database: string | undefined,
    settings: Record<string, string>,
    params: Record<string, string>,
    more: { queryId?: string; defaultFormat?: string } = {},
  ): Promise<Outcome> {
    const session = engine.openSession();
    try {
      const { queryId = '', defaultFormat = 'TabSeparated' } = more;
      return await engine.run(session, { sql, queryId, database, settings, params, defaultFormat });
    } finally {
      engine.closeSession(session);
    }
  }
  const text = ({ bytes }: Outcome): string => Buffer.from(bytes).toString();
  const rows = async <T>(sql: string, params: Record<string, string> = {}): Promise<T[]> =>
    text(
      await run(sql, undefined, { output_format_json_quote_64bit_integers: '0' }, params, {
        defaultFormat: 'JSONEachRow',
      }),
    )
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line) as T);

  function catalogOfTables(tables: string): Promise<Catalog> {
    const known = catalogs.get(tables);
    if (known && known.until > Date.now()) return known.read;
    const read = rows<CatalogRow>(catalogSql(tables)).then((found) => catalogOf(tables, found));
    catalogs.set(tables, { until: Date.now() + catalogMs, read });
    read.catch(() => catalogs.delete(tables));
    return read;
  }

  return {
    async logIn(user, password, database) {
      const wrong = new ClickHouseError(
        errorCodes.AUTHENTICATION_FAILED,
        `${user.slice(0, 64)}: Authentication failed: password is incorrect, or there is no user with such name`,
      );
      if (!accountUser.test(user)) throw wrong;
      const having = await rows<{ database: string }>(
        "SELECT database FROM system.tables WHERE name = 'analyst_accounts'",
      );
      for (const { database: tables } of having) {
        // Another database is not theirs, and what is not theirs is not there.
        if (database && database !== 'default' && viewsOf(tables) !== database) continue;
        const [account] = await rows<{ organizationId: string; sha: string }>(
          `SELECT organization_id AS organizationId, password_sha256 AS sha
           FROM \`${tables.replace(/[\\`]/g, '\\$&')}\`.analyst_accounts FINAL WHERE user = {user:String} AND deleted = 0`,
          { user },
        );
        const sha = Buffer.from(account?.sha ?? '', 'hex');
        if (!account || sha.length !== 32 || !timingSafeEqual(sha, digest(password))) continue;
        return { organizationId: account.organizationId, tables };
      }
      throw wrong;
    },
    async run({ organizationId, tables }, asked, signal) {
      const catalog = await catalogOfTables(tables);
      const settings = allowed(asked.settings);
      const { params } = asked;
      const database = catalog.views;
      const others = systemTables(database);
      const work = async () => {
        const sql = translate(asked.sql, catalog);
        const looksAround = /\bsystem\b/i.test(sql);
        if (looksAround && beneath.test(sql)) throw refused('What lies beneath the views is not shown');
        let checked = sql;
        try {
          const passed = await passGate(sql, {
            catalog,
            organizationId,
            limits: settings.limits,
            others,
            explain: async (statement, own) => text(await run(statement, database, texts(own), params)),
          });
          checked = passed.sql;
          if (looksAround && /\*|\bcolumns\s*\(/i.test(passed.sql.replace(/count\s*\(\s*\*\s*\)/gi, ''))) {
            throw refused('Name the columns of system tables');
          }
          const format = passed.format ?? asked.defaultFormat;
          if (!formats.test(format))
            throw refused(`The format ${format.replace(/\W/g, '?').slice(0, 64)} is not for accounts`);
          const own = { ...settings.shape, ...texts(passed.settings), result_overflow_mode: 'throw' };
          const more = { queryId: asked.queryId, defaultFormat: format };
          return { outcome: await run(passed.sql, database, own, params, more), format };
        } catch (error) {
          throw told(error, checked, catalog);
        }
      };
      try {
        return await turns.run(organizationId, work, { signal });
      } catch (error) {
        if (!(error instanceof AppError)) throw error;
        throw new ClickHouseError(errorCodes.TOO_MANY_SIMULTANEOUS_QUERIES, error.message);
      }
    },
  };
}

const texts = (settings: Record<string, string | number>): Record<string, string> =>
  Object.fromEntries(Object.entries(settings).map(([name, value]) => [name, String(value)]));

/** An error in the engine's own code, with the words that an analyst may read. */
function told(error: unknown, sql: string, catalog: Catalog): ClickHouseError {
  if (error instanceof ClickHouseError) return error;
  const code = Number(/Code: (\d+)\. DB::Exception/.exec(error instanceof Error ? error.message : '')?.[1]);
  const failure = error instanceof AppError ? error : failureOf(error, sql, catalog);
  if (failure?.code === 'QUERY_REFUSED') return refused(failure.message);
  if (failure?.code === 'QUERY_FAILED' && /syntax error/.test(failure.message)) {
    return new ClickHouseError(errorCodes.SYNTAX_ERROR, failure.message);
  }
  if (failure?.code === 'QUERY_TOO_EXPENSIVE') {
    return new ClickHouseError(code || errorCodes.TOO_MANY_ROWS_OR_BYTES, failure.message);
  }
  if (failure) return new ClickHouseError(code || errorCodes.UNKNOWN_EXCEPTION, failure.message);
  return new ClickHouseError(code || errorCodes.UNKNOWN_EXCEPTION, 'The query failed');
}
