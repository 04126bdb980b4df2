import { type OutboxEvent, type Pool, transaction } from '@worktide/postgres';
import { uuidv7 } from '@worktide/runtime';
import { monthEnd, monthStart, monthsOf } from '../merge/index.ts';
import { type MergeOptions, mergeStreams } from './merge.ts';
import { lookUp } from './plans.ts';
import type { StreamIdentity } from './streams.ts';

/** Time of a user that is to be forgotten, on one device or on all (also on those first seen later). */
export interface Erasure {
  organizationId: string;
  userId: string;
  deviceId: string | null;
  /** [from, to), epoch ms. */
  from: number;
  to: number;
  requestedBy: string;
}

/** Entries, or gaps, that one transaction of an erasure takes away. */
const rowsPerSlice = 1_000;

/**
 * Records the erasure, then takes the time out of what is stored; announced like every other change.
 *
 * Two steps, in this order, so that no writer slips between: once the first is committed every fold respects the
 * range. A stream that the second step does not see was made after it began, so its first fold knows the range too;
 * one that it sees is locked and read after whoever held it. A crash in between is made good by `applyPending`.
 * @param told events that leave with the record of it, none where it adds nothing.
 * @throws 503; asking again is harmless.
 */
export async function eraseTime(
  options: MergeOptions,
  erasure: Erasure,
  told: readonly OutboxEvent[] = [],
): Promise<void> {
  const { organizationId, userId, deviceId, from, to, requestedBy } = erasure;
  const { pool, outbox } = options;
  const id = uuidv7();
  const ticket = await transaction(pool, async (client) => {
    // A range within one that is there already adds nothing but a row that every fold would read.
    const { rowCount } = await client.query(
      `INSERT INTO erased_ranges (id, organization_id, user_id, device_id, started_at, ended_at, requested_by)
       SELECT $1, $2, $3, $4, $5, $6, $7 WHERE NOT EXISTS (
         SELECT FROM erased_ranges WHERE organization_id = $2 AND user_id = $3 AND during @> int8range($5, $6)
           AND (device_id IS NULL OR device_id = $4) AND applied_at IS NOT NULL)`,
      [id, organizationId, userId, deviceId, from, to, requestedBy],
    );
    // Left to the sweep rather than refused: that somebody is told of it must not keep it from being recorded.
    return rowCount ? outbox.write(client, told, 'leave') : undefined;
  });
  if (!ticket) return;
  outbox.committed(ticket).catch(() => {});
  await apply(options, id, erasure);
}

/** Finishes erasures that a dead process left half done; how many. Any number of replicas may do so at once. */
export async function applyPending(options: MergeOptions): Promise<number> {
  const { rows } = await options.pool.query<{
    id: string;
    organization_id: string;
    user_id: string;
    device_id: string | null;
    started_at: number;
    ended_at: number;
    requested_by: string;
  }>('SELECT * FROM erased_ranges WHERE applied_at IS NULL ORDER BY requested_at LIMIT 100');
  for (const row of rows) {
    await apply(options, row.id, {
      organizationId: row.organization_id,
      userId: row.user_id,
      deviceId: row.device_id,
      from: row.started_at,
      to: row.ended_at,
      requestedBy: row.requested_by,
    });
  }
  return rows.length;
}

async function apply(options: MergeOptions, id: string, erasure: Erasure): Promise<void> {
  const { pool } = options;
  const { organizationId, userId, deviceId, from, to } = erasure;
  const { rows: streams } = await pool.query<{ id: number; device_id: string; source: string }>(
    `SELECT id, device_id, source FROM streams
     WHERE organization_id = $1 AND user_id = $2 AND ($3::text IS NULL OR device_id = $3) ORDER BY id`,
    [organizationId, userId, deviceId],
  );
  const existing = new Set(await options.partitions.existing());
  const months = monthsOf(from, to).filter((month) => existing.has(month));
  for (const { id: streamId, device_id, source } of streams) {
    const stream: StreamIdentity = { organizationId, userId, deviceId: device_id, source };
    for (const month of months) {
      const end = Math.min(to, monthEnd(month));
      for (let at = Math.max(from, monthStart(month)); at < end; ) {
        const until = await sliceEnd(pool, { month, streamId, at, end });
        const { published } = await mergeStreams(options, [{ stream, pings: [], erased: [{ start: at, end: until }] }]);
        // Not waited for: whoever asked needs the database's word, and the outbox keeps the rest.
        published.catch(() => {});
        at = until;
      }
    }
  }
  await pool.query('UPDATE erased_ranges SET applied_at = now() WHERE organization_id = $1 AND id = $2', [
    organizationId,
    id,
  ]);
}

/** Where a transaction that begins at `at` has enough to do. */
async function sliceEnd(
  pool: Pool,
  { month, streamId, at, end }: { month: string; streamId: number; at: number; end: number },
): Promise<number> {
  const nth = (table: string): string =>
    `(SELECT started_at FROM ${table} WHERE month = $1 AND stream_id = $2 AND started_at > $3 AND started_at < $4
      ORDER BY started_at OFFSET ${rowsPerSlice} LIMIT 1)`;
  const sql = `SELECT least(${nth('usage_entries')}, ${nth('usage_gaps')}) AS until`;
  const rows = await transaction(pool, (client) =>
    lookUp<{ until: number | null }>(client, sql, [month, streamId, at, end]),
  );
  return rows[0]!.until ?? end;
}
