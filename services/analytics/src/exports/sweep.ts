import type { ObjectStore } from '@worktide/object-store';
import type { Pool } from '@worktide/postgres';
import { describeError, type Logger, type Metrics } from '@worktide/runtime';
import { exportsPrefix, tryOfKey } from './keys.ts';
import { removeFiles } from './remove.ts';

export interface ExportSweepOptions {
  pool: Pool;
  store: Pick<ObjectStore, 'list' | 'deleteMany'>;
  log: Logger;
  metrics: Metrics;
  /** How old a file without an export has to be, 1 h unless said: one that was just stored is noted a moment later. */
  graceMs?: number;
}

const rowsPerPass = 200;
const pageSize = 500;
const pagesPerPass = 10;

/**
 * Removes what is over: exports whose time has passed, with their files, and files that no export has, which a crash or an
 * outage between two steps left. A pass looks at a bounded part, and the next goes on from there; several replicas doing it at
 * once do no harm.
 */
export function createExportSweep(options: ExportSweepOptions): () => Promise<void> {
  const { pool, store, log, metrics, graceMs = 3_600_000 } = options;
  const swept = metrics.counter('worktide_exports_swept_total', 'Exports and files that a sweep removed', ['kind']);
  const failures = metrics.counter('worktide_exports_sweep_failures_total', 'Parts of sweeps that failed', ['part']);
  let after: string | undefined;

  function count(kind: string, things: number): void {
    if (things === 0) return;
    swept.inc({ kind }, things);
    log.info({ kind, things }, 'exports swept');
  }

  async function removeExpired(): Promise<void> {
    const { rows } = await pool.query<{ organizationId: string; id: string }>(
      `SELECT organization_id AS "organizationId", id FROM analytics.exports WHERE expires_at <= now()
       ORDER BY expires_at LIMIT ${rowsPerPass}`,
    );
    for (const row of rows) {
      // The row last: as long as it is there, what is left is found again.
      await removeFiles(store, row);
      await pool.query('DELETE FROM analytics.exports WHERE organization_id = $1 AND id = $2 AND expires_at <= now()', [
        row.organizationId,
        row.id,
      ]);
    }
    count('expired', rows.length);
  }

  async function removeStrays(): Promise<void> {
    for (let page = 0; page < pagesPerPass; page++) {
      const { items, next } = await store.list(exportsPrefix, { limit: pageSize, after });
      after = next;
      const old = items.filter(({ modifiedAt }) => modifiedAt.getTime() < Date.now() - graceMs);
      const tries = old.flatMap(({ key }) => {
        const found = tryOfKey(key);
        return found ? [{ key, ...found }] : [];
      });
      if (tries.length > 0) {
        // Of a job in work it is the one try that may be about to be noted.
        const { rows } = await pool.query<{ key: string }>(
          `SELECT key FROM unnest($1::text[], $2::uuid[], $3::uuid[], $4::uuid[]) AS t (key, organization_id, id, lease)
           WHERE NOT EXISTS (SELECT FROM analytics.exports e WHERE e.organization_id = t.organization_id AND e.id = t.id
             AND (e.file_key = t.key OR e.lease = t.lease))`,
          [
            tries.map(({ key }) => key),
            tries.map(({ organizationId }) => organizationId),
            tries.map(({ id }) => id),
            tries.map(({ lease }) => lease),
          ],
        );
        if (rows.length > 0) await store.deleteMany(rows.map(({ key }) => key));
        count('file', rows.length);
      }
      if (next === undefined) return;
    }
  }

  /** One pass. Never throws: what fails is logged, counted and tried in the next. */
  return async function sweep(): Promise<void> {
    for (const [part, work] of [
      ['expired', removeExpired],
      ['files', removeStrays],
    ] as const) {
      try {
        await work();
      } catch (error) {
        failures.inc({ part });
        log.warn({ err: error, part }, `sweep of exports: ${describeError(error)}`);
      }
    }
  };
}

/** Erases the exports of an organisation, and their files. Again, and by several at once, is harmless. Rejects 503. */
export async function eraseExports(
  { pool, store }: Pick<ExportSweepOptions, 'pool' | 'store'>,
  organizationId: string,
): Promise<void> {
  // Who works on one of them has lost it by that, and removes what it stores after this.
  await pool.query('DELETE FROM analytics.exports WHERE organization_id = $1', [organizationId]);
  await pool.query('DELETE FROM analytics.export_turns WHERE organization_id = $1', [organizationId]);
  for (;;) {
    const { items } = await store.list(`${exportsPrefix}${organizationId}/`, { limit: pageSize });
    if (items.length === 0) return;
    await store.deleteMany(items.map(({ key }) => key));
  }
}
