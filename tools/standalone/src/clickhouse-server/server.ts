import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type AnalystLogin, createAccounts } from './accounts.ts';
import { type EngineOptions, type Outcome, openEngine } from './engine.ts';
import { ClickHouseError, errorCodes } from './errors.ts';
import { createGate } from './gate.ts';
import { authorize, credentialsOf, digest, prepare, readQuery } from './request.ts';
import { send, sendError } from './response.ts';
import { createSessions } from './sessions.ts';

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
  /** Inserts (their text in the URL, as clients send it) running at once besides. */
  insertConcurrency?: number;
  /** Requests waiting for a place, and as many inserts; more are answered 503 with code 202. */
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

function settingsOf(parameters: URLSearchParams): { settings: Record<string, string>; params: Record<string, string> } {
  const settings: Record<string, string> = {};
  const params: Record<string, string> = {};
  for (const [name, value] of parameters) {
    if (name.startsWith('param_')) params[name.slice('param_'.length)] = value;
    else if (!protocolParameters.has(name)) settings[name] = value;
  }
  return { settings, params };
}

function databaseOf(req: IncomingMessage, parameters: URLSearchParams): string | undefined {
  const header = req.headers['x-clickhouse-database'];
  return parameters.get('database') || (typeof header === 'string' ? header : undefined);
}

/** A statement whose reader went away is cancelled so often until it ends. */
const cancelEveryMs = 200;

/** Parameters travel in the URL; ClickHouse's own limit (`http_max_uri_size`). */
const maxUrlBytes = mib;

/**
 * ClickHouse's HTTP interface over chDB, for one machine: the stock clients and `curl` work unchanged.
 * Every request runs on a connection of its own, so that no setting reaches the next one; insert data goes
 * through a file, so that binary formats arrive byte by byte. Listens on loopback only.
 * Accounts of analysts see the views of their organisation (`accounts.ts`).
 * Not there: other users and roles, native compression (`compress=1`), external tables, several statements at once.
 */
export async function startClickHouseServer(options: ClickHouseServerOptions): Promise<ClickHouseServer> {
  const { maxBodyBytes = 64 * mib, concurrency = 7, insertConcurrency = 3, queue = 200, password = '' } = options;
  const maxServerMemory = options.maxServerMemory ?? 1_536 * mib;
  const engine = await openEngine({
    dataDir: options.dataDir,
    maxServerMemory,
    maxQueryMemory: options.maxQueryMemory ?? Math.floor(maxServerMemory * 0.7),
    maxResultBytes: options.maxResultBytes ?? 64 * mib,
    maxExecutionSeconds: options.maxExecutionSeconds ?? 120,
  });
  const gate = createGate(concurrency, queue);
  // What is to be stored never waits for what is asked.
  const insertGate = createGate(insertConcurrency, queue);
  const sessions = createSessions(engine);
  const secret = digest(password);
  const accounts = createAccounts(engine);

  async function answer(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const url = new URL(req.url ?? '/', 'http://localhost');
    const parameters = url.searchParams;
    if (url.pathname === '/ping' || (req.method === 'GET' && !parameters.has('query'))) {
      res.end('Ok.\n');
      return;
    }
    const credentials = credentialsOf(req, parameters);
    const isAccount = credentials.user.startsWith('analyst_');
    if (!isAccount) authorize(credentials, secret);
    const login = isAccount
      ? await accounts.logIn(credentials.user, credentials.password, databaseOf(req, parameters))
      : undefined;
    for (const name of ['compress', 'decompress']) {
      if (parameters.get(name) === '1') {
        throw new ClickHouseError(errorCodes.NOT_IMPLEMENTED, `${name}=1 is not supported, use HTTP compression`);
      }
    }
    if (login) return answerAccount(req, res, parameters, login);
    const isInsert = /^\s*insert\b/i.test(parameters.get('query') ?? '');
    const leave = await (isInsert ? insertGate : gate).enter();
    const queryId = parameters.get('query_id') || randomUUID();
    const spool = join(engine.spoolDir, randomUUID());
    let ended = false;
    try {
      const work = await prepare(req, parameters, spool, maxBodyBytes);
      // A reader that went away must not keep a place; an insert goes on to its end, as in ClickHouse.
      const gone = async (): Promise<void> => {
        // More than once: it may be about to begin, and then there is nothing yet to be cancelled.
        for (; !ended && !res.writableEnded && !work.isWrite; await sleep(cancelEveryMs)) {
          await engine.cancel(queryId).catch(() => {});
        }
      };
      if (res.destroyed) return;
      res.once('close', () => void gone());
      const outcome = await execute(parameters, req, work.sql, queryId);
      await send(req, res, parameters, { queryId, outcome, ...work });
    } finally {
      ended = true;
      leave();
      await rm(spool, { force: true });
    }
  }

  /** What an account asks, through the gate, by turns and in a place of those that only ask. */
  async function answerAccount(
    req: IncomingMessage,
    res: ServerResponse,
    parameters: URLSearchParams,
    login: AnalystLogin,
  ): Promise<void> {
    const sql = await readQuery(req, parameters);
    const { settings, params } = settingsOf(parameters);
    // An id of our own: what an account gives may be that of another's query, which it would end.
    const queryId = randomUUID();
    const ender = new AbortController();
    let ended = false;
    const gone = async (): Promise<void> => {
      ender.abort();
      for (; !ended && !res.writableEnded; await sleep(cancelEveryMs)) await engine.cancel(queryId).catch(() => {});
    };
    if (res.destroyed) return;
    res.once('close', () => void gone());
    try {
      const defaultFormat =
        parameters.get('default_format') || String(req.headers['x-clickhouse-format'] ?? '') || 'TabSeparated';
      const asked = { sql, queryId, settings, params, defaultFormat };
      const { outcome, format } = await accounts.run(login, asked, ender.signal);
      await send(req, res, parameters, { queryId, outcome, sql, format, isWrite: false, isInsert: false });
    } finally {
      ended = true;
    }
  }

  async function execute(
    parameters: URLSearchParams,
    req: IncomingMessage,
    sql: string,
    queryId: string,
  ): Promise<Outcome> {
    const { settings, params } = settingsOf(parameters);
    const database = databaseOf(req, parameters);
    const defaultFormat = parameters.get('default_format') ?? 'TabSeparated';
    const run = { sql, queryId, database, settings, params, defaultFormat };

    const id = parameters.get('session_id');
    if (!id) {
      const session = engine.openSession();
      try {
        return await engine.run(session, run);
      } finally {
        engine.closeSession(session);
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

  const server = createServer({ maxHeaderSize: maxUrlBytes }, (req, res) => {
    answer(req, res).catch((error: unknown) => sendError(res, error, engine.version));
  });
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
        // A kept-alive connection that falls idle only now would hold the server open.
        const sweep = setInterval(() => server.closeIdleConnections(), 50);
        const grace = setTimeout(() => server.closeAllConnections(), graceMs);
        await closed;
        clearTimeout(grace);
        clearInterval(sweep);
        sessions.close();
        await engine.close();
      })();
      return closing;
    },
  };
}
