import { z } from 'zod';
import { givenId, id, localDate, page, pageQuery, timezone } from './common.ts';

/** Calendar days of reports. Outside of these years neither store nor clocks mean anything. */
export const reportDate = localDate.refine((date) => date >= '1970-01-02' && date < '2199-12-31', {
  message: 'a date between 1970-01-02 and 2199-12-30',
});

const reportSubject = {
  /** Whose calendar days; that of the user unless given. */
  timezone: timezone.optional(),
  /** The caller unless given; others are for managers and admins. */
  userId: givenId.optional(),
};

/** For what has days as `from` and `to`, or as `date`. */
export const dayRange = [
  ({ from, to, date }: DayFields): boolean => (date ? !from && !to : from !== undefined && to !== undefined),
  { message: 'from and to, or date alone' },
] as const;

/** Days in a query, in one form for every report: `from` and `to`, which both belong to the range, or `date` alone. */
const daysOf = <T extends z.ZodRawShape>(range: string, rest: T) =>
  z
    .object({
      from: reportDate.optional().meta({ description: `First day of ${range}, with \`to\`.` }),
      to: reportDate.optional().meta({ description: `Last day of ${range}, with \`from\`.` }),
      date: reportDate.optional().meta({ description: 'Short for `from` and `to` of this one day; not beside them.' }),
      ...rest,
    })
    .refine((query) => dayRange[0](query as DayFields), dayRange[1])
    .transform((query) => {
      const { date, from = date, to = date, ...others } = query as DayFields & z.output<z.ZodObject<T>>;
      return { from: from!, to: to!, ...(others as z.output<z.ZodObject<T>>) };
    });
interface DayFields {
  from?: string | undefined;
  to?: string | undefined;
  date?: string | undefined;
}

/** Query of `/reports/apps` and `/reports/domains`. */
export const dayReportQuery = daysOf('the one-day range', reportSubject)
  .refine(({ from, to }) => from === to, { message: 'this report is of one day: from and to must be the same' })
  .transform(({ from: date, to: _, ...subject }) => ({ date, ...subject }));
/** Query of `/reports/daily`. */
export const rangeReportQuery = daysOf('the range', reportSubject);

export const group = z.enum(['day', 'week']).default('day').meta({
  description:
    'What the rows of `days` are of. By `week` the range is moved out to whole weeks, which begin on the organisation’s `weekStart`.',
});
export const zoneOfAll = timezone
  .optional()
  .meta({ description: 'Whose calendar days; for each person those of their own zone unless given.' });

/** Query of `/reports/team`. */
export const teamReportQuery = daysOf('the range', {
  timezone: zoneOfAll,
  projectId: givenId.optional().meta({ description: 'People of its teams, and who tracked time for it.' }),
  teamId: givenId.optional().meta({ description: 'Members of this team.' }),
  ...pageQuery,
});
/** Query of `/reports/user/:id`. */
export const userReportQuery = daysOf('the range', { timezone: reportSubject.timezone, group });
/** Query of `/reports/organization`. */
export const organizationReportQuery = daysOf('the range', { timezone: zoneOfAll, group });
/** Query of `/reports/timesheet`. */
export const timesheetReportQuery = daysOf('the range', { ...reportSubject, group });

const keyedReport = <K extends 'app' | 'host'>(key: K, what: string) =>
  z.object({
    date: localDate,
    timezone: z.string(),
    totalSeconds: z
      .int()
      .min(0)
      .meta({
        description: `Active time with any ${what}, the union over all devices: less than the sum where they ran side by side.`,
      }),
    items: z
      .array(z.object({ [key]: z.string(), seconds: z.int().min(0) } as Record<K, z.ZodString> & { seconds: z.ZodInt }))
      .meta({ description: 'The 500 longest, longest first.' }),
  });

export const appsReport = keyedReport('app', 'app');
export const domainsReport = keyedReport('host', 'host');
export type KeyedReport<K extends 'app' | 'host'> = {
  date: string;
  timezone: string;
  totalSeconds: number;
  items: ({ [k in K]: string } & { seconds: number })[];
};

const counted = 'Of the minutes that begin on this day, over all devices.';

const seconds = z.int().min(0);
/** Whole seconds of a person and day, or a sum of such: so parts and totals never contradict each other. */
const time = {
  workSeconds: seconds.meta({ description: 'Any entry, active or idle, on any device.' }),
  activeSeconds: seconds.meta({ description: 'An active entry on any device.' }),
  idleSeconds: seconds.meta({ description: 'Work less active time.' }),
  productivityScore: z
    .number()
    .min(0)
    .max(100)
    .nullable()
    .meta({ description: 'Active time in per cent of work, to one decimal; null without work.' }),
};
const timeAndCounts = {
  ...time,
  keyboardClicks: seconds.meta({ description: counted }),
  mouseMovements: seconds.meta({ description: counted }),
};

export const dailyReport = z.object({ items: z.array(z.object({ date: localDate, ...timeAndCounts })) });
export type DailyReport = z.output<typeof dailyReport>;

export const teamReport = page(
  z.object({
    userId: id,
    name: z.string(),
    ...time,
    trackedSeconds: seconds.meta({ description: 'Of time entries; of the project alone, where one is named.' }),
  }),
);
export type TeamReport = z.output<typeof teamReport>;

const period = {
  date: localDate.meta({ description: 'The day, or the first day of the week.' }),
  until: localDate.optional().meta({ description: 'The last day of the week, by weeks.' }),
};
const longest = 'The 500 longest, longest first.';
const trackedProjects = z
  .array(z.object({ projectId: id.nullable(), name: z.string().nullable(), trackedSeconds: seconds }))
  .meta({ description: `Time entries by project; null: of none. ${longest}` });
const range = { from: localDate, to: localDate };
const apps = z.array(z.object({ app: z.string(), seconds })).meta({ description: `Active time. ${longest}` });
const hosts = z.array(z.object({ host: z.string(), seconds })).meta({ description: `Active time. ${longest}` });

export const userReport = z
  .object({
    user: z.object({ id, name: z.string() }),
    ...range,
    timezone: z.string(),
    totals: z.object(timeAndCounts),
    days: z.array(z.object({ ...period, ...timeAndCounts })),
    apps,
    hosts,
    projects: trackedProjects,
  })
  .meta({ id: 'UserReport' });
export type UserReport = z.output<typeof userReport>;

export const organizationReport = z
  .object({
    ...range,
    totals: z.object(timeAndCounts),
    days: z.array(z.object({ ...period, ...timeAndCounts })),
    people: z
      .array(z.object({ userId: id, name: z.string().nullable(), ...time }))
      .meta({ description: `By work. ${longest} \`/reports/team\` pages through all.` }),
    apps,
    projects: trackedProjects,
  })
  .meta({ id: 'OrganizationReport' });
export type OrganizationReport = z.output<typeof organizationReport>;

export const timesheetReport = z
  .object({
    ...range,
    userId: id,
    timezone: z.string(),
    days: z.array(z.object({ ...period, trackedSeconds: seconds })),
    trackedSeconds: seconds,
    projects: z.array(
      trackedProjects.element.extend({
        byDay: z.array(seconds).meta({ description: 'One for each of `days`, in their order.' }),
      }),
    ),
  })
  .meta({ id: 'TimesheetReport' });
export type TimesheetReport = z.output<typeof timesheetReport>;
