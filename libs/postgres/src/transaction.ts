import { AppError, backoffMs, requestAborted, sleep, traced, unavailable } from '@worktide/runtime';
import pg from 'pg';
import { cancelOnAbort } from './cancel.ts';
import { isCancelled, isConnectionTrouble, isRetryable, mapPostgresError } from './errors.ts';
import { inTurn, mannersOf, type Pool, type PoolClient } from './pool.ts';
import { readAt } from './replica.ts';

/** Serialization failures and deadlocks are rare with rows locked in one order; more than this is a fault to see. */
const maxAttempts = 5;

export interface RequestWork {
  /** Ends the work with its request: it leaves the line, or the statement that runs is cancelled. */
  signal?: AbortSignal | undefined;
}

/** Whose transaction it is. */
interface Terms extends RequestWork {
  /** More statements at its beginning. */
  settings?: string;
  /** Whose turn it takes; without one it is the service's own work. */
  subject?: string;
}

/**
 * Runs `fn` between BEGIN and COMMIT (READ COMMITTED). A serialization failure or deadlock runs the whole of it
 * again, up to 5 times: `fn` must have no effects of its own. Connection trouble and exhausted retries reject with
 * 503 (see `mapPostgresError`); after a lost connection during COMMIT the outcome is unknown, so callers must be
 * idempotent. Other errors come through as they are, after ROLLBACK.
 * @param request for what a request does that has no organisation yet: whose turn it is to wait for (`inTurn`).
 */
export function transaction<T>(
  pool: Pool,
  fn: (client: PoolClient) => Promise<T>,
  request: RequestWork & { subject?: string } = {},
): Promise<T> {
  return run(pool, request, fn);
}

/**
 * As `transaction`, but as the service's `_tenant` role (see `migrate`), for which row-level security shows the rows of
 * this organisation and no others: what a query forgets to ask for, the database refuses to give.
 *
 * It is a request's: it waits for the organisation's turn (503 `BUSY` after 10 s), and a statement that takes longer than
 * 10 s is 503 `TIMEOUT`. With `own` it is neither: what a consumer or a worker does for an organisation must not wait
 * for what that one asks for.
 *
 * In the pool of a replica (`openReads`) it is done there while that is there and fresh, else at the primary: `fn` reads, and
 * may run again.
 * @param organizationId a UUID; it comes from a credential, never from a request.
 * @param options.lock name of an advisory lock that is held to the end, or of several, taken in their order. Taken with the first
 *   message, so that all statements of `fn` see what its last holder has committed, and it costs no round trip.
 */
export async function tenantTransaction<T>(
  pool: Pool,
  organizationId: string,
  fn: (client: PoolClient) => Promise<T>,
  options: RequestWork & { own?: boolean; lock?: string | readonly string[] } = {},
): Promise<T> {
  if (!uuid.test(organizationId)) throw new TypeError('an organisation is a UUID');
  const { own, signal, lock } = options;
  const names = lock === undefined || typeof lock === 'string' ? [lock ?? []].flat() : lock.toSorted();
  const locked = names
    .map((name) => `SELECT pg_advisory_xact_lock(hashtextextended(${pg.escapeLiteral(name)}, 0));`)
    .join('');
  // LOCAL, like the timeout: behind a pooler the connection is another tenant's in a moment.
  const settings = `SELECT set_config('role', session_user || '_tenant', true),
    set_config('worktide.organization_id', '${organizationId}', true); ${locked}`;
  const terms = { settings, signal, ...(own ? {} : { subject: organizationId }) };
  const { replica } = mannersOf(pool);
  if (!replica) return run(pool, terms, fn);
  return readAt(pool, replica, (where, first) =>
    run(where, terms, async (client) => {
      await first(client);
      return fn(client);
    }),
  );
}

const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

const run = <T>(pool: Pool, terms: Terms, fn: (client: PoolClient) => Promise<T>): Promise<T> =>
  traced(
    () => ({
      name: 'postgres transaction',
      kind: 'client',
      attributes: { 'db.system.name': 'postgresql', 'worktide.pool': mannersOf(pool).name },
    }),
    () => attempts(pool, terms, fn),
  );

async function attempts<T>(pool: Pool, terms: Terms, fn: (client: PoolClient) => Promise<T>): Promise<T> {
  const { subject, signal } = terms;
  const once = (): Promise<T> => attemptOnce(pool, terms, fn);
  for (let attempt = 1; ; attempt++) {
    try {
      return await (subject === undefined ? once() : inTurn(pool, subject, once, signal));
    } catch (error) {
      if (isCancelled(error) && signal?.aborted) throw requestAborted(error);
      if (isCancelled(error) && subject !== undefined) throw tooLong(error);
      if (!isRetryable(error) || attempt === maxAttempts) throw mapPostgresError(error);
      await sleep(backoffMs(attempt, 10, 200));
    }
  }
}

const tooLong = (cause: unknown): AppError =>
  new AppError('TIMEOUT', 'The answer took too long.', { statusCode: 503, retryAfterSeconds: 5, cause });

async function attemptOnce<T>(pool: Pool, terms: Terms, fn: (client: PoolClient) => Promise<T>): Promise<T> {
  const { settings = '', subject, signal } = terms;
  const { statementTimeoutMs, requestStatementMs } = mannersOf(pool);
  // Whatever keeps a connection from coming about, it is not what was to be done with it.
  const client = await pool.connect().catch((error: unknown) => {
    throw unavailable('postgres', error);
  });
  let broken: Error | undefined;
  let settled = async (): Promise<void> => {};
  try {
    // LOCAL and in the same message: nothing stays on the connection, and it costs no round trip.
    const timeoutMs = subject === undefined ? statementTimeoutMs : requestStatementMs;
    const begin = `BEGIN; SET LOCAL statement_timeout = ${timeoutMs}; ${settings}`;
    if (signal) settled = await cancelOnAbort(pool, client, begin, signal);
    else await client.query(begin);
    const result = await fn(client);
    await settled();
    const end = await client.query('COMMIT');
    // PostgreSQL answers COMMIT of a failed transaction with ROLLBACK and no error: `fn` swallowed one.
    if (end.command !== 'COMMIT') throw new AppError('INTERNAL', 'A transaction ended in a rollback.');
    return result;
  } catch (error) {
    if (isConnectionTrouble(error) && !isCancelled(error)) broken = error as Error;
    else
      await settled()
        .then(() => client.query('ROLLBACK'))
        .catch((failure: Error) => {
          broken = failure;
        });
    throw error;
  } finally {
    client.release(broken ?? false);
  }
}
