import { type KnownDays, localDate, localDays } from '@worktide/runtime';
import type { Span } from '../merge/index.ts';

const day = 24 * 3_600_000;
/** More than any zone is away from UTC. */
const farthest = 16 * 3_600_000;

/** Time worked of one entry, and the zone whose days it is of. */
export interface WorkedTime {
  timezone: string;
  worked: readonly Span[];
}

/** A zone that this runtime knows; entries outlive the rules of the runtime that took them. */
export function knownZone(timezone: string): string {
  try {
    localDate(0, timezone);
    return timezone;
  } catch {
    return 'UTC';
  }
}

/** The local day that an instant falls into: in an hour that comes twice, and has two dates, the later. */
export function dayOf(instant: number, zone: string, known: KnownDays): string {
  const shown = localDate(instant, zone);
  const tomorrow = dateAfter(shown);
  return localDays(tomorrow, tomorrow, zone, known)[0]!.start <= instant ? tomorrow : shown;
}

export const dateAfter = (date: string, days = 1): string =>
  new Date(Date.parse(date) + days * day).toISOString().slice(0, 10);

/** The time in which a day of this date lies, in whatever zone. */
export const aroundDay = (date: string): Span => ({
  start: Date.parse(date) - farthest,
  end: Date.parse(date) + day + farthest,
});

/** How long a person has worked on the day of a date, each entry's in its own zone. */
export function workedOn(date: string, entries: readonly WorkedTime[], known: KnownDays): number {
  let sum = 0;
  for (const { timezone, worked } of entries) {
    const { start, end } = localDays(date, date, timezone, known)[0]!;
    for (const piece of worked) sum += Math.max(0, Math.min(piece.end, end) - Math.max(piece.start, start));
  }
  return sum;
}
