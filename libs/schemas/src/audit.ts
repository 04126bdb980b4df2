import { z } from 'zod';
import { id, instantMs } from './common.ts';
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
