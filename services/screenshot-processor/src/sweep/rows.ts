import type { Identity } from '@worktide/identity';
import type { ObjectStore } from '@worktide/object-store';
import { transactionWithEvents } from '@worktide/postgres';
import { AppError } from '@worktide/runtime';
import { eventOf } from '../events.ts';
import { pictureKey } from '../keys.ts';
import { columns, nextVersion, type ScreenshotRow } from '../rows.ts';
import { deletion } from '../screenshots/delete.ts';
import type { SettleOptions } from '../work/settle.ts';

const dayMs = 24 * 3_600_000;
/** The log forgets a record after seven days: what it could bring back until then is kept as deleted. */
const tombstoneDays = 30;
const noId = '00000000-0000-0000-0000-000000000000';
const headsAtOnce = 8;
/** So many pictures gone at once are no accident of some: the service looks into another store than it wrote to. */
const believableLosses = 20;

export interface RowRulesOptions extends SettleOptions {
  store: Pick<ObjectStore, 'head' | 'check'>;
  identity: Pick<Identity, 'organization'>;
  now: () => number;
}

/** Changes some rows of an organisation and tells of them, in one transaction. @returns how many. */
async function change(
  { pool, outbox, readyCodec }: SettleOptions,
  organizationId: string,
  sql: string,
  parameters: readonly unknown[],
): Promise<number> {
  const terms = { pool, outbox, tenant: organizationId, own: true, whenFull: 'leave' } as const;
  const { result } = await transactionWithEvents(terms, async (client, tell) => {
    const { rows } = await client.query<ScreenshotRow>(sql, [organizationId, ...parameters]);
    tell(...rows.map((row) => eventOf(readyCodec, row)));
    return rows.length;
  });
  return result;
}

/** Deletes what is older than its organisation keeps screenshots; some organisations at a time. */
export function createRetention(options: RowRulesOptions) {
  const { pool, identity, readyCodec, now } = options;
  let after = noId;
  /** @returns how many were deleted. */
  return async ({ organizations, pageSize, pages }: Record<'organizations' | 'pageSize' | 'pages', number>) => {
    await readyCodec.prepare();
    let deleted = 0;
    for (let looked = 0; looked < organizations; looked++) {
      // One step on the index each; a DISTINCT would read all of it.
      const { rows } = await pool.query<{ id: string }>(
        `SELECT organization_id AS id FROM screenshots.screenshots WHERE organization_id > $1 AND deleted_at IS NULL
         ORDER BY organization_id LIMIT 1`,
        [after],
      );
      const organizationId = rows[0]?.id;
      after = organizationId ?? noId;
      if (organizationId === undefined) break;
      const organization = await identity.organization(organizationId);
      if (!organization) continue;
      const before = new Date(now() - organization.settings.screenshotRetentionDays * dayMs).toISOString();
      for (let page = 0; page < pages; page++) {
        const count = await change(
          options,
          organizationId,
          `UPDATE screenshots.screenshots SET ${deletion}
           WHERE organization_id = $1 AND id IN (
             SELECT id FROM screenshots.screenshots
             WHERE organization_id = $1 AND captured_at < $2 AND deleted_at IS NULL
             ORDER BY captured_at LIMIT $3 FOR UPDATE SKIP LOCKED)
           RETURNING ${columns}`,
          [before, pageSize],
        );
        deleted += count;
        if (count < pageSize) break;
      }
    }
    return deleted;
  };
}

/** Deletes all that an organisation has, as its own people could: the objects are removed by the workers. */
export async function eraseOrganization(
  options: SettleOptions,
  organizationId: string,
  signal: AbortSignal,
): Promise<void> {
  const pageSize = 200;
  await options.readyCodec.prepare();
  for (let count = pageSize; count === pageSize; ) {
    signal.throwIfAborted();
    count = await change(
      options,
      organizationId,
      `UPDATE screenshots.screenshots SET ${deletion}
       WHERE organization_id = $1 AND id IN (
         SELECT id FROM screenshots.screenshots WHERE organization_id = $1 AND deleted_at IS NULL
         ORDER BY captured_at LIMIT $2 FOR UPDATE)
       RETURNING ${columns}`,
      [pageSize],
    );
  }
}

/** Finds ready rows whose picture is gone, and says so; some rows at a time. */
export function createLossFinder(options: RowRulesOptions) {
  const { pool, store, readyCodec } = options;
  let after = [noId, noId];
  /** @returns how many were lost. @throws AppError `TOO_MANY_LOST` */
  return async (limit: number): Promise<number> => {
    await readyCodec.prepare();
    const { rows } = await pool.query<ScreenshotRow>(
      `SELECT ${columns} FROM screenshots.screenshots
       WHERE (organization_id, id) > ($1, $2) AND status = 'ready' AND deleted_at IS NULL
       ORDER BY organization_id, id LIMIT $3`,
      [...after, limit],
    );
    const gone: ScreenshotRow[] = [];
    for (let start = 0; start < rows.length; start += headsAtOnce) {
      const some = rows.slice(start, start + headsAtOnce);
      const heads = await Promise.all(some.map((row) => store.head(pictureKey(row))));
      gone.push(...some.filter((_, i) => heads[i] === undefined));
    }
    // Before a loss is believed: a bucket that is not there answers every question after an object like this.
    if (gone.length > 0) await store.check();
    const last = rows.at(-1);
    after = rows.length === limit && last ? [last.organizationId, last.id] : [noId, noId];
    // All of several as well: it may be another bucket than it was.
    if (gone.length > believableLosses || (gone.length > 1 && gone.length === rows.length)) {
      throw new AppError(
        'TOO_MANY_LOST',
        `${gone.length} of ${rows.length} pictures are gone: is this the right store?`,
      );
    }
    let lost = 0;
    for (const { organizationId, id, version } of gone) {
      lost += await change(
        options,
        organizationId,
        `UPDATE screenshots.screenshots
         SET status = 'failed', failure_code = 'LOST', failure_message = 'The picture is not there any more.',
             picture_bytes = NULL, thumbnail_bytes = NULL, width = NULL, height = NULL, version = ${nextVersion},
             due_at = clock_timestamp(), lease = NULL
         WHERE organization_id = $1 AND id = $2 AND version = $3 AND status = 'ready' AND deleted_at IS NULL
         RETURNING ${columns}`,
        [id, version],
      );
    }
    return lost;
  };
}

/** Forgets what was deleted long ago and has nothing left. @returns how many. */
export async function forgetDeleted({ pool, now }: Pick<RowRulesOptions, 'pool' | 'now'>, limit: number) {
  const { rowCount } = await pool.query(
    `DELETE FROM screenshots.screenshots WHERE (organization_id, id) IN (
       SELECT organization_id, id FROM screenshots.screenshots
       WHERE deleted_at < $1 AND due_at IS NULL ORDER BY deleted_at LIMIT $2 FOR UPDATE SKIP LOCKED)`,
    [new Date(now() - tombstoneDays * dayMs).toISOString(), limit],
  );
  return rowCount ?? 0;
}
