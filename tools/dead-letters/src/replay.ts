import { deadLetterHeaders, type EventLog, type LogRecord, type StoredRecord } from '@worktide/event-log';
import { deadTopicOf, replayGroup } from './topics.ts';

/** Names the dead letter that a record was put back from. */
const replayedFromHeader = 'worktide-replayed-from';

/** Puts one dead letter back onto its topic. */
export async function replayOne(log: EventLog, topic: string, offset: number): Promise<void> {
  const dead = await deadTopicOf(log, topic);
  const [letter] = await log.admin.read(dead, { partition: 0, fromOffset: offset, limit: 1 });
  if (letter?.offset !== offset) throw new Error(`there is no offset ${offset} in ${dead}`);
  await log.producer().send(topic, [original(letter)]);
}

/**
 * Puts back what was there at the start and not put back before. Not what comes while it runs: what fails again comes
 * back as a new dead letter, and would go round for ever.
 * @returns how many.
 */
export async function replayAll(log: EventLog, topic: string): Promise<number> {
  const dead = await deadTopicOf(log, topic);
  const { [dead]: waiting = 0 } = await log.admin.lag(replayGroup, [dead]);
  if (waiting === 0) return 0;
  const producer = log.producer();
  const { promise: done, resolve } = Promise.withResolvers<void>();
  let replayed = 0;
  const consumer = await log.consume({
    group: replayGroup,
    topics: [dead],
    // One at a time, each committed, so that an interrupted replay sends at most one of them again.
    maxRecords: 1,
    async handle([letter]) {
      await producer.send(topic, [original(letter!)]);
      if (++replayed < waiting) return;
      consumer.pause();
      resolve();
    },
  });
  await done;
  await consumer.close();
  return replayed;
}

/** The record as it was before it became a dead letter. */
function original({ key, value, headers, topic, partition, offset }: StoredRecord): LogRecord {
  const added = new Set<string>(Object.values(deadLetterHeaders));
  const own = Object.entries(headers).filter(([name]) => !added.has(name));
  return {
    key,
    value,
    headers: { ...Object.fromEntries(own), [replayedFromHeader]: `${topic}/${partition}/${offset}` },
  };
}
