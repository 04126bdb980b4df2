import { expect, test } from '@jest/globals';
import { createCosts } from './costs.ts';

function costs() {
  const clock = { ms: 1_000 };
  return { clock, ...createCosts({ atOnce: 20_000, perSecond: 2_000 }, () => clock.ms) };
}

test('what costs nothing makes nobody slow', () => {
  const { charge, isSlow } = costs();
  for (let i = 0; i < 1_000; i++) expect(charge('a', i % 2 ? 0 : -15_000)).toBe(false);
  expect(charge('a', 20_000)).toBe(false);
  expect(isSlow('a')).toBe(false);
});

test('who uses up what it has is slow, says so once, and nobody else is', () => {
  const { charge, isSlow } = costs();
  expect(charge('a', 15_000)).toBe(false);
  expect(isSlow('a')).toBe(false);
  expect(charge('a', 15_000)).toBe(true);
  expect(charge('a', 15_000)).toBe(false);
  expect(charge('a', 1)).toBe(false);
  expect([isSlow('a'), isSlow('b')]).toEqual([true, false]);
});

test('it is looked at anew after a minute, and what was not used comes back', () => {
  const { charge, isSlow, clock } = costs();
  charge('a', 30_000);
  clock.ms += 59_999;
  expect(isSlow('a')).toBe(true);
  clock.ms += 1;
  expect(isSlow('a')).toBe(false);
  expect(charge('a', 19_000)).toBe(false);
  clock.ms += 5_000;
  expect(charge('a', 10_000)).toBe(false);
  expect(charge('a', 10_000)).toBe(true);
});

test('who is slow is not forgotten over many others', () => {
  const { charge, isSlow, clock } = costs();
  charge('slow', 100_000);
  for (let i = 0; i < 30_000; i++) {
    clock.ms += 1;
    charge(`newcomer ${i}`, 100);
  }
  expect(isSlow('slow')).toBe(true);
});
