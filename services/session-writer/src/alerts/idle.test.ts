import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { type IdleAlert, judgeIdle, type Watched, without } from './idle.ts';

const watched = (more: Partial<Watched>): Watched => ({
  from: 0,
  now: 100,
  isRunning: true,
  worked: [{ start: 0, end: more.now ?? 100 }],
  active: [],
  thresholdMs: 10,
  alerts: [],
  seenUntil: 0,
  ...more,
});
const lasting = (from: number): IdleAlert => ({ id: 'a', from, until: null });

describe('without', () => {
  test('is what is left, millisecond by millisecond', () => {
    const spans = fc.array(fc.tuple(fc.nat(30), fc.integer({ min: 1, max: 8 })), { maxLength: 6 }).map((list) => {
      const covered = new Set(list.flatMap(([start, length]) => Array.from({ length }, (_, i) => start + i)));
      const found: { start: number; end: number }[] = [];
      for (let at = 0; at < 40; at++) {
        if (!covered.has(at)) continue;
        if (found.at(-1)?.end === at) found.at(-1)!.end++;
        else found.push({ start: at, end: at + 1 });
      }
      return found;
    });
    fc.assert(
      fc.property(fc.nat(35), fc.integer({ min: 1, max: 10 }), spans, (start, length, others) => {
        const inAny = (list: readonly { start: number; end: number }[], at: number): boolean =>
          list.some((span) => span.start <= at && at < span.end);
        const left = without({ start, end: start + length }, others);
        for (let at = 0; at < 50; at++) {
          expect(inAny(left, at)).toBe(at >= start && at < start + length && !inAny(others, at));
        }
        for (const [i, span] of left.entries()) expect(span.start).toBeGreaterThan(left[i - 1]?.end ?? -1);
      }),
    );
  });
});

describe('what is raised', () => {
  test('the threshold is reached, not before', () => {
    expect(judgeIdle(watched({ active: [{ start: 0, end: 91 }] })).raised).toEqual([]);
    expect(judgeIdle(watched({ active: [{ start: 0, end: 90 }] })).raised).toEqual([{ from: 90, until: null }]);
  });

  test('each stretch between activity, the last one as lasting; pauses are none', () => {
    const worked = [
      { start: 0, end: 40 },
      { start: 60, end: 100 },
    ];
    const active = [
      { start: 15, end: 35 },
      { start: 62, end: 80 },
    ];
    expect(judgeIdle(watched({ worked, active })).raised).toEqual([
      { from: 0, until: 15 },
      { from: 80, until: null },
    ]);
    expect(judgeIdle(watched({ worked, active, isRunning: false })).raised.at(-1)).toEqual({ from: 80, until: 100 });
  });

  test('nothing that an alert is about already, of whatever end', () => {
    const alerts = [{ id: 'a', from: 5, until: 50 }];
    expect(judgeIdle(watched({ active: [{ start: 20, end: 25 }], alerts })).raised).toEqual([]);
    expect(judgeIdle(watched({ active: [{ start: 20, end: 50 }], alerts })).raised).toEqual([
      { from: 50, until: null },
    ]);
  });

  test('it says where it cannot know the beginning', () => {
    expect(judgeIdle(watched({ from: 0 })).isCut).toBe(true);
    expect(judgeIdle(watched({ active: [{ start: 0, end: 1 }] })).isCut).toBe(false);
  });
});

describe('what lasts', () => {
  test('goes on while nobody comes', () => {
    const verdict = judgeIdle(watched({ alerts: [lasting(20)], active: [{ start: 0, end: 20 }], seenUntil: 90 }));
    expect(verdict).toEqual({ raised: [], ended: undefined, isCut: false });
  });

  test('ends with activity after it was seen last; a new stretch after that is another', () => {
    const active = [
      { start: 0, end: 20 },
      { start: 60, end: 70 },
    ];
    const verdict = judgeIdle(watched({ alerts: [lasting(20)], active, seenUntil: 50 }));
    expect(verdict).toMatchObject({ ended: { id: 'a', until: 60 }, raised: [{ from: 70, until: null }] });
  });

  test('goes on where activity is told of late, from before it was seen last', () => {
    const active = [
      { start: 0, end: 20 },
      { start: 60, end: 70 },
    ];
    expect(judgeIdle(watched({ alerts: [lasting(20)], active, seenUntil: 80 })).ended).toBeUndefined();
    // Where it leaves no stretch there was none.
    expect(judgeIdle(watched({ alerts: [lasting(20)], active: [{ start: 0, end: 95 }], seenUntil: 80 }))).toMatchObject(
      { ended: { id: 'a' }, raised: [] },
    );
  });

  test.each([
    ['a pause', [{ start: 0, end: 40 }], false, 40],
    ['a stop', [{ start: 0, end: 40 }], false, 40],
    ['that it is gone', [], false, 100],
    [
      'a pause that is over',
      [
        { start: 0, end: 40 },
        { start: 95, end: 100 },
      ],
      true,
      95,
    ],
  ])('ends with %s', (_what, worked, isRunning, until) => {
    const alerts = [lasting(20)];
    const active = [{ start: 0, end: 20 }];
    const verdict = judgeIdle(watched({ alerts, active, worked, isRunning, seenUntil: 30 }));
    expect(verdict.ended).toEqual({ id: 'a', until });
    expect(verdict.raised).toEqual([]);
  });
});

/**
 * A timer that runs, watched again and again while activity comes in, late or not, in whatever order: of each stretch
 * there is one alert, and two never share time.
 */
test('alerts of one entry never overlap, one lasts at most, and a scan that is repeated finds nothing', () => {
  const minutes = fc.array(fc.record({ at: fc.nat(99), told: fc.nat(100) }), { maxLength: 40 });
  fc.assert(
    fc.property(minutes, fc.uniqueArray(fc.integer({ min: 1, max: 100 }), { maxLength: 20 }), (activity, scans) => {
      const alerts: IdleAlert[] = [];
      let seenUntil = 0;
      for (const now of [...scans].sort((a, b) => a - b)) {
        for (const round of [1, 2]) {
          const known = new Set(activity.filter(({ at, told }) => Math.max(at, told) < now).map(({ at }) => at));
          const active = [...known].sort((a, b) => a - b).map((at) => ({ start: at, end: at + 1 }));
          const verdict = judgeIdle(watched({ now, active, alerts, seenUntil }));
          if (round === 2) expect(verdict).toMatchObject({ raised: [], ended: undefined });
          for (const alert of alerts) if (alert.id === verdict.ended?.id) alert.until = verdict.ended.until;
          for (const stretch of verdict.raised) alerts.push({ id: String(alerts.length), ...stretch });
          seenUntil = now;
        }
        expect(alerts.filter(({ until }) => until === null).length).toBeLessThanOrEqual(1);
        const inOrder = alerts
          .map(({ from, until }) => ({ from, until: until ?? 1_000 }))
          .sort((a, b) => a.from - b.from);
        for (const [i, { from }] of inOrder.entries()) {
          expect(from).toBeGreaterThanOrEqual(inOrder[i - 1]?.until ?? 0);
        }
      }
    }),
    { numRuns: 2_000 },
  );
});
