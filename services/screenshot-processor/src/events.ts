import type { OutboxEvent } from '@worktide/postgres';
import { type Codec, type ScreenshotReadyRecord, topics } from '@worktide/schemas';
import type { ScreenshotRow } from './rows.ts';

/**
 * The state of a row for topic `screenshots-ready`.
 * @param codec of that topic, prepared.
 */
export function eventOf(codec: Codec, row: ScreenshotRow): OutboxEvent {
  const record: ScreenshotReadyRecord = {
    organizationId: row.organizationId,
    userId: row.userId,
    screenshotId: row.id,
    status: row.status,
    capturedAt: row.capturedAt.getTime(),
    timeEntryId: row.timeEntryId,
    blurLevel: row.blurLevel,
    width: row.width,
    height: row.height,
    failureCode: row.failureCode,
    version: row.version,
    deleted: row.deletedAt !== null,
  };
  return { topic: topics['screenshots-ready'].name, key: row.userId, value: codec.encode(record) };
}
