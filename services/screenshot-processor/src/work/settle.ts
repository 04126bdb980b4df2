import { type Outbox, type Pool, transactionWithEvents } from '@worktide/postgres';
import type { Codec } from '@worktide/schemas';
import { eventOf } from '../events.ts';
import type { BlurLevel } from '../picture/index.ts';
import { columns, nextVersion, type ScreenshotRow } from '../rows.ts';
import type { Claim } from './claims.ts';

/** What became of a picture. */
export type Verdict =
  | { status: 'ready'; blurLevel: BlurLevel; width: number; height: number; bytes: number; thumbnailBytes: number }
  | { status: 'failed'; code: string; message: string };

export interface SettleOptions {
  pool: Pool;
  outbox: Pick<Outbox, 'write' | 'committed'>;
  /** Of topic `screenshots-ready`. */
  readyCodec: Codec;
}

/**
 * Ends a pending row's wait, and tells of it. It stays due, for the removal of what is not needed any more.
 * @returns the row as it is now; undefined where it was not the claim's any more, e.g. because it was deleted meanwhile.
 * @throws 503; then it may have happened or not.
 */
export async function settle(
  { pool, outbox, readyCodec }: SettleOptions,
  claim: Claim,
  verdict: Verdict,
): Promise<ScreenshotRow | undefined> {
  await readyCodec.prepare();
  const ready = verdict.status === 'ready' ? verdict : undefined;
  const failed = verdict.status === 'failed' ? verdict : undefined;
  const terms = { pool, outbox, tenant: claim.organizationId, own: true, whenFull: 'leave' } as const;
  const { result } = await transactionWithEvents(terms, async (client, tell) => {
    const { rows } = await client.query<ScreenshotRow>(
      `UPDATE screenshots.screenshots
       SET status = $4, blur_level = $5, width = $6, height = $7, picture_bytes = $8, thumbnail_bytes = $9,
           failure_code = $10, failure_message = $11, version = ${nextVersion}, takes = 0, postponed = 0
       WHERE organization_id = $1 AND id = $2 AND lease = $3 AND status = 'pending' AND deleted_at IS NULL
       RETURNING ${columns}`,
      [
        claim.organizationId,
        claim.id,
        claim.lease,
        verdict.status,
        ready?.blurLevel,
        ready?.width,
        ready?.height,
        ready?.bytes,
        ready?.thumbnailBytes,
        failed?.code,
        failed?.message,
      ],
    );
    if (rows[0]) tell(eventOf(readyCodec, rows[0]));
    return rows[0];
  });
  return result;
}
