import { type Span, unionOf } from '../sync/union.ts';

/**
 * Few windows that hold all of the spans: what lies close together is looked up at once. A look-up in one window costs as
 * much as its streams are many, whatever is in it; what is read beside the spans costs less.
 * @param closeMs gaps up to so long are within a window.
 * @param max windows; where there were more, the shortest gaps are.
 */
export function windowsOf(spans: readonly Span[], closeMs: number, max: number): Span[] {
  const inOrder = unionOf(spans);
  const gaps = inOrder.slice(1).map(({ start }, i) => start - inOrder[i]!.end);
  const longest = [...gaps].sort((a, b) => b - a);
  // So long a gap is between windows, and no more of that length than there may be.
  const least = Math.max(closeMs, max > 1 ? (longest[max - 1] ?? -1) : Number.POSITIVE_INFINITY);
  const windows: Span[] = [];
  for (const [i, span] of inOrder.entries()) {
    const last = windows.at(-1);
    if (last && gaps[i - 1]! <= least) last.end = span.end;
    else windows.push({ ...span });
  }
  return windows;
}

/** What of spans that are disjoint and in order lies within another one. */
export function within(spans: readonly Span[], { start, end }: Span): Span[] {
  // The first that ends after the start.
  let low = 0;
  for (let high = spans.length; low < high; ) {
    const middle = (low + high) >> 1;
    if (spans[middle]!.end > start) high = middle;
    else low = middle + 1;
  }
  const found: Span[] = [];
  for (let i = low; i < spans.length && spans[i]!.start < end; i++) {
    found.push({ start: Math.max(spans[i]!.start, start), end: Math.min(spans[i]!.end, end) });
  }
  return found;
}
