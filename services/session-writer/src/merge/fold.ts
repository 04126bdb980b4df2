import { compareKeys, sameKey, type UsageKey } from './key.ts';
import { cutByMask, gapsInside, type Mask, maskOver } from './mask.ts';
import { type Covered, paint, type Span } from './paint.ts';

/** Time of one key: what a ping saw, or an entry. Never empty: an instant covers one millisecond. */
export interface KeySpan extends Span {
  key: UsageKey;
}

/**
 * What is stored of one stream and month, whole or just the neighbourhood of the pings (see `windowsAround`).
 * Together it says who owns which millisecond, and nothing else: an entry's time without its gaps belongs to its key.
 * That is all a fold may rest on. What else is known of the pings behind it (their number, ids, order) would make
 * the outcome depend on history.
 */
export interface MonthState<E extends KeySpan> {
  /** By start, disjoint. */
  entries: readonly E[];
  /** Unowned time inside entries, by start, disjoint. Others (of entries not read) are left alone. */
  gaps: readonly Span[];
  /** Time that belongs to nobody for ever, by start; may overlap. */
  erased: readonly Span[];
  /** Of a stream whose device has a watcher of input. */
  mask?: Mask | undefined;
}

export interface MonthChanges<E extends KeySpan> {
  added: KeySpan[];
  /** Same start, hence same id; another end or another key. */
  changed: { was: E; now: KeySpan }[];
  removed: E[];
  gapsAdded: Span[];
  gapsRemoved: Span[];
}

/** Erased time comes before every key: it cannot be taken, nor bridged. */
const ERASED = -1;

/**
 * Merges pings into the entries of one stream and month, as docs/rules.md, Merging, says. Pure.
 * @param pings cut at the month, in any order, repeated or contradicting each other as they like.
 * @param bridge longest unowned gap that an entry bridges, ms, inclusive; never one that touches erased time.
 * @returns what differs from `state`; empty lists when nothing does.
 */
export function fold<E extends KeySpan>(
  state: MonthState<E>,
  pings: readonly KeySpan[],
  bridge: number,
): MonthChanges<E> {
  const { mask } = state;
  const { rankOf, keys } = rankKeys(state.entries, pings);
  const spans: Covered[] = [];
  const known = mask ? { ...state, gaps: gapsInside(state.gaps, mask) } : state;
  const gapsBefore = ownedSpans(known, rankOf, spans);
  for (const { start, end } of state.erased) spans.push({ start, end, rank: ERASED });
  for (const { start, end, key } of pings) spans.push({ start, end, rank: rankOf(key) });
  spans.sort((a, b) => a.start - b.start);

  const apart = storedApart(state.entries);
  const entries: KeySpan[] = [];
  const gaps: Span[] = [];
  let running: KeySpan | undefined;
  for (const { start, end, rank } of paint(spans)) {
    const key = rank === ERASED ? undefined : keys[rank]!;
    if (key === undefined) {
      running = undefined;
    } else if (running?.key === key && start - running.end <= bridge && apart.get(running.end) !== start) {
      // `paint` joins what touches, so this is a gap, and nothing else was seen in it.
      gaps.push({ start: running.end, end: start });
      running.end = end;
    } else {
      running = { start, end, key };
      entries.push(running);
    }
  }
  const shown = mask ? cutByMask(entries, gaps, maskOver(state.entries, mask)) : { entries, gaps };
  return { ...compareEntries(state.entries, shown.entries), ...compareGaps(gapsBefore, shown.gaps) };
}

/** Every key that occurs, by its place in the fixed order. */
function rankKeys(entries: readonly KeySpan[], pings: readonly KeySpan[]) {
  const known = new Map<string, { key: UsageKey; rank: number }>();
  const nameOf = ({ state, app, host }: UsageKey): string =>
    `${state} ${app.length} ${app}${host === null ? '' : `/${host}`}`;
  for (const list of [entries, pings]) {
    let last: UsageKey | undefined;
    for (const { key } of list) {
      if (last !== undefined && sameKey(last, key)) continue;
      last = key;
      const name = nameOf(key);
      if (known.has(name)) continue;
      const { state, app, host } = key;
      known.set(name, { key: key.masked ? { state, app, host } : key, rank: 0 });
    }
  }
  const ordered = [...known.values()].sort((a, b) => compareKeys(a.key, b.key));
  ordered.forEach((item, rank) => {
    item.rank = rank;
  });
  let last = ordered[0];
  const rankOf = (key: UsageKey): number => {
    if (!sameKey(last!.key, key)) last = known.get(nameOf(key))!;
    return last!.rank;
  };
  return { rankOf, keys: ordered.map((item) => item.key) };
}

/**
 * Neighbours of one key that are stored as two: start of the second by end of the first. Where these ends are still
 * what they were, nothing between them has changed, and whatever kept them apart may lie between two windows, unread.
 */
function storedApart(entries: readonly KeySpan[]): ReadonlyMap<number, number> {
  const apart = new Map<number, number>();
  for (let i = 1; i < entries.length; i++) {
    const [before, after] = [entries[i - 1]!, entries[i]!];
    if (sameKey(before.key, after.key)) apart.set(before.end, after.start);
  }
  return apart;
}

/** Adds the owned time of the stored entries to `into`; returns the gaps that lie in them. */
function ownedSpans(
  { entries, gaps }: MonthState<KeySpan>,
  rankOf: (key: UsageKey) => number,
  into: Covered[],
): Span[] {
  const inside: Span[] = [];
  let next = 0;
  for (const { start, end, key } of entries) {
    const rank = rankOf(key);
    let at = start;
    while (next < gaps.length && gaps[next]!.start < start) next++;
    for (; next < gaps.length && gaps[next]!.start < end; next++) {
      const gap = gaps[next]!;
      inside.push(gap);
      // A piece that was cut by a mask may begin or end with a gap.
      if (at < gap.start) into.push({ start: at, end: gap.start, rank });
      at = gap.end;
    }
    if (at < end) into.push({ start: at, end, rank });
  }
  return inside;
}

function compareEntries<E extends KeySpan>(before: readonly E[], after: readonly KeySpan[]) {
  const added: KeySpan[] = [];
  const changed: { was: E; now: KeySpan }[] = [];
  const removed: E[] = [];
  let b = 0;
  for (const now of after) {
    while (b < before.length && before[b]!.start < now.start) removed.push(before[b++]!);
    const was = before[b];
    if (was?.start !== now.start) added.push(now);
    else {
      b++;
      if (was.end !== now.end || !sameKey(was.key, now.key) || was.key.masked !== now.key.masked)
        changed.push({ was, now });
    }
  }
  while (b < before.length) removed.push(before[b++]!);
  return { added, changed, removed };
}

function compareGaps(before: readonly Span[], after: readonly Span[]) {
  const gapsAdded: Span[] = [];
  const gapsRemoved: Span[] = [];
  let b = 0;
  for (const now of after) {
    while (b < before.length && before[b]!.start < now.start) gapsRemoved.push(before[b++]!);
    const was = before[b];
    if (was?.start === now.start) {
      b++;
      if (was.end === now.end) continue;
      gapsRemoved.push(was);
    }
    gapsAdded.push(now);
  }
  while (b < before.length) gapsRemoved.push(before[b++]!);
  return { gapsAdded, gapsRemoved };
}
