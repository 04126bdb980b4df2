import type { DeadLetterReason, StoredRecord } from '@worktide/event-log';
import { isStorable } from '@worktide/runtime';
import { type Codec, readRecord, type ScreenshotRecord, screenshotRecord, uploadKey } from '@worktide/schemas';

export interface BadRecord {
  record: StoredRecord;
  reason: DeadLetterReason;
}

/** The last instant that ISO 8601 writes with four digits of a year, which is what goes out again. */
const latestMs = Date.UTC(9999, 11, 31);

/**
 * Reads records of topic `screenshots`: good ones in the order of the topic, bad ones each by itself.
 * @throws 503 where the schema registry must be asked and cannot; nothing else.
 */
export function decodeUploads(
  records: readonly StoredRecord[],
  codec: Codec,
): { uploads: ScreenshotRecord[]; bad: BadRecord[] } {
  const uploads: ScreenshotRecord[] = [];
  const bad: BadRecord[] = [];
  for (const record of records) {
    const upload = readUpload(record, codec);
    if ('code' in upload) bad.push({ record, reason: upload });
    else uploads.push(upload);
  }
  return { uploads, bad };
}

function readUpload(record: StoredRecord, codec: Codec): ScreenshotRecord | DeadLetterReason {
  const read = readRecord(codec, record.value, screenshotRecord);
  if ('unusable' in read) return read.unusable;
  const upload = read.data;
  if (Math.max(upload.capturedAt, upload.receivedAt) > latestMs) {
    return { code: 'IN_FUTURE', message: 'An instant is thousands of years ahead.' };
  }
  if (!isStorable(upload.contentType)) return { code: 'INVALID_TEXT', message: 'contentType is no text to be stored.' };
  // Hex digits come in two cases.
  const organizationId = upload.organizationId.toLowerCase();
  const userId = upload.userId.toLowerCase();
  const screenshotId = upload.screenshotId.toLowerCase();
  // What it names is read, and then removed: it must be this user's upload and nothing else.
  if (upload.objectKey.toLowerCase() !== uploadKey(organizationId, userId, screenshotId)) {
    return { code: 'BAD_KEY', message: 'objectKey is not where uploads of this user lie.' };
  }
  const timeEntryId = upload.timeEntryId?.toLowerCase() ?? null;
  return { ...upload, organizationId, userId, screenshotId, timeEntryId };
}
