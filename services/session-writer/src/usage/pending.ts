import type { Queryable } from '@worktide/postgres';
import type { Span } from '../merge/index.ts';
import { entryId } from '../store/merge.ts';
import type { UsageRow } from './list.ts';

/** Erased time that entries may still cover; null stands for all devices. */
type PendingErasure = Span & { deviceId: string | null };

/** Erasures of the user that touch [from, to) and were recorded, but not yet worked off: by start. */
export async function pendingErasures(
  client: Queryable,
  { organizationId, userId, from, to }: { organizationId: string; userId: string; from: number; to: number },
): Promise<PendingErasure[]> {
  const { rows } = await client.query<{ device_id: string | null; started_at: number; ended_at: number }>(
    `SELECT device_id, started_at, ended_at FROM erased_ranges
     WHERE organization_id = $1 AND user_id = $2 AND applied_at IS NULL`,
    [organizationId, userId],
  );
  return rows
    .map((row) => ({ deviceId: row.device_id, start: row.started_at, end: row.ended_at }))
    .filter(({ start, end }) => start < to && end > from)
    .sort((a, b) => a.start - b.start);
}

/**
 * What is left of entries beside erased time, by start. Each piece has the id that it will have; where the erased time
 * ends within a gap that the entry bridges it begins a little early until then.
 */
export function visible(
  rows: UsageRow[],
  erased: readonly PendingErasure[],
  { organizationId, userId, from, to }: { organizationId: string; userId: string; from: number; to: number },
): UsageRow[] {
  if (erased.length === 0) return rows;
  const pieces = rows.flatMap((row) => {
    const { device_id: deviceId, source } = row;
    const left: UsageRow[] = [];
    const keep = (start: number, end: number): void => {
      if (start >= end || start >= to || end <= from) return;
      const id = start === row.started_at ? row.id : entryId({ organizationId, userId, deviceId, source }, start);
      left.push({ ...row, id, started_at: start, ended_at: end });
    };
    let at = row.started_at;
    for (const range of erased) {
      if (range.deviceId !== null && range.deviceId !== deviceId) continue;
      if (range.end <= at || range.start >= row.ended_at) continue;
      keep(at, range.start);
      at = range.end;
    }
    keep(at, row.ended_at);
    return left;
  });
  return pieces.sort((a, b) => a.started_at - b.started_at || (a.id < b.id ? -1 : 1));
}
