import type { BatchContext, Consumer, EventLog, StoredRecord } from '@worktide/event-log';
import { AppError } from '@worktide/runtime';
import { type Codec, topics, type WorkspaceEvent, workspaceRecord } from '@worktide/schemas';

export const group = 'workspace-cache';

/** Whether these events are about what `GET /projects/active` answers. */
export const concernsProjects = (events: readonly WorkspaceEvent[]): boolean =>
  events.some(({ type }) => type === 'project');

/**
 * Invalidates by the log what was invalidated after the commit already, unless the process died between the two or
 * key-value was away. Replays only empty a cache. While key-value is away the batch waits.
 */
export function followForCache(options: {
  eventLog: EventLog;
  /** Of topic `workspace-events`. */
  codec: Codec;
  invalidate: (organizationId: string) => Promise<void>;
}): Promise<Consumer> {
  const { eventLog, codec, invalidate } = options;

  function read(record: StoredRecord, context: BatchContext) {
    try {
      const parsed = workspaceRecord.safeParse(codec.decode(record.value));
      if (parsed.success) return parsed.data;
      context.deadLetter(record, { code: 'BAD_RECORD', message: parsed.error.issues[0]!.message });
    } catch (error) {
      if (!(error instanceof AppError) || error.code !== 'UNDECODABLE') throw error;
      context.deadLetter(record, { code: error.code, message: error.message });
    }
    return undefined;
  }

  return eventLog.consume({
    group,
    topics: [topics['workspace-events'].name],
    async handle(batch, context) {
      const organizations = new Set<string>();
      for (const record of batch) {
        const change = read(record, context);
        if (change && concernsProjects(change.events)) organizations.add(change.organizationId);
      }
      for (const organizationId of organizations) await invalidate(organizationId);
    },
  });
}
