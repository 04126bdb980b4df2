import type { ClickHouse } from '@worktide/clickhouse';
import type { EventLog, Producer } from '@worktide/event-log';
import { type Lifecycle, localDate } from '@worktide/runtime';
import { type Codec, type DayState, topics } from '@worktide/schemas';
import { storeStates } from '../ingest/states.ts';
import { reportSettings } from '../reports/settings.ts';

/** People whose days are told at once. */
const peopleAtOnce = 500;
const daysAtOnce = 5_000;
/** Pings may be 90 days old, and wait for a week in the log. */
const oldestDays = 100;
/** Days that may have been finished since they were summed up last. */
const recentDays = 3;
/** Clocks of ClickHouse and of this process may differ so much. */
const clocksMs = 10 * 60_000;
const dayMs = 86_400_000;

interface Told extends DayState {
  organizationId: string;
  userId: string;
}

const dateText = (instant: number): string => new Date(instant).toISOString().slice(0, 10);
const sums = ['work_seconds', 'active_seconds', 'keyboard_clicks', 'mouse_movements'] as const;

/**
 * Tells topic `days` of each day that is over where its person is, once it is summed up, and again when its sums change. Several
 * replicas may tell the same, and a crash tells it again: a version says it once.
 */
export function createDayTeller(options: {
  clickhouse: Pick<ClickHouse, 'query' | 'insert'>;
  producer: Pick<Producer, 'send'>;
  /** Of topic `days`. */
  codec: Codec;
}) {
  const { clickhouse, producer, codec } = options;
  /** What was summed up before it has been looked at. */
  let since = 0;

  async function find(readUntil: number, signal: AbortSignal): Promise<Told[]> {
    const zones = await clickhouse.query<{ timezone: string }>('SELECT DISTINCT timezone FROM people', { signal });
    const names = zones.map(({ timezone }) => timezone);
    return clickhouse.query<Told>(
      `SELECT organization_id AS organizationId, user_id AS userId, toString(date) AS date, timezone,
         work_seconds AS workSeconds, active_seconds AS activeSeconds, keyboard_clicks AS keyboardClicks,
         mouse_movements AS mouseMovements, version
       FROM (
         SELECT organization_id, user_id, date, timezone, ${sums.join(', ')}, version FROM days FINAL
         WHERE date >= {oldest:Date32} AND (version > {since:UInt64} OR date >= {recent:Date32})
           AND date < {todays:Array(Date32)}[indexOf({zones:Array(String)}, toString(timezone))]
       ) AS found
       INNER JOIN (SELECT organization_id, id AS user_id, timezone FROM people FINAL) AS people
         USING (organization_id, user_id, timezone)
       LEFT JOIN (
         SELECT organization_id, user_id, date, timezone, ${sums.map((name) => `${name} AS told_${name}`).join(', ')},
           version AS told FROM days_told FINAL WHERE date >= {oldest:Date32}
       ) AS told USING (organization_id, user_id, date, timezone)
       WHERE ${sums.map((name) => `${name} != told_${name}`).join(' OR ')}
       ORDER BY organization_id, user_id, date LIMIT ${daysAtOnce}`,
      {
        params: {
          oldest: dateText(readUntil - oldestDays * dayMs),
          recent: dateText(readUntil - recentDays * dayMs),
          since,
          zones: names,
          todays: names.map((zone) => localDate(readUntil, zone)),
        },
        settings: reportSettings,
        signal,
      },
    );
  }

  async function tell(found: readonly Told[]): Promise<void> {
    const people = [...Map.groupBy(found, ({ organizationId, userId }) => `${organizationId} ${userId}`).values()];
    for (let from = 0; from < people.length; from += peopleAtOnce) {
      const some = people.slice(from, from + peopleAtOnce);
      await producer.send(
        topics.days.name,
        some.map((theirs) => {
          const { organizationId, userId } = theirs[0]!;
          const days = theirs.map(({ organizationId: _, userId: __, ...day }) => day);
          return { key: userId, value: codec.encode({ organizationId, userId, days }) };
        }),
      );
      const rows = some.flat().map((day) => ({
        organization_id: day.organizationId,
        user_id: day.userId,
        date: day.date,
        timezone: day.timezone,
        work_seconds: day.workSeconds,
        active_seconds: day.activeSeconds,
        keyboard_clicks: day.keyboardClicks,
        mouse_movements: day.mouseMovements,
        version: day.version,
      }));
      await storeStates(clickhouse, new Map([['days_told', rows]]));
    }
  }

  /**
   * @param readUntil up to when all that the log had of usage is stored, in ms: a day that ended before it is finished.
   * @returns whether there may be more. Rejects 503.
   */
  return async function tellDays(readUntil: number, signal: AbortSignal): Promise<boolean> {
    await codec.prepare();
    const startedAt = Date.now();
    const found = await find(readUntil, signal);
    if (found.length > 0) await tell(found);
    if (found.length === daysAtOnce) return true;
    since = Math.max(since, (Math.min(startedAt, readUntil) - clocksMs) * 1_000);
    return false;
  };
}

const everyMs = 60_000;
/** So long a day is waited for, while the log never comes to its end; what comes after that tells it again. */
const patienceMs = 3_600_000;

/** Tells of finished days for as long as the service runs. */
export function startDayEvents(
  options: Parameters<typeof createDayTeller>[0] & { eventLog: Pick<EventLog, 'admin'>; lifecycle: Lifecycle },
): void {
  const tellDays = createDayTeller(options);
  let readUntil = 0;
  const grace = { everyMs, retryMs: 10_000, first: 'later', graceMs: 5_000 } as const;
  options.lifecycle.every('finished days', grace, async (signal) => {
    const at = Date.now();
    const { usage: left } = await options.eventLog.admin.lag('analytics-usage', [topics.usage.name]);
    readUntil = left === 0 ? at : Math.max(readUntil, at - patienceMs);
    return tellDays(readUntil, signal);
  });
}
