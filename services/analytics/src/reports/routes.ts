import { type Looks, noteLook } from '@worktide/audit';
import type { Identity, Leads } from '@worktide/identity';
import {
  type AnyRoute,
  AppError,
  type Caller,
  countDays,
  decodeCursor,
  invalid,
  notFound,
  type PeopleTurns,
  route,
  sealIdCursor,
} from '@worktide/runtime';
import {
  appsReport,
  dailyReport,
  dayReportQuery,
  domainsReport,
  idParams,
  organizationReport,
  organizationReportQuery,
  rangeReportQuery,
  teamReport,
  teamReportQuery,
  timesheetReport,
  timesheetReportQuery,
  userReport,
  userReportQuery,
} from '@worktide/schemas';
import type { ReportCache } from './cache.ts';
import type { GroupedRange, Range, Reports, Subject } from './reports.ts';
import { refused, subjectOf } from './subject.ts';

/** A year, leap day included. */
const maxDays = 366;

/** @throws 400 `RANGE_REVERSED`, `RANGE_TOO_LONG`. */
export function checkRange({ from, to }: Range): Range {
  const days = countDays(from, to);
  if (days < 1) throw invalid('RANGE_REVERSED', 'The range ends before it begins.');
  if (days > maxDays) throw invalid('RANGE_TOO_LONG', `A range may have ${maxDays} days at most.`);
  return { from, to };
}

/** @throws 403 for who leads no such team, 503 while workspace cannot be asked. */
export async function requireLead(leads: Leads, caller: Caller, teamId: string | undefined): Promise<void> {
  const { teamIds } = await leads.of(caller);
  if (teamId === undefined || !teamIds.has(teamId)) throw refused();
}

const dayForms = 'as in `/reports/daily` it is short for `from` and `to` of that day, and 400 beside them.';

export interface ReportRoutesDeps {
  reports: Reports;
  cache: Pick<ReportCache, 'get'>;
  /** Whose report is next: of organisations and of people in them. */
  turns: PeopleTurns;
  findUser: Identity['findUser'];
  leads: Leads;
  looks: Looks;
  /** For the first day of its weeks. */
  organization: Identity['organization'];
}

export function reportRoutes({
  reports,
  turns,
  cache,
  looks,
  findUser,
  leads,
  organization,
}: ReportRoutesDeps): AnyRoute[] {
  const tag = 'reports';
  const managers = ['manager', 'admin'] as const;

  /** What is remembered, else what a query gives when it is the caller's turn. `params` are all that the answer depends on. */
  async function answer<T>(
    { caller, signal }: { caller: Caller; signal: AbortSignal },
    report: string,
    params: object,
    query: () => Promise<T>,
  ): Promise<T> {
    const work = () => turns.run(caller, query, { signal });
    try {
      return await cache.get(caller.organizationId, report, params, work);
    } catch (error) {
      // Another who asked the same was asked for, and went away.
      if (signal.aborted || !(error instanceof AppError && error.code === 'REQUEST_ABORTED')) throw error;
      return work();
    }
  }

  /** Goes into the audit trail where it is not the caller's own. */
  const looked = (context: Parameters<typeof noteLook>[1], entityType: 'user' | 'organization', entityId: string) =>
    noteLook(looks, context, { action: 'report.read', entityType, entityId });

  /** A report of one person, and the look at it. `params` are what it depends on besides the subject. */
  async function ofPerson<T>(
    context: Parameters<typeof noteLook>[1] & { signal: AbortSignal },
    asked: { userId?: string | undefined; timezone?: string | undefined },
    report: string,
    params: object,
    query: (subject: Subject) => Promise<T>,
  ): Promise<{ subject: Subject; body: T }> {
    const subject = await subjectOf(context.caller, asked, findUser, leads);
    const body = await answer(context, report, { ...subject, ...params }, () => query(subject));
    looked(context, 'user', subject.userId);
    return { subject, body };
  }

  /** By weeks where they are asked for. Rejects 400 for the range, 503 where auth has never told of the organisation. */
  async function grouped(caller: Caller, query: Range & { group: 'day' | 'week' }): Promise<GroupedRange> {
    const range = checkRange(query);
    if (query.group === 'day') return range;
    const settings = (await organization(caller.organizationId))?.settings;
    return { ...range, weekStart: settings?.weekStart ?? 'monday' };
  }

  return [
    route({
      method: 'get',
      path: '/api/v1/reports/apps',
      operationId: 'reportApps',
      summary: 'Active time of one local day by app, longest first',
      description: `The day is \`date\`; ${dayForms}`,
      tag,
      access: 'user',
      query: dayReportQuery,
      responses: { 200: { description: 'The report', schema: appsReport } },
      handler: async (context) => {
        const { query, signal } = context;
        const { date } = query;
        const { body } = await ofPerson(context, query, 'apps', { date }, (subject) =>
          reports.apps(subject, date, signal),
        );
        return { status: 200, body };
      },
    }),
    route({
      method: 'get',
      path: '/api/v1/reports/domains',
      operationId: 'reportDomains',
      summary: 'Active time of one local day by host, longest first',
      description: `Entries without a host are not counted. The day is \`date\`; ${dayForms}`,
      tag,
      access: 'user',
      query: dayReportQuery,
      responses: { 200: { description: 'The report', schema: domainsReport } },
      handler: async (context) => {
        const { query, signal } = context;
        const { date } = query;
        const { body } = await ofPerson(context, query, 'domains', { date }, (subject) =>
          reports.domains(subject, date, signal),
        );
        return { status: 200, body };
      },
    }),
    route({
      method: 'get',
      path: '/api/v1/reports/daily',
      operationId: 'reportDaily',
      summary: 'Work, active and idle time and input counts of each local day of a range',
      description: `Of \`from\` to \`to\`; \`date\` is short for both of one day, and 400 beside them. Every day of the range has an item. At most ${maxDays} days.`,
      tag,
      access: 'user',
      query: rangeReportQuery,
      responses: { 200: { description: 'The report', schema: dailyReport } },
      handler: async (context) => {
        const { query, signal } = context;
        const range = checkRange(query);
        const { body } = await ofPerson(context, query, 'daily', range, (subject) =>
          reports.daily(subject, range, signal),
        );
        return { status: 200, body };
      },
    }),
    route({
      method: 'get',
      path: '/api/v1/reports/team',
      operationId: 'reportTeam',
      summary: 'Time of each person over a range, by name',
      description: `Each person once: who is active, and who has left but has time in the range. For managers and admins; for leads with \`teamId\` of a team of theirs. At most ${maxDays} days.`,
      tag,
      // Of colleagues, which an agent's key does not see.
      access: 'session',
      query: teamReportQuery,
      responses: { 200: { description: 'A page', schema: teamReport } },
      handler: async ({ req, requestId, query, caller, signal }) => {
        const range = checkRange(query);
        const { organizationId } = caller;
        const { cursor, limit, timezone, projectId, teamId } = query;
        if (caller.role === 'employee') await requireLead(leads, caller, teamId);
        const list = ['team report', organizationId, range, timezone, projectId, teamId];
        const after = decodeCursor(cursor, list) ?? undefined;
        const asked = { organizationId, ...range, timezone, projectId, teamId, limit, after };
        const { items, next } = await answer({ caller, signal }, 'team', asked, () => reports.team(asked, signal));
        looked({ req, requestId, caller }, 'organization', organizationId);
        return { status: 200, body: { items, nextCursor: next === null ? null : sealIdCursor(next, list) } };
      },
    }),
    route({
      method: 'get',
      path: '/api/v1/reports/user/:id',
      operationId: 'reportUser',
      summary: 'All of one person’s time over a range',
      description: `By day or week, app, host and project. Of oneself, for managers and admins of anybody, for leads of their members. At most ${maxDays} days.`,
      tag,
      access: 'user',
      params: idParams,
      query: userReportQuery,
      responses: { 200: { description: 'The report', schema: userReport } },
      handler: async (context) => {
        const { params, query, caller, signal } = context;
        const range = await grouped(caller, query);
        const asked = { userId: params.id, timezone: query.timezone };
        const { subject, body } = await ofPerson(context, asked, 'user', range, (of) =>
          reports.user(of, range, signal),
        );
        const user = await findUser(caller.organizationId, subject.userId);
        if (!user) throw notFound('There is no such user here.');
        return { status: 200, body: { user: { id: user.id, name: user.name }, ...body } };
      },
    }),
    route({
      method: 'get',
      path: '/api/v1/reports/organization',
      operationId: 'reportOrganization',
      summary: 'Time of all people together over a range',
      description: `By day or week, person, app and project. At most ${maxDays} days.`,
      tag,
      access: 'user',
      roles: managers,
      query: organizationReportQuery,
      responses: { 200: { description: 'The report', schema: organizationReport } },
      handler: async ({ req, requestId, query, caller, signal }) => {
        const range = await grouped(caller, query);
        const { organizationId } = caller;
        const work = () => reports.organization({ organizationId, timezone: query.timezone }, range, signal);
        const params = { timezone: query.timezone, ...range };
        const body = await answer({ caller, signal }, 'organization', params, work);
        looked({ req, requestId, caller }, 'organization', organizationId);
        return { status: 200, body };
      },
    }),
    route({
      method: 'get',
      path: '/api/v1/reports/timesheet',
      operationId: 'reportTimesheet',
      summary: 'Time entries of one person: projects by days or weeks',
      description: `What runs has run until now. At most ${maxDays} days.`,
      tag,
      access: 'user',
      query: timesheetReportQuery,
      responses: { 200: { description: 'The report', schema: timesheetReport } },
      handler: async (context) => {
        const { caller, query, signal } = context;
        const range = await grouped(caller, query);
        const { body } = await ofPerson(context, query, 'timesheet', range, (subject) =>
          reports.timesheet(subject, range, signal),
        );
        return { status: 200, body };
      },
    }),
  ];
}
