import type { Span } from '../merge/index.ts';
import type { StreamWork } from './merge.ts';

/**
 * A stream has no more entries than this within so many ms, so a shorter time is hardly less. Where what is masked has too much around
 * every millisecond, cutting on would come to a piece for each of them.
 */
const finestMs = 64;

/**
 * Work in two pieces that come to the same, one after the other: by streams, and of a single stream by time, which cuts
 * pings that lie over the middle. Undefined where it is too short to be worth it.
 */
export function halvesOf(work: readonly StreamWork[]): [StreamWork[], StreamWork[]] | undefined {
  if (work.length > 1) return [work.slice(0, work.length >> 1), work.slice(work.length >> 1)];
  const [{ stream, pings, erased = [] }] = work as [StreamWork];
  let from = Number.POSITIVE_INFINITY;
  let to = Number.NEGATIVE_INFINITY;
  for (const spans of [pings, erased]) {
    for (const { start, end } of spans) {
      from = Math.min(from, start);
      to = Math.max(to, end);
    }
  }
  if (!(to - from > finestMs)) return undefined;
  const middle = Math.floor((from + to) / 2);
  return [
    [{ stream, pings: clip(pings, from, middle), erased: clip(erased, from, middle) }],
    [{ stream, pings: clip(pings, middle, to), erased: clip(erased, middle, to) }],
  ];
}

const clip = <T extends Span>(spans: readonly T[], from: number, to: number): T[] =>
  spans
    .filter(({ start, end }) => start < to && end > from)
    .map((span) => ({ ...span, start: Math.max(span.start, from), end: Math.min(span.end, to) }));
