import { expect, test } from '@jest/globals';
import { checkSyncEntry } from './time-entries.ts';

const nowMs = Date.parse('2026-11-20T12:00:00Z');
const at = (seconds: number): string => new Date(nowMs + seconds * 1_000).toISOString();
const check = (startTime: number, endTime: number | undefined, status: string) =>
  checkSyncEntry(
    {
      idempotencyKey: 'k',
      status,
      startTime: at(startTime),
      ...(endTime === undefined ? {} : { endTime: at(endTime) }),
    },
    0,
    { nowMs, timezone: 'UTC' },
  );

test('an offline entry by a clock that is ahead ends now, or begins now; one that is all ahead is none', () => {
  expect(check(-600, 200, 'STOPPED')).toMatchObject({ startedAt: nowMs - 600_000, endedAt: nowMs });
  expect(check(100, undefined, 'RUNNING')).toMatchObject({ startedAt: nowMs, endedAt: null });
  expect(check(100, undefined, 'PAUSED')).toMatchObject({ startedAt: nowMs, pausedAt: nowMs });
  expect(check(100, 200, 'STOPPED')).toMatchObject({ code: 'IN_FUTURE' });
  expect(check(-600, 301, 'STOPPED')).toMatchObject({ code: 'IN_FUTURE' });
  expect(check(301, undefined, 'RUNNING')).toMatchObject({ code: 'IN_FUTURE' });
});
