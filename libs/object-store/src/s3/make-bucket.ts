import { CreateBucketCommand, HeadBucketCommand } from '@aws-sdk/client-s3';
import { type Logger, unavailable } from '@worktide/runtime';
import { fromS3, statusOf } from './errors.ts';
import { createClient } from './open.ts';
import { parseS3Url } from './url.ts';

/** See `makeBucket`. */
export async function makeS3Bucket(url: string, { log }: { log: Logger }): Promise<void> {
  const address = parseS3Url(url);
  const client = createClient(address, address.endpoint, 10_000);
  const Bucket = address.bucket;
  try {
    const isThere = await client.send(new HeadBucketCommand({ Bucket })).then(
      () => true,
      (error: unknown) => {
        if (statusOf(error) === 404) return false;
        throw error;
      },
    );
    if (isThere) return;
    await client.send(new CreateBucketCommand({ Bucket }));
    log.info({ bucket: Bucket }, 'bucket made');
  } catch (error) {
    // Somebody else was quicker. Where it is somebody else's the services say so, who are refused.
    if (/^BucketAlready(Exists|OwnedByYou)$/.test((error as Error).name)) return;
    throw unavailable('object store', fromS3(error));
  } finally {
    client.destroy();
  }
}
