import type { Consumer, EventLog, StoredRecord } from '@worktide/event-log';
import { AppError, type Lifecycle, type Logger } from '@worktide/runtime';
import { createCodec, peopleRecord, type SchemaRegistry, topics } from '@worktide/schemas';
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
}

const everyMs = 60_000;

/**
 * Follows topic `people` for organisations that were deleted, and has what is stored of them erased. Closes with the
 * lifecycle.
 */
export async function followDeletions(options: FollowDeletionsOptions): Promise<Consumer> {
  const { service, eventLog, registry, deletions, erase, lifecycle, log } = options;
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
      for (const record of batch) {
        const told = read(record);
        if ('code' in told) context.deadLetter(record, told);
        else {
          for (const event of told.events) if (event.type === 'organization' && event.deleted) deleted.push(event.id);
        }
      }
      if (deleted.length === 0) return;
      await deletions.add(deleted);
      wake();
    },
  });
  lifecycle.onClose(`${service} people`, () => consumer.close());
  return consumer;

  function read(record: StoredRecord) {
    let value: unknown;
    try {
      value = codec.decode(record.value);
    } catch (error) {
      if (!(error instanceof AppError) || error.statusCode === 503) throw error;
      return { code: error.code, message: error.message };
    }
    const parsed = peopleRecord.safeParse(value);
    if (parsed.success) return parsed.data;
    const issue = parsed.error.issues[0]!;
    return { code: 'BAD_RECORD', message: `${issue.path.join('.') || 'value'}: ${issue.message}` };
  }
}
