import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { dayStart } from './days.ts';
import type { Entry, Key } from './merge.ts';
import { dayReport, daysTouched, unionMs } from './reports.ts';

const zone = 'Europe/Berlin';
const midnight = dayStart('2026-10-25', zone);
const entry = (from: number, to: number, key: Partial<Key> = {}): Entry => ({
  startedAt: midnight + from * 1000,
  endedAt: midnight + to * 1000,
  key: { app: 'Code', host: null, state: 'active', ...key },
});

describe('dayReport', () => {
  test('the union of intervals is what counting milliseconds gives', () => {
    const interval = fc.record({ startedAt: fc.nat(200), length: fc.nat(60) });
    fc.assert(
      fc.property(fc.array(interval), (given) => {
        const intervals = given.map(({ startedAt, length }) => ({ startedAt, endedAt: startedAt + length }));
        const painted = new Set<number>();
        for (const { startedAt, endedAt } of intervals) for (let t = startedAt; t < endedAt; t++) painted.add(t);
        expect(unionMs(intervals)).toBe(painted.size);
      }),
    );
  });

  test('clips at local midnight and counts two devices at once once', () => {
    const day = 25 * 3600;
    const entries = [
      entry(-100, 100),
      entry(50, 200, { app: 'Chrome', host: 'github.com' }),
      entry(150, 400, { state: 'idle' }),
      entry(day - 30, day + 30),
      entry(day + 100, day + 200),
    ];
    expect(dayReport(entries, '2026-10-25', zone)).toEqual({
      date: '2026-10-25',
      workSeconds: 430,
      activeSeconds: 230,
      idleSeconds: 200,
      productivityScore: 53.5,
      apps: new Map([
        ['Code', 130],
        ['Chrome', 150],
      ]),
      hosts: new Map([['github.com', 150]]),
      hostSeconds: 150,
    });
    expect(daysTouched(entries, zone)).toEqual(['2026-10-24', '2026-10-25', '2026-10-26']);
  });

  test('rounds once, at the end', () => {
    const entries = [entry(0, 1.4), entry(10, 11.4), entry(20, 20.4, { app: 'Slack' })];
    const report = dayReport(entries, '2026-10-25', zone);
    expect(report.activeSeconds).toBe(3);
    expect(report.apps).toEqual(new Map([['Code', 3]]));
  });

  test('active and idle are work, as shown', () => {
    const half = [entry(0, 0.5, { state: 'idle' }), entry(0.5, 1)];
    const shown = { workSeconds: 1, activeSeconds: 1, idleSeconds: 0 };
    expect(dayReport(half, '2026-10-25', zone)).toMatchObject(shown);
  });

  test('a day without work has no score', () => {
    expect(dayReport([], '2026-10-25', zone)).toMatchObject({ workSeconds: 0, productivityScore: null });
    expect(dayReport([entry(0, 60, { state: 'idle' })], '2026-10-25', zone)).toMatchObject({ productivityScore: 0 });
  });
});
