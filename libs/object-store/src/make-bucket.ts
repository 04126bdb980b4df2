import { createMetrics, type Logger } from '@worktide/runtime';
import { openObjectStore } from './open.ts';
import { makeS3Bucket } from './s3/make-bucket.ts';

/**
 * Makes the bucket of a URL where it is missing, with whatever the server gives a new one; a folder makes itself.
 * Several may do so at once. @throws AppError 503, and `BAD_CONFIGURATION` as `openObjectStore`.
 */
export async function makeBucket(url: string, { log }: { log: Logger }): Promise<void> {
  if (url.startsWith('s3://')) return makeS3Bucket(url, { log });
  const store = openObjectStore(url, { log, metrics: createMetrics() });
  await store.close();
}
