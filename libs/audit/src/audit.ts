import type { IncomingMessage } from 'node:http';
import type { Producer } from '@worktide/event-log';
import type { OutboxEvent } from '@worktide/postgres';
import { type Caller, describeError, type Logger, type Metrics, uuidv7 } from '@worktide/runtime';
import {
  type AuditEvent,
  type AuditRecord,
  type Codec,
  createCodec,
  type SchemaRegistry,
  topics,
} from '@worktide/schemas';
import { auditFields } from './fields.ts';

/** Who acts, and from where. */
export type AuditSource = Pick<
  AuditEvent,
  'actorType' | 'actorId' | 'ipAddress' | 'userAgent' | 'requestId' | 'sessionId'
>;

/** The system acting by itself. */
export const systemSource: AuditSource = {
  actorType: 'system',
  actorId: null,
  ipAddress: null,
  userAgent: null,
  requestId: null,
  sessionId: null,
};

/**
 * Who acts by a request.
 * @param actor the credential's caller, or the user that a public operation (a log-in, a reset) turned out to be.
 */
export function auditSource(
  context: { req: IncomingMessage & { ip?: string | undefined }; requestId: string },
  actor: Pick<Caller, 'userId' | 'agentKeyId' | 'sessionId'> | undefined,
): AuditSource {
  const { req, requestId } = context;
  return {
    actorType: actor?.agentKeyId === undefined ? 'user' : 'agent-key',
    actorId: actor?.userId ?? null,
    ipAddress: req.ip?.slice(0, 64) ?? null,
    userAgent: req.headers['user-agent']?.slice(0, 256) ?? null,
    requestId,
    sessionId: actor?.sessionId ?? null,
  };
}

/** What was done. `before` and `after` hold the fields that changed; `auditChange` picks them. */
export interface AuditAction {
  action: string;
  entityType: string;
  entityId: string;
  before?: object | null;
  after?: object | null;
}

export interface Audit {
  /**
   * What a transaction's outbox takes: one event holding these actions, or none. Never throws: an action is not undone
   * because it cannot be told of. That happens only while the schema registry has never been reached, which readiness
   * shows, and is logged and counted (`worktide_audit_lost_total`).
   */
  events(organizationId: string, source: AuditSource, actions: readonly AuditAction[]): OutboxEvent[];
  /** For what has no transaction, e.g. a refused log-in: sent in the background; the log being away loses it, counted. */
  tell(organizationId: string, source: AuditSource, actions: readonly AuditAction[]): void;
  /** For readiness: until the topic's schema is registered. Rejects 503. */
  check(): Promise<void>;
}

/** @param producer for `tell` alone; without one `tell` counts as lost. */
export function createAudit(options: {
  service: string;
  registry: SchemaRegistry;
  producer?: Pick<Producer, 'send'>;
  log: Logger;
  metrics: Metrics;
}): Audit {
  const { service, registry, producer, log, metrics } = options;
  const topic = topics.audit;
  const codec: Codec = createCodec(registry, topic);
  const lost = metrics.counter('worktide_audit_lost_total', 'Audit events that could not be written', ['service']);
  lost.inc({ service }, 0);
  codec.prepare().catch(() => {});

  function lose(count: number, error: unknown): void {
    lost.inc({ service }, count);
    log.error({ err: error, count }, `audit: events lost: ${describeError(error)}`);
  }

  function events(organizationId: string, source: AuditSource, actions: readonly AuditAction[]): OutboxEvent[] {
    if (actions.length === 0) return [];
    try {
      const at = Date.now();
      const record: AuditRecord = {
        organizationId,
        events: actions.map(({ before, after, ...action }) => ({
          id: uuidv7(),
          at,
          ...action,
          ...source,
          before: auditFields(before),
          after: auditFields(after),
          service,
        })),
      };
      return [{ topic: topic.name, key: organizationId, value: codec.encode(record) }];
    } catch (error) {
      // For the next one.
      codec.prepare().catch(() => {});
      lose(actions.length, error);
      return [];
    }
  }

  return {
    events,
    tell(organizationId, source, actions) {
      for (const { topic: name, key, value } of events(organizationId, source, actions)) {
        const sent = producer ? producer.send(name, [{ key, value }]) : Promise.reject(new Error('no producer'));
        sent.catch((error: unknown) => lose(actions.length, error));
      }
    },
    check: () => codec.prepare(),
  };
}
