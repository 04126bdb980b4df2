import type { IncomingMessage } from 'node:http';
import { type Audit, type AuditAction, auditSource } from '@worktide/audit';
import {
  type Outbox,
  type Pool,
  type Queryable,
  type Reads,
  tenantTransaction,
  transactionWithEvents,
} from '@worktide/postgres';
import type { Caller } from '@worktide/runtime';
import { type Codec, type TaskAssigned, topics, type WorkspaceEvent, type WorkspaceRecord } from '@worktide/schemas';

/** One organisation's data within a transaction. Still `organization_id = $1` first in every query. */
export interface Tenant {
  client: Queryable;
  organizationId: string;
}

/** A transaction that changes something; everything it tells leaves with it, or nothing does. */
export interface Change extends Tenant {
  caller: Caller;
  /** What is now so and what happened, for other services, and what was done, for the audit trail. */
  tell(event: WorkspaceEvent, action: AuditAction, ...happened: TaskAssigned[]): void;
}

/** Whose request it is; what is done for it ends with it. A route's context is one. */
export interface ReadSource {
  caller: Caller;
  signal?: AbortSignal;
}

/** Also from where: it goes into the audit trail. A route's context is one. */
export interface RequestSource extends ReadSource {
  req: IncomingMessage;
  requestId: string;
}

/**
 * The only way from a route to the database, and it begins with the caller: nothing can be read or written without an
 * organisation, and what a query forgets to ask for the database's row-level security refuses to give.
 */
export interface Store {
  /** For lists that nobody keeps or judges by: from a replica where there is one, and it may lag. Rejects as `read`. */
  list<T>(source: ReadSource, fn: (tenant: Tenant) => Promise<T>): Promise<T>;
  /** Rejects 503, and as `fn` does. */
  read<T>(source: ReadSource, fn: (tenant: Tenant) => Promise<T>): Promise<T>;
  /**
   * `fn` may run again (see `transaction`). Events leave after the commit; the log being away holds nothing up.
   * Rejects 503, also until the schema of the events was registered once, and as `fn` does.
   */
  change<T>(source: RequestSource, fn: (change: Change) => Promise<T>): Promise<T>;
}

export function createStore(options: {
  pool: Pool;
  reads: Pick<Reads, 'for'>;
  outbox: Pick<Outbox, 'write' | 'committed'>;
  /** Of topic `workspace-events`. */
  codec: Codec;
  audit: Pick<Audit, 'events' | 'check'>;
  /** After the commit, before the answer: who changed something sees it at their next request. */
  onCommitted: (organizationId: string, events: readonly WorkspaceEvent[]) => Promise<void>;
}): Store {
  const { pool, reads, outbox, codec, audit, onCommitted } = options;
  const topic = topics['workspace-events'].name;

  const readIn = <T>(from: Pool, { caller, signal }: ReadSource, fn: (tenant: Tenant) => Promise<T>): Promise<T> => {
    const { organizationId } = caller;
    return tenantTransaction(from, organizationId, (client) => fn({ client, organizationId }), { signal });
  };

  return {
    list: async (source, fn) => readIn(await reads.for(source.caller), source, fn),
    read: (source, fn) => readIn(pool, source, fn),

    async change(source, fn) {
      const { caller, req, requestId, signal } = source;
      const { organizationId, userId } = caller;
      await codec.prepare();
      // Once done nothing to wait for. Never a reason to refuse, but without it a new process's first actions are lost.
      await audit.check().catch(() => {});
      const terms = { pool, outbox, tenant: organizationId, signal };
      const { result } = await transactionWithEvents(terms, async (client, tellOthers) => {
        const events: WorkspaceEvent[] = [];
        const actions: AuditAction[] = [];
        const happened: TaskAssigned[] = [];
        const tell: Change['tell'] = (event, action, ...more) => {
          events.push(event);
          actions.push(action);
          happened.push(...more);
        };
        const answer = await fn({ client, organizationId, caller, tell });
        if (events.length === 0) return { answer, events };
        const record: WorkspaceRecord = {
          organizationId,
          actorId: userId,
          events,
          ...(happened.length > 0 ? { happened } : {}),
        };
        tellOthers(
          { topic, key: organizationId, value: codec.encode(record) },
          ...audit.events(organizationId, auditSource({ req, requestId }, caller), actions),
        );
        return { answer, events };
      });
      if (result.events.length > 0) await onCommitted(organizationId, result.events);
      return result.answer;
    },
  };
}
