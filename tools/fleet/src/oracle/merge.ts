/**
 * The rule of "who was on at which millisecond", written a second time and as plainly as it can be.
 * Nothing here is shared with the session-writer: two independent readings of one page must agree.
 */

export type State = 'active' | 'idle';

/** What a moment of a stream can belong to. */
export interface Key {
  app: string;
  host: string | null;
  state: State;
}

/** One ping of one stream; epoch milliseconds, `endedAt` exclusive, equal to `startedAt` for an instant. */
export interface Span {
  startedAt: number;
  endedAt: number;
  key: Key;
}

/** One usage entry of one stream, cut and merged. */
export interface Entry extends Span {}

/** Largest unowned gap in milliseconds that an entry bridges, per source; requirements W1 and design "Merging pings". */
export const gapBySource: Readonly<Record<string, number>> = {
  window: 30_000,
  web: 30_000,
  editor: 15 * 60_000,
  afk: 0,
};

/** By Unicode code point; the `<` of strings is by UTF-16 code unit, which puts U+1F3B5 before U+FF45. */
export function compareCodePoints(left: string, right: string): number {
  const a = Array.from(left, (c) => c.codePointAt(0)!);
  const b = Array.from(right, (c) => c.codePointAt(0)!);
  for (let i = 0; i < Math.min(a.length, b.length); i++) {
    if (a[i] !== b[i]) return a[i]! - b[i]!;
  }
  return a.length - b.length;
}

/** The fixed order of keys: active before idle, app by code point, no host before a host, host by code point. */
export function compareKeys(a: Key, b: Key): number {
  if (a.state !== b.state) return a.state === 'active' ? -1 : 1;
  const byApp = compareCodePoints(a.app, b.app);
  if (byApp !== 0) return byApp;
  if (a.host === null || b.host === null) return Number(a.host !== null) - Number(b.host !== null);
  return compareCodePoints(a.host, b.host);
}

/** The first instant of the UTC month after the one that holds `ms`. */
export function nextUtcMonth(ms: number): number {
  const at = new Date(ms);
  return Date.UTC(at.getUTCFullYear(), at.getUTCMonth() + 1, 1);
}

/** Cut at every border, so that each part lies in one month. An instant covers its one millisecond. */
function cutAtBorders(span: Span, nextBorder: (ms: number) => number): Span[] {
  const parts: Span[] = [];
  const end = Math.max(span.endedAt, span.startedAt + 1);
  for (let from = span.startedAt; from < end; ) {
    const to = Math.min(end, nextBorder(from));
    parts.push({ startedAt: from, endedAt: to, key: span.key });
    from = to;
  }
  return parts;
}

/**
 * The owned time of one month: a sweep over all borders of spans; between two neighbouring borders the owner is
 * the smallest key that is on. Neighbouring pieces of one owner are one.
 */
function ownedPieces(spans: readonly Span[]): Span[] {
  const keys = [...new Set(spans.map((s) => s.key))].sort(compareKeys);
  // Keys that are equal but not the same object have one rank.
  const rankOf = new Map<Key, number>();
  for (const [i, key] of keys.entries()) {
    const previous = keys[i - 1];
    rankOf.set(key, previous && compareKeys(previous, key) === 0 ? rankOf.get(previous)! : i);
  }
  const changes = spans.flatMap((s) => [
    { at: s.startedAt, rank: rankOf.get(s.key)!, by: 1 },
    { at: s.endedAt, rank: rankOf.get(s.key)!, by: -1 },
  ]);
  changes.sort((a, b) => a.at - b.at);

  const on = new Map<number, number>();
  const pieces: Span[] = [];
  let since = 0;
  for (let i = 0; i < changes.length; ) {
    const at = changes[i]!.at;
    if (on.size > 0) {
      const key = keys[Math.min(...on.keys())]!;
      const last = pieces.at(-1);
      if (last?.key === key && last.endedAt === since) last.endedAt = at;
      else pieces.push({ startedAt: since, endedAt: at, key });
    }
    for (; i < changes.length && changes[i]!.at === at; i++) {
      const { rank, by } = changes[i]!;
      const count = (on.get(rank) ?? 0) + by;
      if (count === 0) on.delete(rank);
      else on.set(rank, count);
    }
    since = at;
  }
  return pieces;
}

/**
 * The entries of one stream: owned pieces of one key joined over unowned gaps of at most `gapMs`, each month on its own.
 * @param nextBorder the first border after an instant; UTC months unless said (tests use shorter ones).
 * @returns in order of time, never overlapping.
 */
export function mergeSpans(
  spans: readonly Span[],
  gapMs: number,
  nextBorder: (ms: number) => number = nextUtcMonth,
): Entry[] {
  const months = new Map<number, Span[]>();
  for (const part of spans.flatMap((span) => cutAtBorders(span, nextBorder))) {
    const border = nextBorder(part.startedAt);
    const month = months.get(border);
    if (month) month.push(part);
    else months.set(border, [part]);
  }
  return [...months]
    .sort(([a], [b]) => a - b)
    .flatMap(([, parts]) => {
      const entries: Entry[] = [];
      for (const piece of ownedPieces(parts)) {
        const last = entries.at(-1);
        if (last?.key === piece.key && piece.startedAt - last.endedAt <= gapMs) last.endedAt = piece.endedAt;
        else entries.push(piece);
      }
      return entries;
    });
}

/**
 * Entries under a mask: where the device's watcher of input says that nobody was there (its idle entries), what was active is
 * shown as idle. Each entry is cut at the borders of the mask.
 */
export function maskEntries<E extends Entry>(entries: readonly E[], idle: readonly Entry[]): E[] {
  if (idle.length === 0) return [...entries];
  return entries.flatMap((entry) => {
    if (entry.key.state === 'idle') return [entry];
    const inside = (at: number): boolean => idle.some((one) => one.startedAt <= at && at < one.endedAt);
    const borders = idle
      .flatMap(({ startedAt, endedAt }) => [startedAt, endedAt])
      .filter((at) => at > entry.startedAt && at < entry.endedAt);
    const cuts = [entry.startedAt, ...[...new Set(borders)].sort((a, b) => a - b), entry.endedAt];
    const pieces: E[] = [];
    for (const [i, startedAt] of cuts.slice(0, -1).entries()) {
      const endedAt = cuts[i + 1]!;
      const key: Key = inside(startedAt) ? { ...entry.key, state: 'idle' } : entry.key;
      const last = pieces.at(-1);
      // Two idle entries that touch are one mask.
      if (last && last.key.state === key.state) last.endedAt = endedAt;
      else pieces.push({ ...entry, startedAt, endedAt, key });
    }
    return pieces;
  });
}
