import { AppError, backoffMs, sleep } from '@worktide/runtime';
import { isConnectionTrouble, isRetryable, mapPostgresError } from './errors.ts';
import { type Pool, type PoolClient, statementTimeoutOf } from './pool.ts';

/** Serialization failures and deadlocks are rare with rows locked in one order; more than this is a fault to see. */
const maxAttempts = 5;

/**
 * Runs `fn` between BEGIN and COMMIT (READ COMMITTED). A serialization failure or deadlock runs the whole of it
 * again, up to 5 times: `fn` must have no effects of its own. Connection trouble and exhausted retries reject with
 * 503 `DEPENDENCY_UNAVAILABLE`; after a lost connection during COMMIT the outcome is unknown, so callers must be
 * idempotent. Other errors come through as they are, after ROLLBACK.
 */
export async function transaction<T>(pool: Pool, fn: (client: PoolClient) => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await attemptOnce(pool, fn);
    } catch (error) {
      if (!isRetryable(error) || attempt === maxAttempts) throw mapPostgresError(error);
      await sleep(backoffMs(attempt, 10, 200));
    }
  }
}

async function attemptOnce<T>(pool: Pool, fn: (client: PoolClient) => Promise<T>): Promise<T> {
  const client = await pool.connect();
  let broken: Error | undefined;
  try {
    // LOCAL and in the same message: nothing stays on the connection, and it costs no round trip.
    await client.query(`BEGIN; SET LOCAL statement_timeout = ${statementTimeoutOf(pool)}`);
    const result = await fn(client);
    const end = await client.query('COMMIT');
    // PostgreSQL answers COMMIT of a failed transaction with ROLLBACK and no error: `fn` swallowed one.
    if (end.command !== 'COMMIT') throw new AppError('INTERNAL', 'A transaction ended in a rollback.');
    return result;
  } catch (error) {
    if (isConnectionTrouble(error)) broken = error as Error;
    else
      await client.query('ROLLBACK').catch((failure: Error) => {
        broken = failure;
      });
    throw error;
  } finally {
    client.release(broken ?? false);
  }
}
