import type { Identity } from '@worktide/identity';
import type { ObjectStore } from '@worktide/object-store';
import { AppError, unavailable } from '@worktide/runtime';
import { maxScreenshotBytes } from '@worktide/schemas';
import { pictureKey, resultKeys, thumbnailKey } from '../keys.ts';
import { type BlurLevel, isPictureFailure, type Pictures, type ProcessedPicture } from '../picture/index.ts';
import { createPixelGate } from '../picture/pixel-gate.ts';
import type { ScreenshotRow } from '../rows.ts';
import { type Claim, finishClaim, silentEnds } from './claims.ts';
import type { WorkMetrics } from './metrics.ts';
import { readUpload } from './read-upload.ts';
import { type SettleOptions, settle, type Verdict } from './settle.ts';

export interface WorkOptions extends SettleOptions {
  store: Pick<ObjectStore, 'get' | 'put' | 'deleteMany'>;
  pictures: Pictures;
  identity: Pick<Identity, 'organization'>;
  metrics: WorkMetrics;
}

/** Bytes of uploads in memory at a time; one more than this alone cannot be. */
const maxBytesAtOnce = 64_000_000;
/** And of one person's, where it is more than one: there is always room for another's. */
const maxBytesEach = 32_000_000;
/** Deaths of other causes count, too: only a picture that brings down process after process comes this far. */
const giveUpAfter = 20;
/** The object was there before its record: where it cannot be seen it is looked for again, not at once given up. */
const looks = 3;

/**
 * Does what is due of one row, whatever that is. Ends at any point without harm: a pending row's results are written
 * again, under the same keys, and the row of a picture that is done stays due until nothing sharp is left.
 */
export function createWork(options: WorkOptions) {
  const { pool, store, pictures, identity, metrics } = options;
  const bytesGate = createPixelGate(maxBytesAtOnce, maxBytesEach);

  /** @param signal aborted when the row is not the claim's any more. @throws whatever is not the picture's fault. */
  return async function workOn(claim: Claim, signal: AbortSignal): Promise<void> {
    if (claim.status !== 'pending' || claim.deletedAt) return removeRest(claim, claim);
    const end = metrics.seconds.startTimer();
    const verdict = await judge(claim, signal);
    signal.throwIfAborted();
    const settled = await settle(options, claim, verdict);
    if (!settled) {
      metrics.lost.inc();
      return removeIfDeleted(claim);
    }
    end();
    if (verdict.status === 'failed') metrics.failures.inc({ code: verdict.code });
    else metrics.ready.inc({ level: verdict.blurLevel });
    await removeRest(settled, claim);
  };

  /** Processes a picture and stores what it became. */
  async function judge(claim: Claim, signal: AbortSignal): Promise<Verdict> {
    if (silentEnds(claim) >= giveUpAfter) return failed('CRASHED', 'The picture could not be processed.');
    const blurLevel = await levelOf(claim);
    let picture: ProcessedPicture | undefined;
    try {
      const gated = Math.min(claim.uploadBytes, maxScreenshotBytes);
      picture = await bytesGate.run(subjectOf(claim), gated, () => processUpload(claim, blurLevel, signal));
    } catch (error) {
      if (isPictureFailure(error) || (error instanceof AppError && error.code === 'TOO_LARGE')) {
        return failed(error.code, error.message);
      }
      throw error;
    }
    if (!picture) return failed('LOST', 'The upload is not there any more.');
    const { contentType, width, height, thumbnail } = picture;
    const put = (key: string, bytes: Buffer) => {
      signal.throwIfAborted();
      metrics.bytes.inc({ direction: 'out' }, bytes.length);
      return store.put(key, bytes, { contentType, signal });
    };
    await put(pictureKey(claim), picture.picture);
    await put(thumbnailKey(claim), thumbnail);
    return {
      status: 'ready',
      blurLevel,
      width,
      height,
      bytes: picture.picture.length,
      thumbnailBytes: thumbnail.length,
    };
  }

  /** As it is at this moment: what an organisation demanded since the upload holds for it as well. */
  async function levelOf({ organizationId, askedLevel }: Claim): Promise<BlurLevel> {
    const organization = await identity.organization(organizationId);
    // Nobody there to be asked: the most there is.
    const minimum = organization ? organization.settings.minimumBlurLevel : 3;
    return Math.max(askedLevel ?? 0, minimum) as BlurLevel;
  }

  async function processUpload(claim: Claim, blurLevel: BlurLevel, signal: AbortSignal) {
    const upload = await readUpload(store, claim.uploadKey, signal);
    if (!upload) {
      if (claim.postponed + 1 < looks) throw unavailable('object store', new Error('an upload is not there'));
      return undefined;
    }
    metrics.bytes.inc({ direction: 'in' }, upload.bytes.length);
    return pictures.process(upload.bytes, { blurLevel, declaredType: claim.uploadType, subject: subjectOf(claim) });
  }

  /**
   * Removes what a row that is done with has no need of; above all, what is sharp. The claim of an upload by signed URL
   * holds nothing of the picture and stays for its time: by it the gateway knows an upload that is confirmed again.
   */
  async function removeRest(row: ScreenshotRow, claim: Claim): Promise<void> {
    const keys = [row.uploadKey];
    if (row.status === 'failed' || row.deletedAt) keys.push(...resultKeys(row));
    await store.deleteMany(keys);
    await finishClaim(pool, claim);
  }

  /** Deleted while it was in work: what was just stored must go, and now, because whoever cleans up may have been here. */
  async function removeIfDeleted(claim: Claim): Promise<void> {
    const { rows } = await pool.query<{ gone: boolean }>(
      `SELECT deleted_at IS NOT NULL AS gone FROM screenshots.screenshots WHERE organization_id = $1 AND id = $2`,
      [claim.organizationId, claim.id],
    );
    if (rows[0]?.gone) await store.deleteMany([claim.uploadKey, ...resultKeys(claim)]);
  }
}

const subjectOf = ({ organizationId, userId }: Claim): string => `${organizationId}/${userId}`;

const failed = (code: string, message: string): Verdict => ({ status: 'failed', code, message });
