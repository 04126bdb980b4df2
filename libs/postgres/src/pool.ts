import {
  createMetrics,
  createTurns,
  describeError,
  type Logger,
  type Metrics,
  type ReadinessCheck,
  type Turns,
  unavailable,
} from '@worktide/runtime';
import pg from 'pg';
import { mapPostgresError } from './errors.ts';
import type { Replica } from './replica.ts';
import { verifiedUrl } from './url.ts';

export type Pool = pg.Pool;
export type PoolClient = pg.PoolClient;
/** What runs one statement: a pool, or the client of a transaction. */
export type Queryable = Pick<pg.PoolClient, 'query'>;

export interface PoolOptions {
  /** As it shows in `pg_stat_activity`. */
  applicationName: string;
  /** Connections at most, 10 unless said. */
  max?: number;
  /**
   * Connections of these that requests never get, for the service's own work (consumers, workers, maintenance, cancelling);
   * 2 unless said. Requests have at least one.
   */
  reserved?: number;
  /** Longest a statement of a `transaction` may run, 30 s unless said. */
  statementTimeoutMs?: number;
  log: Logger;
  metrics?: Metrics;
}

/** A connection, or a free slot of the pool, is waited for this long; then 503. Below any client's patience. */
const connectTimeoutMs = 5_000;
/** The server ends a statement first; this ends one whose server has vanished without a word. */
const networkGraceMs = 5_000;
/** Readiness answers within this. */
const checkTimeoutMs = 2_000;

/** A turn is waited for this long, then a statement may run this long: together below what a handler has. */
const turnTimeoutMs = 10_000;
const requestStatementMs = 10_000;

/** What this library knows of a pool that pg does not. */
interface Manners {
  /** `applicationName`. */
  name: string;
  /** Longest a statement of the service's own may run, and one of a request, in milliseconds. */
  statementTimeoutMs: number;
  requestStatementMs: number;
  turns: Turns;
  /** Of a replica's pool: when it is asked, and what stands in for it. */
  replica?: Replica;
}

const manners = new WeakMap<Pool, Manners>();

export function mannersOf(pool: Pool): Manners {
  const found = manners.get(pool);
  if (!found) throw new TypeError('not a pool of createPool');
  return found;
}

/**
 * Does work for a request that takes a connection of the pool, when it is the subject's turn: an organisation, or an
 * address before there is one. So whatever one asks for, others wait for what is in work and not for its line.
 * Work within must not ask for another turn.
 * @throws AppError 503 `BUSY` where the turn does not come within 10 s; what `work` throws.
 */
export const inTurn = <T>(pool: Pool, subject: string, work: () => Promise<T>, signal?: AbortSignal): Promise<T> =>
  mannersOf(pool).turns.run(subject, work, { signal });

const INT8 = 20;
const INT8_ARRAY = 1016;

// int8 as number: versions in microseconds stay exact until the year 2255; beyond that the query fails, never rounds.
function exactNumber(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value)) throw new RangeError(`bigint ${text} is not exact as a number`);
  return value;
}

// Set on each pool: pg's own registry of parsers is a global.
const types: pg.CustomTypesConfig = {
  getTypeParser: ((oid: number, format?: 'text' | 'binary') => {
    if (oid === INT8 && format !== 'binary') return exactNumber;
    const parse = pg.types.getTypeParser(oid, format as 'text');
    if (oid !== INT8_ARRAY || format === 'binary') return parse;
    return (text: string) =>
      (parse(text) as (string | null)[]).map((item) => (item === null ? null : exactNumber(item)));
  }) as pg.CustomTypesConfig['getTypeParser'],
};

/**
 * A pool that works behind PgBouncer in transaction mode: no start-up parameters but the name, no session state,
 * no named statements. `int8` comes back as a number. `pool.query` (promise form only) rejects with 503
 * `DEPENDENCY_UNAVAILABLE` on connection trouble; other database errors come through with their `code`.
 * Connects lazily; the caller closes it with `pool.end()`.
 *
 * Connections are shared: what requests do comes by turns between organisations (`tenantTransaction`, `inTurn`), what
 * the service does by itself (`pool.query`, `transaction`) has the reserved ones and whatever else is free.
 */
export function createPool(url: string, options: PoolOptions): Pool {
  const { applicationName, max = 10, reserved = 2, statementTimeoutMs = 30_000, log, metrics } = options;
  const places = Math.max(1, max - reserved);
  const pool = new pg.Pool({
    connectionString: verifiedUrl(url),
    application_name: applicationName,
    max,
    connectionTimeoutMillis: connectTimeoutMs,
    query_timeout: statementTimeoutMs + networkGraceMs,
    keepAlive: true,
    types,
  });
  manners.set(pool, {
    name: applicationName,
    statementTimeoutMs,
    requestStatementMs: Math.min(statementTimeoutMs, requestStatementMs),
    turns: createTurns({
      name: `postgres ${applicationName}`,
      places,
      // Statements are long in proportion to others' patience: one who has slow ones leaves half to the rest.
      placesEach: Math.ceil(places / 2),
      maxWaitMs: turnTimeoutMs,
      metrics: metrics ?? createMetrics(),
    }),
  });
  // Without listeners the loss of a connection, idle or in use, would be an uncaught exception.
  pool.on('error', (error) => log.warn({ err: error }, `postgres: idle connection lost: ${describeError(error)}`));
  pool.on('connect', (client) => {
    client.on('error', (error) => log.warn({ err: error }, `postgres: connection lost: ${describeError(error)}`));
  });

  const waiting = metrics?.gauge('worktide_postgres_pool_waiting', 'Requests waiting for a connection', ['pool']);
  const used = metrics?.gauge('worktide_postgres_pool_used', 'Connections in use', ['pool']);
  const observe = (): void => {
    waiting?.set({ pool: applicationName }, pool.waitingCount);
    used?.set({ pool: applicationName }, pool.totalCount - pool.idleCount);
  };
  pool.on('acquire', observe);
  pool.on('release', observe);

  const query = pool.query.bind(pool) as (...args: unknown[]) => Promise<unknown>;
  pool.query = (async (...args: unknown[]) => {
    try {
      return await query(...args);
    } catch (error) {
      throw mapPostgresError(error);
    }
  }) as typeof pool.query;
  return pool;
}

/** Readiness: a statement goes through within 2 s. */
export function checkPostgres(pool: Pool): ReadinessCheck {
  return async () => {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(unavailable('postgres', new Error('no answer within 2 s'))), checkTimeoutMs);
    });
    try {
      await Promise.race([pool.query('SELECT 1'), late]);
    } finally {
      clearTimeout(timer);
    }
  };
}
