import type { Span } from './paint.ts';

/** Time to be read for the sake of a cluster of changes, which lie within [from, to). */
export interface Window extends Span {
  from: number;
  to: number;
}

/**
 * What has to be read around changed time: entries, gaps and erased time that touch a window; before `from` and after
 * `to` the nearest is enough, since nothing joins over another. What is further away than a bridge cannot be joined to
 * anything here, and the time between two windows does not change, so both may be unknown (`fold` joins nothing there).
 * @param spans changed time, by start.
 * @returns one window per cluster of spans, in order, disjoint: never one from the first span to the last.
 */
export function windowsAround(spans: readonly Span[], bridge: number): Window[] {
  // One more than the bridge: [start, end) touches a window [.., start) only if they share a millisecond.
  const reach = bridge + 1;
  const windows: Window[] = [];
  for (const { start, end } of spans) {
    const last = windows[windows.length - 1];
    if (last !== undefined && start - reach <= last.end) {
      last.end = Math.max(last.end, end + reach);
      last.to = Math.max(last.to, end);
    } else windows.push({ start: start - reach, end: end + reach, from: start, to: end });
  }
  return windows;
}
