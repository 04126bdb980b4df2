import { z } from 'zod';
import { boundInstant, givenId, id, instantMs, localDate, page, pageQuery } from './common.ts';
import { conformsTo } from './conforms.ts';

/** Who acted: a person by log-in or by an agent's key, the billing provider, or the system itself. */
export const auditActorType = z.enum(['user', 'agent-key', 'billing', 'system']);

/** One thing somebody did. Never holds a secret: libs/audit takes them out. */
export const auditEvent = z.object({
  id,
  at: instantMs,
  /** `object.what-happened`, e.g. `user.suspended`. */
  action: z.string().min(1).max(100),
  actorType: auditActorType,
  /** The user, also where an agent's key acted; null for the billing provider, the system, and whoever is not known. */
  actorId: id.nullable(),
  /** e.g. `user`, `project`. */
  entityType: z.string().min(1).max(50),
  entityId: z.string().min(1).max(255),
  /** Fields that changed, as they were and as they are; null where there was, or is, nothing. */
  before: z.record(z.string(), z.unknown()).nullable(),
  after: z.record(z.string(), z.unknown()).nullable(),
  ipAddress: z.string().max(64).nullable(),
  userAgent: z.string().max(256).nullable(),
  requestId: z.string().max(128).nullable(),
  /** Of an access token; absent in events of before, and with an agent's key. */
  sessionId: id.nullable().optional(),
  /** The service that writes it. */
  service: z.string().max(50),
});
export type AuditEvent = z.output<typeof auditEvent>;
export const isAuditEvent = conformsTo(auditEvent);

/** One record of topic `audit`: what one action did in one organisation. */
export const auditRecord = z.object({
  organizationId: id,
  events: z.array(auditEvent).min(1),
});
export type AuditRecord = z.output<typeof auditRecord>;

/** What an auditor reads of an event. */
export const auditItem = auditEvent
  .extend({ at: z.iso.datetime(), sessionId: id.nullable() })
  .meta({ id: 'AuditItem' });
export type AuditItem = z.output<typeof auditItem>;
export const auditPage = page(auditItem);

const bound = z.union([localDate, boundInstant]);
/** Newest first. */
export const auditQuery = z.object({
  ...pageQuery,
  actorId: givenId.optional(),
  entityType: z.string().min(1).max(50).optional(),
  entityId: z.string().min(1).max(255).optional(),
  action: z.string().min(1).max(100).optional(),
  from: bound.optional().meta({ description: 'A day of the caller’s zone, or an instant; both belong to the range.' }),
  to: bound.optional().meta({ description: 'A day of the caller’s zone, all of it, or an instant, itself included.' }),
});
export type AuditQuery = z.output<typeof auditQuery>;
