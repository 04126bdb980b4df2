import { type Month, monthEnd, monthOf, monthStart } from './months.ts';
import type { Span } from './paint.ts';

/** Cuts spans at the boundaries of UTC months; pieces keep what else the span carries, and the order within a month. */
export function cutAtMonths<T extends Span>(spans: readonly T[]): Map<Month, T[]> {
  const pieces = new Map<Month, T[]>();
  // Nearly all spans are of one month: its bounds are worked out once.
  let from = 0;
  let to = 0;
  let list: T[] = [];
  for (let span of spans) {
    for (;;) {
      if (span.start < from || span.start >= to) {
        const month = monthOf(span.start);
        from = monthStart(month);
        to = monthEnd(month);
        list = pieces.get(month) ?? [];
        pieces.set(month, list);
      }
      if (span.end <= to) {
        list.push(span);
        break;
      }
      list.push({ ...span, end: to });
      span = { ...span, start: to };
    }
  }
  return pieces;
}
