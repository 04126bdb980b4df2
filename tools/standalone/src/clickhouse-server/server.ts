import { createHash, randomUUID, timingSafeEqual } from 'node:crypto';
import { once } from 'node:events';
import { rm, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { readBody, spoolBody } from './body.ts';
import { type EngineOptions, literal, type Outcome, openEngine } from './engine.ts';
import { ClickHouseError, errorAnswer, errorCodes } from './errors.ts';
import { createGate } from './gate.ts';
import { createSessions } from './sessions.ts';
import { parseStatement } from './statement.ts';

export interface ClickHouseServerOptions extends Partial<Omit<EngineOptions, 'dataDir'>> {
  dataDir: string;
  /** 0 for any free one. */
  port?: number;
  /** Of the only user, `default`. */
  password?: string;
  /** Bytes of a request's data after decompression. */
  maxBodyBytes?: number;
  /** Statements running at once; each occupies a thread of libuv's pool. */
  concurrency?: number;
  /** Requests waiting for a place; more are answered 503 with code 202. */
  queue?: number;
}

export interface ClickHouseServer {
  /** `http://127.0.0.1:<port>`. */
  url: string;
  /** Takes nothing new, gives what runs `graceMs`, cancels the rest. */
  close(graceMs?: number): Promise<void>;
}

const mib = 1024 * 1024;

/** URL parameters that steer the protocol and are no settings of the engine. */
const protocolParameters = new Set(
  `query database default_format query_id user password session_id session_timeout session_check role quota_key
   compress decompress enable_http_compression http_zlib_compression_level wait_end_of_query buffer_size
   http_response_buffer_size send_progress_in_http_headers http_headers_progress_interval_ms client_protocol_version
   cancel_http_readonly_queries_on_client_close send_logs_level stacktrace close_session`.split(/\s+/),
);

/** A statement that comes in the body may carry this much text and data; larger data goes beside `?query=`. */
const maxStatementBytes = 16 * mib;

const gzipped = promisify(gzip);

/**
 * ClickHouse's HTTP interface over chDB, for one machine: the stock clients and `curl` work unchanged.
 * Every request runs on a connection of its own, so that no setting reaches the next one; insert data goes
 * through a file, so that binary formats arrive byte by byte. Listens on loopback only.
 * Not there: users and roles, native compression (`compress=1`), external tables, several statements at once.
 */
export async function startClickHouseServer(options: ClickHouseServerOptions): Promise<ClickHouseServer> {
  const { maxBodyBytes = 64 * mib, concurrency = 10, queue = 200, password = '' } = options;
  const maxServerMemory = options.maxServerMemory ?? 1_536 * mib;
  const engine = await openEngine({
    dataDir: options.dataDir,
    maxServerMemory,
    maxQueryMemory: options.maxQueryMemory ?? Math.floor(maxServerMemory * 0.7),
    maxResultBytes: options.maxResultBytes ?? 64 * mib,
    maxExecutionSeconds: options.maxExecutionSeconds ?? 120,
  });
  const gate = createGate(concurrency, queue);
  const sessions = createSessions(engine.openSession);
  const secret = digest(password);

  async function answer(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const url = new URL(req.url ?? '/', 'http://localhost');
    const parameters = url.searchParams;
    if (url.pathname === '/ping' || (req.method === 'GET' && !parameters.has('query'))) {
      res.end('Ok.\n');
      return;
    }
    authorize(req, parameters, secret);
    for (const name of ['compress', 'decompress']) {
      if (parameters.get(name) === '1') {
        throw new ClickHouseError(errorCodes.NOT_IMPLEMENTED, `${name}=1 is not supported, use HTTP compression`);
      }
    }
    const leave = await gate.enter();
    const queryId = parameters.get('query_id') || randomUUID();
    const spool = join(engine.spoolDir, randomUUID());
    try {
      const work = await prepare(req, parameters, spool, maxBodyBytes);
      // A reader that went away must not keep a place; an insert goes on to its end, as in ClickHouse.
      const gone = (): void => {
        if (!res.writableEnded && !work.isWrite) void engine.cancel(queryId).catch(() => {});
      };
      if (res.destroyed) return;
      res.once('close', gone);
      const outcome = await execute(parameters, req, work.sql, queryId);
      await send(req, res, parameters, { queryId, outcome, ...work });
    } finally {
      leave();
      await rm(spool, { force: true });
    }
  }

  async function execute(
    parameters: URLSearchParams,
    req: IncomingMessage,
    sql: string,
    queryId: string,
  ): Promise<Outcome> {
    const settings: Record<string, string> = {};
    const params: Record<string, string> = {};
    for (const [name, value] of parameters) {
      if (name.startsWith('param_')) params[name.slice('param_'.length)] = value;
      else if (!protocolParameters.has(name)) settings[name] = value;
    }
    const header = req.headers['x-clickhouse-database'];
    const database = parameters.get('database') || (typeof header === 'string' ? header : undefined);
    const defaultFormat = parameters.get('default_format') ?? 'TabSeparated';
    const run = { sql, queryId, database, settings, params, defaultFormat };

    const id = parameters.get('session_id');
    if (!id) {
      const session = engine.openSession();
      try {
        return await engine.run(session, run);
      } finally {
        session.close();
      }
    }
    const timeout = Number(parameters.get('session_timeout') ?? 60);
    const { session, release } = sessions.take(id, timeout, parameters.get('session_check') === '1');
    try {
      const names = Object.keys(settings);
      const before = names.length > 0 ? await engine.changedSettings(session, names) : {};
      try {
        return await engine.run(session, run);
      } finally {
        await engine.restore(session, names, before).catch(() => {});
      }
    } finally {
      release();
    }
  }

  const fail = (res: ServerResponse, error: unknown): void => {
    if (res.headersSent || res.destroyed) return void res.destroy();
    const { status, code, text } = errorAnswer(error, engine.version);
    res.writeHead(status, {
      'Content-Type': 'text/plain; charset=UTF-8',
      'X-ClickHouse-Exception-Code': code,
      ...(status === 503 ? { 'Retry-After': '1' } : {}),
      // What is left of the body is not read, so the connection cannot serve another request.
      Connection: 'close',
    });
    res.end(text);
  };

  const server = createServer((req, res) => void answer(req, res).catch((error) => fail(res, error)));
  server.keepAliveTimeout = 30_000;
  server.requestTimeout = 120_000;
  server.listen(options.port ?? 0, '127.0.0.1');
  try {
    await once(server, 'listening');
  } catch (error) {
    await engine.close();
    throw error;
  }

  let closing: Promise<void> | undefined;
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close(graceMs = 5_000) {
      closing ??= (async () => {
        const closed = once(server, 'close');
        server.close();
        server.closeIdleConnections();
        const grace = setTimeout(() => server.closeAllConnections(), graceMs);
        await closed;
        clearTimeout(grace);
        sessions.close();
        await engine.close();
      })();
      return closing;
    },
  };
}

const digest = (text: string): Buffer => createHash('sha256').update(text).digest();

/** Credentials as ClickHouse takes them: headers, Basic authorization, URL parameters; in this order. */
function authorize(req: IncomingMessage, parameters: URLSearchParams, secret: Buffer): void {
  const header = (name: string): string | undefined => {
    const value = req.headers[name];
    return typeof value === 'string' ? value : undefined;
  };
  const basic = /^Basic (.+)$/i.exec(header('authorization') ?? '')?.[1];
  const [basicUser, basicPassword] = basic ? Buffer.from(basic, 'base64').toString().split(/:(.*)/s) : [];
  const user = header('x-clickhouse-user') ?? basicUser ?? parameters.get('user') ?? 'default';
  const given = header('x-clickhouse-key') ?? basicPassword ?? parameters.get('password') ?? '';
  if (user === 'default' && timingSafeEqual(digest(given), secret)) return;
  throw new ClickHouseError(
    errorCodes.AUTHENTICATION_FAILED,
    `${user}: Authentication failed: password is incorrect, or there is no user with such name`,
  );
}

interface Work {
  sql: string;
  format: string | undefined;
  isWrite: boolean;
  isInsert: boolean;
}

/** The statement for the engine; data of an insert is in the file `spool` afterwards. */
async function prepare(
  req: IncomingMessage,
  parameters: URLSearchParams,
  spool: string,
  maxBodyBytes: number,
): Promise<Work> {
  const inUrl = (parameters.get('query') ?? '').trim();
  // One character per byte, so that positions in the text are positions in the data.
  let text = Buffer.from(inUrl, 'utf8').toString('latin1');
  if (!inUrl) text = (await readBody(req, Math.min(maxBodyBytes, maxStatementBytes))).toString('latin1');
  let statement = parseStatement(text);
  if (inUrl && statement.kind === 'other') {
    const rest = await readBody(req, Math.min(maxBodyBytes, maxStatementBytes));
    if (rest.length > 0) statement = parseStatement(`${text}\n${rest.toString('latin1')}`);
  }

  if (statement.kind === 'other') {
    const sql = Buffer.from(statement.sql, 'latin1').toString('utf8');
    const isWrite = req.method !== 'GET' && !/^(select|with|show|describe|desc|explain|exists)\b/i.test(sql);
    return { sql, format: statement.format, isWrite, isInsert: statement.isInsertSelect };
  }

  const inline = Buffer.from(text.slice(statement.dataStart), 'latin1');
  if (inUrl) await spoolBody(req, maxBodyBytes, spool, inline);
  else await writeFile(spool, inline, { flag: 'wx', mode: 0o600 });
  const [target, settings] = [statement.target, statement.settings].map((t) =>
    Buffer.from(t, 'latin1').toString('utf8'),
  );
  const format = statement.format ?? parameters.get('default_format') ?? 'Values';
  const sql = `${target} FROM INFILE ${literal(spool)} ${settings} FORMAT ${format}`;
  return { sql, format: undefined, isWrite: true, isInsert: true };
}

const contentType = (format: string): string => {
  if (/^JSON\w*EachRow/.test(format)) return 'application/x-ndjson; charset=UTF-8';
  if (/^JSON/.test(format)) return 'application/json; charset=UTF-8';
  if (/^(RowBinary|Native|Parquet|Arrow|ORC|Avro|MsgPack|Protobuf)/.test(format)) return 'application/octet-stream';
  return /^(TabSeparated|TSV)/.test(format) ? 'text/tab-separated-values; charset=UTF-8' : 'text/plain; charset=UTF-8';
};

async function send(
  req: IncomingMessage,
  res: ServerResponse,
  parameters: URLSearchParams,
  done: Work & { queryId: string; outcome: Outcome },
): Promise<void> {
  if (res.destroyed) return;
  const { outcome } = done;
  const format = done.format ?? parameters.get('default_format') ?? 'TabSeparated';
  const summary = {
    read_rows: String(outcome.rowsRead),
    read_bytes: String(outcome.bytesRead),
    written_rows: String(done.isInsert ? outcome.rowsRead : 0),
    written_bytes: String(done.isInsert ? outcome.bytesRead : 0),
    total_rows_to_read: '0',
    result_rows: '0',
    result_bytes: String(outcome.bytes.length),
    elapsed_ns: String(Math.round(outcome.elapsedSeconds * 1e9)),
  };
  let body = outcome.bytes;
  const compress =
    parameters.get('enable_http_compression') === '1' && /\bgzip\b/.test(String(req.headers['accept-encoding'] ?? ''));
  // Level 1: the wire is loopback, compression only honours what the client asked for.
  if (compress) body = await gzipped(body, { level: 1 });
  res.writeHead(200, {
    'Content-Type': contentType(format),
    'Content-Length': body.length,
    ...(compress ? { 'Content-Encoding': 'gzip' } : {}),
    'X-ClickHouse-Query-Id': done.queryId,
    'X-ClickHouse-Format': format,
    'X-ClickHouse-Timezone': 'UTC',
    'X-ClickHouse-Server-Display-Name': 'chdb',
    'X-ClickHouse-Summary': JSON.stringify(summary),
  });
  res.end(body);
}
