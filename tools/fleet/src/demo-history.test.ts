import { expect, test } from '@jest/globals';
import { checkPing, defaultPingLimits, isProblem } from '@worktide/schemas';
import { createPresent, workHistory } from './demo-history.ts';

const now = Date.UTC(2026, 10, 20, 15);
const judged = (ping: unknown) => checkPing(ping, { nowMs: now, deviceId: 'd', limits: defaultPingLimits });

test('two weeks of the demo are lawful pings of working days, up to now', () => {
  const history = workHistory({ now, days: 14, zone: 'Europe/Berlin', seed: 'x' });
  expect(history.map(judged).filter(isProblem)).toEqual([]);
  expect(history.every((ping) => Date.parse(ping.endedAt) <= now)).toBe(true);
  const days = new Set(history.map((ping) => ping.startedAt.slice(0, 10)));
  expect(days.size).toBe(11);
  expect(days.has('2026-11-15')).toBe(false);
  expect(days.has('2026-11-20')).toBe(true);
  expect(new Set(history.map((ping) => ping.source)).size).toBe(3);
});

test('the present is what happens between two instants', () => {
  const pings = createPresent('x').ping(now - 10_000, now);
  expect(pings.map(judged).filter(isProblem)).toEqual([]);
  expect(pings[0]).toMatchObject({ startedAt: '2026-11-20T14:59:50.000Z', endedAt: '2026-11-20T15:00:00.000Z' });
});
