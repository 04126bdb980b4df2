import { zoneSegments } from '@worktide/runtime';
import { type TrackingHours, weekdays } from '@worktide/schemas';

/** Epoch ms; `end` not included. */
export interface Span {
  start: number;
  end: number;
}

const minute = 60_000;
const day = 86_400_000;
/** 1 January 1970 was a Thursday. */
const thursday = 3;

const minutesOf = (clock: string): number => Number(clock.slice(0, 2)) * 60 + Number(clock.slice(3));

/** Spans of each weekday from Monday on, in ms of what the clock shows; in order, and joined where they meet. */
export type Week = readonly (readonly Span[])[];

export const compileHours = ({ days }: TrackingHours): Week =>
  weekdays.map((name) =>
    joined((days[name] ?? []).map(([from, to]) => ({ start: minutesOf(from) * minute, end: minutesOf(to) * minute }))),
  );

/** Sorted, and as few as they can be. */
export function joined(spans: Span[]): Span[] {
  const result: Span[] = [];
  for (const { start, end } of spans.toSorted((a, b) => a.start - b.start)) {
    const last = result.at(-1);
    if (last && start <= last.end) last.end = Math.max(last.end, end);
    else result.push({ start, end });
  }
  return result;
}

/**
 * What of [start, end) lies at hours of the week, by what clocks of the zone show at each instant: an hour that comes twice is
 * in or out both times, one that is skipped is not there.
 */
export function withinHours({ start, end }: Span, week: Week, zone: string): Span[] {
  const found: Span[] = [];
  for (const segment of zoneSegments(start, end, zone)) {
    // Within a segment what clocks show runs straight.
    const local = (instant: number): number => instant + segment.offset;
    for (let midnight = Math.floor(local(segment.start) / day) * day; midnight < local(segment.end); midnight += day) {
      for (const hours of week[weekdayOf(midnight)]!) {
        const from = Math.max(segment.start, midnight + hours.start - segment.offset);
        const to = Math.min(segment.end, midnight + hours.end - segment.offset);
        if (from < to) found.push({ start: from, end: to });
      }
    }
  }
  return joined(found);
}

/** From Monday, 0. */
const weekdayOf = (midnight: number): number => (((midnight / day + thursday) % 7) + 7) % 7;
