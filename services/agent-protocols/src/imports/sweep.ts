import type { ObjectStore } from '@worktide/object-store';
import type { Pool } from '@worktide/postgres';
import { describeError, type Logger } from '@worktide/runtime';
import { importOfKey, importsPrefix } from './keys.ts';
import type { ImportMetrics } from './metrics.ts';
import { removeFile } from './remove.ts';

export interface ImportSweepOptions {
  pool: Pool;
  store: Pick<ObjectStore, 'list' | 'delete' | 'deleteMany'>;
  log: Logger;
  metrics: Pick<ImportMetrics, 'swept'>;
  /** How old a file without an import has to be, 1 h unless said: one that was just stored is noted a moment later. */
  graceMs?: number;
}

const rowsPerPass = 100;
const contentPerPass = 2_000;
const pageSize = 500;
const pagesPerPass = 10;
/** As long as an outcome of one may still come. */
const keptRemovedDays = 40;

/**
 * Removes what is over: imports that nobody started, files that no import has any more, and what is known of those that were taken
 * out. A pass looks at a bounded part; several replicas doing it at once do no harm. Never throws.
 */
export function createImportSweep(options: ImportSweepOptions): () => Promise<void> {
  const { pool, store, log, metrics, graceMs = 3_600_000 } = options;
  let after: string | undefined;

  function count(kind: string, things: number): void {
    if (things > 0) metrics.swept.inc({ kind }, things);
  }

  async function removeExpired(): Promise<void> {
    const { rows } = await pool.query<{ organizationId: string; id: string }>(
      `SELECT organization_id AS "organizationId", id FROM agent_protocols.imports WHERE expires_at <= now()
       ORDER BY expires_at LIMIT ${rowsPerPass}`,
    );
    for (const row of rows) {
      // The row last: as long as it is there, what is left is found again.
      await removeFile({ pool, store }, row);
      await pool.query(
        'DELETE FROM agent_protocols.imports WHERE organization_id = $1 AND id = $2 AND expires_at <= now()',
        [row.organizationId, row.id],
      );
    }
    count('expired', rows.length);
  }

  /** Nobody waits for it: content of what was taken out counts for nothing from that commit on. */
  async function removeTakenOut(): Promise<void> {
    const { rows } = await pool.query<{ organizationId: string; id: string; old: boolean }>(
      // Of one that was never started nothing is left but its file.
      `SELECT organization_id AS "organizationId", id, started_at IS NULL OR removed_at < now() - interval '${keptRemovedDays} days' AS old
       FROM agent_protocols.imports i WHERE removed_at IS NOT NULL AND (
         started_at IS NULL OR removed_at < now() - interval '${keptRemovedDays} days' OR file_key IS NOT NULL OR EXISTS (
           SELECT FROM agent_protocols.imported_content c WHERE c.organization_id = i.organization_id AND c.import_id = i.id))
       ORDER BY removed_at LIMIT ${rowsPerPass}`,
    );
    for (const row of rows) {
      const named = [row.organizationId, row.id];
      await removeFile({ pool, store }, row);
      const { rowCount } = await pool.query(
        `DELETE FROM agent_protocols.imported_content WHERE ctid = ANY (ARRAY(
           SELECT ctid FROM agent_protocols.imported_content WHERE organization_id = $1 AND import_id = $2
           LIMIT ${contentPerPass}))`,
        named,
      );
      if ((rowCount ?? 0) === contentPerPass || !row.old) continue;
      await pool.query(
        'DELETE FROM agent_protocols.import_outcomes WHERE organization_id = $1 AND import_id = $2',
        named,
      );
      await pool.query('DELETE FROM agent_protocols.imports WHERE organization_id = $1 AND id = $2', named);
    }
    count('taken out', rows.length);
  }

  async function removeStrays(): Promise<void> {
    for (let page = 0; page < pagesPerPass; page++) {
      const { items, next } = await store.list(importsPrefix, { limit: pageSize, after });
      after = next;
      const old = items.filter(({ modifiedAt }) => modifiedAt.getTime() < Date.now() - graceMs);
      const files = old.flatMap(({ key }) => {
        const found = importOfKey(key);
        return found ? [{ key, ...found }] : [];
      });
      if (files.length > 0) {
        const { rows } = await pool.query<{ key: string }>(
          `SELECT key FROM unnest($1::text[], $2::uuid[], $3::uuid[]) AS t (key, organization_id, id)
           WHERE NOT EXISTS (SELECT FROM agent_protocols.imports i
             WHERE i.organization_id = t.organization_id AND i.id = t.id AND i.file_key = t.key)`,
          [files.map(({ key }) => key), files.map(({ organizationId }) => organizationId), files.map(({ id }) => id)],
        );
        if (rows.length > 0) await store.deleteMany(rows.map(({ key }) => key));
        count('file', rows.length);
      }
      if (next === undefined) return;
    }
  }

  return async function sweep(): Promise<void> {
    for (const [part, work] of [
      ['expired', removeExpired],
      ['taken out', removeTakenOut],
      ['files', removeStrays],
    ] as const) {
      try {
        await work();
      } catch (error) {
        log.warn({ err: error, part }, `sweep of imports: ${describeError(error)}`);
      }
    }
  };
}

/** Erases the imports of an organisation, and their files. Again is harmless. Rejects 503. */
export async function eraseImports(
  { pool, store }: { pool: Pool; store: Pick<ObjectStore, 'list' | 'deleteMany'> },
  organizationId: string,
): Promise<void> {
  // Who works on one of them has lost it by that.
  for (const table of ['imports', 'imported_content', 'import_outcomes', 'import_turns']) {
    await pool.query(`DELETE FROM agent_protocols.${table} WHERE organization_id = $1`, [organizationId]);
  }
  for (;;) {
    const { items } = await store.list(`${importsPrefix}${organizationId}/`, { limit: pageSize });
    if (items.length === 0) return;
    await store.deleteMany(items.map(({ key }) => key));
  }
}
