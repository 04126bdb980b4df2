import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { compareCodePoints, compareKeys, type Entry, type Key, mergeSpans, nextUtcMonth, type Span } from './merge.ts';

/** The rule once more, one millisecond at a time: who owns it, then runs of one owner, then short gaps. */
function paint(spans: readonly Span[], gapMs: number, monthMs: number): Entry[] {
  const end = Math.max(0, ...spans.map((s) => s.endedAt + 1));
  const owner: (Key | undefined)[] = Array.from({ length: end }, () => undefined);
  for (const { startedAt, endedAt, key } of spans) {
    for (let t = startedAt; t < Math.max(endedAt, startedAt + 1); t++) {
      const other = owner[t];
      if (other === undefined || compareKeys(key, other) < 0) owner[t] = key;
    }
  }
  const entries: Entry[] = [];
  for (let t = 0; t < end; t++) {
    const key = owner[t];
    const last = entries.at(-1);
    if (key === undefined) continue;
    const sameMonth = last !== undefined && Math.floor((last.endedAt - 1) / monthMs) === Math.floor(t / monthMs);
    if (sameMonth && compareKeys(last.key, key) === 0 && t - last.endedAt <= gapMs) last.endedAt = t + 1;
    else entries.push({ startedAt: t, endedAt: t + 1, key });
  }
  return entries;
}

const monthMs = 50;
const keys: Key[] = ['active', 'idle'].flatMap((state) =>
  ['a', 'b'].flatMap((app) => [null, 'h'].map((host) => ({ app, host, state: state as Key['state'] }))),
);
const span = fc.record({
  startedAt: fc.nat(160),
  length: fc.oneof(fc.constant(0), fc.nat(30), fc.nat(120)),
  key: fc.constantFrom(...keys),
});
const spans = fc.array(
  span.map(({ startedAt, length, key }) => ({ startedAt, endedAt: startedAt + length, key: { ...key } })),
  { maxLength: 14 },
);
const plain = (entries: readonly Entry[]) =>
  entries.map(({ startedAt, endedAt, key }) => ({ startedAt, endedAt, key }));

describe('mergeSpans', () => {
  test('is what painting milliseconds gives', () => {
    fc.assert(
      fc.property(spans, fc.nat(12), (given, gapMs) => {
        const nextBorder = (ms: number): number => (Math.floor(ms / monthMs) + 1) * monthMs;
        expect(plain(mergeSpans(given, gapMs, nextBorder))).toEqual(plain(paint(given, gapMs, monthMs)));
      }),
      { numRuns: 1_500 },
    );
  });

  test('order and repetition of pings do not matter', () => {
    fc.assert(
      fc.property(
        spans.chain((s) => fc.tuple(fc.constant(s), fc.shuffledSubarray([...s, ...s], { minLength: s.length * 2 }))),
        ([given, again]) => expect(plain(mergeSpans(again, 10))).toEqual(plain(mergeSpans(given, 10))),
      ),
    );
  });

  const a: Key = { app: 'A', host: null, state: 'active' };
  const b: Key = { app: 'B', host: null, state: 'active' };
  const at = Date.UTC(2026, 9, 31, 12);
  const s = (from: number, to: number, key = a): Span => ({ startedAt: at + from, endedAt: at + to, key });
  const seen = (...given: Span[]) =>
    mergeSpans(given, 30_000).map((e) => [e.key.app, e.startedAt - at, e.endedAt - at]);

  test('a gap of exactly the source’s own is bridged, a millisecond more is not', () => {
    expect(seen(s(0, 10), s(30_010, 30_020))).toEqual([['A', 0, 30_020]]);
    expect(seen(s(0, 10), s(30_011, 30_020))).toHaveLength(2);
  });

  test('nothing is bridged over something else, be it an instant', () => {
    expect(seen(s(0, 10), s(15, 15, b), s(20, 30))).toEqual([
      ['A', 0, 10],
      ['B', 15, 16],
      ['A', 20, 30],
    ]);
  });

  test('what is contradicted by an earlier key in the order is split by it', () => {
    expect(seen(s(0, 100, b), s(40, 50))).toEqual([
      ['B', 0, 40],
      ['A', 40, 50],
      ['B', 50, 100],
    ]);
  });

  test('nothing crosses the border of a UTC month, bridges neither', () => {
    const border = Date.UTC(2026, 10, 1) - at;
    expect(seen(s(border - 10, border + 10))).toEqual([
      ['A', border - 10, border],
      ['A', border, border + 10],
    ]);
    expect(seen(s(border - 20, border - 10), s(border + 10, border + 20))).toHaveLength(2);
    expect(nextUtcMonth(Date.UTC(2026, 11, 31, 23, 59, 59, 999))).toBe(Date.UTC(2027, 0, 1));
    expect(nextUtcMonth(Date.UTC(2026, 11, 1))).toBe(Date.UTC(2027, 0, 1));
  });
});

describe('the order of keys', () => {
  test('active before idle, then app, then no host before a host, then host', () => {
    const ordered: Key[] = [
      { app: 'A', host: null, state: 'active' },
      { app: 'A', host: 'a.example', state: 'active' },
      { app: 'A', host: 'b.example', state: 'active' },
      { app: 'a', host: null, state: 'active' },
      { app: 'A', host: null, state: 'idle' },
    ];
    for (const [i, x] of ordered.entries()) {
      for (const [j, y] of ordered.entries()) expect(Math.sign(compareKeys(x, y))).toBe(Math.sign(i - j));
    }
  });

  test('is by code point, which UTF-16 gets wrong beyond the basic plane', () => {
    expect('🎵' < 'ｅ').toBe(true);
    expect(compareCodePoints('ｅ', '🎵')).toBeLessThan(0);
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' }), (x, y) => {
        // UTF-8 keeps the order of code points.
        const bytes = Buffer.compare(Buffer.from(x), Buffer.from(y));
        expect(Math.sign(compareCodePoints(x, y))).toBe(bytes);
      }),
    );
  });
});
