import type { ClickHouse } from '@worktide/clickhouse';
import { createRowWriter, uuidBytes } from './row-writer.ts';

const utcDay = 86_400_000;

/** The UTC days of people about which a batch said something: of each user, by organisation; a day is its number since 1970. */
export interface DayChanges {
  readonly found: ReadonlyMap<string, ReadonlyMap<string, ReadonlySet<number>>>;
}

/** What a batch has stored. */
export interface Stored {
  organizations: ReadonlySet<string>;
  changes: DayChanges;
}

export interface ChangeCollector extends DayChanges {
  /** Those of one, to be added to. */
  of(user: { organizationId: string; userId: string }): Set<number>;
}

/** Adds the UTC days from an instant to another, in ms. */
export function addDays(days: Set<number>, from: number, to: number): void {
  for (let day = Math.floor(from / utcDay); day <= Math.floor(to / utcDay); day++) days.add(day);
}

export function collectChanges(): ChangeCollector {
  const found = new Map<string, Map<string, Set<number>>>();
  return {
    found,
    of({ organizationId, userId }) {
      const users = found.get(organizationId) ?? new Map<string, Set<number>>();
      found.set(organizationId, users);
      const days = users.get(userId) ?? new Set<number>();
      users.set(userId, days);
      return days;
    },
  };
}

/**
 * Notes that sums of these days are stale from now on. After what changed them was stored: sums that were begun between the
 * two may lack it.
 */
export async function storeChanges(clickhouse: Pick<ClickHouse, 'insert'>, { found }: DayChanges): Promise<void> {
  const writer = createRowWriter();
  for (const [organizationId, users] of found) {
    for (const [userId, days] of users) {
      const owner = uuidBytes(organizationId, userId);
      for (const day of days) {
        writer.raw(owner);
        writer.uint32(day);
        writer.endRow();
      }
    }
  }
  if (writer.rows === 0) return;
  await clickhouse.insert({
    table: 'day_changes',
    columns: ['organization_id', 'user_id', 'utc_date'],
    format: 'RowBinary',
    data: writer.take(),
    settings: { max_partitions_per_insert_block: '0' },
  });
}
