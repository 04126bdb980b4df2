import type { KeySpan } from './fold.ts';
import { compareKeys, sameKey, type UsageKey } from './key.ts';
import type { Span } from './paint.ts';

/**
 * For tests: docs/rules.md, Merging, as plainly as it can be said. Paints every millisecond of [from, to) with its
 * owner, then reads entries off the picture. Shares nothing with the fold but the order of keys.
 */
export function paintedEntries(
  from: number,
  to: number,
  pings: readonly KeySpan[],
  erased: readonly Span[],
  bridge: number,
): { entries: KeySpan[]; gaps: Span[] } {
  const owner = new Array<UsageKey | 'erased' | undefined>(to - from).fill(undefined);
  for (const { start, end, key } of pings) {
    for (let t = Math.max(start, from); t < Math.min(end, to); t++) {
      const now = owner[t - from] as UsageKey | undefined;
      if (now === undefined || compareKeys(key, now) < 0) owner[t - from] = key;
    }
  }
  for (const { start, end } of erased)
    owner.fill('erased', Math.max(start - from, 0), Math.max(Math.min(end, to) - from, 0));

  const entries: KeySpan[] = [];
  const gaps: Span[] = [];
  let running: KeySpan | undefined;
  for (let t = from; t < to; t++) {
    const key = owner[t - from];
    if (key === undefined) continue;
    if (key === 'erased') running = undefined;
    else if (running !== undefined && sameKey(running.key, key) && t - running.end <= bridge) {
      if (t > running.end) gaps.push({ start: running.end, end: t });
      running.end = t + 1;
    } else {
      running = { start: t, end: t + 1, key };
      entries.push(running);
    }
  }
  return { entries, gaps };
}

/**
 * For tests: what of these entries is shown where somebody at the device was not, as plainly as it can be said: each
 * millisecond by itself.
 */
export function shownEntries(
  { entries, gaps }: { entries: KeySpan[]; gaps: Span[] },
  mask: readonly Span[],
): { entries: KeySpan[]; gaps: Span[] } {
  const isMasked = (t: number): boolean => mask.some(({ start, end }) => t >= start && t < end);
  const pieces: KeySpan[] = [];
  const gapPieces: Span[] = [];
  for (const entry of entries) {
    const own = gaps.filter(({ start }) => start >= entry.start && start < entry.end);
    let gap: Span | undefined;
    for (let t = entry.start; t < entry.end; t++) {
      const masked = entry.key.state === 'active' && isMasked(t);
      const last = pieces.at(-1);
      const goesOn = t > entry.start && (last!.key.masked === true) === masked;
      if (goesOn) last!.end = t + 1;
      else pieces.push({ start: t, end: t + 1, key: masked ? { ...entry.key, masked: true } : entry.key });
      const inGap = own.some(({ start, end }) => t >= start && t < end);
      if (!inGap) gap = undefined;
      else if (gap && goesOn) gap.end = t + 1;
      else {
        gap = { start: t, end: t + 1 };
        gapPieces.push(gap);
      }
    }
  }
  return { entries: pieces, gaps: gapPieces };
}
