import type { Consumer, EventLog } from '@worktide/event-log';
import { type Codec, readRecord, topics, type WorkspaceEvent, workspaceRecord } from '@worktide/schemas';

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

  return eventLog.consume({
    group,
    topics: [topics['workspace-events'].name],
    async handle(batch, context) {
      const organizations = new Set<string>();
      for (const record of batch) {
        const read = readRecord(codec, record.value, workspaceRecord);
        if ('unusable' in read) context.deadLetter(record, read.unusable);
        else if (concernsProjects(read.data.events)) organizations.add(read.data.organizationId);
      }
      for (const organizationId of organizations) await invalidate(organizationId);
    },
  });
}
