/** A calendar day somewhere: epoch milliseconds, `end` exclusive. A day that a zone skipped has `start === end`. */
export interface LocalDay {
  /** `2026-11-21` */
  date: string;
  start: number;
  end: number;
}

const hour = 3_600_000;
const day = 24 * hour;
/** More than any zone is or was away from UTC (−12 to +14 today, never beyond 16 h). */
const farthest = 16 * hour;

/** The number of calendar days from one date to another, both included; below 1 when they are reversed. */
export const countDays = (from: string, to: string): number => (Date.parse(to) - Date.parse(from)) / day + 1;

/** First instants of days in zones that were worked out before. */
export type KnownDays = Map<string, number>;

/** Some 250 years of days: a report of a year asks for 366, and working out one takes as long as reading some rows. */
const maxKnown = 100_000;

/**
 * The local days from `from` to `to`, both included, that follow each other without gap or overlap. A day begins at
 * its first instant, the first at which the local calendar shows that date or a later one: not midnight where clocks
 * jump over it, and not again where they are set back past it.
 * @param zone an IANA zone; its rules come from the runtime's ICU.
 * @param known asked before anything is worked out, and added to; emptied when it is full.
 */
export function localDays(from: string, to: string, zone: string, known: KnownDays = new Map()): LocalDay[] {
  let offset: ReturnType<typeof zoneOffset> | undefined;
  const beginOf = (midnight: number): number => {
    const name = `${zone} ${midnight}`;
    let instant = known.get(name);
    if (instant === undefined) {
      offset ??= zoneOffset(zone);
      instant = firstInstant(midnight, offset);
      if (known.size >= maxKnown) known.clear();
      known.set(name, instant);
    }
    return instant;
  };
  const days: LocalDay[] = [];
  let start = beginOf(Date.parse(from));
  for (let midnight = Date.parse(from); midnight <= Date.parse(to); midnight += day) {
    const end = beginOf(midnight + day);
    days.push({ date: new Date(midnight).toISOString().slice(0, 10), start, end });
    start = end;
  }
  return days;
}

/** A time over which the clocks of a zone run straight: epoch ms, `end` exclusive, and how far ahead of UTC they are. */
export interface ZoneSegment {
  start: number;
  end: number;
  offset: number;
}

/** Offsets of zones that were asked for before; see `formats`. */
const offsets = new Map<string, (instant: number) => number>();

/**
 * [start, end) in the pieces over which the clocks of the zone run straight: one, unless they are changed within.
 * @throws RangeError for a zone that this runtime does not know.
 */
export function zoneSegments(start: number, end: number, zone: string): ZoneSegment[] {
  let offset = offsets.get(zone);
  if (!offset) {
    offset = zoneOffset(zone);
    if (offsets.size >= maxFormats) offsets.clear();
    offsets.set(zone, offset);
  }
  const segments: ZoneSegment[] = [];
  for (let from = start; from < end; ) {
    const ahead = offset(from);
    // No zone changes its clocks and changes them back within a day.
    const straight = end - from <= day && ahead === offset(end);
    // Clocks are changed at whole seconds, and looked for there.
    const to = straight ? end : Math.min(end, nextChange(wholeSecond(from), wholeSecond(end + 999), offset));
    segments.push({ start: from, end: to, offset: ahead });
    from = to;
  }
  return segments;
}

const wholeSecond = (instant: number): number => Math.floor(instant / 1000) * 1000;

/** Milliseconds that the zone's clocks are ahead of UTC at an instant. */
function zoneOffset(zone: string): (instant: number) => number {
  const format = new Intl.DateTimeFormat('en-US', {
    timeZone: zone,
    hourCycle: 'h23',
    year: 'numeric',
    month: 'numeric',
    day: 'numeric',
    hour: 'numeric',
    minute: 'numeric',
    second: 'numeric',
  });
  return (instant) => {
    const [month, dayOfMonth, year, hours, minutes, seconds] = format.format(instant).match(/\d+/g)!.map(Number);
    const shown = Date.UTC(year!, month! - 1, dayOfMonth, hours, minutes, seconds);
    return shown - Math.floor(instant / 1000) * 1000;
  };
}

/** The first instant whose local time is `midnight` or later; `midnight` is written as if the zone were UTC. */
function firstInstant(midnight: number, offset: (instant: number) => number): number {
  const last = midnight + farthest;
  let from = midnight - farthest;
  let ahead = offset(from);
  // No zone changes its clocks and changes them back within these 32 hours.
  if (ahead === offset(last)) return midnight - ahead;
  while (from < last) {
    // Between two changes local time runs straight, so that the instant can be told at once.
    const change = nextChange(from, last, offset);
    const instant = Math.max(from, midnight - ahead);
    if (instant < change) return instant;
    from = change;
    ahead = offset(change);
  }
  return last;
}

/** The first whole second after `from` with another offset, or `last`. */
function nextChange(from: number, last: number, offset: (instant: number) => number): number {
  const before = offset(from);
  let low = from;
  let high = from;
  while (offset(high) === before) {
    if (high >= last) return last;
    low = high;
    high = Math.min(high + hour, last);
  }
  while (high - low > 1000) {
    const middle = low + Math.floor((high - low) / 2000) * 1000;
    if (offset(middle) === before) low = middle;
    else high = middle;
  }
  return high;
}

/** Formats of zones that were asked for before; making one costs a hundred times as much as using it. */
const formats = new Map<string, Intl.DateTimeFormat>();
/** As many as there are zones. */
const maxFormats = 500;

/**
 * What the calendar of a zone shows at an instant, `2026-11-21`. Where clocks are set back past midnight that is not the day
 * of `localDays` for an hour.
 * @throws RangeError for a zone that this runtime does not know.
 */
export function localDate(instant: number, zone: string): string {
  let format = formats.get(zone);
  if (!format) {
    format = new Intl.DateTimeFormat('en-CA', { timeZone: zone, year: 'numeric', month: '2-digit', day: '2-digit' });
    if (formats.size >= maxFormats) formats.clear();
    formats.set(zone, format);
  }
  return format.format(instant);
}
