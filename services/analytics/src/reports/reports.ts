import type { ClickHouse, QueryOptions } from '@worktide/clickhouse';
import { type KnownDays, localDays } from '@worktide/runtime';
import type {
  DailyReport,
  KeyedReport,
  OrganizationReport,
  TeamReport,
  TimesheetReport,
  UserReport,
  WeekStart,
} from '@worktide/schemas';
import { type DaysScope, daysSql, staleDates } from './days.ts';
import { daysWithTime, named, type People, type Sql } from './intervals.ts';
import type { DayOptions } from './live-days.ts';
import { inZone, type MembersQuery, membersSql } from './people.ts';
import { type Periods, periodsOf } from './periods.ts';
import { reportSettings } from './settings.ts';
import { addSeconds, addSums, nothing, type Sums, shown, shownTime, sumColumns, totalOf } from './sums.ts';
import { trackedDays } from './tracked.ts';

/** Whose time: one user, on days of a zone. */
export interface Subject {
  organizationId: string;
  userId: string;
  /** IANA zone whose calendar days are meant. */
  timezone: string;
}

/** Days of a report, as dates that both belong to it. */
export interface Range {
  from: string;
  to: string;
}

/** One person's day with anything in it. */
export interface UserDay extends Sums {
  userId: string;
  date: string;
}

export interface TeamQuery extends Range {
  organizationId: string;
  /** Everybody's days are of this zone; of each one's own where there is none. */
  timezone?: string | undefined;
  projectId?: string | undefined;
  teamId?: string | undefined;
  limit: number;
  /** The user after whom the page begins. */
  after?: string | undefined;
}

export interface GroupedRange extends Range {
  /** By day where there is none. */
  weekStart?: WeekStart | undefined;
}

/** Time of time entries of one person, day and project; null: of none. */
export interface TrackedDay {
  userId: string;
  date: string;
  projectId: string | null;
  seconds: number;
}

/** Somebody who is in a report. */
export interface Member {
  id: string;
  name: string;
  /** Their own. */
  timezone: string;
}

/** All reject 503 when ClickHouse is away or refuses for want of memory or time. */
export interface Reports {
  /** @param most items; `maxItems` unless said. */
  apps(subject: Subject, date: string, signal?: AbortSignal, most?: number): Promise<KeyedReport<'app'>>;
  domains(subject: Subject, date: string, signal?: AbortSignal, most?: number): Promise<KeyedReport<'host'>>;
  /** Every day of the range, also those without any entry. */
  daily(subject: Subject, range: Range, signal?: AbortSignal): Promise<DailyReport>;
  /** Many people at once, all of the organisation unless some are named; only days with anything, in no order. */
  userDays(
    scope: { organizationId: string; userIds?: readonly string[]; timezone: string },
    range: Range,
    signal?: AbortSignal,
  ): Promise<UserDay[]>;
  /** As `userDays`, of time entries; what runs has run until `now`. */
  trackedDays(
    scope: { organizationId: string; userIds: readonly string[]; timezone: string },
    range: Range,
    now: number,
    signal?: AbortSignal,
  ): Promise<TrackedDay[]>;
  /**
   * All who are in the team's report of the range, by name as people read it.
   */
  members(of: MembersQuery, signal?: AbortSignal): Promise<Member[]>;
  /** Names by id, of what there is or was. */
  names(
    table: 'people' | 'projects',
    organizationId: string,
    ids: Iterable<string | null>,
    signal?: AbortSignal,
  ): Promise<Map<string | null, string>>;
  /** A page of people by name. `next` is whom the next one begins after. */
  team(query: TeamQuery, signal?: AbortSignal): Promise<{ items: TeamReport['items']; next: string | null }>;
  user(subject: Subject, range: GroupedRange, signal?: AbortSignal): Promise<Omit<UserReport, 'user'>>;
  organization(
    of: { organizationId: string; timezone?: string | undefined },
    range: GroupedRange,
    signal?: AbortSignal,
  ): Promise<OrganizationReport>;
  timesheet(subject: Subject, range: GroupedRange, signal?: AbortSignal): Promise<TimesheetReport>;
}

/** Apps, hosts, projects or people in one answer; the longest are kept. */
export const maxItems = 500;
/** Of each zone that people of an organisation are in: what is past this is past `maxItems` of all of them, but for freaks. */
const maxItemsOfZone = 5_000;

const longest = <K>(map: Map<K, number>): [K, number][] =>
  [...map].sort((a, b) => b[1] - a[1] || (String(a[0]) < String(b[0]) ? -1 : 1)).slice(0, maxItems);

/**
 * What is read from sums is little, and waits for the server more than for its work: side by side. Live, each has all the
 * memory that a report may take, so they go one after the other.
 */
async function sideBySide<T extends unknown[]>(
  stale: ReadonlySet<string> | undefined,
  works: { [i in keyof T]: () => Promise<T[i]> },
): Promise<T> {
  if (!stale || stale.size === 0) return Promise.all(works.map((work) => work())) as Promise<T>;
  const results: unknown[] = [];
  for (const work of works) results.push(await work());
  return results as T;
}

/**
 * Reports from `days`, or live from `usage` and `input_minutes` where a day's sums are not there yet; and `time_entries`.
 * @param options.settings of each query; those of reports unless said.
 */
export function createReports({
  clickhouse,
  settings = reportSettings,
}: {
  clickhouse: Pick<ClickHouse, 'query'>;
  settings?: QueryOptions['settings'];
}): Reports {
  const query = <T>({ sql, params }: Sql, signal: AbortSignal | undefined) =>
    clickhouse.query<T>(sql, { params, settings, ...(signal ? { signal } : {}) });
  const known: KnownDays = new Map();

  const scopeOf = (people: People, { from, to }: Range, timezone: string): DaysScope => ({
    ...people,
    timezone,
    days: localDays(from, to, timezone, known),
  });

  /** The query of the scope's days; undefined where the zone skipped all of them. */
  async function daysOf(
    scope: DaysScope,
    signal: AbortSignal | undefined,
    parts: NonNullable<DayOptions['parts']>,
  ): Promise<Sql | undefined> {
    const stale = await staleDaysOf(scope, signal);
    return stale && daysSql(scope, stale, { parts });
  }

  /** Undefined where the zone skipped all of the days. */
  async function staleDaysOf(scope: DaysScope, signal: AbortSignal | undefined): Promise<Set<string> | undefined> {
    if (daysWithTime(scope.days).length === 0) return undefined;
    const stale = await query<{ date: string }>(staleDates(scope), signal);
    return new Set(stale.map(({ date }) => date));
  }

  async function fromDays<T>(days: Sql | undefined, select: (from: string) => string, signal: AbortSignal | undefined) {
    return days ? query<T>({ sql: select(`(${days.sql})`), params: days.params }, signal) : [];
  }

  async function fromTracked<T>(
    scope: DaysScope,
    select: (from: string) => string,
    signal: AbortSignal | undefined,
    now = Date.now(),
  ) {
    if (daysWithTime(scope.days).length === 0) return [];
    const { sql, params } = trackedDays(scope, now);
    return query<T>({ sql: select(`(${sql})`), params }, signal);
  }

  async function keyed<K extends 'app' | 'host'>(
    column: K,
    { organizationId, userId, timezone }: Subject,
    date: string,
    signal: AbortSignal | undefined,
    most = maxItems,
  ): Promise<KeyedReport<K>> {
    const scope = scopeOf({ organizationId, which: named([userId]) }, { from: date, to: date }, timezone);
    const total = column === 'app' ? 'active_seconds' : 'hosted_seconds';
    const [row] = await fromDays<{ total: number; names: string[]; seconds: number[] }>(
      await daysOf(scope, signal, [column]),
      (days) => `SELECT ${total} AS total, arraySlice(${column}s, 1, ${most}) AS names,
        arraySlice(${column}_seconds, 1, ${most}) AS seconds FROM ${days}`,
      signal,
    );
    const items = (row?.names ?? []).map(
      (name, i) => ({ [column]: name, seconds: row!.seconds[i]! }) as { [k in K]: string } & { seconds: number },
    );
    return { date, timezone, totalSeconds: row?.total ?? 0, items };
  }

  async function userDays(
    { organizationId, userIds, timezone }: Parameters<Reports['userDays']>[0],
    range: Range,
    signal?: AbortSignal,
  ): Promise<UserDay[]> {
    const people: People = { organizationId, ...(userIds ? { which: named(userIds) } : {}) };
    const days = await daysOf(scopeOf(people, range, timezone), signal, []);
    return fromDays<UserDay>(
      days,
      (from) => `SELECT user_id AS userId, toString(date) AS date, work_seconds AS workSeconds,
        active_seconds AS activeSeconds, keyboard_clicks AS keyboardClicks, mouse_movements AS mouseMovements FROM ${from}
        WHERE workSeconds > 0 OR keyboardClicks > 0 OR mouseMovements > 0`,
      signal,
    );
  }

  async function namesOf(
    table: 'people' | 'projects',
    organizationId: string,
    ids: Iterable<string | null>,
    signal?: AbortSignal,
  ): Promise<Map<string | null, string>> {
    const wanted = [...new Set(ids)].filter((id) => id !== null);
    if (wanted.length === 0) return new Map();
    const rows = await query<{ id: string; name: string }>(
      {
        sql: `SELECT id, name FROM ${table} FINAL WHERE organization_id = {organization:UUID} AND id IN {ids:Array(UUID)}`,
        params: { organization: organizationId, ids: wanted },
      },
      signal,
    );
    return new Map(rows.map(({ id, name }) => [id, name]));
  }

  /** Tracked time of the scope by project; null: of none. */
  async function trackedByProject(scope: DaysScope, signal?: AbortSignal): Promise<Map<string | null, number>> {
    const rows = await fromTracked<{ projectId: string | null; seconds: number }>(
      scope,
      (from) => `SELECT project_id AS projectId, sum(seconds) AS seconds FROM ${from} GROUP BY project_id`,
      signal,
    );
    return new Map(rows.map(({ projectId, seconds }) => [projectId, seconds]));
  }

  async function projectsOf(organizationId: string, seconds: Map<string | null, number>, signal?: AbortSignal) {
    const top = longest(seconds);
    const names = await namesOf(
      'projects',
      organizationId,
      top.map(([id]) => id),
      signal,
    );
    return top.map(([projectId, trackedSeconds]) => ({
      projectId,
      name: names.get(projectId) ?? null,
      trackedSeconds,
    }));
  }

  /** Scopes that are everybody's days: one of the zone asked for, else one for each zone that somebody is in. */
  async function scopesOf(organizationId: string, range: Range, timezone: string | undefined, signal?: AbortSignal) {
    if (timezone !== undefined) return [scopeOf({ organizationId }, range, timezone)];
    const zones = await query<{ timezone: string }>(
      {
        sql: 'SELECT DISTINCT timezone FROM people FINAL WHERE organization_id = {organization:UUID}',
        params: { organization: organizationId },
      },
      signal,
    );
    return zones.map(({ timezone: zone }) => scopeOf(inZone({ organizationId }, zone), range, zone));
  }

  async function team(asked: TeamQuery, signal?: AbortSignal) {
    const { organizationId, timezone, projectId, limit } = asked;
    const found = await query<Member>(membersSql({ ...asked, limit: limit + 1 }), signal);
    const page = found.slice(0, limit);
    const sums = new Map<string, Sums>();
    const tracked = new Map<string, number>();
    const addTime = async (scope: DaysScope): Promise<void> => {
      const days = await daysOf(scope, signal, []);
      const worked = await fromDays<Sums & { userId: string }>(
        days,
        (from) => `SELECT user_id AS userId, ${sumColumns} FROM ${from} GROUP BY user_id`,
        signal,
      );
      for (const { userId, ...more } of worked) addSums(sums, userId, more);
    };
    const addTracked = async (scope: DaysScope): Promise<void> => {
      const ofTimers = await fromTracked<{ userId: string; projectId: string | null; seconds: number }>(
        scope,
        (from) =>
          `SELECT user_id AS userId, project_id AS projectId, sum(seconds) AS seconds FROM ${from} GROUP BY ALL`,
        signal,
      );
      for (const row of ofTimers) {
        if (projectId === undefined || row.projectId === projectId) addSeconds(tracked, row.userId, row.seconds);
      }
    };
    const byZone = Map.groupBy(page, (member) => timezone ?? member.timezone);
    for (const [zone, members] of byZone) {
      const scope = scopeOf({ organizationId, which: named(members.map(({ id }) => id)) }, asked, zone);
      await Promise.all([addTime(scope), addTracked(scope)]);
    }
    const items = page.map(({ id, name }) => {
      const { productivityScore, ...time } = shownTime(sums.get(id) ?? nothing);
      return { userId: id, name, ...time, trackedSeconds: tracked.get(id) ?? 0, productivityScore };
    });
    return { items, next: found.length > limit ? page.at(-1)!.id : null };
  }

  /** Sums by period; every period is there. */
  function byPeriod({ periods, periodOf }: Periods, rows: Iterable<[string, Sums]>) {
    const sums = new Map<string, Sums>();
    for (const [date, more] of rows) addSums(sums, periodOf(date), more);
    return periods.map((period) => ({ ...period, ...shown(sums.get(period.date) ?? nothing) }));
  }

  async function organization(
    { organizationId, timezone }: { organizationId: string; timezone?: string | undefined },
    asked: GroupedRange,
    signal?: AbortSignal,
  ): Promise<OrganizationReport> {
    const periods = periodsOf(asked);
    const byDate = new Map<string, Sums>();
    const byUser = new Map<string, Sums>();
    const byApp = new Map<string, number>();
    const byProject = new Map<string | null, number>();
    const addSumsOf = async (scope: DaysScope, stale: ReadonlySet<string>): Promise<void> => {
      const rows = await fromDays<Sums & { date: string; userId: string; ofUser: number }>(
        daysSql(scope, stale, { parts: [] }),
        (from) => `SELECT toString(date) AS date, user_id AS userId, grouping(date) AS ofUser, ${sumColumns}
          FROM ${from} GROUP BY GROUPING SETS ((date), (user_id))`,
        signal,
      );
      for (const { date, userId, ofUser, ...more } of rows) {
        if (ofUser) addSums(byUser, userId, more);
        else addSums(byDate, date, more);
      }
    };
    const addApps = async (scope: DaysScope, stale: ReadonlySet<string>): Promise<void> => {
      const apps = await fromDays<{ app: string; seconds: number }>(
        daysSql(scope, stale, { sums: false, parts: ['app'] }),
        (from) => `SELECT app, sum(part) AS seconds FROM ${from} ARRAY JOIN apps AS app, app_seconds AS part
          GROUP BY app ORDER BY seconds DESC, app LIMIT ${maxItemsOfZone}`,
        signal,
      );
      for (const { app, seconds } of apps) addSeconds(byApp, app, seconds);
    };
    for (const scope of await scopesOf(organizationId, periods.range, timezone, signal)) {
      const [stale, ofProjects] = await Promise.all([staleDaysOf(scope, signal), trackedByProject(scope, signal)]);
      for (const [projectId, seconds] of ofProjects) addSeconds(byProject, projectId, seconds);
      if (!stale) continue;
      await sideBySide(stale, [() => addSumsOf(scope, stale), () => addApps(scope, stale)]);
    }
    const people = longest(new Map([...byUser].map(([id, { workSeconds }]) => [id, workSeconds]))).filter(
      ([, worked]) => worked > 0,
    );
    const [names, projects] = await Promise.all([
      namesOf(
        'people',
        organizationId,
        people.map(([id]) => id),
        signal,
      ),
      projectsOf(organizationId, byProject, signal),
    ]);
    return {
      ...periods.range,
      totals: shown(totalOf(byDate.values())),
      days: byPeriod(periods, byDate),
      people: people.map(([userId]) => ({
        userId,
        name: names.get(userId) ?? null,
        ...shownTime(byUser.get(userId)!),
      })),
      apps: longest(byApp).map(([app, seconds]) => ({ app, seconds })),
      projects,
    };
  }

  async function user(subject: Subject, asked: GroupedRange, signal?: AbortSignal) {
    const { organizationId, userId, timezone } = subject;
    const periods = periodsOf(asked);
    const scope = scopeOf({ organizationId, which: named([userId]) }, periods.range, timezone);
    const [stale, byProject] = await Promise.all([staleDaysOf(scope, signal), trackedByProject(scope, signal)]);
    // Each query has the parts that it reads: live, each part is as much work again.
    const daysWith = (options: DayOptions) => stale && daysSql(scope, stale, options);
    const byDate = async () => {
      const rows = await fromDays<Sums & { date: string }>(
        daysWith({ parts: [] }),
        (from) => `SELECT toString(date) AS date, ${sumColumns} FROM ${from} GROUP BY date`,
        signal,
      );
      return new Map(rows.map(({ date, ...sums }) => [date, sums]));
    };
    const parts = <K extends 'app' | 'host'>(column: K) =>
      fromDays<{ [k in K]: string } & { seconds: number }>(
        daysWith({ sums: false, parts: [column] }),
        (from) => `SELECT ${column}, sum(part) AS seconds FROM ${from}
          ARRAY JOIN ${column}s AS ${column}, ${column}_seconds AS part
          GROUP BY ${column} ORDER BY seconds DESC, ${column} LIMIT ${maxItems}`,
        signal,
      );
    const [sums, apps, hosts] = await sideBySide(stale, [byDate, () => parts('app'), () => parts('host')]);
    return {
      ...periods.range,
      timezone,
      totals: shown(totalOf(sums.values())),
      days: byPeriod(periods, sums),
      apps,
      hosts,
      projects: await projectsOf(organizationId, byProject, signal),
    };
  }

  async function timesheet(subject: Subject, asked: GroupedRange, signal?: AbortSignal): Promise<TimesheetReport> {
    const { organizationId, userId, timezone } = subject;
    const { range, periods, periodOf } = periodsOf(asked);
    const scope = scopeOf({ organizationId, which: named([userId]) }, range, timezone);
    const rows = await fromTracked<{ date: string; projectId: string | null; seconds: number }>(
      scope,
      (from) => `SELECT toString(date) AS date, project_id AS projectId, seconds FROM ${from}`,
      signal,
    );
    const place = new Map(periods.map(({ date }, i) => [date, i]));
    const totals = periods.map(() => 0);
    const byProject = new Map<string | null, number[]>();
    for (const { date, projectId, seconds } of rows) {
      const at = place.get(periodOf(date))!;
      const cells = byProject.get(projectId) ?? periods.map(() => 0);
      byProject.set(projectId, cells);
      cells[at]! += seconds;
      totals[at]! += seconds;
    }
    const sum = (cells: number[]): number => cells.reduce((all, cell) => all + cell, 0);
    const projects = await projectsOf(
      organizationId,
      new Map([...byProject].map(([id, cells]) => [id, sum(cells)])),
      signal,
    );
    return {
      ...range,
      userId,
      timezone,
      days: periods.map((period, i) => ({ ...period, trackedSeconds: totals[i]! })),
      trackedSeconds: sum(totals),
      projects: projects.map((project) => ({ ...project, byDay: byProject.get(project.projectId)! })),
    };
  }

  return {
    apps: (subject, date, signal, most) => keyed('app', subject, date, signal, most),
    domains: (subject, date, signal, most) => keyed('host', subject, date, signal, most),
    userDays,
    trackedDays({ organizationId, userIds, timezone }, range, now, signal) {
      const scope = scopeOf({ organizationId, which: named(userIds) }, range, timezone);
      const select = (from: string): string =>
        `SELECT user_id AS userId, toString(date) AS date, project_id AS projectId, seconds FROM ${from}`;
      return fromTracked<TrackedDay>(scope, select, signal, now);
    },
    members: (of, signal) => query<Member>(membersSql(of), signal),
    names: namesOf,
    team,
    user,
    organization,
    timesheet,
    async daily({ organizationId, userId, timezone }, range, signal) {
      const rows = await userDays({ organizationId, userIds: [userId], timezone }, range, signal);
      return { items: byPeriod(periodsOf(range), new Map(rows.map(({ userId: _, date, ...sums }) => [date, sums]))) };
    },
  };
}
