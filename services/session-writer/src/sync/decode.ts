import type { DeadLetterReason, StoredRecord } from '@worktide/event-log';
import { derivedUuid, isStorable } from '@worktide/runtime';
import {
  type Codec,
  firstIssue,
  readRecord,
  type SyncEntryEvent,
  syncEntryEvent,
  timeEntrySyncEnvelope,
} from '@worktide/schemas';
import type { BadRecord } from '../side-by-side.ts';
import type { Part } from './apply.ts';

/** What surrounds the entries of a record, or why it is none of topic `time-entry-syncs`. */
function readEnvelope(record: StoredRecord, codec: Codec) {
  const read = readRecord(codec, record.value, timeEntrySyncEnvelope);
  if ('unusable' in read) return read;
  const { organizationId, userId, batchId, part, parts } = read.data;
  if (part >= parts) return { unusable: { code: 'BAD_RECORD', message: 'part is none of parts' } };
  // Hex digits come in two cases.
  const [organization, user, batch] = [organizationId, userId, batchId].map((id) => id.toLowerCase());
  return { data: { ...read.data, organizationId: organization!, userId: user!, batchId: batch! } };
}

const indexOf = (entry: unknown): number | undefined => {
  const index = (entry as { index?: unknown } | null)?.index;
  return Number.isSafeInteger(index) ? (index as number) : undefined;
};

/**
 * Reads a record of topic `time-entry-syncs`. What is bad is put aside by itself, and is a conflict in the outcome of the rest.
 * @returns undefined where all of it is bad. @throws 503 where the schema registry must be asked and cannot; nothing else.
 */
export function readPart(record: StoredRecord, codec: Codec, bad: BadRecord[]): Part | undefined {
  const read = readEnvelope(record, codec);
  if ('unusable' in read) {
    bad.push({ record, reason: read.unusable });
    return undefined;
  }
  const { data } = read;
  const part: Part = { ...data, refused: [...data.refused], entries: [] };
  for (const [n, given] of data.entries.entries()) {
    const entry = readEntry(given);
    if (!('code' in entry)) {
      part.entries.push(entry);
      continue;
    }
    // A batch of its own: put back, it would be taken for the one that has its outcome.
    const alone = derivedUuid('dead entry', data.batchId, data.part, n);
    const letter = { ...data, batchId: alone, part: 0, parts: 1, refused: [], entries: [given] };
    bad.push({ record, reason: entry, value: () => codec.encode(letter) });
    const index = indexOf(given);
    if (index !== undefined) part.refused.push({ index, idempotencyKey: null, reason: 'invalid', ...entry });
  }
  return part;
}

/**
 * A record that became a dead letter, with all of its entries refused.
 * @returns undefined where nobody can say whose it is: it did not come from the gateway.
 */
export function readDeadPart(record: StoredRecord, codec: Codec, { code }: DeadLetterReason): Part | undefined {
  const read = readEnvelope(record, codec);
  if ('unusable' in read) return undefined;
  const message = 'It could not be processed, and was put aside.';
  const refused = read.data.entries.flatMap((entry) => {
    const index = indexOf(entry);
    const key = (entry as { idempotencyKey?: unknown } | null)?.idempotencyKey;
    const idempotencyKey = typeof key === 'string' && isStorable(key) ? key : null;
    return index === undefined ? [] : [{ index, idempotencyKey, reason: 'invalid' as const, code, message }];
  });
  return { ...read.data, refused: [...read.data.refused, ...refused], entries: [] };
}

/** No clock and no store goes further. */
const latest = Date.UTC(9999, 11, 31);

/** What the gateway refuses comes from nobody, and is refused here as well. */
export function readEntry(value: unknown): SyncEntryEvent | DeadLetterReason {
  const parsed = syncEntryEvent.safeParse(value);
  if (!parsed.success) return { code: 'BAD_ENTRY', message: firstIssue(parsed.error).slice(0, 500) };
  const entry = parsed.data;
  const { startedAt, endedAt, status, idempotencyKey, description, tags, timezone } = entry;
  if (Math.max(startedAt, endedAt ?? 0, entry.pausedAt ?? 0) > latest) {
    return { code: 'IN_FUTURE', message: 'An instant is thousands of years ahead.' };
  }
  if ((status === 'STOPPED') !== (endedAt !== null) || (endedAt !== null && endedAt <= startedAt)) {
    return { code: 'BAD_ENTRY', message: 'its times do not go with its status' };
  }
  for (const text of [idempotencyKey, description ?? '', timezone, ...tags]) {
    if (!isStorable(text)) return { code: 'INVALID_TEXT', message: 'A text holds U+0000 or half of a surrogate pair.' };
  }
  return { ...entry, projectId: entry.projectId?.toLowerCase() ?? null, taskId: entry.taskId?.toLowerCase() ?? null };
}
