import { expect, test } from '@jest/globals';
import { workHistory } from './demo-history.ts';
import { shotsOfHistory } from './demo-screenshots.ts';

test('the screenshots of the demo lie in the last working days, none twice, the same each time', () => {
  const now = Date.parse('2026-03-04T22:00:00Z');
  const history = workHistory({ now, days: 7, zone: 'UTC', seed: 'a' });
  const shots = shotsOfHistory(history, { deviceId: 'laptop', days: 2, perDay: 4 });
  expect(shots.map(({ capturedAt }) => new Date(capturedAt).toISOString().slice(0, 10))).toEqual([
    ...new Array<string>(4).fill('2026-03-03'),
    ...new Array<string>(4).fill('2026-03-04'),
  ]);
  expect(new Set(shots.map(({ screenshotId }) => screenshotId)).size).toBe(8);
  const times = shots.map(({ capturedAt }) => capturedAt);
  expect(times).toEqual([...times].sort((a, b) => a - b));
  expect(shotsOfHistory(history, { deviceId: 'laptop', days: 2, perDay: 4 })).toEqual(shots);
  expect(shotsOfHistory([], { deviceId: 'laptop', days: 2, perDay: 4 })).toEqual([]);
});
