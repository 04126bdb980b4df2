import { requestAborted } from '@worktide/runtime';
import type { Pool, PoolClient } from './pool.ts';

/**
 * Begins a transaction whose statement is cancelled when the signal aborts.
 * @param begin statements, in one message.
 * @returns what must have resolved before the transaction ends: from then on nothing is cancelled. While it is open its
 *   backend is nobody else's, behind a pooler too, so no stranger's statement is hit. Rejects where nobody knows whether
 *   the cancelling is still on its way: the connection is not to be used again.
 */
export async function cancelOnAbort(
  pool: Pool,
  client: PoolClient,
  begin: string,
  signal: AbortSignal,
): Promise<() => Promise<void>> {
  // As SQL, not from the protocol: behind a pooler that one is the pooler's.
  const results = await client.query(`${begin} SELECT pg_backend_pid() AS pid`);
  const { pid } = (results as unknown as { rows: { pid: number }[] }[]).at(-1)!.rows[0]!;
  let cancelling: Promise<unknown> | undefined;
  const cancel = (): void => {
    cancelling = pool.query('SELECT pg_cancel_backend($1)', [pid]);
    cancelling.catch(() => {});
  };
  if (signal.aborted) throw requestAborted();
  signal.addEventListener('abort', cancel, { once: true });
  return async () => {
    signal.removeEventListener('abort', cancel);
    await cancelling;
  };
}
