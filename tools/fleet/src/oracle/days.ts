const hourMs = 3_600_000;

const formatters = new Map<string, Intl.DateTimeFormat>();

/** The calendar day of an instant in a zone, `YYYY-MM-DD`. */
export function localDate(ms: number, zone: string): string {
  let format = formatters.get(zone);
  if (!format) {
    format = new Intl.DateTimeFormat('en-CA', { timeZone: zone, year: 'numeric', month: '2-digit', day: '2-digit' });
    formatters.set(zone, format);
  }
  return format.format(ms);
}

/** The day after a date; calendar arithmetic, no zone involved. */
export function nextDate(date: string): string {
  return new Date(Date.parse(`${date}T00:00:00Z`) + 24 * hourMs).toISOString().slice(0, 10);
}

const dayStarts = new Map<string, number>();

/**
 * The first instant of a local day: the first millisecond whose date is this one or a later one. That is also right
 * where midnight is skipped, where it comes twice, and where the whole day is missing (then the day is empty).
 * Found by halving, from two days around it: no knowledge of offsets goes in.
 */
export function dayStart(date: string, zone: string): number {
  const known = dayStarts.get(`${zone} ${date}`);
  if (known !== undefined) return known;
  const utcMidnight = Date.parse(`${date}T00:00:00Z`);
  let before = utcMidnight - 36 * hourMs;
  let notBefore = utcMidnight + 36 * hourMs;
  while (notBefore - before > 1) {
    const middle = Math.floor((before + notBefore) / 2);
    if (localDate(middle, zone) < date) before = middle;
    else notBefore = middle;
  }
  dayStarts.set(`${zone} ${date}`, notBefore);
  return notBefore;
}

/** A local day as [from, to) in epoch milliseconds; 23, 24 or 25 hours, or whatever the zone did. */
export function dayBounds(date: string, zone: string): { from: number; to: number } {
  return { from: dayStart(date, zone), to: dayStart(nextDate(date), zone) };
}
