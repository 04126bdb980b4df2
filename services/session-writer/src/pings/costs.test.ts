import { expect, test } from '@jest/globals';
import { createCosts } from './costs.ts';

function costs() {
  const clock = { ms: 1_000 };
  return { clock, ...createCosts(() => clock.ms) };
}

test('who sends many pings is not slow, however many rows they meet together', () => {
  const { charge, isSlow } = costs();
  for (let i = 0; i < 1_000; i++) expect(charge('a', 15_000, 1_000)).toBe(false);
  expect(isSlow('a')).toBe(false);
});

test('who has few pings over many rows is slow, says so once, and nobody else is', () => {
  const { charge, isSlow } = costs();
  expect(charge('a', 15_000, 1)).toBe(false);
  expect(isSlow('a')).toBe(false);
  expect(charge('a', 15_000, 1)).toBe(true);
  expect(charge('a', 15_000, 1)).toBe(false);
  expect(charge('a', 1, 1)).toBe(false);
  expect([isSlow('a'), isSlow('b')]).toEqual([true, false]);
});

test('it is looked at anew after a minute, and what was not used comes back', () => {
  const { charge, isSlow, clock } = costs();
  charge('a', 30_000, 1);
  clock.ms += 59_999;
  expect(isSlow('a')).toBe(true);
  clock.ms += 1;
  expect(isSlow('a')).toBe(false);
  expect(charge('a', 19_000, 1)).toBe(false);
  clock.ms += 5_000;
  expect(charge('a', 10_000, 1)).toBe(false);
  expect(charge('a', 10_000, 1)).toBe(true);
});

test('who is slow is not forgotten over many others', () => {
  const { charge, isSlow, clock } = costs();
  charge('slow', 100_000, 1);
  for (let i = 0; i < 30_000; i++) {
    clock.ms += 1;
    charge(`newcomer ${i}`, 100, 1);
  }
  expect(isSlow('slow')).toBe(true);
});
