import {
  deadLetterHeaders,
  type EventLog,
  type LogRecord,
  type Producer,
  type StoredRecord,
} from '@worktide/event-log';
import { AppError } from '@worktide/runtime';
import type { Whose } from './arguments.ts';
import { deadTopicOf, lettersOf, replayGroup } from './topics.ts';

/** Names the dead letter that a record was put back from. */
const replayedFromHeader = 'worktide-replayed-from';

/** Puts one dead letter back onto its topic. */
export async function replayOne(log: EventLog, topic: string, offset: number): Promise<void> {
  const dead = await deadTopicOf(log, topic);
  const [letter] = await log.admin.read(dead, { partition: 0, fromOffset: offset, limit: 1 });
  if (letter?.offset !== offset) throw new Error(`there is no offset ${offset} in ${dead}`);
  await log.producer().send(topic, [original(letter)]);
}

export interface Replayed {
  count: number;
  /** What the topic does not take, and why. */
  refused: { offset: number; why: string }[];
}

/** Puts back what there is of somebody now, whether or not it was put back before. */
export async function replayOf(log: EventLog, topic: string, whose: Whose): Promise<Replayed> {
  const dead = await deadTopicOf(log, topic);
  const started = Date.now();
  const producer = log.producer();
  const replayed: Replayed = { count: 0, refused: [] };
  for await (const letter of lettersOf(log, dead, { whose, from: 0 })) {
    // What comes while this runs may be what it has put back.
    if (letter.timestamp > started) break;
    await putBack(producer, topic, letter, replayed);
  }
  return replayed;
}

/**
 * What can never be put back (nothing was kept of it, or it is too large with its origin) stays a dead letter and is
 * reported; thrown, it would become a dead letter of the dead letters.
 */
async function putBack(producer: Producer, topic: string, letter: StoredRecord, into: Replayed): Promise<void> {
  const leftOut = letter.headers[deadLetterHeaders.leftOut];
  try {
    if (leftOut !== undefined) throw new AppError('LEFT_OUT', `its ${leftOut} bytes were too large to be kept.`);
    await producer.send(topic, [original(letter)]);
    into.count++;
  } catch (error) {
    if (!(error instanceof AppError) || error.statusCode === 503) throw error;
    into.refused.push({ offset: letter.offset, why: error.message });
  }
}

/**
 * Puts back what was there at the start and not put back before. Not what comes while it runs: what fails again comes
 * back as a new dead letter, and would go round for ever.
 */
export async function replayAll(log: EventLog, topic: string): Promise<Replayed> {
  const dead = await deadTopicOf(log, topic);
  const { [dead]: waiting = 0 } = await log.admin.lag(replayGroup, [dead]);
  const replayed: Replayed = { count: 0, refused: [] };
  if (waiting === 0) return replayed;
  const producer = log.producer();
  const { promise: done, resolve } = Promise.withResolvers<void>();
  let seen = 0;
  const consumer = await log.consume({
    group: replayGroup,
    topics: [dead],
    // One at a time, each committed, so that an interrupted replay sends at most one of them again.
    maxRecords: 1,
    async handle([letter]) {
      await putBack(producer, topic, letter!, replayed);
      if (++seen < waiting) return;
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
