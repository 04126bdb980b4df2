import type { Audit, AuditAction, AuditSource } from '@worktide/audit';
import type { KeyValue } from '@worktide/key-value';
import { type Outbox, type Pool, type PoolClient, type Tell, transactionWithEvents } from '@worktide/postgres';
import type { Logger } from '@worktide/runtime';
import type { Revocation } from '@worktide/schemas';
import type { Applicant } from './applicant.ts';
import { pushRevocations, recordRevocations } from './revocations/revocations.ts';

/** What one transaction does, and what others are to know of it once it is committed. */
export interface Action {
  client: PoolClient;
  /** Goes to topic `audit` through the outbox. */
  audit(organizationId: string, source: AuditSource, ...actions: AuditAction[]): void;
  /** Other events, through the outbox. */
  publish: Tell;
  /** Goes into the revocation feed, and is pushed. */
  revoke(items: readonly Revocation[]): void;
}

/**
 * Runs an action in one transaction: as the organisation's, with row-level security; or as the service, in the turn of an
 * applicant for what begins without a tenant (log-in, tokens of mails), with null for what nobody waits for. Its work
 * may run again after a deadlock.
 */
export type Act = <T>(whose: string | Applicant | null, work: (action: Action) => Promise<T>) => Promise<T>;

export function createAct(options: { pool: Pool; outbox: Outbox; audit: Audit; keyValue: KeyValue; log: Logger }): Act {
  const { pool, outbox, audit, keyValue, log } = options;
  return async (whose, work) => {
    const terms = { pool, outbox, ...(typeof whose === 'string' ? { tenant: whose } : whose) };
    const { result } = await transactionWithEvents(terms, async (client, tell) => {
      const revocations: Revocation[] = [];
      const answer = await work({
        client,
        audit: (organization, source, ...actions) => tell(...audit.events(organization, source, actions)),
        publish: tell,
        revoke: (items) => revocations.push(...items),
      });
      await recordRevocations(client, revocations);
      return { answer, revocations };
    });
    pushRevocations(keyValue, log, result.revocations);
    return result.answer;
  };
}
