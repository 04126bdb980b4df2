import type { Consumer, EventLog } from '@worktide/event-log';
import { checkPostgres, type Pool } from '@worktide/postgres';

import { type Codec, type KnownProject, type KnownTask, readRecord, topics, workspaceRecord } from '@worktide/schemas';
import { keep } from './known.ts';

export const workspaceGroup = 'session-writer-workspace';

/** Keeps a copy of which projects and tasks there are, as topic `workspace-events` tells. */
export function followWorkspace(options: {
  eventLog: Pick<EventLog, 'consume'>;
  pool: Pool;
  codec: Codec;
}): Promise<Consumer> {
  const { eventLog, pool, codec } = options;
  return eventLog.consume({
    group: workspaceGroup,
    topics: [topics['workspace-events'].name],
    ready: () => codec.prepare(),
    answers: checkPostgres(pool),
    handle: async (batch, context) => {
      const organizations = new Map<string, { projects: Map<string, KnownProject>; tasks: Map<string, KnownTask> }>();
      for (const record of batch) {
        const read = readRecord(codec, record.value, workspaceRecord);
        if ('unusable' in read) {
          context.deadLetter(record, read.unusable);
          continue;
        }
        const told = read.data;
        const of = organizations.get(told.organizationId) ?? { projects: new Map(), tasks: new Map() };
        organizations.set(told.organizationId, of);
        for (const event of told.events) {
          // Each once in a statement, and the newest of it.
          if (event.type === 'project') newest(of.projects, event);
          else if (event.type === 'task') newest(of.tasks, event);
        }
      }
      for (const [organizationId, { projects, tasks }] of organizations) {
        await keep(pool, organizationId, { projects: [...projects.values()], tasks: [...tasks.values()] });
      }
    },
  });
}

function newest<T extends { id: string; version: number }>(kept: Map<string, T>, event: T): void {
  const before = kept.get(event.id);
  if (!before || before.version < event.version) kept.set(event.id, event);
}
