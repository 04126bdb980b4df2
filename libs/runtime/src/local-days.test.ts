import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { countDays, localDate, localDays } from './local-days.ts';

const hours = (ms: number): number => ms / 3_600_000;

/** The first minute at which the zone's calendar shows the date or a later one, found by looking at every minute. */
function firstMinute(date: string, zone: string): number {
  const format = new Intl.DateTimeFormat('en-CA', {
    timeZone: zone,
    year: 'numeric',
    month: '2-digit',
    day: '2-digit',
  });
  for (let instant = Date.parse(date) - 16 * 3_600_000; ; instant += 60_000) {
    if (format.format(instant) >= date) return instant;
  }
}

describe('known days', () => {
  test.each([
    // zone, date, first instant, hours
    ['UTC', '2026-11-21', '2026-11-21T00:00:00Z', 24],
    ['Asia/Kathmandu', '2026-11-21', '2026-11-20T18:15:00Z', 24],
    ['Europe/Berlin', '2026-03-29', '2026-03-28T23:00:00Z', 23],
    ['Europe/Berlin', '2026-10-25', '2026-10-24T22:00:00Z', 25],
    ['America/New_York', '2026-03-08', '2026-03-08T05:00:00Z', 23],
    ['America/New_York', '2026-11-01', '2026-11-01T04:00:00Z', 25],
    // Half an hour of summer time.
    ['Australia/Lord_Howe', '2026-04-05', '2026-04-04T13:00:00Z', 24.5],
    ['Australia/Lord_Howe', '2026-10-04', '2026-10-03T13:30:00Z', 23.5],
    // Midnight does not exist: clocks go from 23:59 to 01:00.
    ['America/Sao_Paulo', '2018-11-04', '2018-11-04T03:00:00Z', 23],
    ['Africa/Cairo', '2026-04-24', '2026-04-23T22:00:00Z', 23],
    ['Asia/Beirut', '2022-03-27', '2022-03-26T22:00:00Z', 23],
    // Midnight comes twice: from 00:59 back to 00:00, the day's hour again.
    ['America/Havana', '2026-11-01', '2026-11-01T04:00:00Z', 25],
    // From midnight back to 23:00 of the day before.
    ['America/Sao_Paulo', '2018-02-17', '2018-02-17T02:00:00Z', 25],
    ['America/Sao_Paulo', '2018-02-18', '2018-02-18T03:00:00Z', 24],
    // Set back at 00:01: the day began a minute before, and that is where it begins.
    ['America/St_Johns', '2010-11-07', '2010-11-07T02:30:00Z', 25],
    ['America/St_Johns', '2010-11-06', '2010-11-06T02:30:00Z', 24],
    // A zone that crossed the date line skipped a whole day.
    ['Pacific/Apia', '2011-12-29', '2011-12-29T10:00:00Z', 24],
    ['Pacific/Apia', '2011-12-30', '2011-12-30T10:00:00Z', 0],
    ['Pacific/Apia', '2011-12-31', '2011-12-30T10:00:00Z', 24],
    ['Pacific/Kiritimati', '2026-11-21', '2026-11-20T10:00:00Z', 24],
    ['Etc/GMT+12', '2026-11-21', '2026-11-21T12:00:00Z', 24],
    ['Africa/Monrovia', '1971-06-01', '1971-06-01T00:44:30Z', 24],
  ])('%s %s', (zone, date, first, length) => {
    const [day] = localDays(date, date, zone);
    expect(new Date(day!.start).toISOString()).toBe(new Date(first).toISOString());
    expect(hours(day!.end - day!.start)).toBe(length);
  });
});

test('days follow each other without gap or overlap', () => {
  const days = localDays('2011-12-28', '2012-01-02', 'Pacific/Apia');
  expect(days.map((d) => d.date)).toEqual([
    '2011-12-28',
    '2011-12-29',
    '2011-12-30',
    '2011-12-31',
    '2012-01-01',
    '2012-01-02',
  ]);
  for (const [i, day] of days.slice(1).entries()) expect(day.start).toBe(days[i]!.end);
  expect(localDays('2024-01-01', '2024-12-31', 'Europe/Berlin')).toHaveLength(366);
  expect(localDays('2026-01-02', '2026-01-01', 'UTC')).toEqual([]);
});

test('any day of any zone begins where looking at every minute says', () => {
  const zones = Intl.supportedValuesOf('timeZone');
  const dates = fc.integer({ min: Date.UTC(1973, 0, 1) / 86_400_000, max: Date.UTC(2040, 0, 1) / 86_400_000 });
  fc.assert(
    fc.property(fc.constantFrom(...zones), dates, (zone, n) => {
      const date = new Date(n * 86_400_000).toISOString().slice(0, 10);
      expect(localDays(date, date, zone)[0]!.start).toBe(firstMinute(date, zone));
    }),
    { numRuns: 150 },
  );
});

test('countDays', () => {
  expect(countDays('2026-03-28', '2026-03-30')).toBe(3);
  expect(countDays('2026-01-01', '2026-01-01')).toBe(1);
  expect(countDays('2026-01-02', '2026-01-01')).toBe(0);
});

test('days that were worked out before are the same', () => {
  const known = new Map<string, number>();
  for (const zone of ['Europe/Berlin', 'America/Sao_Paulo', 'UTC']) {
    for (const [from, to] of [
      ['2018-02-10', '2018-02-20'],
      ['2018-02-15', '2018-11-10'],
      ['2018-01-01', '2018-12-31'],
    ] as const) {
      expect(localDays(from, to, zone, known)).toEqual(localDays(from, to, zone));
    }
  }
  expect(known.size).toBe(3 * 366);
});

test('the date that a zone shows', () => {
  const instant = Date.parse('2026-11-21T18:14:59.999Z');
  expect(localDate(instant, 'Asia/Kathmandu')).toBe('2026-11-21');
  expect(localDate(instant + 1, 'Asia/Kathmandu')).toBe('2026-11-22');
  expect(() => localDate(instant, 'Nowhere/Atlantis')).toThrow(RangeError);
});
