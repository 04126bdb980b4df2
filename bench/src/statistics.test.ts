import { expect, test } from '@jest/globals';
import { createHistogram, median, percentile, rateBetween } from './statistics.ts';

test('medians and percentiles', () => {
  expect(median([3, 1, 2])).toBe(2);
  expect(median([4, 1, 2, 3])).toBe(2.5);
  expect(median([])).toBeNaN();
  const hundred = Array.from({ length: 100 }, (_, i) => 100 - i);
  expect(percentile(hundred, 0.5)).toBe(50);
  expect(percentile(hundred, 0.99)).toBe(99);
  expect(percentile(hundred, 1)).toBe(100);
  expect(percentile([7], 0.5)).toBe(7);
  expect(percentile([], 0.5)).toBeNaN();
});

test('a histogram gives the same percentiles, to a hundredth of a millisecond', () => {
  const histogram = createHistogram();
  const values = Array.from({ length: 1_000 }, (_, i) => ((i * 7_919) % 1_000) / 10);
  for (const value of values) histogram.add(value);
  for (const share of [0.01, 0.5, 0.95, 0.99, 1]) expect(histogram.percentile(share)).toBe(percentile(values, share));
  expect(histogram.count).toBe(1_000);
  histogram.add(3_600_000);
  expect(histogram.percentile(1)).toBe(10_000);
});

test('rates between two shares of the work', () => {
  const samples = [
    { atMs: 0, done: 0 },
    { atMs: 1_000, done: 0 },
    { atMs: 2_000, done: 500 },
    { atMs: 4_000, done: 1_000 },
  ];
  expect(rateBetween(samples, 0, 1)).toBeCloseTo(1_000 / 3);
  expect(rateBetween(samples, 0, 0.5)).toBeCloseTo(500);
  expect(rateBetween(samples, 0.9, 1)).toBeCloseTo(250);
  expect(rateBetween([], 0, 1)).toBeNaN();
});
