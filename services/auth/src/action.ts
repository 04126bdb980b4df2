import type { Audit, AuditAction, AuditSource } from '@worktide/audit';
import type { KeyValue } from '@worktide/key-value';
import {
  type Outbox,
  type OutboxEvent,
  type Pool,
  type PoolClient,
  tenantTransaction,
  transaction,
} from '@worktide/postgres';
import type { Logger } from '@worktide/runtime';
import type { Revocation } from '@worktide/schemas';
import { pushRevocations, recordRevocations } from './revocations/revocations.ts';

/** What one transaction does, and what others are to know of it once it is committed. */
export interface Action {
  client: PoolClient;
  /** Goes to topic `audit` through the outbox. */
  audit(organizationId: string, source: AuditSource, ...actions: AuditAction[]): void;
  /** Goes into the revocation feed, and is pushed. */
  revoke(items: readonly Revocation[]): void;
}

/**
 * Runs an action in one transaction: as the organisation's, with row-level security, or with null as the service's own,
 * for what begins without a tenant (log-in, tokens of mails). Its work may run again after a deadlock.
 */
export type Act = <T>(organizationId: string | null, work: (action: Action) => Promise<T>) => Promise<T>;

export function createAct(options: { pool: Pool; outbox: Outbox; audit: Audit; keyValue: KeyValue; log: Logger }): Act {
  const { pool, outbox, audit, keyValue, log } = options;
  return async (organizationId, work) => {
    const { result, revocations, ticket } = await (organizationId === null
      ? transaction(pool, attempt)
      : tenantTransaction(pool, organizationId, attempt));
    pushRevocations(keyValue, log, revocations);
    // Not awaited: the log being away holds up no log-in; the row waits for the sweep.
    outbox.committed(ticket).catch(() => {});
    return result;

    async function attempt(client: PoolClient) {
      const events: OutboxEvent[] = [];
      const revocations: Revocation[] = [];
      const result = await work({
        client,
        audit: (organization, source, ...actions) => events.push(...audit.events(organization, source, actions)),
        revoke: (items) => revocations.push(...items),
      });
      await recordRevocations(client, revocations);
      return { result, revocations, ticket: await outbox.write(client, events) };
    }
  };
}
