import type { Queryable } from '@worktide/postgres';
import type { InputMinuteEvent } from '@worktide/schemas';

/** Counts of one minute, with whose they are. */
export interface CountedMinute extends Omit<InputMinuteEvent, 'timeEntryId'> {
  organizationId: string;
  userId: string;
}

/**
 * Of what is stored and of what is told the greater of each count.
 * @param minutes each of another device and minute, in the order in which all who write lock them.
 * @returns how many rows were new or raised.
 */
export async function storeMinutes(client: Queryable, minutes: readonly CountedMinute[]): Promise<number> {
  const { rowCount } = await client.query(
    `INSERT INTO input_minutes AS stored (organization_id, user_id, device_id, minute, keyboard_clicks, mouse_movements)
     SELECT organization_id, user_id, device_id, to_timestamp(minute / 1000), keyboard_clicks, mouse_movements
     FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::bigint[], $5::integer[], $6::integer[])
       AS t (organization_id, user_id, device_id, minute, keyboard_clicks, mouse_movements)
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
