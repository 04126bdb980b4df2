import { zoneSegments } from '@worktide/runtime';
import type { DateOrder } from '@worktide/schemas';

const dayMs = 86_400_000;

/** Readings of a date as days since 1970, by the order of its parts; undefined where it is none in that order. */
export type DateReadings = Partial<Record<DateOrder, number>>;

const separated = /^(\d{1,4})[/.-](\d{1,2})[/.-](\d{1,4})\.?$/;

function day(year: number, month: number, dayOfMonth: number): number | undefined {
  const at = Date.UTC(year, month - 1, dayOfMonth);
  const date = new Date(at);
  const isReal = date.getUTCMonth() === month - 1 && date.getUTCDate() === dayOfMonth;
  return year >= 1970 && year <= 9999 && isReal ? at / dayMs : undefined;
}

/** All days that a date can be: `2024-03-04` one, `03/04/2024` two, `13/04/2024` one. */
export function readDate(text: string): DateReadings {
  const [, a, b, c] = separated.exec(text.trim()) ?? [];
  if (a === undefined || b === undefined || c === undefined) return {};
  const readings: DateReadings = {};
  const add = (order: DateOrder, found: number | undefined): void => {
    if (found !== undefined) readings[order] = found;
  };
  if (a.length === 4) add('ymd', day(Number(a), Number(b), Number(c)));
  else if (c.length === 4) {
    add('dmy', day(Number(c), Number(b), Number(a)));
    add('mdy', day(Number(c), Number(a), Number(b)));
  }
  return readings;
}

/** What the dates of a file tell of their order, all of them together: an export writes each in the same way. */
export interface OrderFinder {
  add(text: string, row: number): void;
  /** The one order in which every date is a day. `ambiguous`: there are two, and they mean different days. `mixed`: there is none. */
  result(): { order: DateOrder } | { ambiguous: number[] } | { mixed: number[] };
}

const maxRows = 10;

export function createOrderFinder(): OrderFinder {
  /** Rows that are not, in each order. */
  const against = new Map<DateOrder, number[]>(
    (['ymd', 'dmy', 'mdy'] as const).map((order): [DateOrder, number[]] => [order, []]),
  );
  const twofold: number[] = [];
  const note = (rows: number[], row: number): void => {
    if (rows.length < maxRows && rows.at(-1) !== row) rows.push(row);
  };
  return {
    add(text, row) {
      const readings = readDate(text);
      // What is a day in no order is a fault of its row alone.
      if (Object.keys(readings).length === 0) return;
      for (const [order, rows] of against) if (readings[order] === undefined) note(rows, row);
      if (readings.dmy !== undefined && readings.mdy !== undefined && readings.dmy !== readings.mdy) note(twofold, row);
    },
    result() {
      const possible = [...against].filter(([, rows]) => rows.length === 0).map(([order]) => order);
      const [first, second] = possible;
      if (first === undefined)
        return { mixed: [...new Set([...against.values()].flat())].sort((a, b) => a - b).slice(0, maxRows) };
      return second === undefined || twofold.length === 0 ? { order: first } : { ambiguous: twofold };
    },
  };
}

const clock = /^(\d{1,2}):(\d{2})(?::(\d{2}))?\s*(?:([ap])\.?\s?m\.?)?$/i;

/** Milliseconds after midnight of `9:05`, `09:05:30`, `9:05:30 PM`; undefined for anything else. */
export function readClock(text: string): number | undefined {
  const [, h, m, s = '0', half] = clock.exec(text.trim()) ?? [];
  if (h === undefined || m === undefined) return undefined;
  const given = Number(h);
  if (half !== undefined && (given < 1 || given > 12)) return undefined;
  const hours = half === undefined ? given : (given % 12) + (half.toLowerCase() === 'p' ? 12 : 0);
  if (hours > 23 || Number(m) > 59 || Number(s) > 59) return undefined;
  return ((hours * 60 + Number(m)) * 60 + Number(s)) * 1_000;
}

/** Milliseconds of `1:30:00`, `100:00:00`, `00:30`; undefined for anything else. */
export function readLength(text: string): number | undefined {
  const [, h, m, s = '0'] = /^(\d{1,5}):(\d{2})(?::(\d{2}))?$/.exec(text.trim()) ?? [];
  if (h === undefined || m === undefined || Number(m) > 59 || Number(s) > 59) return undefined;
  return ((Number(h) * 60 + Number(m)) * 60 + Number(s)) * 1_000;
}

const offsetAt = (instant: number, zone: string): number => zoneSegments(instant, instant + 1, zone)[0]!.offset;

/**
 * The instants at which the clocks of a zone show a local time, given as if it were UTC: one; two, in order, where it comes twice; and
 * where clocks jump over it the one that they would have shown had they not.
 */
export function instantsOf(local: number, zone: string): number[] {
  const earlier = offsetAt(local - dayMs, zone);
  const later = offsetAt(local + dayMs, zone);
  const found = [...new Set([earlier, later])]
    .map((offset) => ({ instant: local - offset, offset }))
    .filter(({ instant, offset }) => offsetAt(instant, zone) === offset)
    .map(({ instant }) => instant)
    .sort((a, b) => a - b);
  return found.length > 0 ? found : [local - earlier];
}

/**
 * From when to when an entry is, of which the clocks at its ends are known and how long it was: where one of these clocks came twice
 * the length tells which was meant.
 */
export function spanOf(
  { start, end, lengthMs }: { start: number; end: number | undefined; lengthMs: number | undefined },
  zone: string,
): { start: number; end: number } | undefined {
  const starts = instantsOf(start, zone);
  if (end === undefined) {
    return lengthMs === undefined ? undefined : { start: starts[0]!, end: starts[0]! + lengthMs };
  }
  const spans = starts.flatMap((from) => instantsOf(end, zone).map((to) => ({ start: from, end: to })));
  // Lengths are shown in whole minutes or seconds.
  const fits = spans.find((span) => lengthMs !== undefined && Math.abs(span.end - span.start - lengthMs) < 60_000);
  return fits ?? spans.find((span) => span.end > span.start) ?? spans[0];
}
