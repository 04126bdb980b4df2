import { fromDate, parseDate, startOfWeek, toCalendarDate, toZoned } from '@internationalized/date';

/** A local date, `2026-11-27`. */
export type LocalDate = string;

/** The first instant of a local day, in ms. Where midnight was skipped the day begins later, where it came twice with the first. */
export const startOfDay = (date: LocalDate, zone: string): number => toZoned(parseDate(date), zone).toDate().getTime();

/** A local day as [from, to): 23, 24 or 25 hours, or what else clocks made of it. */
export const boundsOf = (date: LocalDate, zone: string): { from: number; to: number } => ({
  from: startOfDay(date, zone),
  to: startOfDay(addDays(date, 1), zone),
});

export const addDays = (date: LocalDate, days: number): LocalDate => parseDate(date).add({ days }).toString();
export const addMonths = (date: LocalDate, months: number): LocalDate => parseDate(date).add({ months }).toString();

export const dateOf = (at: number | string | Date, zone: string): LocalDate =>
  toCalendarDate(fromDate(new Date(at), zone)).toString();

export const today = (zone: string): LocalDate => dateOf(Date.now(), zone);

const isDate = (text: string): boolean => {
  try {
    return parseDate(text).toString() === text;
  } catch {
    return false;
  }
};
/** What stands in a link, where it is a date. */
export const dateIn = (value: unknown): LocalDate | undefined =>
  typeof value === 'string' && isDate(value) ? value : undefined;

export const datesBetween = (from: LocalDate, to: LocalDate, most = 400): LocalDate[] => {
  const dates: LocalDate[] = [];
  for (let date = from; date <= to && dates.length < most; date = addDays(date, 1)) dates.push(date);
  return dates;
};

export type WeekStart = 'monday' | 'saturday' | 'sunday';
const firstDays = { monday: 'mon', saturday: 'sat', sunday: 'sun' } as const;

export const weekOf = (date: LocalDate, start: WeekStart): LocalDate =>
  startOfWeek(parseDate(date), 'en', firstDays[start]).toString();

/** `09:30` of a local day as an instant; the later one where clocks jump over it, the first where it comes twice. */
export function instantAt(date: LocalDate, time: string, zone: string): number {
  const [hour = 0, minute = 0, second = 0] = time.split(':').map(Number);
  const midnight = toZoned(parseDate(date), zone);
  return midnight.set({ hour, minute, second }).toDate().getTime();
}

/** The hours of a day as instants, each once as it begins: 23 or 25 on some. */
export function hoursOf(date: LocalDate, zone: string): number[] {
  const { from, to } = boundsOf(date, zone);
  const hours: number[] = [];
  const hour = 3_600_000;
  // Zones differ from UTC by quarters of an hour: local hours begin at one of them.
  for (let at = from; at < to; ) {
    hours.push(at);
    const local = fromDate(new Date(at), zone);
    at += hour - (local.minute * 60_000 + local.second * 1_000 + local.millisecond);
  }
  return hours;
}

export const allZones = (): string[] => ['UTC', ...Intl.supportedValuesOf('timeZone').filter((zone) => zone !== 'UTC')];
export const browserZone = (): string => Intl.DateTimeFormat().resolvedOptions().timeZone;

/** Stretches of a day by the hour that clocks show: one that comes twice is there twice, one that is skipped not at all. */
export function clockHours(date: LocalDate, zone: string): { hour: number; from: number; to: number }[] {
  const starts = hoursOf(date, zone);
  const { to } = boundsOf(date, zone);
  return starts.map((from, n) => ({ hour: fromDate(new Date(from), zone).hour, from, to: starts[n + 1] ?? to }));
}
