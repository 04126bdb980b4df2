import type { Audit, AuditSource } from '@worktide/audit';
import { transactionWithEvents } from '@worktide/postgres';
import { eventOf } from '../events.ts';
import { columns, nextVersion, type ScreenshotRow } from '../rows.ts';
import type { SettleOptions } from '../work/settle.ts';

/**
 * What marks rows as deleted. Their objects are then removed by a worker: at once, or, where one has the picture in work,
 * when that one has certainly let go of it (and by itself as soon as it notices).
 */
export const deletion = `
  deleted_at = clock_timestamp(), metadata = NULL, version = ${nextVersion},
  due_at = CASE WHEN status = 'pending' AND lease IS NOT NULL THEN due_at ELSE clock_timestamp() END, lease = NULL,
  takes = 0, postponed = 0`;

export interface DeleteOptions extends SettleOptions {
  audit: Pick<Audit, 'events' | 'check'>;
  /** There are objects to be removed. */
  onDeleted: () => void;
}

/**
 * Deletes a screenshot, also before it was processed.
 * @param mayDelete throws where the caller may not.
 * @param signal ends it with its request: then it is deleted or not.
 * @returns false where there is none.
 */
export async function deleteScreenshot(
  { pool, outbox, readyCodec, audit, onDeleted }: DeleteOptions,
  { organizationId, id, source }: { organizationId: string; id: string; source: AuditSource },
  mayDelete: (row: ScreenshotRow) => void,
  signal?: AbortSignal,
): Promise<boolean> {
  await readyCodec.prepare();
  // Never a reason to refuse, but without it a new process's first actions are lost.
  await audit.check().catch(() => {});
  const terms = { pool, outbox, tenant: organizationId, signal, whenFull: 'leave' } as const;
  const { result: deleted } = await transactionWithEvents(terms, async (client, tell) => {
    const found = await client.query<ScreenshotRow>(
      `SELECT ${columns} FROM screenshots.screenshots
       WHERE organization_id = $1 AND id = $2 AND deleted_at IS NULL FOR UPDATE`,
      [organizationId, id],
    );
    const before = found.rows[0];
    if (!before) return false;
    mayDelete(before);
    const { rows } = await client.query<ScreenshotRow>(
      `UPDATE screenshots.screenshots SET ${deletion} WHERE organization_id = $1 AND id = $2 RETURNING ${columns}`,
      [organizationId, id],
    );
    const { userId, timeEntryId, capturedAt, status, blurLevel } = before;
    const action = {
      action: 'screenshot.deleted',
      entityType: 'screenshot',
      entityId: id,
      before: { userId, timeEntryId, capturedAt, status, blurLevel },
    };
    tell(eventOf(readyCodec, rows[0]!), ...audit.events(organizationId, source, [action]));
    return true;
  });
  if (deleted) onDeleted();
  return deleted;
}
