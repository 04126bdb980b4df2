import type { ObjectStore } from '@worktide/object-store';
import type { Screenshot } from '@worktide/schemas';
import { pictureKey, signResult, thumbnailKey } from '../keys.ts';
import type { ScreenshotRow } from '../rows.ts';

/** A row as the API gives it, with links where there is something to be seen. */
export async function showScreenshot(store: Pick<ObjectStore, 'signedGet'>, row: ScreenshotRow): Promise<Screenshot> {
  const isReady = row.status === 'ready' && row.deletedAt === null;
  const [url, thumbnailUrl] = isReady
    ? await Promise.all([signResult(store, pictureKey(row)), signResult(store, thumbnailKey(row))])
    : [null, null];
  return {
    id: row.id,
    userId: row.userId,
    timeEntryId: row.timeEntryId,
    capturedAt: row.capturedAt.toISOString(),
    status: row.status,
    blurLevel: row.blurLevel,
    width: row.width,
    height: row.height,
    url,
    thumbnailUrl,
    metadata: row.metadata,
    ...(row.failureCode === null ? {} : { failure: { code: row.failureCode, message: row.failureMessage ?? '' } }),
  };
}
