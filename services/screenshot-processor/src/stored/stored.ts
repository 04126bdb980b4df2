import type { KeyValue } from '@worktide/key-value';
import { type Pool, type Queryable, transaction } from '@worktide/postgres';
import type { Metrics } from '@worktide/runtime';
import { storedScreenshotsKey, storedTtlMs } from '@worktide/schemas';

const organizationsAtOnce = 500;
const allEveryMs = 3_600_000;

export interface StoredOptions {
  pool: Pool;
  keyValue: Pick<KeyValue, 'set'>;
  metrics: Metrics;
}

export interface StoredBytes {
  /**
   * One pass over the organisations whose stored bytes have changed since the last: tells their sums to whoever watches
   * quotas, and puts their rows together into one. Several replicas doing it at once do no harm.
   * @returns how many organisations had changed.
   * @throws 503; what was not told then is in the next pass.
   */
  tellChanged(): Promise<number>;
  /** Tells those of all, for what was told may have been forgotten. @returns how many organisations. @throws 503. */
  tellAll(): Promise<number>;
}

export function createStoredBytes({ pool, keyValue, metrics }: StoredOptions): StoredBytes {
  const gauge = metrics.gauge('worktide_stored_bytes', 'Bytes stored, all organisations together.', ['kind']);

  /** Told before the rows are one, for one row is what has been told. Who else does this waits for these rows. */
  async function tell(client: Queryable, id: string): Promise<void> {
    await client.query(
      `WITH gone AS (DELETE FROM screenshots.stored_bytes WHERE organization_id = $1 RETURNING bytes)
       INSERT INTO screenshots.stored_bytes SELECT $1, sum(bytes) FROM gone HAVING count(*) > 0`,
      [id],
    );
    // A statement of its own: it sees what others have put together while this one waited for them.
    const { rows } = await client.query<{ bytes: number }>(
      'SELECT sum(bytes)::bigint AS bytes FROM screenshots.stored_bytes WHERE organization_id = $1',
      [id],
    );
    await keyValue.set(storedScreenshotsKey(id), String(rows[0]!.bytes), storedTtlMs);
  }

  return {
    async tellChanged() {
      const { rows } = await pool.query<{ id: string }>(
        `SELECT organization_id AS id FROM screenshots.stored_bytes GROUP BY organization_id HAVING count(*) > 1 LIMIT $1`,
        [organizationsAtOnce],
      );
      for (const { id } of rows) await transaction(pool, (client) => tell(client, id));
      const all = await pool.query<{ bytes: number }>(
        'SELECT coalesce(sum(bytes), 0)::bigint AS bytes FROM screenshots.stored_bytes',
      );
      gauge.set({ kind: 'screenshots' }, all.rows[0]!.bytes);
      return rows.length;
    },
    async tellAll() {
      let told = 0;
      for (let after = '00000000-0000-0000-0000-000000000000'; ; ) {
        const { rows } = await pool.query<{ id: string }>(
          `SELECT DISTINCT organization_id AS id FROM screenshots.stored_bytes WHERE organization_id > $1
           ORDER BY organization_id LIMIT $2`,
          [after, organizationsAtOnce],
        );
        for (const { id } of rows) await transaction(pool, (client) => tell(client, id));
        told += rows.length;
        if (rows.length < organizationsAtOnce) return told;
        after = rows.at(-1)!.id;
      }
    },
  };
}

/** Tells what has changed, and all at a start and each hour. */
export function storedPass(stored: StoredBytes): () => Promise<void> {
  let allToldAt = Number.NEGATIVE_INFINITY;
  return async () => {
    await stored.tellChanged();
    if (performance.now() - allToldAt < allEveryMs) return;
    await stored.tellAll();
    allToldAt = performance.now();
  };
}
