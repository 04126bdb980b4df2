import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { cutSheet, mergeSheets, type Sheet, type Span, touches, unionOf, workedOf } from './union.ts';

const minutes = 60;
const open = Number.POSITIVE_INFINITY;

/** What is worked, minute by minute; the last is what comes for ever. */
const painted = (sheet: Sheet): boolean[] =>
  Array.from({ length: minutes + 1 }, (_, i) => {
    const at = i === minutes ? Number.MAX_VALUE : i;
    return sheet.start <= at && at < sheet.end && !sheet.pauses.some(({ start, end }) => start <= at && at < end);
  });

const sheets: fc.Arbitrary<Sheet> = fc
  .tuple(
    fc.nat(minutes - 1),
    fc.integer({ min: 1, max: minutes }),
    fc.boolean(),
    fc.array(fc.nat(minutes), { maxLength: 6 }),
  )
  .map(([start, length, isOpen, cuts]) => {
    const end = isOpen ? open : Math.min(minutes, start + length);
    const within = [...new Set(cuts)].filter((cut) => cut >= start && cut < end).sort((a, b) => a - b);
    const pauses: Span[] = [];
    for (let i = 0; i < within.length; i += 2) pauses.push({ start: within[i]!, end: within[i + 1] ?? end });
    return { start, end, pauses };
  });

describe('one entry in the place of some', () => {
  test('is worked where any of them is, and nowhere else', () => {
    fc.assert(
      fc.property(fc.array(sheets, { minLength: 1, maxLength: 4 }), (some) => {
        const merged = mergeSheets(some as [Sheet, ...Sheet[]]);
        const expected = some.map(painted).reduce((a, b) => a.map((worked, i) => worked || b[i]!));
        expect(painted(merged)).toEqual(expected);
        expect(merged.start).toBe(Math.min(...some.map(({ start }) => start)));
        expect(merged.end).toBe(Math.max(...some.map(({ end }) => end)));
        // Its pauses are as a sheet has them.
        let last = Number.NEGATIVE_INFINITY;
        for (const { start, end } of merged.pauses) {
          expect(start).toBeGreaterThan(last);
          expect(end).toBeGreaterThan(start);
          last = end;
        }
        expect(mergeSheets([merged, ...some])).toEqual(merged);
      }),
    );
  });

  test('09:00–11:00 and 10:00–12:00 are three hours, never four', () => {
    const h = (hours: number): number => hours * 3_600_000;
    const merged = mergeSheets([
      { start: h(9), end: h(11), pauses: [] },
      { start: h(10), end: h(12), pauses: [] },
    ]);
    expect(merged).toEqual({ start: h(9), end: h(12), pauses: [] });
    expect(workedOf(merged)).toEqual([{ start: h(9), end: h(12) }]);
  });
});

test('cut to another span, the pauses are those within', () => {
  fc.assert(
    fc.property(sheets, sheets, (sheet, span) => {
      const cut = cutSheet(sheet, span);
      const worked = painted(sheet);
      for (const [i, is] of painted(cut).entries()) {
        const at = i === minutes ? Number.MAX_VALUE : i;
        const inBoth = at >= Math.max(sheet.start, span.start) && at < Math.min(sheet.end, span.end);
        if (inBoth) expect(is).toBe(worked[i]);
      }
    }),
  );
});

test('what touches, and what is one', () => {
  expect(touches({ start: 0, end: 1 }, { start: 1, end: 2 })).toBe(false);
  expect(touches({ start: 0, end: 2 }, { start: 1, end: open })).toBe(true);
  expect(
    unionOf([
      { start: 1, end: 2 },
      { start: 0, end: 1 },
      { start: 5, end: 5 },
    ]),
  ).toEqual([{ start: 0, end: 2 }]);
});
