import { type Outbox, type OutboxEvent, type Pool, transactionWithEvents } from '@worktide/postgres';
import { AppError, uuidv7 } from '@worktide/runtime';

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

/** `pending`: recorded, and so respected by every fold; entries that were there before may still be. */
export type ErasureStatus = 'pending' | 'applied';

/** Ranges of one user that may wait to be worked off. */
const maxPending = 1_000;

/**
 * Records an erasure. With the commit every fold respects it, and lists leave it out; what was stored before is taken
 * out by the eraser. A range within one that is there adds nothing; one that touches others that nobody has begun with
 * becomes one with them.
 * @param told events that leave with the record of it, none where it adds nothing.
 * @param signal ends it with its request: then it is recorded or not, never half.
 * @throws AppError 429 `TOO_MANY_ERASURES` where too many of the user's wait; 503.
 */
export async function recordErasure(
  { pool, outbox }: { pool: Pool; outbox: Outbox },
  erasure: Erasure,
  told: readonly OutboxEvent[] = [],
  signal?: AbortSignal,
): Promise<ErasureStatus> {
  const { organizationId, userId, deviceId, from, to, requestedBy } = erasure;
  const whose = [organizationId, userId, deviceId];
  // Left to the sweep rather than refused: that somebody is told of it must not keep it from being recorded.
  const terms = { pool, outbox, subject: organizationId, signal, whenFull: 'leave' } as const;
  const { result } = await transactionWithEvents(terms, async (client, tell): Promise<ErasureStatus> => {
    // Two of one user at once would not see each other.
    await client.query(`SELECT pg_advisory_xact_lock(hashtextextended('worktide erasures of ' || $1, 0))`, [userId]);
    const { rows: around } = await client.query<{ status: ErasureStatus }>(
      `SELECT CASE WHEN applied_at IS NULL THEN 'pending' ELSE 'applied' END AS status FROM erased_ranges
       WHERE organization_id = $1 AND user_id = $2 AND (device_id IS NULL OR device_id = $3)
         AND during @> int8range($4, $5) ORDER BY applied_at NULLS LAST LIMIT 1`,
      [...whose, from, to],
    );
    if (around[0]) return around[0].status;
    const { rows: touching } = await client.query<{ started_at: number; ended_at: number }>(
      `DELETE FROM erased_ranges
       WHERE organization_id = $1 AND user_id = $2 AND device_id IS NOT DISTINCT FROM $3
         AND during && int8range($4, $5) AND applied_at IS NULL AND begun_at IS NULL
       RETURNING started_at, ended_at`,
      // One wider on each side: neighbours, too.
      [...whose, from - 1, to + 1],
    );
    const { rows: pending } = await client.query<{ n: number }>(
      `SELECT count(*) AS n FROM erased_ranges WHERE organization_id = $1 AND user_id = $2 AND applied_at IS NULL`,
      [organizationId, userId],
    );
    if (pending[0]!.n >= maxPending) throw tooMany();
    const start = Math.min(from, ...touching.map((range) => range.started_at));
    const end = Math.max(to, ...touching.map((range) => range.ended_at));
    await client.query(
      `INSERT INTO erased_ranges (organization_id, user_id, device_id, id, started_at, ended_at, requested_by)
       VALUES ($1, $2, $3, $4, $5, $6, $7)`,
      [...whose, uuidv7(), start, end, requestedBy],
    );
    tell(...told);
    return 'pending';
  });
  return result;
}

const tooMany = (): AppError =>
  new AppError('TOO_MANY_ERASURES', `${maxPending} erasures of this user wait to be worked off; try again.`, {
    statusCode: 429,
    retryAfterSeconds: 30,
  });
