import { AppError, backoffMs, type Logger, sleep } from '@worktide/runtime';
import { deadLetterTopic } from '@worktide/schemas';
import type { ConsumerMetrics } from './consumer-metrics.ts';
import { boundLetters, deadLetterRecord, type Letter, originOf, withoutValue } from './dead-letters.ts';
import type { Senders } from './senders.ts';
import type { LogRecord } from './types.ts';

export interface LetterWriterOptions {
  group: string;
  senders: Senders;
  write: (topic: string, record: LogRecord) => Promise<void>;
  onFailure: (error: unknown) => void;
  log: Logger;
  metrics: ConsumerMetrics;
}

/** Written at once: some hold a whole record. */
const atOnce = 50;

/**
 * Writes a batch's dead letters, bounded by sender, and says who is over the limit.
 * @returns what resolves when all are durable (true), or when it `isOver` first: then they may come again.
 */
export function createLetterWriter(options: LetterWriterOptions) {
  const { group, senders, write, onFailure, log, metrics } = options;

  function isWithinLimit({ record, reason }: Letter): boolean {
    const { topic, partition, offset, key } = record;
    const { within, first } = senders.letter(key);
    if (within) log.warn({ topic, partition, offset, key, code: reason.code }, `dead letter: ${reason.message}`);
    else if (first) {
      log.error({ topic, key, ...originOf(record), code: reason.code }, 'a sender is set aside: too many dead letters');
    }
    return within;
  }

  async function writeOne(letter: Letter): Promise<void> {
    const topic = deadLetterTopic(letter.record.topic);
    const record = deadLetterRecord(group, letter);
    await write(topic, record).catch((error: unknown) => {
      if (!(error instanceof AppError) || error.code !== 'RECORD_TOO_LARGE') throw error;
      return write(topic, withoutValue(record));
    });
    metrics.deadLetter(letter.record.topic);
  }

  return async function writeLetters(letters: Letter[], isOver: () => boolean): Promise<boolean> {
    let left = boundLetters(letters, isWithinLimit);
    metrics.setAside(senders.setAside);
    for (let attempt = 0; left.length > 0; ) {
      const now = left.slice(0, atOnce);
      const outcomes = await Promise.allSettled(now.map(writeOne));
      left = [...now.filter((_, i) => outcomes[i]!.status === 'rejected'), ...left.slice(atOnce)];
      const failure = outcomes.find((outcome) => outcome.status === 'rejected');
      if (failure) {
        onFailure(failure.reason);
        log.warn({ err: failure.reason, attempt, letters: left.length }, 'dead letters not written, trying again');
        if (!isOver()) await sleep(backoffMs(attempt++));
        if (isOver()) return false;
      } else attempt = 0;
    }
    return true;
  };
}
