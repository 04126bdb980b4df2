import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { type Span, unionOf } from '../sync/union.ts';
import { windowsOf, within } from './windows.ts';

const span = fc
  .record({ start: fc.nat(100), length: fc.integer({ min: 1, max: 10 }) })
  .map(({ start, length }): Span => ({ start, end: start + length }));
const lengthOf = (spans: readonly Span[]): number => spans.reduce((sum, { start, end }) => sum + end - start, 0);

describe('windows', () => {
  test('hold every span, are disjoint, few, and apart by more than what is close', () => {
    fc.assert(
      fc.property(fc.array(span), fc.nat(5), fc.integer({ min: 1, max: 6 }), (spans, close, max) => {
        const windows = windowsOf(spans, close, max);
        expect(windows.length).toBeLessThanOrEqual(max);
        for (const { start, end } of spans) {
          expect(windows.some((window) => window.start <= start && end <= window.end)).toBe(true);
        }
        for (const [i, window] of windows.slice(1).entries()) {
          expect(window.start - windows[i]!.end).toBeGreaterThan(close);
        }
        // Begins and ends with a span.
        expect(windows.at(0)?.start).toBe(unionOf(spans).at(0)?.start);
        expect(windows.at(-1)?.end).toBe(unionOf(spans).at(-1)?.end);
      }),
    );
  });

  test('the shortest gaps are bridged first', () => {
    const spans = [0, 10, 13, 50].map((start) => ({ start, end: start + 1 }));
    expect(windowsOf(spans, 0, 3)).toEqual([
      { start: 0, end: 1 },
      { start: 10, end: 14 },
      { start: 50, end: 51 },
    ]);
    expect(windowsOf(spans, 0, 1)).toEqual([{ start: 0, end: 51 }]);
    expect(windowsOf([], 0, 1)).toEqual([]);
  });
});

test('what lies within another span', () => {
  fc.assert(
    fc.property(fc.array(span), span, (given, other) => {
      const spans = unionOf(given);
      const found = within(spans, other);
      let length = 0;
      for (let at = other.start; at < other.end; at++) {
        if (spans.some(({ start, end }) => start <= at && at < end)) length++;
      }
      expect(lengthOf(found)).toBe(length);
      expect(found).toEqual(unionOf(found));
    }),
  );
});
