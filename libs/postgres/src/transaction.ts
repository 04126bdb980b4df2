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
export function transaction<T>(pool: Pool, fn: (client: PoolClient) => Promise<T>): Promise<T> {
  return run(pool, '', fn);
}

/**
 * As `transaction`, but as the service's `_tenant` role (see `migrate`), for which row-level security shows the rows of
 * this organisation and no others: what a query forgets to ask for, the database refuses to give.
 * @param organizationId a UUID; it comes from a credential, never from a request.
 */
export async function tenantTransaction<T>(
  pool: Pool,
  organizationId: string,
  fn: (client: PoolClient) => Promise<T>,
): Promise<T> {
  if (!uuid.test(organizationId)) throw new TypeError('an organisation is a UUID');
  // LOCAL, like the timeout: behind a pooler the connection is another tenant's in a moment.
  const settings = `SELECT set_config('role', session_user || '_tenant', true),
    set_config('worktide.organization_id', '${organizationId}', true);`;
  return run(pool, settings, fn);
}

const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

async function run<T>(pool: Pool, settings: string, fn: (client: PoolClient) => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await attemptOnce(pool, settings, fn);
    } catch (error) {
      if (!isRetryable(error) || attempt === maxAttempts) throw mapPostgresError(error);
      await sleep(backoffMs(attempt, 10, 200));
    }
  }
}

async function attemptOnce<T>(pool: Pool, settings: string, fn: (client: PoolClient) => Promise<T>): Promise<T> {
  const client = await pool.connect();
  let broken: Error | undefined;
  try {
    // LOCAL and in the same message: nothing stays on the connection, and it costs no round trip.
    await client.query(`BEGIN; SET LOCAL statement_timeout = ${statementTimeoutOf(pool)}; ${settings}`);
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
