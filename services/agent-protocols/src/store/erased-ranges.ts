import type { Queryable } from '@worktide/postgres';

/** Time that was erased, in which nothing is kept, in ms. */
export interface ErasedRange {
  userId: string;
  /** Empty: all devices. */
  deviceId: string;
  from: number;
  to: number;
}

/**
 * Erased ranges of some users that touch [from, to], in ms. Asked for once what is to be written is locked: whoever erases writes
 * the range first, and cuts what is there under the same locks (`eraseTime`).
 */
export async function erasedRanges(
  client: Queryable,
  organizationId: string,
  users: readonly string[],
  { from, to }: { from: number; to: number },
): Promise<ErasedRange[]> {
  const { rows } = await client.query<{ userId: string; deviceId: string; from: string; to: string }>(
    `SELECT user_id AS "userId", device_id AS "deviceId", from_ms AS "from", to_ms AS "to" FROM agent_protocols.erased_ranges
     WHERE organization_id = $1 AND user_id = ANY($2::uuid[]) AND from_ms <= $4 AND to_ms > $3`,
    [organizationId, users, from, to],
  );
  return rows.map((row) => ({ ...row, from: Number(row.from), to: Number(row.to) }));
}

/** Those of a user's device. */
export const rangesOf = (
  ranges: readonly ErasedRange[],
  { userId, deviceId }: { userId: string; deviceId: string },
): ErasedRange[] =>
  ranges.filter((range) => range.userId === userId && (range.deviceId === '' || range.deviceId === deviceId));
