import { z } from 'zod';
import { givenId, localDate, timezone } from './common.ts';

/** Calendar days of reports. Outside of these years neither store nor clocks mean anything. */
const reportDate = localDate.refine((date) => date >= '1970-01-02' && date < '2199-12-31', {
  message: 'a date between 1970-01-02 and 2199-12-30',
});

const reportSubject = {
  /** Whose calendar days; that of the user unless given. */
  timezone: timezone.optional(),
  /** The caller unless given; others are for managers and admins. */
  userId: givenId.optional(),
};

/** Days in a query, in one form for every report: `from` and `to`, which both belong to the range, or `date` alone. */
const daysOf = (range: string) =>
  z
    .object({
      from: reportDate.optional().meta({ description: `First day of ${range}, with \`to\`.` }),
      to: reportDate.optional().meta({ description: `Last day of ${range}, with \`from\`.` }),
      date: reportDate.optional().meta({ description: 'Short for `from` and `to` of this one day; not beside them.' }),
      ...reportSubject,
    })
    .refine(({ from, to, date }) => (date ? !from && !to : from && to), { message: 'from and to, or date alone' })
    .transform(({ date, from = date!, to = date!, ...subject }) => ({ from, to, ...subject }));

/** Query of `/reports/apps` and `/reports/domains`. */
export const dayReportQuery = daysOf('the one-day range')
  .refine(({ from, to }) => from === to, { message: 'this report is of one day: from and to must be the same' })
  .transform(({ from: date, to: _, ...subject }) => ({ date, ...subject }));
/** Query of `/reports/daily`. */
export const rangeReportQuery = daysOf('the range');

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

export const dailyReport = z.object({
  items: z.array(
    z.object({
      date: localDate,
      workSeconds: z.int().min(0).meta({ description: 'Any entry, active or idle, on any device.' }),
      activeSeconds: z.int().min(0).meta({ description: 'An active entry on any device.' }),
      idleSeconds: z.int().min(0).meta({ description: 'Work less active time, as shown here.' }),
      productivityScore: z
        .number()
        .min(0)
        .max(100)
        .nullable()
        .meta({ description: 'Active time in per cent of work, to one decimal; null without work.' }),
      keyboardClicks: z.int().min(0).meta({ description: counted }),
      mouseMovements: z.int().min(0).meta({ description: counted }),
    }),
  ),
});
export type DailyReport = z.output<typeof dailyReport>;
