import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { dayBounds, dayStart, localDate, nextDate } from './days.ts';

const hours = (date: string, zone: string): number => {
  const { from, to } = dayBounds(date, zone);
  return (to - from) / 3_600_000;
};

/** The calendar day by another way of asking Intl. */
const dateByParts = (ms: number, zone: string): string => {
  const parts = new Intl.DateTimeFormat('en-US', { timeZone: zone, dateStyle: 'short', calendar: 'iso8601' });
  const of = (type: string) => parts.formatToParts(ms).find((p) => p.type === type)?.value ?? '';
  return `${of('year')}-${of('month').padStart(2, '0')}-${of('day').padStart(2, '0')}`;
};

describe('local days', () => {
  test.each([
    ['2026-03-29', 'Europe/Berlin', 23],
    ['2026-10-25', 'Europe/Berlin', 25],
    ['2026-10-26', 'Europe/Berlin', 24],
    ['2026-10-04', 'Australia/Lord_Howe', 23.5],
    ['2026-04-05', 'Australia/Lord_Howe', 24.5],
    ['2026-11-01', 'America/New_York', 25],
    ['2026-11-21', 'Asia/Kathmandu', 24],
    // Midnight is skipped; midnight comes twice; the day is not in the calendar.
    ['2026-09-06', 'America/Santiago', 23],
    ['2026-11-01', 'America/Havana', 25],
    ['2011-12-30', 'Pacific/Apia', 0],
  ])('%s in %s has %d hours', (date, zone, expected) => {
    expect(hours(date, zone)).toBe(expected);
  });

  test('begin at their first instant', () => {
    expect(new Date(dayStart('2026-11-21', 'Asia/Kathmandu')).toISOString()).toBe('2026-11-20T18:15:00.000Z');
    expect(new Date(dayStart('2026-09-06', 'America/Santiago')).toISOString()).toBe('2026-09-06T04:00:00.000Z');
    expect(new Date(dayStart('2026-11-01', 'America/Havana')).toISOString()).toBe('2026-11-01T04:00:00.000Z');
  });

  test('hold every instant in exactly the day that Intl names, in every zone', () => {
    const zone = fc.constantFrom(...Intl.supportedValuesOf('timeZone'));
    // Since 2012 no zone has set its clocks back over a midnight that had already begun.
    const instant = fc.integer({ min: Date.UTC(2012, 0, 1), max: Date.UTC(2027, 0, 1) });
    fc.assert(
      fc.property(zone, instant, (z, ms) => {
        const date = localDate(ms, z);
        const { from, to } = dayBounds(date, z);
        expect(date).toBe(dateByParts(ms, z));
        expect(from <= ms && ms < to).toBe(true);
        expect(localDate(from - 1, z) < date).toBe(true);
        expect(localDate(to, z) > date).toBe(true);
      }),
      { numRuns: 400 },
    );
  });

  test('follow each other without a hole through months, leap days and years', () => {
    expect(nextDate('2026-12-31')).toBe('2027-01-01');
    expect(nextDate('2028-02-28')).toBe('2028-02-29');
    expect(dayBounds('2026-10-24', 'Europe/Berlin').to).toBe(dayBounds('2026-10-25', 'Europe/Berlin').from);
  });
});
