import { describe, expect, test } from '@jest/globals';
import { cutAtMonths } from './cut.ts';
import { addMonths, monthEnd, monthOf, monthStart, monthsOf } from './months.ts';

const at = (iso: string): number => Date.parse(iso);

describe('UTC months', () => {
  test('an instant belongs to the month it is in, to the millisecond', () => {
    expect(monthOf(at('2026-11-30T23:59:59.999Z'))).toBe('2026-11-01');
    expect(monthOf(at('2026-12-01T00:00:00.000Z'))).toBe('2026-12-01');
    expect(monthOf(0)).toBe('1970-01-01');
  });

  test('months have a start and an end, over years and leap days', () => {
    expect(monthStart('2026-11-01')).toBe(at('2026-11-01T00:00:00.000Z'));
    expect(monthEnd('2026-12-01')).toBe(at('2027-01-01T00:00:00.000Z'));
    expect(monthEnd('2028-02-01') - monthStart('2028-02-01')).toBe(29 * 86_400_000);
    expect(addMonths('2026-11-01', 3)).toBe('2027-02-01');
    expect(addMonths('2026-01-01', -25)).toBe('2023-12-01');
  });

  test('a span touches the months that hold a millisecond of it', () => {
    const end = at('2026-12-01T00:00:00.000Z');
    expect(monthsOf(end - 1, end)).toEqual(['2026-11-01']);
    expect(monthsOf(end - 1, end + 1)).toEqual(['2026-11-01', '2026-12-01']);
    expect(monthsOf(end, end)).toEqual([]);
    expect(monthsOf(at('2026-10-31T00:00:00Z'), at('2027-01-01T00:00:00.001Z'))).toHaveLength(4);
  });

  test('spans are cut at the boundary and keep what they carry', () => {
    const end = at('2026-12-01T00:00:00.000Z');
    const spans = [
      { start: end - 5, end: end + 5, name: 'both' },
      { start: end - 1, end, name: 'last millisecond' },
      { start: end, end: end + 1, name: 'first millisecond' },
    ];
    expect(cutAtMonths(spans)).toEqual(
      new Map([
        ['2026-11-01', [{ start: end - 5, end, name: 'both' }, spans[1]]],
        ['2026-12-01', [{ start: end, end: end + 5, name: 'both' }, spans[2]]],
      ]),
    );
    const long = { start: at('2026-01-31T23:00:00Z'), end: at('2026-03-01T01:00:00Z') };
    expect([...cutAtMonths([long]).keys()]).toEqual(['2026-01-01', '2026-02-01', '2026-03-01']);
  });
});
