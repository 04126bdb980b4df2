import type { Identity } from '@worktide/identity';
import { type Reads, tenantTransaction } from '@worktide/postgres';
import {
  type AnyRoute,
  type Authenticate,
  type Caller,
  countDays,
  derivedUuid,
  invalid,
  type LocalDay,
  localDate,
  localDays,
  notFound,
  type RawRoute,
  type RequestLimit,
  route,
  sendJson,
  takeLimit,
  userSubject,
} from '@worktide/runtime';
import { timezone } from '@worktide/schemas';
import { z } from 'zod';
import { durations, extent } from './durations.ts';
import { shownHeartbeat } from './heartbeat.ts';
import { columns, toHeartbeat } from './store.ts';
import { daySummary, instantOf, rangeNamed, statsOf, totals } from './summaries.ts';
import { percentOf, shownTime } from './time.ts';
import { readUserAgent } from './user-agent.ts';

export interface ReadDependencies {
  /** What was sent a moment ago may be missing. */
  reads: Pick<Reads, 'for'>;
  findUser: Identity['findUser'];
  authenticate: Authenticate;
  limit: RequestLimit;
}

const base = '/api/v1/users/current';
const tag = 'wakatime';
/** A year, leap day included; `all_time` and its like have as many years. */
const maxDays = 366;
const maxAllDays = 3_660;
const maxHeartbeatsOfDay = 10_000;
const maxListed = 1_000;

const date = z.iso.date();
const text = z.string().max(2_048);
const data = { 200: { description: 'As WakaTime answers it.', schema: z.looseObject({}) } };
const zone = timezone.optional();
const summariesQuery = z.looseObject({
  start: z.string().max(40).optional(),
  end: z.string().max(40).optional(),
  range: z.string().max(40).optional(),
  project: text.optional(),
  timezone: zone,
});

/** What plugins, badges and boards of WakaTime read back. */
export function wakatimeReads(deps: ReadDependencies): AnyRoute[] {
  const { reads, limit } = deps;
  const common = { tag, access: 'user', agents: true, userLimit: limit, responses: data } as const;

  function daysOf(from: string, to: string, tz: string, most = maxDays): LocalDay[] {
    const days = countDays(from, to);
    if (days < 1) throw invalid('RANGE_REVERSED', 'The range ends before it begins.');
    if (days > most) throw invalid('RANGE_TOO_LONG', `A range may have ${most} days at most.`);
    return localDays(from, to, tz);
  }

  /** A day is a date, or an instant in it. */
  function dateOf(given: string, tz: string): string {
    if (date.safeParse(given).success) return given;
    const instant = Date.parse(given);
    if (Number.isNaN(instant)) throw invalid('VALIDATION_FAILED', 'start and end are dates.');
    return localDate(instant, tz);
  }

  async function rangeOf(caller: Caller, name: string, tz: string): Promise<LocalDay[]> {
    const first = /all.time/i.test(name) ? (await extent(await reads.for(caller), caller))?.first : undefined;
    const year = /^\d{4}$/.test(name) ? ([`${name}-01-01`, `${name}-12-31`] as const) : undefined;
    const month = /^\d{4}-(0[1-9]|1[0-2])$/.test(name)
      ? ([
          `${name}-01`,
          new Date(Date.UTC(Number(name.slice(0, 4)), Number(name.slice(5)), 0)).toISOString().slice(0, 10),
        ] as const)
      : undefined;
    const named = year ?? month ?? rangeNamed(name, tz, Date.now(), first);
    if (!named) throw notFound('There is no such range.');
    return daysOf(named[0], named[1], tz, maxAllDays);
  }

  async function stats(caller: Caller, name: string, tz: string, signal: AbortSignal) {
    const days = await rangeOf(caller, name, tz);
    const spent = await durations(await reads.for(caller), caller, { days }, signal);
    return { data: statsOf(name, days, spent, tz, caller.userId) };
  }

  return [
    route({
      ...common,
      method: 'get',
      path: `${base}/statusbar/today`,
      operationId: 'wakatimeStatusbar',
      summary: 'Today, for the status bar of an editor',
      handler: async ({ caller, signal }) => {
        const tz = caller.timezone;
        const today = localDate(Date.now(), tz);
        const days = daysOf(today, today, tz);
        const spent = await durations(await reads.for(caller), caller, { days }, signal);
        const summary = daySummary(days[0]!, spent, tz);
        return { status: 200, body: { cached_at: instantOf(Date.now()), data: summary, has_team_features: false } };
      },
    }),
    route({
      ...common,
      method: 'get',
      path: `${base}/summaries`,
      operationId: 'wakatimeSummaries',
      summary: 'Days, by what they were spent on',
      query: summariesQuery,
      alsoAnswers: { 404: 'There is no such range.' },
      handler: async ({ caller, query, signal }) => {
        const tz = query.timezone ?? caller.timezone;
        const today = localDate(Date.now(), tz);
        const days =
          query.range === undefined
            ? daysOf(dateOf(query.start ?? today, tz), dateOf(query.end ?? today, tz), tz)
            : await rangeOf(caller, query.range, tz);
        const { project } = query;
        const spent = await durations(await reads.for(caller), caller, { days, project }, signal);
        const body = {
          data: days.map((day) => daySummary(day, spent, tz, { project })),
          ...totals(days, spent),
          start: instantOf(days[0]!.start),
          end: instantOf(days.at(-1)!.end - 1_000),
        };
        return { status: 200, body };
      },
    }),
    route({
      ...common,
      method: 'get',
      path: `${base}/stats`,
      operationId: 'wakatimeStats',
      summary: 'The last seven days together',
      query: z.looseObject({ timezone: zone }),
      handler: async ({ caller, query, signal }) => ({
        status: 200,
        body: await stats(caller, 'last_7_days', query.timezone ?? caller.timezone, signal),
      }),
    }),
    route({
      ...common,
      method: 'get',
      path: `${base}/stats/:range`,
      operationId: 'wakatimeStatsOf',
      summary: 'A range of days together: by name, a year or a month',
      params: z.object({ range: z.string().max(40) }),
      query: z.looseObject({ timezone: zone }),
      alsoAnswers: { 404: 'There is no such range.' },
      handler: async ({ caller, params, query, signal }) => ({
        status: 200,
        body: await stats(caller, params.range, query.timezone ?? caller.timezone, signal),
      }),
    }),
    route({
      ...common,
      method: 'get',
      path: `${base}/all_time_since_today`,
      operationId: 'wakatimeAllTime',
      summary: 'All there ever was',
      query: z.looseObject({ project: text.optional() }),
      handler: async ({ caller, query, signal }) => {
        const tz = caller.timezone;
        const days = await rangeOf(caller, 'all_time', tz);
        const spent = await durations(await reads.for(caller), caller, { days, project: query.project }, signal);
        const { text: words, decimal, digital, total_seconds } = shownTime(spent.reduce((sum, { ms }) => sum + ms, 0));
        const [first, last] = [days[0]!, days.at(-1)!];
        const range = {
          start: instantOf(first.start),
          start_date: first.date,
          end: instantOf(last.end - 1_000),
          end_date: last.date,
          timezone: tz,
        };
        const all = {
          text: words,
          decimal,
          digital,
          total_seconds,
          is_up_to_date: true,
          percent_calculated: 100,
          range,
          timeout: 15,
        };
        return { status: 200, body: { data: all } };
      },
    }),
    route({
      ...common,
      method: 'get',
      path: `${base}/projects`,
      operationId: 'wakatimeProjects',
      summary: 'What plugins have named as projects',
      query: z.looseObject({ q: text.optional() }),
      handler: async ({ caller, query, signal }) => {
        const { organizationId, userId } = caller;
        const projects = await tenantTransaction(
          await reads.for(caller),
          organizationId,
          async (client) => {
            const { rows } = await client.query<{ name: string; first: number; last: number }>(
              `SELECT project AS name, min(at_ms)::float8 AS first, max(at_ms)::float8 AS last FROM agent_protocols.heartbeats
               WHERE organization_id = $1 AND user_id = $2 AND project IS NOT NULL
                 AND ($3::text IS NULL OR strpos(lower(project), lower($3)) > 0)
               GROUP BY project ORDER BY last DESC LIMIT ${maxListed}`,
              [organizationId, userId, query.q ?? null],
            );
            return rows;
          },
          { signal },
        );
        const shown = projects.map(({ name, first, last }) => ({
          id: derivedUuid('wakatime-project', userId, name),
          name,
          color: null,
          created_at: instantOf(first),
          last_heartbeat_at: instantOf(last),
          human_readable_last_heartbeat_at: instantOf(last),
          urlencoded_name: encodeURIComponent(name.toWellFormed()),
        }));
        return { status: 200, body: { data: shown, ...onePage(shown.length) } };
      },
    }),
    route({
      ...common,
      method: 'get',
      path: `${base}/goals`,
      operationId: 'wakatimeGoals',
      summary: 'There are no goals here',
      handler: () => ({ status: 200, body: { data: [], ...onePage(0) } }),
    }),
    route({
      ...common,
      method: 'get',
      path: `${base}/user_agents`,
      operationId: 'wakatimeUserAgents',
      summary: 'Editors and plugins that heartbeats came from',
      handler: async ({ caller, signal }) => {
        const { organizationId, userId } = caller;
        const agents = await tenantTransaction(
          await reads.for(caller),
          organizationId,
          async (client) => {
            const { rows } = await client.query<{ value: string; first: number; last: number }>(
              `SELECT user_agent AS value, min(at_ms)::float8 AS first, max(at_ms)::float8 AS last FROM agent_protocols.heartbeats
               WHERE organization_id = $1 AND user_id = $2 AND user_agent IS NOT NULL
               GROUP BY user_agent ORDER BY last DESC LIMIT ${maxListed}`,
              [organizationId, userId],
            );
            return rows;
          },
          { signal },
        );
        const shown = agents.map(({ value, first, last }) => {
          const { editor, os } = readUserAgent(value);
          const id = derivedUuid('wakatime-user-agent', userId, value);
          const times = {
            first_seen_at: instantOf(first),
            last_seen_at: instantOf(last),
            created_at: instantOf(first),
          };
          return {
            id,
            value,
            editor,
            os,
            is_browser_extension: /(chrome|firefox|edge|safari|brave)-wakatime/i.test(value),
            ...times,
          };
        });
        return { status: 200, body: { data: shown, ...onePage(shown.length) } };
      },
    }),
    route({
      ...common,
      method: 'get',
      path: `${base}/heartbeats`,
      operationId: 'wakatimeHeartbeats',
      summary: 'Heartbeats of a day',
      query: z.looseObject({ date: date.optional(), timezone: zone }),
      handler: async ({ caller, query, signal }) => {
        const { organizationId, userId } = caller;
        const tz = query.timezone ?? caller.timezone;
        const asked = query.date ?? localDate(Date.now(), tz);
        const [day] = localDays(asked, asked, tz);
        const heartbeats = await tenantTransaction(
          await reads.for(caller),
          organizationId,
          async (client) => {
            const { rows } = await client.query<Parameters<typeof toHeartbeat>[0]>(
              `SELECT ${columns} FROM agent_protocols.heartbeats
               WHERE organization_id = $1 AND user_id = $2 AND at_ms >= $3 AND at_ms < $4
               ORDER BY at_ms, id LIMIT ${maxHeartbeatsOfDay}`,
              [organizationId, userId, day!.start, day!.end],
            );
            return rows.map(toHeartbeat);
          },
          { signal },
        );
        const shown = heartbeats.map((one) => shownHeartbeat(one, userId));
        const range = {
          start: instantOf(day!.start),
          end: instantOf(Math.max(day!.start, day!.end - 1_000)),
          timezone: tz,
        };
        return { status: 200, body: { data: shown, ...range } };
      },
    }),
    route({
      ...common,
      method: 'post',
      path: `${base}/file_experts`,
      operationId: 'wakatimeFileExperts',
      summary: 'Who knows a file: of the people here, oneself',
      body: z.looseObject({ entity: text, project: text.nullable().optional() }),
      handler: async ({ caller, body, signal }) => {
        const days = await rangeOf(caller, 'all_time', caller.timezone);
        const spent = await durations(await reads.for(caller), caller, { days, entity: body.entity }, signal);
        const ms = spent.reduce((sum, one) => sum + one.ms, 0);
        if (ms === 0) return { status: 200, body: { data: [] } };
        const user = await deps.findUser(caller.organizationId, caller.userId);
        const name = user?.name ?? 'Me';
        const expert = {
          total: { ...shownTime(ms), percent: percentOf(ms, ms) },
          user: { id: caller.userId, is_current_user: true, name, long_name: name },
        };
        return { status: 200, body: { data: [expert] } };
      },
    }),
  ];
}

const onePage = (total: number) => ({ total, total_pages: 1, page: 1, prev_page: null, next_page: null });

/** `GET /users/current`: a raw route, for in one process `/users/:id` is another service's. */
export function currentUser({ reads, findUser, authenticate, limit }: ReadDependencies): RawRoute {
  return {
    spec: {
      method: 'get',
      path: base,
      operationId: 'wakatimeUser',
      summary: 'Who I am, to a WakaTime plugin',
      tag,
      access: 'user',
      agents: true,
      userLimit: limit,
      responses: data,
    },
    async handle(req, res, { sender }) {
      const caller = await authenticate(req.headers.authorization, sender);
      await takeLimit(res, limit, userSubject(caller));
      const [user, seen] = await Promise.all([
        findUser(caller.organizationId, caller.userId),
        extent(await reads.for(caller), caller),
      ]);
      const name = user?.name ?? 'Me';
      const shown = {
        id: caller.userId,
        username: null,
        display_name: name,
        full_name: name,
        email: null,
        is_email_confirmed: true,
        timezone: caller.timezone,
        plan: 'premium',
        timeout: 15,
        writes_only: false,
        has_premium_features: true,
        last_heartbeat_at: seen ? instantOf(seen.last) : null,
        created_at: seen ? instantOf(seen.first) : null,
      };
      sendJson(res, 200, { data: shown });
    },
  };
}
