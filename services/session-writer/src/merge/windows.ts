import type { Span } from './paint.ts';

/**
 * What has to be read around changed time: entries, gaps and erased time that touch a window. An entry further away than a bridge cannot be joined to anything here, and the time
 * between two windows does not change, so both may be unknown (`fold` joins nothing there).
 * @param spans changed time, by start.
 * @returns one window per cluster of spans, in order, disjoint: never one from the first span to the last.
 */
export function windowsAround(spans: readonly Span[], bridge: number): Span[] {
  // One more than the bridge: [start, end) touches a window [.., start) only if they share a millisecond.
  const reach = bridge + 1;
  const windows: Span[] = [];
  for (const { start, end } of spans) {
    const last = windows[windows.length - 1];
    if (last !== undefined && start - reach <= last.end) last.end = Math.max(last.end, end + reach);
    else windows.push({ start: start - reach, end: end + reach });
  }
  return windows;
}
