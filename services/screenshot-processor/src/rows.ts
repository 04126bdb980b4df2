import type { BlurLevel } from './picture/index.ts';

/** A row of `screenshots.screenshots`. */
export interface ScreenshotRow {
  organizationId: string;
  id: string;
  userId: string;
  timeEntryId: string | null;
  capturedAt: Date;
  receivedAt: Date;
  uploadKey: string;
  uploadType: string;
  uploadBytes: number;
  askedLevel: BlurLevel | null;
  metadata: Record<string, unknown> | null;
  status: 'pending' | 'ready' | 'failed';
  blurLevel: BlurLevel | null;
  width: number | null;
  height: number | null;
  failureCode: string | null;
  failureMessage: string | null;
  deletedAt: Date | null;
  version: number;
  lease: string | null;
  takes: number;
  postponed: number;
}

/** The columns of a row under the names above. */
export const columns = `organization_id AS "organizationId", id, user_id AS "userId", time_entry_id AS "timeEntryId",
  captured_at AS "capturedAt", received_at AS "receivedAt", upload_key AS "uploadKey", upload_type AS "uploadType",
  upload_bytes AS "uploadBytes", asked_level AS "askedLevel", metadata, status, blur_level AS "blurLevel", width, height,
  failure_code AS "failureCode", failure_message AS "failureMessage", deleted_at AS "deletedAt", version, lease, takes,
  postponed`;

/** In an UPDATE: the version of the new state. */
export const nextVersion = 'greatest(version + 1, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint)';
