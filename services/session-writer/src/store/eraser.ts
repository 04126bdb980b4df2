import { transaction, transactionWithEvents } from '@worktide/postgres';
import type { Metrics } from '@worktide/runtime';
import { type Codec, type ErasuresRecord, topics } from '@worktide/schemas';
import { eraseMinutes, waitForMinutes } from '../input/store.ts';
import { findSlice, type Progress, type RangeRow } from './erase-slice.ts';
import { type MergeOptions, mergeStreams } from './merge.ts';

export interface EraserOptions extends MergeOptions {
  metrics: Metrics;
  /** Of topic `erasures`. */
  erasuresCodec: Codec;
}

export interface Eraser {
  /**
   * Works off one slice of what is recorded: the next of the next organisation, and in it of the next user.
   * @returns whether there may be more for this process: not where there is nothing, or another process is at it.
   * @throws whatever kept the slice from being done; it stays to be done, and the next call is another organisation's.
   */
  step(): Promise<boolean>;
  /** Steps until there is nothing more for this process. */
  workOff(): Promise<void>;
  /** Shows what waits. */
  measure(): Promise<void>;
}

const nobody = '00000000-0000-0000-0000-000000000000';
const rangeColumns = `id, organization_id AS "organizationId", user_id AS "userId", device_id AS "deviceId",
  started_at AS "from", ended_at AS "to", done_device AS "doneDevice", done_source AS "doneSource", done_until AS "doneUntil"`;

/**
 * Takes recorded erasures out of what is stored, through the same fold as pings, announced like every other change. One
 * slice is one bounded transaction; how far it is stands in the range's row, so that another process goes on from there.
 *
 * Every fold respects a range from its record on. So a stream that a slice does not see was made after it, and its first
 * fold knew the range; one that it sees is locked and read after whoever held it. Doing a slice again changes nothing.
 *
 * Input counts go first. Who else keeps them is told of the range when its first slice begins.
 */
export function createEraser({ metrics, erasuresCodec, ...options }: EraserOptions): Eraser {
  const { pool, outbox } = options;
  const waiting = metrics.gauge('worktide_erasures_pending', 'Erased ranges recorded and not yet worked off');
  const oldest = metrics.gauge('worktide_erasures_oldest_seconds', 'How long the oldest of them has waited');
  const slices = metrics.counter('worktide_erasure_slices_total', 'Transactions of erasures, by what became of them', [
    'outcome',
  ]);
  waiting.set(0);
  oldest.set(0);
  /** Whose turn it was last: of organisations, and of users in each. */
  let organization = nobody;
  const users = new Map<string, string>();

  async function nextRange(): Promise<{ range: RangeRow; told: Promise<void> } | undefined> {
    const after = (column: string, where: string): string =>
      `coalesce((SELECT ${column} FROM erased_ranges WHERE applied_at IS NULL ${where} AND ${column} > $1 ORDER BY ${column} LIMIT 1),
        (SELECT ${column} FROM erased_ranges WHERE applied_at IS NULL ${where} ORDER BY ${column} LIMIT 1)) AS next`;
    const { rows: organizations } = await pool.query<{ next: string | null }>(
      `SELECT ${after('organization_id', '')}`,
      [organization],
    );
    const organizationId = organizations[0]!.next;
    if (organizationId === null) {
      users.clear();
      return undefined;
    }
    organization = organizationId;
    const { rows: people } = await pool.query<{ next: string | null }>(
      `SELECT ${after('user_id', 'AND organization_id = $2')}`,
      [users.get(organizationId) ?? nobody, organizationId],
    );
    const userId = people[0]!.next;
    if (userId === null) return undefined;
    users.set(organizationId, userId);
    await erasuresCodec.prepare();
    const { result: range, published: told } = await transactionWithEvents({ pool, outbox }, async (client, tell) => {
      const { rows } = await client.query<RangeRow & { begun: boolean }>(
        `SELECT ${rangeColumns}, begun_at IS NOT NULL AS begun FROM erased_ranges
         WHERE applied_at IS NULL AND organization_id = $1 AND user_id = $2 ORDER BY requested_at LIMIT 1 FOR UPDATE`,
        [organizationId, userId],
      );
      const next = rows[0];
      if (!next || next.begun) return next;
      // From now on it stays as long as it is.
      await client.query('UPDATE erased_ranges SET begun_at = now() WHERE id = $1', [next.id]);
      await waitForMinutes(client);
      // What lies before 1970 nobody has.
      const [from, to] = [Math.max(0, next.from), Math.max(0, next.to)];
      const record: ErasuresRecord = { organizationId, userId, ranges: [{ deviceId: next.deviceId, from, to }] };
      tell({ topic: topics.erasures.name, key: userId, value: erasuresCodec.encode(record) });
      return next;
    });
    return range && { range, told };
  }

  /** Applied ranges that touch become one: folds and records read fewer. */
  async function finish({ id, organizationId, userId, deviceId, from, to }: RangeRow): Promise<void> {
    await pool.query(
      `WITH touching AS (
         DELETE FROM erased_ranges
         WHERE organization_id = $1 AND user_id = $2 AND device_id IS NOT DISTINCT FROM $3
           AND during && int8range($4, $5) AND applied_at IS NOT NULL
         RETURNING started_at, ended_at)
       UPDATE erased_ranges SET applied_at = now(),
         started_at = least(started_at, (SELECT min(started_at) FROM touching)),
         ended_at = greatest(ended_at, (SELECT max(ended_at) FROM touching))
       WHERE organization_id = $1 AND id = $6`,
      [organizationId, userId, deviceId, from - 1, to + 1, id],
    );
  }

  async function save({ id, organizationId }: RangeRow, { device, source, until }: Progress): Promise<void> {
    await pool.query(
      `UPDATE erased_ranges SET done_device = $3, done_source = $4, done_until = $5
       WHERE organization_id = $1 AND id = $2`,
      [organizationId, id, device, source, until],
    );
  }

  async function slice(): Promise<{ published: Promise<void> } | undefined> {
    const next = await nextRange();
    if (!next) return undefined;
    const { range, told } = next;
    if (await eraseMinutes(pool, range)) return { published: told };
    const { work, progress } = await findSlice(options, range);
    const { published } = work.length > 0 ? await mergeStreams(options, work) : { published: Promise.resolve() };
    published.catch(() => {});
    if (progress) await save(range, progress);
    else await finish(range);
    return { published: Promise.all([told, published]).then(() => undefined) };
  }

  async function step(): Promise<boolean> {
    try {
      // One process at a time. The lock is a transaction's, so that it ends with its holder, behind a pooler too.
      const done = await transaction(pool, async (client) => {
        const { rows } = await client.query<{ mine: boolean }>(
          `SELECT pg_try_advisory_xact_lock(hashtextextended('worktide eraser', 0)) AS mine`,
        );
        return rows[0]!.mine ? slice() : undefined;
      });
      if (!done) return false;
      slices.inc({ outcome: 'done' });
      // The outbox holds what the log has yet to take, of pings as well: an erasure has no more than a slice in it.
      await done.published;
      return true;
    } catch (error) {
      slices.inc({ outcome: 'failed' });
      throw error;
    }
  }

  return {
    step,
    async workOff() {
      while (await step());
    },
    async measure() {
      const { rows } = await pool.query<{ waiting: number; oldest: number }>(
        `SELECT count(*) AS waiting, coalesce(extract(epoch FROM now() - min(requested_at)), 0)::float8 AS oldest
         FROM erased_ranges WHERE applied_at IS NULL`,
      );
      waiting.set(rows[0]!.waiting);
      oldest.set(Math.max(0, rows[0]!.oldest));
    },
  };
}

/** One step of working off what is recorded; what waits is measured before the first of a row. */
export function erasePass(eraser: Eraser): () => Promise<boolean> {
  let isMore = false;
  return async () => {
    if (!isMore) await eraser.measure();
    isMore = false;
    isMore = await eraser.step();
    return isMore;
  };
}
