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
  /** Whose it is, where the record says so. */
  organization: 'worktide-organization',
  user: 'worktide-user',
  /** Bytes of a value that was too large to be kept; it stands where the record came from. */
  leftOut: 'worktide-left-out',
} as const;

/** A record that can never succeed, or a part of one. */
export interface Letter {
  record: StoredRecord;
  reason: DeadLetterReason;
  /** What to keep instead of the whole value; made only where it is kept. */
  value?: Buffer | (() => Buffer);
}

/**
 * Whose a record is, as its envelope says: for people and for filters, decided by nobody. Looked for near the beginning,
 * where the envelope's own fields stand in all of our topics.
 */
export function originOf({ value }: Pick<StoredRecord, 'value'>): { organizationId?: string; userId?: string } {
  const head = value.toString('latin1', 0, 256);
  const [, organizationId] = /"organizationId":"([\w-]{36})"/.exec(head) ?? [];
  const [, userId] = /"userId":"([\w-]{36})"/.exec(head) ?? [];
  return { ...(organizationId ? { organizationId } : {}), ...(userId ? { userId } : {}) };
}

/** A message is for people and may quote hostile input: bounded, so that it cannot make a record too large. */
const maxMessageLength = 1_000;

export function deadLetterRecord(group: string, { record, reason, value: part }: Letter): LogRecord {
  const value = typeof part === 'function' ? part() : (part ?? record.value);
  const { organizationId, userId } = originOf(record);
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
      ...(organizationId ? { [deadLetterHeaders.organization]: organizationId } : {}),
      ...(userId ? { [deadLetterHeaders.user]: userId } : {}),
    },
  };
}

/** Another writer's record may be larger than we can write with a reason: where it was says enough for a while. */
export function withoutValue(letter: LogRecord): LogRecord {
  const headers = { ...letter.headers, [deadLetterHeaders.leftOut]: String(letter.value.length) };
  return { key: letter.key, value: Buffer.alloc(0), headers };
}

/**
 * What is written of these letters: all of a sender within its limit; above it, of each record one letter with the
 * whole of it, so that nothing is lost and a sender costs no more than its records.
 */
export function boundLetters(letters: readonly Letter[], isWithin: (letter: Letter) => boolean): Letter[] {
  const whole = new Set<StoredRecord>();
  const bounded: Letter[] = [];
  for (const letter of letters) {
    if (whole.has(letter.record)) continue;
    if (isWithin(letter)) bounded.push(letter);
    else {
      whole.add(letter.record);
      bounded.push({ record: letter.record, reason: letter.reason });
    }
  }
  return bounded;
}
