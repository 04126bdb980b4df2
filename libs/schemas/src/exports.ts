import { z } from 'zod';
import { auditQuery } from './audit.ts';
import { boundInstant, eventDeviceId, givenId, id, page, pageQuery, timezone } from './common.ts';
import { dayRange, group, reportDate, zoneOfAll } from './reports.ts';
import { timeEntryStatus } from './time-entries.ts';

export const exportFormat = z.enum(['csv', 'xlsx', 'json', 'parquet']);
export type ExportFormat = z.output<typeof exportFormat>;

const asked = <R extends string>(report: R) => ({ report: z.literal(report), format: exportFormat });
const ownZone = timezone
  .optional()
  .meta({ description: 'Whose calendar days; for each person those of their own zone unless given.' });

/** Whose rows: the caller's own unless one of them is given. */
const whose = {
  userId: givenId
    .optional()
    .meta({ description: 'Of this person; others are for managers, admins and who leads them.' }),
  people: z.literal('all').optional().meta({ description: 'Of everybody, in one file; for managers and admins.' }),
  teamId: givenId.optional().meta({ description: 'Of the members of this team; for managers, admins and its leads.' }),
};
const oneOfThem = [
  ({ userId, people, teamId }: { userId?: unknown; people?: unknown; teamId?: unknown }): boolean =>
    [userId, people, teamId].filter((given) => given !== undefined).length < 2,
  { message: 'userId, people or teamId: one of them' },
] as const;

const days = {
  from: reportDate.optional().meta({ description: 'First day of the range, with `to`.' }),
  to: reportDate.optional().meta({ description: 'Last day of the range, with `from`.' }),
  date: reportDate.optional().meta({ description: 'Short for `from` and `to` of this one day; not beside them.' }),
};
const oneDay = [
  ({ from, to }: { from?: unknown; to?: unknown }): boolean => from === to,
  { message: 'this report is of one day: from and to must be the same' },
] as const;
const person = { userId: whose.userId, timezone: ownZone };
const instants = {
  from: boundInstant.meta({ description: 'Inclusive.' }),
  to: boundInstant.meta({ description: 'Exclusive.' }),
};
const { cursor: _, limit: __, ...auditFilter } = auditQuery.shape;

/** Body of `POST /reports/exports`: a report with its filters, as in a query. */
export const exportRequest = z
  .discriminatedUnion('report', [
    z
      .object({ ...asked('daily'), ...days, ...whose, timezone: ownZone })
      .refine(...dayRange)
      .refine(...oneOfThem),
    z
      .object({ ...asked('apps'), ...days, ...person })
      .refine(...dayRange)
      .refine(...oneDay),
    z
      .object({ ...asked('domains'), ...days, ...person })
      .refine(...dayRange)
      .refine(...oneDay),
    z
      .object({
        ...asked('team'),
        ...days,
        timezone: zoneOfAll,
        projectId: givenId.optional().meta({ description: 'People of its teams, and who tracked time for it.' }),
        teamId: givenId.optional().meta({ description: 'Members of this team.' }),
      })
      .refine(...dayRange),
    z
      .object({ ...asked('timesheet'), ...days, ...whose, timezone: ownZone, group })
      .refine(...dayRange)
      .refine(...oneOfThem),
    z
      .object({
        ...asked('time-entries'),
        ...instants,
        ...whose,
        projectId: givenId.optional(),
        status: timeEntryStatus.optional(),
      })
      .refine(...oneOfThem),
    z.object({ ...asked('usage'), ...instants, ...whose, deviceId: eventDeviceId.optional() }).refine(...oneOfThem),
    z.object({ ...asked('audit'), ...auditFilter }),
  ])
  .meta({ id: 'ExportRequest' });
export type ExportRequest = z.output<typeof exportRequest>;
export type ExportReport = ExportRequest['report'];

export const exportStatus = z.enum(['queued', 'running', 'ready', 'failed', 'cancelled']);
export type ExportStatus = z.output<typeof exportStatus>;

/** An export as its maker sees it. */
export const exportJob = z
  .object({
    id,
    report: z.enum(['daily', 'apps', 'domains', 'team', 'timesheet', 'time-entries', 'usage', 'audit']),
    format: exportFormat,
    fileName: z.string(),
    status: exportStatus,
    progress: z.number().min(0).max(1),
    rows: z.int().min(0).meta({ description: 'Written so far.' }),
    bytes: z.int().min(0).meta({ description: 'Written so far.' }),
    url: z.string().optional().meta({
      description: 'Gives the file for five minutes; where it is ready, and only in the answer about one export.',
    }),
    failure: z
      .object({ code: z.string(), message: z.string() })
      .optional()
      .meta({ description: 'Why it failed for good, or went wrong the last time.' }),
    attempts: z.int().min(0),
    createdAt: z.iso.datetime(),
    expiresAt: z.iso.datetime().meta({ description: 'When the file, and the export, will be gone.' }),
  })
  .meta({ id: 'Export' });
export type ExportJob = z.output<typeof exportJob>;

export const exportMade = z.object({ exportId: id });
export const exportPage = page(exportJob);
export const exportQuery = z.object({ ...pageQuery, status: exportStatus.optional() });
