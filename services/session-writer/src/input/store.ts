import type { Pool, Queryable } from '@worktide/postgres';
import type { InputMinuteEvent } from '@worktide/schemas';
import { byIndex } from '../store/plans.ts';

const minuteMs = 60_000;
/** Rows that one statement takes away. */
const rowsAtOnce = 5_000;

/** Counts of one minute, with whose they are. */
export interface CountedMinute extends Omit<InputMinuteEvent, 'timeEntryId'> {
  organizationId: string;
  userId: string;
}

/** Held by whoever stores counts, together, and alone by who waits for them. */
const lock = `hashtextextended('worktide input minutes', 0)`;

/** To the end of the transaction: all who store counts without knowing what is erased by now have ended. */
export const waitForMinutes = (client: Queryable) => client.query(`SELECT pg_advisory_xact_lock(${lock})`);

/**
 * Of what is stored and of what is told the greater of each count; of minutes that erased time touches nothing.
 * @param minutes each of another device and minute, in the order in which all who write lock them.
 * @returns how many rows were new or raised.
 */
export async function storeMinutes(client: Queryable, minutes: readonly CountedMinute[]): Promise<number> {
  await client.query(`SELECT pg_advisory_xact_lock_shared(${lock})`);
  await byIndex(client);
  const { rowCount } = await client.query(
    `INSERT INTO input_minutes AS stored (organization_id, user_id, device_id, minute, keyboard_clicks, mouse_movements)
     SELECT organization_id, user_id, device_id, to_timestamp(minute / 1000), keyboard_clicks, mouse_movements
     FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::bigint[], $5::integer[], $6::integer[])
       AS t (organization_id, user_id, device_id, minute, keyboard_clicks, mouse_movements)
     WHERE NOT EXISTS (
       SELECT FROM erased_ranges e WHERE e.organization_id = t.organization_id AND e.user_id = t.user_id
         AND e.during && int8range(t.minute, t.minute + ${minuteMs}) AND (e.device_id IS NULL OR e.device_id = t.device_id))
     ON CONFLICT (organization_id, user_id, device_id, minute) DO UPDATE SET
       keyboard_clicks = greatest(stored.keyboard_clicks, excluded.keyboard_clicks),
       mouse_movements = greatest(stored.mouse_movements, excluded.mouse_movements)
     WHERE stored.keyboard_clicks < excluded.keyboard_clicks OR stored.mouse_movements < excluded.mouse_movements`,
    [
      minutes.map(({ organizationId }) => organizationId),
      minutes.map(({ userId }) => userId),
      minutes.map(({ deviceId }) => deviceId),
      minutes.map(({ minute }) => minute),
      minutes.map(({ keyboardClicks }) => keyboardClicks),
      minutes.map(({ mouseMovements }) => mouseMovements),
    ],
  );
  return rowCount ?? 0;
}

/**
 * Takes out some of the minutes that an erased range touches, which nobody stores any more.
 * @returns whether there may be more.
 */
export async function eraseMinutes(
  pool: Pool,
  range: { organizationId: string; userId: string; deviceId: string | null; from: number; to: number },
): Promise<boolean> {
  const { organizationId, userId, deviceId, from, to } = range;
  const { rowCount } = await pool.query(
    `DELETE FROM input_minutes WHERE ctid = ANY (ARRAY(
       SELECT ctid FROM input_minutes
       WHERE organization_id = $1 AND user_id = $2 AND ($3::text IS NULL OR device_id = $3)
         AND minute > to_timestamp($4 / 1000.0) AND minute < to_timestamp($5 / 1000.0) LIMIT ${rowsAtOnce}))`,
    [organizationId, userId, deviceId, Math.max(0, from) - minuteMs, Math.max(0, to)],
  );
  return rowCount === rowsAtOnce;
}

/** Statements of one pass: what is left waits for the next one, a minute later. */
const deletesEach = 20;

/** Lets go of minutes that began before an instant, epoch ms. @returns how many, of which there may be more. */
export async function pruneMinutes(pool: Pool, before: number): Promise<number> {
  let gone = 0;
  for (let i = 0; i < deletesEach && gone === i * rowsAtOnce; i++) {
    const { rowCount } = await pool.query(
      `DELETE FROM input_minutes WHERE ctid = ANY (ARRAY(
         SELECT ctid FROM input_minutes WHERE minute < to_timestamp($1 / 1000.0) ORDER BY minute LIMIT ${rowsAtOnce}))`,
      [before],
    );
    gone += rowCount ?? 0;
  }
  return gone;
}
