import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { addDays, boundsOf, clockHours, dateIn, dateOf, datesBetween, hoursOf, instantAt, weekOf } from './zones.ts';

const hour = 3_600_000;

describe('a local day', () => {
  test.each([
    ['2026-03-29', 'Europe/Berlin', 23],
    ['2026-10-25', 'Europe/Berlin', 25],
    ['2026-11-01', 'America/New_York', 25],
    // Clocks go on by half an hour there.
    ['2026-04-05', 'Australia/Lord_Howe', 24.5],
    // Midnight itself is skipped.
    ['2026-04-24', 'Africa/Cairo', 23],
    ['2026-11-27', 'Asia/Kathmandu', 24],
  ])('%s in %s has %d hours', (date, zone, hours) => {
    const { from, to } = boundsOf(date, zone);
    expect((to - from) / hour).toBe(hours);
    expect(dateOf(from, zone)).toBe(date);
    expect(dateOf(from - 1, zone)).toBe(addDays(date, -1));
  });

  test('its hours follow one another from its first instant to its last, whatever clocks do', () => {
    const zones = ['UTC', 'Europe/Berlin', 'America/New_York', 'Australia/Lord_Howe', 'Africa/Cairo', 'Asia/Kathmandu'];
    const days = fc.integer({ min: 0, max: 3_000 });
    fc.assert(
      fc.property(fc.constantFrom(...zones), days, (zone, n) => {
        const date = addDays('2024-01-01', n);
        const { from, to } = boundsOf(date, zone);
        const stretches = clockHours(date, zone);
        expect(stretches[0]!.from).toBe(from);
        expect(stretches.at(-1)!.to).toBe(to);
        for (const [i, one] of stretches.entries()) {
          if (i > 0) expect(one.from).toBe(stretches[i - 1]!.to);
          expect(one.to - one.from).toBeLessThanOrEqual(hour);
        }
        expect(hoursOf(date, zone).length).toBe(stretches.length);
      }),
    );
  });

  test('a clock that is skipped is the next instant, one that comes twice is the first', () => {
    expect(new Date(instantAt('2026-03-29', '02:30', 'Europe/Berlin')).toISOString()).toBe('2026-03-29T01:30:00.000Z');
    expect(new Date(instantAt('2026-10-25', '02:30', 'Europe/Berlin')).toISOString()).toBe('2026-10-25T00:30:00.000Z');
    expect(new Date(instantAt('2026-11-27', '09:15', 'Asia/Kathmandu')).toISOString()).toBe('2026-11-27T03:30:00.000Z');
  });
});

test('what a link says is a date or is not there', () => {
  expect(dateIn('2026-02-28')).toBe('2026-02-28');
  for (const wrong of ['2026-02-30', '26-02-03', '', 'today', 20_260_228, undefined])
    expect(dateIn(wrong)).toBeUndefined();
});

test('weeks begin as the organisation says', () => {
  expect(['monday', 'saturday', 'sunday'].map((start) => weekOf('2026-11-27', start as 'monday'))).toEqual([
    '2026-11-23',
    '2026-11-21',
    '2026-11-22',
  ]);
  expect(datesBetween('2026-02-27', '2026-03-02')).toEqual(['2026-02-27', '2026-02-28', '2026-03-01', '2026-03-02']);
});
