import { describe, expect, test } from '@jest/globals';
import type { ExpectedEntry } from '../oracle/ledger.ts';
import { createRandom } from '../random.ts';
import type { AlertItem, TimeEntryItem } from '../verify/read.ts';
import { createTimeLedger, type ExpectedTime } from './ledger.ts';
import { countsByDay, secondsOf, workedByDay, workedOf } from './oracle.ts';
import { planEndsBeforeMs, planEntries, planMinutes } from './plan.ts';
import { compareAlerts, compareTimes } from './verify.ts';

const now = Date.parse('2026-11-20T12:00:00Z');
const hour = 3_600_000;
const plan = (seed: number) =>
  planEntries({
    count: 40,
    now,
    days: 10,
    random: createRandom(seed, 'entries'),
    ids: createRandom(seed, 'ids'),
  });
const time = (from: number, to: number, more: Partial<ExpectedTime> = {}): ExpectedTime => ({
  kind: 'timer',
  from,
  to,
  pauses: [],
  description: null,
  version: 1,
  ...more,
});
const used = (startedAt: number, endedAt: number, state: 'active' | 'idle' = 'active'): ExpectedEntry => ({
  deviceId: 'laptop',
  source: 'window',
  startedAt,
  endedAt,
  key: { app: 'a', host: null, state },
});

describe('a plan', () => {
  test('is the same for the same seed, in order, disjoint, and over in time', () => {
    for (let seed = 0; seed < 50; seed++) {
      const plans = plan(seed);
      expect(plan(seed)).toEqual(plans);
      expect(plans.length).toBeGreaterThan(10);
      for (const [i, { from, to, pauses }] of plans.entries()) {
        expect(from).toBeGreaterThanOrEqual(plans[i - 1]?.to ?? 0);
        expect(to).toBeGreaterThan(from);
        expect(to).toBeLessThanOrEqual(now - planEndsBeforeMs);
        let reached = from;
        for (const pause of pauses) {
          expect(pause.from).toBeGreaterThan(reached);
          expect(pause.to).toBeGreaterThan(pause.from);
          expect(pause.to).toBeLessThanOrEqual(to);
          reached = pause.to;
        }
      }
    }
  });

  test('has every way, edits, long days, entries that touch and batches that come again', () => {
    const all = Array.from({ length: 20 }, (_, seed) => plan(seed)).flat();
    expect(new Set(all.map(({ way }) => way)).size).toBe(4);
    expect(all.some(({ edit }) => edit === 'delete')).toBe(true);
    expect(all.some(({ edit, from, to }) => typeof edit === 'object' && edit.from >= from && edit.to <= to)).toBe(true);
    expect(all.some(({ stopsPaused }) => stopsPaused)).toBe(true);
    expect(all.some(({ from }, i) => from === all[i - 1]?.to)).toBe(true);
    expect(all.some(({ times }) => times === 3)).toBe(true);
    const minutes = planMinutes({ count: 30, now, days: 3, random: createRandom(1) }).flat();
    expect(new Set(minutes.map(({ minute }) => minute)).size).toBeLessThan(minutes.length);
    expect(minutes.every(({ minute }) => minute % 60_000 === 0 && minute <= now)).toBe(true);
  });
});

describe('what must be shown', () => {
  test('worked is the time without pauses, also where it is stopped in one', () => {
    expect(
      workedOf(
        time(0, 100, {
          pauses: [
            { from: 10, to: 40 },
            { from: 60, to: 100 },
          ],
        }),
      ),
    ).toEqual([
      { from: 0, to: 10 },
      { from: 40, to: 60 },
    ]);
  });

  test('active and idle are the union of usage within it, active first', () => {
    const entry = time(10_000, 100_000, { pauses: [{ from: 20_000, to: 30_000 }] });
    const usage = [
      used(0, 12_000),
      used(11_000, 25_000, 'idle'),
      used(40_000, 50_000),
      used(45_000, 60_000, 'idle'),
      used(200_000, 300_000),
    ];
    expect(secondsOf(entry, usage)).toEqual({
      workedSeconds: 80,
      activeSeconds: 12,
      idleSeconds: 18,
      untrackedSeconds: 50,
      lastActivityAt: new Date(50_000).toISOString(),
    });
    expect(secondsOf(entry, [])).toMatchObject({ activeSeconds: 0, untrackedSeconds: 80, lastActivityAt: null });
  });

  test('days are local ones', () => {
    // 18:15 UTC is midnight in Kathmandu.
    const midnight = Date.parse('2026-11-19T18:15:00Z');
    const days = workedByDay([time(midnight - hour, midnight + 2 * hour)], 'Asia/Kathmandu');
    expect([...days]).toEqual([
      ['2026-11-19', hour],
      ['2026-11-20', 2 * hour],
    ]);
    const ledger = createTimeLedger();
    ledger.count('u', 'd', [{ minute: midnight, keyboardClicks: 7, mouseMovements: 12 }]);
    ledger.count('u', 'd', [{ minute: midnight, keyboardClicks: 5, mouseMovements: 20 }]);
    ledger.count('u', 'e', [{ minute: midnight - 60_000, keyboardClicks: 1, mouseMovements: 0 }]);
    expect([...countsByDay(ledger.minutes('u'), 'Asia/Kathmandu')]).toEqual([
      ['2026-11-20', { keyboardClicks: 7, mouseMovements: 20 }],
      ['2026-11-19', { keyboardClicks: 1, mouseMovements: 0 }],
    ]);
  });
});

describe('a comparison', () => {
  const entry = time(now - 2 * hour, now - hour);
  const item = (more: Partial<TimeEntryItem> = {}): TimeEntryItem => ({
    id: 'e',
    userId: 'u',
    kind: 'timer',
    status: 'STOPPED',
    description: null,
    startTime: new Date(entry.from).toISOString(),
    endTime: new Date(entry.to).toISOString(),
    workedSeconds: 3_600,
    activeSeconds: 0,
    idleSeconds: 0,
    untrackedSeconds: 3_600,
    lastActivityAt: null,
    version: 1,
    ...more,
  });
  const times = (items: TimeEntryItem[]): string[] => compareTimes([entry], undefined, [], items, 'u');

  test('finds what is missing, too much, twice, another’s, or other than it must be', () => {
    expect(times([item()])).toEqual([]);
    expect(times([])).toEqual([expect.stringContaining('missing')]);
    expect(times([item(), item({ id: 'f', version: 2 })])).toHaveLength(1);
    expect(times([item(), item()])).toEqual(expect.arrayContaining([expect.stringContaining('twice')]));
    expect(times([item({ userId: 'v' })])).toEqual([expect.stringContaining('another user')]);
    for (const wrong of [{ workedSeconds: 3_599 }, { activeSeconds: 1 }, { version: 2 }, { description: 'x' }]) {
      expect(times([item(wrong)])).toHaveLength(2);
    }
    const running = { entryId: 'r', from: now };
    const runs = item({ id: 'r', status: 'RUNNING', startTime: new Date(now).toISOString(), endTime: null });
    expect(compareTimes([entry], running, [], [runs, item()], 'u')).toEqual([]);
    expect(compareTimes([entry], running, [], [item()], 'u')).toHaveLength(1);
    expect(compareTimes([entry], running, [], [{ ...runs, status: 'PAUSED' }, item()], 'u')).toHaveLength(1);
  });

  const alert = (more: Partial<AlertItem>): AlertItem => ({
    id: 'a',
    userId: 'u',
    type: 'overtime',
    date: '2026-11-18',
    timeEntryId: null,
    message: '',
    resolvedAt: null,
    resolvedBy: null,
    ...more,
  });
  const long = time(Date.parse('2026-11-18T08:00:00Z'), Date.parse('2026-11-18T18:00:00Z'));
  const short = time(Date.parse('2026-11-17T20:00:00Z'), Date.parse('2026-11-18T08:00:00Z'));
  const alerts = (times: ExpectedTime[], ...items: AlertItem[]) => compareAlerts(times, undefined, true, items, 'UTC');
  const done = { resolvedAt: '2026-11-18T20:00:00.000Z' };

  test('demands one open alert of each day that is too long, and no other that is not over', () => {
    expect(alerts([long], alert({}))).toEqual([]);
    expect(alerts([long])).toHaveLength(1);
    expect(alerts([long], alert(done))).toHaveLength(1);
    expect(alerts([long], alert({}), alert({ id: 'b' }))).toHaveLength(1);
    expect(alerts([short])).toEqual([]);
    expect(alerts([short], alert({}))).toHaveLength(1);
    expect(alerts([short], alert(done))).toEqual([]);
    expect(alerts([], alert({ type: 'idle', timeEntryId: 'e' }))).toHaveLength(1);
    expect(alerts([], alert({ ...done, type: 'idle', timeEntryId: 'e' }))).toEqual([]);
    expect(alerts([long], alert({ ...done, resolvedBy: 'v' }))).toHaveLength(2);
  });

  test('demands exactly one of the timer that was left running', () => {
    const running = { entryId: 'r', from: now };
    const of = (...items: AlertItem[]) => compareAlerts([], running, true, items, 'UTC');
    const idle = alert({ type: 'idle', timeEntryId: 'r', date: '2026-11-20' });
    expect(of(idle)).toEqual([]);
    expect(of()).toHaveLength(1);
    expect(of(idle, { ...idle, id: 'b' })).toHaveLength(1);
    expect(of({ ...idle, ...done })).toHaveLength(1);
    expect(compareAlerts([], running, false, [], 'UTC')).toEqual([]);
  });
});
