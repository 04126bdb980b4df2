import type { Queryable } from '@worktide/postgres';

/**
 * For the rest of a transaction: look-ups by B-tree, in memory, whatever the planner thinks. Of tables that are young (no
 * statistics yet) or small it thinks that reading a partition whole costs nothing: it costs more with every entry that
 * is there. Of a thousand look-ups it thinks that they are worth compiling.
 */
export async function byIndex(client: Queryable): Promise<void> {
  await client.query(`SET LOCAL jit = off; SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off;
    SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off`);
}

/**
 * As `byIndex`, for queries that ask for the order of the index that they mean: the planner would else find all of a
 * stream by the index of the exclusion constraint, and sort it.
 */
export async function byOrderedIndex(client: Queryable): Promise<void> {
  await client.query('SET LOCAL enable_sort = off');
}

/** The only query of a transaction, planned as after both. */
export async function lookUp<R extends object>(client: Queryable, sql: string, parameters: unknown[]): Promise<R[]> {
  await byIndex(client);
  await byOrderedIndex(client);
  return (await client.query<R>(sql, parameters)).rows;
}
