import type { Outbox, OutboxEvent, WhenFull } from './outbox.ts';
import type { Pool, PoolClient } from './pool.ts';
import { type RequestWork, tenantTransaction, transaction } from './transaction.ts';

/** Where, and as whose: a tenant's as in `tenantTransaction`, or the service's as in `transaction`. */
export type EventfulTerms = RequestWork & {
  pool: Pool;
  outbox: Pick<Outbox, 'write' | 'committed'>;
  whenFull?: WhenFull;
} & ({ tenant: string; own?: boolean; lock?: string | readonly string[] } | { tenant?: undefined; subject?: string });

/** Says what others are to know once it is committed. */
export type Tell = (...events: OutboxEvent[]) => void;

/**
 * A transaction and what it tells others: written with it, in the order told, and on its way after the commit. `work` may run
 * again, and what a failed attempt has told is forgotten. Told nothing, nothing is written.
 * @returns `published` as `Outbox.committed` gives it; it need not be awaited, what is left is the sweep's.
 * @throws as the transaction and `Outbox.write` do.
 */
export async function transactionWithEvents<T>(
  terms: EventfulTerms,
  work: (client: PoolClient, tell: Tell) => Promise<T>,
): Promise<{ result: T; published: Promise<void> }> {
  const { pool, outbox, whenFull, tenant } = terms;
  const attempt = async (client: PoolClient) => {
    const events: OutboxEvent[] = [];
    const result = await work(client, (...more) => void events.push(...more));
    return { result, ticket: events.length > 0 ? await outbox.write(client, events, whenFull) : undefined };
  };
  const { result, ticket } = await (tenant === undefined
    ? transaction(pool, attempt, terms)
    : tenantTransaction(pool, tenant, attempt, terms));
  const published = ticket ? outbox.committed(ticket) : Promise.resolve();
  published.catch(() => {});
  return { result, published };
}
