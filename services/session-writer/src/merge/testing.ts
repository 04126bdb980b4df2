import { expect } from '@jest/globals';
import { fold, type KeySpan, type MonthChanges, type MonthState } from './fold.ts';
import type { UsageKey } from './key.ts';
import type { Span } from './paint.ts';
import { type Window, windowsAround } from './windows.ts';

/** Helpers of tests of the fold: what a store would do with its changes, and read for it. */

export type State = { entries: KeySpan[]; gaps: Span[]; erased: Span[] };
export const empty = (): State => ({ entries: [], gaps: [], erased: [] });

export const key = (app: string, host: string | null = null, state: UsageKey['state'] = 'active'): UsageKey => ({
  state,
  app,
  host,
});
export const ping = (start: number, end: number, k: UsageKey): KeySpan => ({
  start,
  end: Math.max(end, start + 1),
  key: k,
});

/** Applies changes as a store would, and refuses what a store would refuse. */
export function apply(state: State, changes: MonthChanges<KeySpan>): State {
  const entries = new Map(state.entries.map((entry) => [entry.start, entry]));
  for (const entry of changes.removed) expect(entries.delete(entry.start)).toBe(true);
  for (const { was, now } of changes.changed) {
    expect(entries.get(was.start)).toBe(was);
    entries.set(now.start, now);
  }
  for (const entry of changes.added) {
    expect(entries.has(entry.start)).toBe(false);
    entries.set(entry.start, entry);
  }
  const gaps = new Map(state.gaps.map((gap) => [gap.start, gap]));
  for (const gap of changes.gapsRemoved) expect(gaps.delete(gap.start)).toBe(true);
  for (const gap of changes.gapsAdded) {
    expect(gaps.has(gap.start)).toBe(false);
    gaps.set(gap.start, gap);
  }
  const byStart = (a: Span, b: Span): number => a.start - b.start;
  return { entries: [...entries.values()].sort(byStart), gaps: [...gaps.values()].sort(byStart), erased: state.erased };
}

/**
 * Reads only what touches the changes of a window and, within it, the nearest before and after, as the store does; all that
 * touches it where there is a mask.
 * @param idle the mask, of all time.
 */
export function neighbourhood(
  state: State,
  changed: readonly Span[],
  bridge: number,
  idle?: readonly Span[],
): MonthState<KeySpan> {
  const windows: Window[] = windowsAround(
    [...changed].sort((a, b) => a.start - b.start),
    bridge,
  ).map((w) => (idle ? { ...w, from: w.start, to: w.end } : w));
  const touching = <T extends Span>(list: T[]): T[] => {
    const read = windows.flatMap((w) =>
      [
        ...list.filter(({ start }) => start < w.from).slice(-1),
        ...list.filter(({ start }) => start >= w.from && start < w.to),
        ...list.filter(({ start }) => start >= w.to && start < w.end).slice(0, 1),
      ].filter(({ end }) => end > w.start),
    );
    return list.filter((span) => read.includes(span));
  };
  // Erased time is cut at the windows: reaching further, it would change what was not read.
  const erased = state.erased.flatMap(({ start, end }) =>
    windows
      .filter((w) => start < w.end && end > w.start)
      .map((w) => ({ start: Math.max(start, w.start), end: Math.min(end, w.end) })),
  );
  erased.sort((a, b) => a.start - b.start);
  const read = { entries: touching(state.entries), gaps: touching(state.gaps), erased };
  return idle
    ? { ...read, mask: { windows, idle: idle.filter((s) => windows.some((w) => s.start < w.end && s.end > w.start)) } }
    : read;
}

export const step = (state: State, pings: KeySpan[], bridge: number): State =>
  apply(state, fold(neighbourhood(state, pings, bridge), pings, bridge));

export function erase(state: State, range: Span, bridge: number): State {
  const erased = [...state.erased, range].sort((a, b) => a.start - b.start);
  const next = { ...state, erased };
  return apply(next, fold(neighbourhood(next, [range], bridge), [], bridge));
}
