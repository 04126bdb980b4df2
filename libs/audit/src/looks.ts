import type { Caller } from '@worktide/runtime';
import { type Audit, type AuditAction, type AuditSource, auditSource } from './audit.ts';

export interface Looks {
  /**
   * Somebody looked at what is another person's. Told at once, and not again for a while: who leafs through ten pages of one
   * report has looked at it once.
   */
  note(
    organizationId: string,
    source: AuditSource,
    look: Pick<AuditAction, 'action' | 'entityType' | 'entityId'>,
  ): void;
}

const againMs = 10 * 60_000;
/** Remembered; who makes more than these in ten minutes has some told twice. */
const maxRemembered = 10_000;

/** The trail of who read other people's data, by the log, never in the way of an answer. */
export function createLooks(audit: Pick<Audit, 'tell'>, now: () => number = () => performance.now()): Looks {
  /** By who, at what: when it was told. In the order of telling. */
  const told = new Map<string, number>();
  return {
    note(organizationId, source, look) {
      const key = [
        organizationId,
        source.actorId,
        source.sessionId,
        look.action,
        look.entityType,
        look.entityId,
      ].join();
      const last = told.get(key);
      if (last !== undefined && now() - last < againMs) return;
      told.delete(key);
      told.set(key, now());
      if (told.size > maxRemembered) told.delete(told.keys().next().value!);
      audit.tell(organizationId, source, [look]);
    },
  };
}

/** Notes what the caller of a request looked at, unless it is themselves. */
export function noteLook(
  looks: Looks,
  { req, requestId, caller }: { req: Parameters<typeof auditSource>[0]['req']; requestId: string; caller: Caller },
  look: Parameters<Looks['note']>[2],
): void {
  if (look.entityId === caller.userId) return;
  looks.note(caller.organizationId, auditSource({ req, requestId }, caller), look);
}
