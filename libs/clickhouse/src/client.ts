import { Readable } from 'node:stream';
import { finished } from 'node:stream/promises';
import {
  type ClickHouseClient,
  ClickHouseLogLevel,
  type ClickHouseSettings,
  type Logger as ClientLogger,
  createClient,
  type ErrorLogParams,
  type WarnLogParams,
} from '@clickhouse/client';
import { AppError, type Logger, requestAborted, traced } from '@worktide/runtime';
import { mapClickHouseError } from './errors.ts';

export interface ClickHouseOptions {
  log: Logger;
  /** Names this process in the server's query log. */
  application?: string;
  /** Of every statement; a statement's own go before. */
  settings?: ClickHouseSettings;
  /** How long one call may take, default 30 s. */
  requestTimeoutMs?: number;
  /** Connections at most, and so calls at a time; more wait for one. Default 10. */
  maxConnections?: number;
  /** Compress request and response bodies; default only where the server is not on this machine. */
  compress?: boolean;
}

export interface QueryOptions {
  /** Values of `{name:Type}`. Never put a value into the text. */
  params?: Record<string, unknown>;
  settings?: ClickHouseSettings;
  /** Ends a query with its request: it rejects with `REQUEST_ABORTED`. */
  signal?: AbortSignal;
}

export interface InsertOptions {
  table: string;
  columns: readonly string[];
  /** Any input format of ClickHouse, e.g. `RowBinary`, `JSONEachRow`. */
  format: string;
  /** The rows in that format; sent as it is. */
  data: readonly Buffer[];
  settings?: ClickHouseSettings;
  signal?: AbortSignal;
}

/** Every method throws AppError 503 `DEPENDENCY_UNAVAILABLE` where a later try may succeed; see `mapClickHouseError`. */
export interface ClickHouse {
  client: ClickHouseClient;
  query<T>(sql: string, options?: QueryOptions): Promise<T[]>;
  /**
   * The bytes of an answer as they come, in a format of ClickHouse. The server holds it back until it is whole: what fails
   * half-way would else end in a text in the middle of the data.
   */
  stream(sql: string, format: string, options?: QueryOptions): AsyncIterable<Buffer>;
  /** Resolves when the rows are stored. A rejection says nothing about whether they are: insert idempotently. */
  insert(options: InsertOptions): Promise<void>;
  command(sql: string, options?: QueryOptions): Promise<void>;
  /** Answers within 2 s whether statements work, credential and database included. */
  check(): Promise<void>;
  close(): Promise<void>;
}

/** The client writes to stderr unless given a class. Its errors are thrown too, and logged by whom they concern. */
function loggerClass(log: Logger): new () => ClientLogger {
  return class implements ClientLogger {
    trace(): void {}
    debug(): void {}
    info(): void {}
    warn({ message, args, err }: WarnLogParams): void {
      log.warn({ err, args }, `clickhouse: ${message}`);
    }
    error({ message, err }: ErrorLogParams): void {
      log.debug({ err }, `clickhouse: ${message}`);
    }
  };
}

const isLocal = (url: URL): boolean => ['127.0.0.1', 'localhost', '[::1]'].includes(url.hostname);

/**
 * @param url `http[s]://user:password@host:port/database`
 * @throws AppError `BAD_CONFIGURATION` for any other URL.
 */
export function createClickHouse(url: string, options: ClickHouseOptions): ClickHouse {
  const parsed = parseClickHouseUrl(url);
  const compress = options.compress ?? !isLocal(parsed);
  const client = createClient({
    url: `${parsed.protocol}//${parsed.host}`,
    username: decodeURIComponent(parsed.username) || 'default',
    password: decodeURIComponent(parsed.password),
    database: decodeURIComponent(parsed.pathname.slice(1)) || 'default',
    application: options.application ?? 'worktide',
    request_timeout: options.requestTimeoutMs ?? 30_000,
    max_open_connections: options.maxConnections ?? 10,
    compression: { request: compress, response: compress },
    // Insert when asked to, not when the server's buffer is full (its default since 26): callers batch already.
    clickhouse_settings: { async_insert: 0, ...options.settings },
    log: { level: ClickHouseLogLevel.WARN, LoggerClass: loggerClass(options.log) },
  });
  const mapped = async <T>(call: () => Promise<T>, signal?: AbortSignal): Promise<T> => {
    try {
      return await call();
    } catch (error) {
      throw signal?.aborted ? requestAborted(error) : mapClickHouseError(error);
    }
  };
  const common = ({ params, settings, signal }: QueryOptions) => ({
    ...(params ? { query_params: params } : {}),
    ...(settings ? { clickhouse_settings: settings } : {}),
    ...(signal ? { abort_signal: signal } : {}),
  });

  return {
    client,
    query: <T>(sql: string, given: QueryOptions = {}) =>
      traced(work('query'), () =>
        mapped(async () => {
          const result = await client.query({ query: sql, format: 'JSONEachRow', ...common(given) });
          return result.json<T>();
        }, given.signal),
      ),
    async *stream(sql, format, given = {}) {
      try {
        // The client itself looks at nothing that was aborted before.
        given.signal?.throwIfAborted();
        const { settings, ...rest } = given;
        const whole = common({ ...rest, settings: { ...settings, wait_end_of_query: 1 } });
        const { stream } = await client.exec({ query: `${sql}\nFORMAT ${format}`, ...whole });
        yield* stream as AsyncIterable<Buffer>;
      } catch (error) {
        throw given.signal?.aborted ? requestAborted(error) : mapClickHouseError(error);
      }
    },
    insert: ({ table, columns, format, data, ...given }) =>
      traced(work(`insert ${table}`), () =>
        mapped(async () => {
          // exec, since the client's own insert() knows no binary format.
          const { stream } = await client.exec({
            query: `INSERT INTO ${table} (${columns.join(', ')}) FORMAT ${format}`,
            values: Readable.from(data, { objectMode: false }),
            ...common(given),
          });
          await finished(stream.resume());
        }),
      ),
    command: (sql, given = {}) =>
      mapped(async () => {
        await client.command({ query: sql, ...common(given) });
      }),
    check: () =>
      mapped(async () => {
        // Not ping(): that needs neither the credential nor the database.
        await client.command({ query: 'SELECT 1', abort_signal: AbortSignal.timeout(2_000) });
      }),
    close: () => client.close(),
  };
}

const work = (what: string) => () =>
  ({ name: `clickhouse ${what}`, kind: 'client', attributes: { 'db.system.name': 'clickhouse' } }) as const;

/** @throws AppError `BAD_CONFIGURATION`; the message repeats nothing of the URL, which holds a password. */
export function parseClickHouseUrl(url: string): URL {
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  if (parsed && /^https?:$/.test(parsed.protocol) && /^\/[^/]*$/.test(parsed.pathname) && !parsed.search) return parsed;
  throw new AppError('BAD_CONFIGURATION', 'A ClickHouse URL is http[s]://user:password@host:port/database.');
}
