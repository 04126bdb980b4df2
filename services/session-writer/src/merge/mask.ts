import type { KeySpan } from './fold.ts';
import { sameKey, type UsageKey } from './key.ts';
import type { Span } from './paint.ts';

/**
 * When the watcher of input of a stream's device says that nobody was there (docs/rules.md, Merging). It is known within the
 * windows that were read; beyond them what is stored shows it, for nothing changes there.
 */
export interface Mask {
  /** Windows that were read, in order, disjoint. */
  windows: readonly Span[];
  /** Idle time within them, by start; may touch or overlap. */
  idle: readonly Span[];
}

/** The state that an entry is shown with. */
export const shownState = ({ state, masked }: UsageKey): UsageKey['state'] => (masked ? 'idle' : state);

/** Spans by start, those that touch or overlap made one. */
export function joined(spans: readonly Span[]): Span[] {
  const union: Span[] = [];
  for (const { start, end } of [...spans].sort((a, b) => a.start - b.start)) {
    const last = union.at(-1);
    if (last !== undefined && start <= last.end) last.end = Math.max(last.end, end);
    else union.push({ start, end });
  }
  return union;
}

/** What of a span lies outside of windows that are in order and disjoint. */
function outside({ start, end }: Span, windows: readonly Span[]): Span[] {
  const left: Span[] = [];
  let at = start;
  for (const window of windows) {
    if (window.end <= at) continue;
    if (window.start >= end) break;
    if (window.start > at) left.push({ start: at, end: window.start });
    at = window.end;
  }
  if (at < end) left.push({ start: at, end });
  return left;
}

/** All of the mask that can matter: what was read within the windows, and beyond them what entries were cut by. */
export function maskOver(entries: readonly KeySpan[], { windows, idle }: Mask): Span[] {
  const stored = entries.filter(({ key }) => key.masked).flatMap((entry) => outside(entry, windows));
  const read = windows.flatMap((window) =>
    idle
      .filter(({ start, end }) => start < window.end && end > window.start)
      .map(({ start, end }) => ({ start: Math.max(start, window.start), end: Math.min(end, window.end) })),
  );
  return joined([...stored, ...read]);
}

/**
 * Gaps that lie within the windows whole. One over an edge stays as it is, for what is new is further from the edge than a
 * gap is long; and where a piece of an entry begins in it, the rest of it may not have been read.
 */
export const gapsInside = (gaps: readonly Span[], { windows }: Mask): Span[] =>
  gaps.filter(({ start, end }) => windows.some((window) => start > window.start && end < window.end));

/**
 * Cuts entries where the mask begins and ends; pieces under it are masked. Bridged gaps are cut alike, so that each lies in one
 * piece; a piece may be nothing but a gap.
 * @param entries and @param gaps as a fold without a mask gives them.
 * @param mask in order, disjoint.
 */
export function cutByMask(
  entries: readonly KeySpan[],
  gaps: readonly Span[],
  mask: readonly Span[],
): { entries: KeySpan[]; gaps: Span[] } {
  const pieces: KeySpan[] = [];
  const gapPieces: Span[] = [];
  const maskedKeys = new Map<UsageKey, UsageKey>();
  const maskedKeyOf = (key: UsageKey): UsageKey => {
    let masked = maskedKeys.get(key);
    if (!masked) {
      masked = { ...key, masked: true };
      maskedKeys.set(key, masked);
    }
    return masked;
  };
  let nextMask = 0;
  let nextGap = 0;
  for (const { start, end, key } of entries) {
    while (nextMask < mask.length && mask[nextMask]!.end <= start) nextMask++;
    const cuts: number[] = [];
    let at = start;
    const add = (to: number, masked: boolean): void => {
      if (to <= at) return;
      if (at > start) cuts.push(at);
      pieces.push({ start: at, end: to, key: masked ? maskedKeyOf(key) : key });
      at = to;
    };
    if (key.state === 'active') {
      for (let i = nextMask; i < mask.length && mask[i]!.start < end; i++) {
        add(mask[i]!.start, false);
        add(Math.min(mask[i]!.end, end), true);
      }
    }
    add(end, false);
    let cut = 0;
    for (; nextGap < gaps.length && gaps[nextGap]!.start < end; nextGap++) {
      const gap = gaps[nextGap]!;
      let from = gap.start;
      while (cut < cuts.length && cuts[cut]! <= from) cut++;
      for (; cut < cuts.length && cuts[cut]! < gap.end; cut++) {
        gapPieces.push({ start: from, end: cuts[cut]! });
        from = cuts[cut]!;
      }
      gapPieces.push({ start: from, end: gap.end });
    }
  }
  return { entries: pieces, gaps: gapPieces };
}

/** Time in which what entries say of idleness differs, given as the changes of a fold. */
export function idleChanges(changes: {
  added: readonly KeySpan[];
  removed: readonly KeySpan[];
  changed: readonly { was: KeySpan; now: KeySpan }[];
}): Span[] {
  const spans: Span[] = [];
  const add = ({ start, end, key }: KeySpan): void => {
    if (key.state === 'idle') spans.push({ start, end });
  };
  changes.added.forEach(add);
  changes.removed.forEach(add);
  for (const { was, now } of changes.changed) {
    if (was.key.state === now.key.state && sameKey(was.key, now.key)) {
      if (now.key.state === 'idle') spans.push({ start: Math.min(was.end, now.end), end: Math.max(was.end, now.end) });
    } else {
      add(was);
      add(now);
    }
  }
  return joined(spans);
}
