import type { Consumer, EventLog } from '@worktide/event-log';
import type { Lifecycle, Logger } from '@worktide/runtime';
import {
  createCodec,
  type PeopleRecord,
  peopleRecord,
  readRecord,
  type SchemaRegistry,
  topics,
} from '@worktide/schemas';
import type { Deletions } from './deletions.ts';

export interface FollowDeletionsOptions {
  /** Names the group, `<service>-people`. */
  service: string;
  eventLog: Pick<EventLog, 'consume'>;
  registry: SchemaRegistry;
  deletions: Deletions;
  /** Removes all that the service stores of an organisation; again, and by several at once, is harmless. */
  erase: (organizationId: string, signal: AbortSignal) => Promise<void>;
  lifecycle: Lifecycle;
  log: Logger;
  /** Keeps what was told of people and organisations; its failure has the batch come again. */
  store?: (records: readonly PeopleRecord[]) => Promise<void>;
}

const everyMs = 60_000;

/**
 * Follows topic `people` for organisations that were deleted, and has what is stored of them erased. Closes with the
 * lifecycle.
 */
export async function followDeletions(options: FollowDeletionsOptions): Promise<Consumer> {
  const { service, eventLog, registry, deletions, erase, lifecycle, log, store } = options;
  const codec = createCodec(registry, topics.people);
  const { wake } = lifecycle.every(
    `${service} erasing`,
    { everyMs, retryMs: 5_000, graceMs: 5_000 },
    async (signal) => {
      for (const organizationId of await deletions.due()) {
        signal.throwIfAborted();
        await erase(organizationId, signal);
        await deletions.done(organizationId);
        log.info({ organizationId }, 'what was stored of a deleted organisation is erased');
      }
    },
  );
  const consumer = await eventLog.consume({
    group: `${service}-people`,
    topics: [topics.people.name],
    ready: () => codec.prepare(),
    handle: async (batch, context) => {
      const deleted: string[] = [];
      const records: PeopleRecord[] = [];
      for (const record of batch) {
        const read = readRecord(codec, record.value, peopleRecord);
        if ('unusable' in read) context.deadLetter(record, read.unusable);
        else {
          records.push(read.data);
          for (const event of read.data.events) {
            if (event.type === 'organization' && event.deleted) deleted.push(event.id);
          }
        }
      }
      if (records.length > 0) await store?.(records);
      if (deleted.length === 0) return;
      await deletions.add(deleted);
      wake();
    },
  });
  lifecycle.onClose(`${service} people`, () => consumer.close());
  return consumer;
}
