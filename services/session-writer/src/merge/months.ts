/** A UTC month by its first day, `2026-11-01`: the value of the partition key. Each month is on its own. */
export type Month = string;

/** The month an instant (epoch ms, years 1970–9999) falls into. */
export function monthOf(ms: number): Month {
  const date = new Date(ms);
  return monthName(date.getUTCFullYear(), date.getUTCMonth());
}

/** First instant of a month, epoch ms. */
export const monthStart = (month: Month): number => Date.parse(`${month}T00:00:00.000Z`);

/** The month `count` after (or before) this one. */
export function addMonths(month: Month, count: number): Month {
  const date = new Date(monthStart(month));
  date.setUTCMonth(date.getUTCMonth() + count);
  return monthName(date.getUTCFullYear(), date.getUTCMonth());
}

/** First instant after a month, epoch ms. */
export const monthEnd = (month: Month): number => monthStart(addMonths(month, 1));

/** The months that [start, end) touches, in order; none when it is empty. */
export function monthsOf(start: number, end: number): Month[] {
  const months: Month[] = [];
  for (let month = monthOf(start); start < end && monthStart(month) < end; month = addMonths(month, 1))
    months.push(month);
  return months;
}

const monthName = (year: number, month: number): Month =>
  `${String(year).padStart(4, '0')}-${String(month + 1).padStart(2, '0')}-01`;
