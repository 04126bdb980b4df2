import { type Pool, transaction } from '@worktide/postgres';
import type { ScreenshotRecord } from '@worktide/schemas';
import { nextVersion } from '../rows.ts';

export interface Inserted {
  added: number;
  /** Records read before, or uploads made again. */
  known: number;
  /** Uploads under an id that is another user's. */
  refused: ScreenshotRecord[];
  /** Uploads made later than those that failed under their ids, the last of each; known as well. */
  again: ScreenshotRecord[];
}

/**
 * Makes a pending row of each upload that has none; reading the same records again changes nothing. Where the row is
 * done with already, its upload was made again, and is due to be removed, unless the one before failed (`again`).
 * @throws 503 where the database is away.
 */
export async function insertUploads(pool: Pool, uploads: readonly ScreenshotRecord[]): Promise<Inserted> {
  if (uploads.length === 0) return { added: 0, known: 0, refused: [], again: [] };
  return transaction(pool, async (client) => {
    const of = <T>(pick: (upload: ScreenshotRecord) => T): T[] => uploads.map(pick);
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
        of(metadataOf),
      ],
    );
    const added = rowCount ?? 0;
    if (added === uploads.length) return { added, known: 0, refused: [], again: [] };
    const ids = idsOf(uploads);
    const { rows } = await client.query<Known>(
      `SELECT organization_id AS "organizationId", id, user_id AS "userId", received_at AS "receivedAt",
              status = 'failed' AND deleted_at IS NULL AND due_at IS NULL AS "hasFailed"
       FROM screenshots.screenshots
       WHERE (organization_id, id) IN (SELECT * FROM unnest($1::uuid[], $2::uuid[]))`,
      ids,
    );
    const found = new Map(rows.map((row) => [nameOf(row.organizationId, row.id), row]));
    const refused: ScreenshotRecord[] = [];
    const again = new Map<string, ScreenshotRecord>();
    for (const upload of uploads) {
      const name = nameOf(upload.organizationId, upload.screenshotId);
      const row = found.get(name);
      if (row?.userId !== upload.userId) refused.push(upload);
      else if (row.hasFailed && upload.receivedAt > (again.get(name)?.receivedAt ?? row.receivedAt.getTime()))
        again.set(name, upload);
    }
    // Whoever is removing it at this moment may have looked before it was there again.
    await client.query(
      `UPDATE screenshots.screenshots SET due_at = clock_timestamp(), lease = NULL
       WHERE (organization_id, id) IN (SELECT * FROM unnest($1::uuid[], $2::uuid[]))
         AND (status <> 'pending' OR deleted_at IS NOT NULL)
         AND (organization_id, id) NOT IN (SELECT * FROM unnest($3::uuid[], $4::uuid[]))`,
      [...ids, ...idsOf([...again.values()])],
    );
    return { added, known: uploads.length - added - refused.length, refused, again: [...again.values()] };
  });
}

interface Known {
  organizationId: string;
  id: string;
  userId: string;
  receivedAt: Date;
  /** And what was left of it is gone: whoever is removing that would take a new upload along. */
  hasFailed: boolean;
}

const nameOf = (organizationId: string, id: string): string => `${organizationId}/${id}`;

const idsOf = (uploads: readonly ScreenshotRecord[]): [string[], string[]] => [
  uploads.map(({ organizationId }) => organizationId),
  uploads.map(({ screenshotId }) => screenshotId),
];

/**
 * Makes a failed row pending for another upload under its id, which is there. Nothing where that was read before.
 * @throws 503 where the database is away.
 */
export async function retakeUpload(pool: Pool, upload: ScreenshotRecord): Promise<void> {
  await pool.query(
    `UPDATE screenshots.screenshots
     SET status = 'pending', failure_code = NULL, failure_message = NULL, version = ${nextVersion},
         time_entry_id = $3, captured_at = $4, received_at = $5, upload_key = $6, upload_type = $7, upload_bytes = $8,
         asked_level = $9, metadata = $10, due_at = clock_timestamp(), lease = NULL, takes = 0, postponed = 0
     WHERE organization_id = $1 AND id = $2 AND status = 'failed' AND deleted_at IS NULL AND due_at IS NULL
       AND received_at < $5`,
    [
      upload.organizationId,
      upload.screenshotId,
      upload.timeEntryId,
      instant(upload.capturedAt),
      instant(upload.receivedAt),
      upload.objectKey,
      upload.contentType,
      upload.size,
      upload.blurLevel,
      metadataOf(upload),
    ],
  );
}

const instant = (ms: number): string => new Date(ms).toISOString();
const metadataOf = ({ metadata }: ScreenshotRecord): string | null =>
  metadata === null ? null : JSON.stringify(metadata);
