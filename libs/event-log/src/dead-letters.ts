import { createHash } from 'node:crypto';
import { AppError } from '@worktide/runtime';
import type { DeadLetterReason, LogRecord, StoredRecord } from './types.ts';

/** Headers of a dead letter; `time` is ISO 8601, partition and offset decimal. The record's own headers stay. */
export const deadLetterHeaders = {
  code: 'worktide-reason-code',
  message: 'worktide-reason-message',
  group: 'worktide-group',
  topic: 'worktide-topic',
  partition: 'worktide-partition',
  offset: 'worktide-offset',
  time: 'worktide-time',
} as const;

/** A message is for people and may quote hostile input: bounded, so that it cannot make a record too large. */
const maxMessageLength = 1_000;

export function deadLetterRecord(
  group: string,
  record: StoredRecord,
  reason: DeadLetterReason,
  value: Buffer = record.value,
): LogRecord {
  return {
    key: record.key,
    value,
    headers: {
      ...record.headers,
      [deadLetterHeaders.code]: reason.code,
      [deadLetterHeaders.message]: reason.message.slice(0, maxMessageLength).toWellFormed(),
      [deadLetterHeaders.group]: group,
      [deadLetterHeaders.topic]: record.topic,
      [deadLetterHeaders.partition]: String(record.partition),
      [deadLetterHeaders.offset]: String(record.offset),
      [deadLetterHeaders.time]: new Date().toISOString(),
    },
  };
}

/** Counts dead letters within a sliding window. */
export interface DeadLetterLimiter {
  /** Whether one more is within the limit; counts it if so. */
  admit(now: number): boolean;
}

export function createDeadLetterLimiter(limit: { count: number; windowMs: number }): DeadLetterLimiter {
  const times: number[] = [];
  return {
    admit(now) {
      while (times.length > 0 && times[0]! <= now - limit.windowMs) times.shift();
      if (times.length >= limit.count) return false;
      times.push(now);
      return true;
    },
  };
}

/** The dead letters of one batch across its retries: each is written and counted once. */
export interface BatchDeadLetters {
  add(record: StoredRecord, reason: DeadLetterReason, value?: Buffer): Promise<void>;
  /** Called before each attempt at the batch. */
  begin(): void;
  /** Rejects when one of this attempt is not durable, also where the handler did not wait for it. */
  settled(): Promise<void>;
}

export function createBatchDeadLetters(options: {
  admit: () => boolean;
  write: (record: StoredRecord, reason: DeadLetterReason, value?: Buffer) => Promise<void>;
}): BatchDeadLetters {
  const written = new Map<string, Promise<void>>();
  const admitted = new Set<string>();
  let failure: { error: unknown } | undefined;

  async function write(id: string, record: StoredRecord, reason: DeadLetterReason, value?: Buffer): Promise<void> {
    if (!admitted.has(id) && !options.admit()) throw deadLetterLimit();
    admitted.add(id);
    await options.write(record, reason, value);
  }

  return {
    add(record, reason, value) {
      // One record may hold several bad items: what tells them apart is what is kept of each.
      const kept = value ? createHash('sha256').update(value).digest('base64') : '';
      const id = `${record.topic}/${record.partition}/${record.offset}/${reason.code}/${kept}`;
      let writing = written.get(id);
      if (!writing) {
        writing = write(id, record, reason, value);
        written.set(id, writing);
        // Forgotten on failure, so that the batch's next attempt tries again.
        writing.catch((error) => {
          failure ??= { error };
          written.delete(id);
        });
      }
      return writing;
    },
    begin() {
      failure = undefined;
    },
    async settled() {
      await Promise.allSettled(written.values());
      if (failure) throw failure.error;
    },
  };
}

const deadLetterLimit = (): AppError =>
  new AppError('DEAD_LETTER_LIMIT', 'Too many records could not be processed; the consumer has stopped.');
