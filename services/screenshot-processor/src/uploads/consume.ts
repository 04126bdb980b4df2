import type { BatchContext, Consumer, EventLog, StoredRecord } from '@worktide/event-log';
import type { ObjectStore } from '@worktide/object-store';
import { checkPostgres, type Pool } from '@worktide/postgres';
import { describeError, type Logger, type Metrics } from '@worktide/runtime';
import { type Codec, type ScreenshotRecord, topics } from '@worktide/schemas';
import { decodeUploads } from './decode.ts';
import { insertUploads, retakeUpload } from './insert.ts';

export const group = 'screenshot-processor';

/** A transaction of some tens of milliseconds. */
const maxRecords = 1_000;

export interface UploadsOptions {
  pool: Pool;
  eventLog: EventLog;
  /** Of topic `screenshots`. */
  uploadsCodec: Codec;
  store: Pick<ObjectStore, 'delete' | 'head'>;
  /** There are pictures to be processed. */
  onAdded: () => void;
  log: Logger;
  metrics: Metrics;
}

/**
 * Follows topic `screenshots` for ever. It only notes what there is to do, so it never waits for a picture, and what is
 * acknowledged is in the database long before the log forgets it.
 */
export function consumeUploads(options: UploadsOptions): Promise<Consumer> {
  const handle = createHandler(options);
  return options.eventLog.consume({
    group,
    topics: [topics.screenshots.name],
    maxRecords,
    ready: () => options.uploadsCodec.prepare(),
    answers: checkPostgres(options.pool),
    handle,
  });
}

/** One batch: rows, and what can never become one. */
export function createHandler(options: UploadsOptions) {
  const { pool, uploadsCodec, store, onAdded, log } = options;
  const metrics = {
    added: options.metrics.counter('worktide_screenshots_taken_total', 'Uploads noted for processing'),
    known: options.metrics.counter('worktide_screenshots_known_total', 'Uploads read again, or made again'),
    retaken: options.metrics.counter('worktide_screenshots_retaken_total', 'Uploads under the id of one that failed'),
    refused: options.metrics.counter('worktide_screenshots_refused_total', 'Records that were not taken', ['code']),
  };

  async function refuse({ organizationId, userId, screenshotId, objectKey }: ScreenshotRecord): Promise<void> {
    metrics.refused.inc({ code: 'ID_TAKEN' });
    log.warn({ organizationId, userId, screenshotId }, 'an upload has the id of another user’s screenshot');
    // Where the store is away the sweeper does it, as with any upload that nobody knows.
    await store.delete(objectKey).catch((error: unknown) => log.warn({ err: error }, describeError(error)));
  }

  /**
   * Asks the store first: a record that is read again tells of an upload that is gone, and changes nothing. Where the
   * store is away the batch is tried again, for the upload was acknowledged.
   */
  async function retake(upload: ScreenshotRecord): Promise<void> {
    if (!(await store.head(upload.objectKey))) return;
    await retakeUpload(pool, upload);
    metrics.retaken.inc();
  }

  return async function handle(batch: StoredRecord[], context: BatchContext): Promise<void> {
    const { uploads, bad } = decodeUploads(batch, uploadsCodec);
    const { added, known, refused, again } = await insertUploads(pool, uploads);
    for (const upload of again) await retake(upload);
    metrics.added.inc(added);
    metrics.known.inc(known);
    if (added + known > 0) onAdded();
    for (const upload of refused) await refuse(upload);
    for (const { record, reason } of bad) {
      context.deadLetter(record, reason);
      metrics.refused.inc({ code: reason.code });
    }
  };
}
