import { type Pool, transaction } from '@worktide/postgres';
import type { ScreenshotRecord } from '@worktide/schemas';

export interface Inserted {
  added: number;
  /** Records read before, or uploads made again. */
  known: number;
  /** Uploads under an id that is another user's. */
  refused: ScreenshotRecord[];
}

/**
 * Makes a pending row of each upload that has none; reading the same records again changes nothing. Where the row is
 * done with already, its upload was made again, and is due to be removed.
 * @throws 503 where the database is away.
 */
export async function insertUploads(pool: Pool, uploads: readonly ScreenshotRecord[]): Promise<Inserted> {
  if (uploads.length === 0) return { added: 0, known: 0, refused: [] };
  return transaction(pool, async (client) => {
    const of = <T>(pick: (upload: ScreenshotRecord) => T): T[] => uploads.map(pick);
    const instant = (ms: number): string => new Date(ms).toISOString();
    const { rowCount } = await client.query(
      `INSERT INTO screenshots.screenshots (organization_id, id, user_id, time_entry_id, captured_at, received_at,
         upload_key, upload_type, upload_bytes, asked_level, metadata, version)
       SELECT r.*, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint
       FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::timestamptz[], $6::timestamptz[],
                   $7::text[], $8::text[], $9::bigint[], $10::smallint[], $11::json[]) AS r
       ON CONFLICT DO NOTHING`,
      [
        of((upload) => upload.organizationId),
        of((upload) => upload.screenshotId),
        of((upload) => upload.userId),
        of((upload) => upload.timeEntryId),
        of((upload) => instant(upload.capturedAt)),
        of((upload) => instant(upload.receivedAt)),
        of((upload) => upload.objectKey),
        of((upload) => upload.contentType),
        of((upload) => upload.size),
        of((upload) => upload.blurLevel),
        of((upload) => (upload.metadata === null ? null : JSON.stringify(upload.metadata))),
      ],
    );
    const added = rowCount ?? 0;
    if (added === uploads.length) return { added, known: 0, refused: [] };
    const ids = [of((upload) => upload.organizationId), of((upload) => upload.screenshotId)];
    const { rows } = await client.query<{ organizationId: string; id: string; userId: string }>(
      `SELECT organization_id AS "organizationId", id, user_id AS "userId" FROM screenshots.screenshots
       WHERE (organization_id, id) IN (SELECT * FROM unnest($1::uuid[], $2::uuid[]))`,
      ids,
    );
    const owners = new Map(rows.map((row) => [`${row.organizationId}/${row.id}`, row.userId]));
    const refused = uploads.filter(
      ({ organizationId, screenshotId, userId }) => owners.get(`${organizationId}/${screenshotId}`) !== userId,
    );
    // Whoever is removing it at this moment may have looked before it was there again.
    await client.query(
      `UPDATE screenshots.screenshots SET due_at = clock_timestamp(), lease = NULL
       WHERE (organization_id, id) IN (SELECT * FROM unnest($1::uuid[], $2::uuid[]))
         AND (status <> 'pending' OR deleted_at IS NOT NULL)`,
      ids,
    );
    return { added, known: uploads.length - added - refused.length, refused };
  });
}
