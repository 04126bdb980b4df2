import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { type Interval, unionMs, withoutThose } from './intervals.ts';

const interval = fc
  .tuple(fc.integer({ min: 0, max: 60 }), fc.integer({ min: 0, max: 20 }))
  .map(([from, length]): Interval => ({ from, to: from + length }));
const intervals = fc.array(interval, { maxLength: 12 });
const covers = (all: readonly Interval[], at: number): boolean => all.some(({ from, to }) => from <= at && at < to);
const moments = Array.from({ length: 90 }, (_, at) => at);

test('a union is as many moments as any of its intervals has, within the bounds', () => {
  fc.assert(
    fc.property(intervals, interval, (all, { from, to }) => {
      expect(unionMs(all)).toBe(moments.filter((at) => covers(all, at)).length);
      expect(unionMs(all, from, to)).toBe(moments.filter((at) => at >= from && at < to && covers(all, at)).length);
    }),
  );
});

test('what others do not cover is left, moment by moment', () => {
  fc.assert(
    fc.property(intervals, intervals, (all, others) => {
      const left = withoutThose(all, others);
      for (const at of moments) expect(covers(left, at)).toBe(covers(all, at) && !covers(others, at));
      expect(unionMs(left)).toBe(unionMs([...all, ...others]) - unionMs(others));
    }),
  );
});
