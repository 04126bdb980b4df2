import type { DeadLetterReason, StoredRecord } from '@worktide/event-log';
import { isStorable } from '@worktide/runtime';
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

/**
 * Reads a record of topic `time-entry-syncs`. What is bad is put aside by itself, and is a conflict in the outcome of the rest.
 * @returns undefined where all of it is bad. @throws 503 where the schema registry must be asked and cannot; nothing else.
 */
export function readPart(record: StoredRecord, codec: Codec, bad: BadRecord[]): Part | undefined {
  const read = readRecord(codec, record.value, timeEntrySyncEnvelope);
  if ('unusable' in read || read.data.part >= read.data.parts) {
    const reason = 'unusable' in read ? read.unusable : { code: 'BAD_RECORD', message: 'part is none of parts' };
    bad.push({ record, reason });
    return undefined;
  }
  const { entries, refused, ...envelope } = read.data;
  const part: Part = {
    ...envelope,
    // Hex digits come in two cases.
    organizationId: envelope.organizationId.toLowerCase(),
    userId: envelope.userId.toLowerCase(),
    batchId: envelope.batchId.toLowerCase(),
    refused: [...refused],
    entries: [],
  };
  for (const given of entries) {
    const entry = readEntry(given);
    if (!('code' in entry)) {
      part.entries.push(entry);
      continue;
    }
    bad.push({ record, reason: entry, value: () => codec.encode({ ...read.data, refused: [], entries: [given] }) });
    const index = (given as { index?: unknown } | null)?.index;
    if (Number.isSafeInteger(index)) {
      part.refused.push({ index: index as number, idempotencyKey: null, reason: 'invalid', ...entry });
    }
  }
  return part;
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
