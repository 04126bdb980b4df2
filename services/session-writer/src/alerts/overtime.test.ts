import { expect, test } from '@jest/globals';
import { dayOf, knownZone, workedOn } from './overtime.ts';

const at = (text: string): number => Date.parse(text);

test('a day is as long as it is where clocks change, and begins at its first instant', () => {
  const worked = [{ start: at('2026-10-20T00:00:00Z'), end: at('2026-10-30T00:00:00Z') }];
  const hours = (date: string, timezone: string) => workedOn(date, [{ timezone, worked }], new Map()) / 3_600_000;
  expect(hours('2026-10-25', 'Europe/Berlin')).toBe(25);
  expect(hours('2026-10-26', 'Europe/Berlin')).toBe(24);
  expect(hours('2026-10-30', 'UTC')).toBe(0);
});

test('entries of different zones each count for their own day', () => {
  // 20:00 UTC is past midnight in Kathmandu.
  const worked = [{ start: at('2026-10-20T17:15:00Z'), end: at('2026-10-20T20:15:00Z') }];
  const entries = ['UTC', 'Asia/Kathmandu'].map((timezone) => ({ timezone, worked }));
  expect(workedOn('2026-10-20', entries, new Map())).toBe(4 * 3_600_000);
  expect(workedOn('2026-10-21', entries, new Map())).toBe(2 * 3_600_000);
});

test('an hour with two dates is the later day’s, as in reports', () => {
  const zone = 'America/St_Johns';
  const known = new Map<string, number>();
  // A minute past midnight, at 02:31 UTC, clocks went back to 23:01.
  const inside = at('2010-11-07T02:45:00Z');
  expect(dayOf(at('2010-11-07T02:29:59Z'), zone, known)).toBe('2010-11-06');
  expect(dayOf(inside, zone, known)).toBe('2010-11-07');
  const entries = [{ timezone: zone, worked: [{ start: inside, end: inside + 60_000 }] }];
  expect(workedOn('2010-11-06', entries, known)).toBe(0);
  expect(workedOn('2010-11-07', entries, known)).toBe(60_000);
});

test('a zone that nobody knows is UTC', () => {
  expect([knownZone('Asia/Kathmandu'), knownZone('Nowhere/Atlantis'), knownZone('')]).toEqual([
    'Asia/Kathmandu',
    'UTC',
    'UTC',
  ]);
});
