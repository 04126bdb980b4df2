import type { Identity } from '@worktide/identity';
import { type AnyRoute, countDays, invalid, type PeopleTurns, route } from '@worktide/runtime';
import { appsReport, dailyReport, dayReportQuery, domainsReport, rangeReportQuery } from '@worktide/schemas';
import type { Reports } from './reports.ts';
import { subjectOf } from './subject.ts';

/** A year, leap day included. */
const maxDays = 366;

const dayForms = 'as in `/reports/daily` it is short for `from` and `to` of that day, and 400 beside them.';

export interface ReportRoutesDeps {
  reports: Reports;
  /** Whose report is next: of organisations and of people in them. */
  turns: PeopleTurns;
  findUser: Identity['findUser'];
}

export function reportRoutes({ reports, turns, findUser }: ReportRoutesDeps): AnyRoute[] {
  const tag = 'reports';
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
      handler: async ({ query, caller, signal }) => {
        const subject = await subjectOf(caller, query, findUser);
        const work = () => reports.apps(subject, query.date, signal);
        return { status: 200, body: await turns.run(caller, work, { signal }) };
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
      handler: async ({ query, caller, signal }) => {
        const subject = await subjectOf(caller, query, findUser);
        const work = () => reports.domains(subject, query.date, signal);
        return { status: 200, body: await turns.run(caller, work, { signal }) };
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
      handler: async ({ query, caller, signal }) => {
        const { from, to } = query;
        const days = countDays(from, to);
        if (days < 1) throw invalid('RANGE_REVERSED', 'The range ends before it begins.');
        if (days > maxDays) throw invalid('RANGE_TOO_LONG', `A range may have ${maxDays} days at most.`);
        const subject = await subjectOf(caller, query, findUser);
        const work = () => reports.daily(subject, from, to, signal);
        return { status: 200, body: await turns.run(caller, work, { signal }) };
      },
    }),
  ];
}
