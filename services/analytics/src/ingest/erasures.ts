import type { ClickHouse } from '@worktide/clickhouse';
import type { BatchContext, StoredRecord } from '@worktide/event-log';
import { erasuresRecord, readRecord } from '@worktide/schemas';
import { collectChanges, type DayChanges, storeChanges } from './changes.ts';
import type { HandlerOptions } from './handler.ts';
import { storeStates } from './states.ts';

/** As a row of table `erased_ranges`. */
interface ErasedRange {
  organization_id: string;
  user_id: string;
  from_ms: number;
  to_ms: number;
  /** Empty: all devices. */
  device_id: string;
}

type Store = Pick<ClickHouse, 'query' | 'command' | 'insert'>;

const minuteMs = 60_000;
const utcDay = 86_400_000;
/** Of one statement: its text holds them. */
const rangesAtOnce = 500;
const peopleAtOnce = 1_000;

function* slices<T>(list: readonly T[], length: number): Generator<T[]> {
  for (let from = 0; from < list.length; from += length) yield list.slice(from, from + length);
}

/** Whose rows these ranges may be about, for `{of: …}` below. */
const whose = 'organization_id IN {organizations:Array(UUID)} AND user_id IN {users:Array(UUID)}';
const of = (ranges: readonly ErasedRange[]) => ({
  organizations: ranges.map((range) => range.organization_id),
  users: ranges.map((range) => range.user_id),
  devices: ranges.map((range) => range.device_id),
  froms: ranges.map((range) => range.from_ms),
  tos: ranges.map((range) => range.to_ms),
});
/** Whether any of them touches a row's time; `also` is what else one has to be. */
const touched = (start: string, length: number, also = '1'): string =>
  `arrayExists((o, u, d, f, t) -> organization_id = o AND user_id = u AND ${start} < t AND ${start} + ${length} > f AND ${also},
    {organizations:Array(UUID)}, {users:Array(UUID)}, {devices:Array(String)}, {froms:Array(Int64)}, {tos:Array(Int64)})`;

/** Deletes the counts of minutes that ranges touch. */
async function forgetCounts(clickhouse: Store, ranges: readonly ErasedRange[]): Promise<void> {
  for (const some of slices(ranges, rangesAtOnce)) {
    const params = of(some);
    const where = `WHERE ${whose} AND ${touched('toUnixTimestamp64Milli(minute)', minuteMs, "d IN ('', device_id)")}`;
    // A look at the sort key, instead of a mutation each time.
    const found = await clickhouse.query(`SELECT 1 FROM input_minutes ${where} LIMIT 1`, { params });
    if (found.length > 0) await clickhouse.command(`DELETE FROM input_minutes ${where}`, { params });
  }
}

/**
 * Lets go again of counts of these days that were erased before they came. To be called after they were stored: an erasure
 * that comes meanwhile finds them itself.
 */
export async function forgetErased(clickhouse: Store, { found }: DayChanges): Promise<void> {
  const people = [...found].flatMap(([organization, users]) =>
    [...users].map(([user, days]) => ({ organization, user, days: [...days] })),
  );
  for (const some of slices(people, peopleAtOnce)) {
    const params = { organizations: some.map((p) => p.organization), users: some.map((p) => p.user) };
    const ranges = await clickhouse.query<ErasedRange>(
      `SELECT DISTINCT organization_id, user_id, device_id, from_ms, to_ms FROM erased_ranges WHERE ${whose}`,
      { params, settings: { output_format_json_quote_64bit_integers: 0 } },
    );
    const daysOf = new Map(some.map(({ user, days }) => [user.toLowerCase(), days]));
    const isNear = ({ user_id, from_ms, to_ms }: ErasedRange): boolean =>
      daysOf.get(user_id)!.some((day) => day * utcDay < to_ms && (day + 1) * utcDay > from_ms);
    await forgetCounts(clickhouse, ranges.filter(isNear));
  }
}

/** Days of which anything was stored, in erased time: their sums are not what they were. */
async function erasedDays(clickhouse: Store, ranges: readonly ErasedRange[]) {
  const changes = collectChanges();
  for (const some of slices(ranges, rangesAtOnce)) {
    const rows = await clickhouse.query<{ organizationId: string; userId: string; days: number[] }>(
      `SELECT organization_id AS organizationId, user_id AS userId, groupUniqArray(toInt32(utc_date)) AS days
       FROM day_changes WHERE ${whose} AND ${touched(`toInt64(toInt32(utc_date)) * ${utcDay}`, utcDay)}
       GROUP BY organization_id, user_id`,
      { params: of(some) },
    );
    for (const { days, ...user } of rows) for (const day of days) changes.of(user).add(day);
  }
  return changes;
}

/** Handles batches of topic `erasures`; resolves when counts of that time are gone. */
export function erasuresHandler({
  clickhouse,
  codec,
  onStored,
}: Pick<HandlerOptions, 'codec' | 'onStored'> & { clickhouse: Store }) {
  return async (batch: StoredRecord[], context: BatchContext): Promise<void> => {
    const ranges: ErasedRange[] = [];
    for (const record of batch) {
      const read = readRecord(codec, record.value, erasuresRecord);
      if ('unusable' in read) {
        context.deadLetter(record, read.unusable);
        continue;
      }
      const { organizationId, userId } = read.data;
      for (const { deviceId, from, to } of read.data.ranges) {
        const range = { from_ms: from, to_ms: to, device_id: deviceId ?? '' };
        ranges.push({ organization_id: organizationId, user_id: userId, ...range });
      }
    }
    if (ranges.length === 0) return;
    await storeStates(clickhouse, new Map([['erased_ranges', ranges.map((range) => ({ ...range }))]]));
    await forgetCounts(clickhouse, ranges);
    const changes = await erasedDays(clickhouse, ranges);
    await storeChanges(clickhouse, changes);
    onStored?.({ organizations: new Set(ranges.map((range) => range.organization_id)), changes });
  };
}
