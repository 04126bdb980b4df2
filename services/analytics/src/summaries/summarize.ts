import { type ClickHouse, isTooExpensive } from '@worktide/clickhouse';
import { describeError, type KnownDays, type LocalDay, type Logger, localDate, localDays } from '@worktide/runtime';
import { daysWithTime, named } from '../reports/intervals.ts';
import { dayColumns, liveDays } from '../reports/live-days.ts';
import { reportSettings } from '../reports/settings.ts';

/** UTC days of people of one organisation, as numbers since 1970. */
export interface PeopleDays {
  organizationId: string;
  users: ReadonlyMap<string, ReadonlySet<number>>;
}

const utcDay = 86_400_000;
/** Days of one statement, so that each is short: those of a month and its neighbours. */
const maxDaysAtOnce = 40;

/** People whose days are the same days: one statement. */
interface Job {
  timezone: string;
  days: LocalDay[];
  userIds: string[];
}

/**
 * Sums up days of people, each in their own zone, by the query of the live reports. Whose zone is not known yet is left out:
 * their days are read live until then. Rejects 503 while ClickHouse is away; days that it can never sum up, for want of
 * memory or time, are logged and left to be read live.
 */
export function createSummarize(options: { clickhouse: Pick<ClickHouse, 'query' | 'command'>; log: Logger }) {
  const { clickhouse, log } = options;
  const known: KnownDays = new Map();

  async function zonesOf(organizationId: string, userIds: readonly string[]): Promise<Map<string, string>> {
    const rows = await clickhouse.query<{ id: string; timezone: string }>(
      'SELECT id, timezone FROM people FINAL WHERE organization_id = {organization:UUID} AND id IN {ids:Array(UUID)}',
      { params: { organization: organizationId, ids: userIds } },
    );
    return new Map(rows.map(({ id, timezone }) => [id, timezone]));
  }

  /** The local days that UTC days touch, in rows without gaps. */
  function runsOf(utcDays: ReadonlySet<number>, timezone: string): LocalDay[][] {
    const dates = new Set<string>();
    for (const day of utcDays) {
      const first = localDate(day * utcDay, timezone);
      const last = localDate((day + 1) * utcDay - 1, timezone);
      for (const { date } of localDays(first, last, timezone, known)) dates.add(date);
    }
    const runs: LocalDay[][] = [];
    for (const date of [...dates].sort()) {
      const [day] = localDays(date, date, timezone, known) as [LocalDay];
      const run = runs.at(-1);
      if (run && run.length < maxDaysAtOnce && run.at(-1)!.end === day.start) run.push(day);
      else runs.push([day]);
    }
    return runs.filter((days) => daysWithTime(days).length > 0);
  }

  async function sumUp(organizationId: string, { timezone, days, userIds }: Job): Promise<void> {
    const people = { organizationId, which: named(userIds) };
    // Also days of which nothing is left, or nothing was: sums of theirs that are not there would be missed for ever.
    const also = {
      sql: 'SELECT arrayJoin({users:Array(UUID)}) AS user_id, arrayJoin(arrayPopBack({boundaries:Array(Int64)})) AS day',
      params: { timezone },
    };
    const { sql, params } = liveDays({ ...people, days }, { also });
    // And those that the zone skipped, or the sweep would miss them for ever.
    const skipped = days.filter(({ start, end }) => start === end).map(({ date }) => date);
    const skips = `UNION ALL SELECT arrayJoin({users:Array(UUID)}), toDate32(arrayJoin({skipped:Array(String)})),
      0, 0, 0, 0, 0, [], [], [], []`;
    // The instant is taken before anything is read: what comes later makes the sums stale.
    await clickhouse.command(
      `INSERT INTO days (organization_id, timezone, version, ${dayColumns().join(', ')})
       SELECT {organization:UUID}, {timezone:String}, toUnixTimestamp64Micro(now64(6)), ${dayColumns().join(', ')}
       FROM (${sql} ${skipped.length > 0 ? skips : ''})`,
      { params: { ...params, skipped }, settings: summarySettings },
    );
  }

  /** One person's day that is too much stays to be read live, and keeps nobody else's waiting. */
  async function run(organizationId: string, job: Job, signal: AbortSignal | undefined): Promise<void> {
    signal?.throwIfAborted();
    try {
      await sumUp(organizationId, job);
    } catch (error) {
      if (!isTooExpensive(error)) throw error;
      const { userIds, days } = job;
      const half = (list: unknown[]): number => Math.ceil(list.length / 2);
      if (userIds.length > 1) {
        await run(organizationId, { ...job, userIds: userIds.slice(0, half(userIds)) }, signal);
        await run(organizationId, { ...job, userIds: userIds.slice(half(userIds)) }, signal);
      } else if (days.length > 1) {
        await run(organizationId, { ...job, days: days.slice(0, half(days)) }, signal);
        await run(organizationId, { ...job, days: days.slice(half(days)) }, signal);
      } else {
        const what = { organizationId, userId: userIds[0], date: days[0]!.date };
        log.warn({ err: error, ...what }, `a day cannot be summed up and is read live: ${describeError(error)}`);
      }
    }
  }

  return async function summarize({ organizationId, users }: PeopleDays, signal?: AbortSignal): Promise<void> {
    const zones = await zonesOf(organizationId, [...users.keys()]);
    const jobs = new Map<string, Job>();
    for (const [userId, utcDays] of users) {
      const timezone = zones.get(userId);
      if (timezone === undefined) continue;
      for (const days of runsOf(utcDays, timezone)) {
        const key = `${timezone} ${days[0]!.date} ${days.at(-1)!.date}`;
        const job = jobs.get(key) ?? { timezone, days, userIds: [] };
        jobs.set(key, job);
        job.userIds.push(userId);
      }
    }
    for (const job of jobs.values()) {
      await run(organizationId, job, signal);
    }
  };
}

/** As reports', but it writes, and one thread is enough for what nobody waits for. */
const { readonly: _, cancel_http_readonly_queries_on_client_close: __, ...common } = reportSettings;
const summarySettings = { ...common, max_threads: 1, max_partitions_per_insert_block: '0' } as const;
