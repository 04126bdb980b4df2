import { locale, translated } from '../text/index.ts';
import type { LocalDate } from './zones.ts';

const made = new Map<string, Intl.DateTimeFormat | Intl.NumberFormat>();

/** Formats are dear to make and few. */
function format<T extends Intl.DateTimeFormat | Intl.NumberFormat>(key: string, make: () => T): T {
  const whole = `${locale()} ${key}`;
  const found = made.get(whole) ?? make();
  made.set(whole, found);
  return found as T;
}

/** Seconds as `3:25:07`, exact; hours do not end at 24. */
export function duration(seconds: number): string {
  const sign = seconds < 0 ? '−' : '';
  const whole = Math.abs(Math.round(seconds));
  const two = (n: number): string => String(n).padStart(2, '0');
  return `${sign}${Math.floor(whole / 3_600)}:${two(Math.floor(whole / 60) % 60)}:${two(whole % 60)}`;
}

export const timeOf = (at: number | string, zone: string): string =>
  format(`t ${zone}`, () => new Intl.DateTimeFormat(locale(), { timeStyle: 'short', timeZone: zone })).format(
    new Date(at),
  );

export const momentOf = (at: number | string, zone: string): string =>
  format(
    `m ${zone}`,
    () => new Intl.DateTimeFormat(locale(), { dateStyle: 'medium', timeStyle: 'short', timeZone: zone }),
  ).format(new Date(at));

/** `HH:MM` for a field of a form, whatever the locale. */
export const clockOf = (at: number | string, zone: string): string =>
  new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', hourCycle: 'h23', timeZone: zone }).format(
    new Date(at),
  );

const noon = (date: LocalDate): Date => new Date(`${date}T12:00:00Z`);

export const dayOf = (date: LocalDate, style: 'long' | 'short' = 'long'): string =>
  format(
    `d ${style}`,
    () =>
      new Intl.DateTimeFormat(locale(), {
        timeZone: 'UTC',
        weekday: style,
        day: 'numeric',
        month: style,
        ...(style === 'long' ? { year: 'numeric' as const } : {}),
      }),
  ).format(noon(date));

export const number = (n: number, digits = 0): string =>
  format(`n ${digits}`, () => new Intl.NumberFormat(locale(), { maximumFractionDigits: digits })).format(n);

export const percent = (n: number | null): string =>
  n === null
    ? '–'
    : format('p', () => new Intl.NumberFormat(locale(), { style: 'percent', maximumFractionDigits: 1 })).format(
        n / 100,
      );

export function bytes(n: number): string {
  const units = ['byte', 'kilobyte', 'megabyte', 'gigabyte', 'terabyte'] as const;
  const power = Math.min(Math.floor(Math.log10(Math.max(n, 1)) / 3), units.length - 1);
  const unit = units[power]!;
  return format(
    `b ${unit}`,
    () => new Intl.NumberFormat(locale(), { style: 'unit', unit, maximumFractionDigits: power === 0 ? 0 : 1 }),
  ).format(n / 1_000 ** power);
}

const steps = [
  ['day', 86_400_000],
  ['hour', 3_600_000],
  ['minute', 60_000],
  ['second', 1_000],
] as const;

/** `3 minutes ago`. */
export function ago(at: string | number, now = Date.now()): string {
  const ms = new Date(at).getTime() - now;
  const [unit, size] = steps.find(([, one]) => Math.abs(ms) >= one) ?? steps[3];
  return new Intl.RelativeTimeFormat(locale(), { numeric: 'auto' }).format(Math.trunc(ms / size), unit);
}

/** A sentence of a service, in the language of the page, with instants as clocks of the reader show them. */
export const told = (sentence: string, zone: string): string =>
  translated(sentence).replaceAll(/\d{4}-\d{2}-\d{2}T[\d:.]+Z/g, (at) => momentOf(at, zone));
