import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';
import { holdLease } from './lease.ts';

beforeEach(() => {
  jest.useFakeTimers();
});
afterEach(() => {
  jest.useRealTimers();
});

test('is held for as long as it is renewed, then let go', async () => {
  let renewals = 0;
  const lease = holdLease(async () => ++renewals > 0, 30_000);
  await jest.advanceTimersByTimeAsync(600_000);
  expect(lease.signal.aborted).toBe(false);
  const before = renewals;
  expect(before).toBeGreaterThan(30);
  lease.release();
  await jest.advanceTimersByTimeAsync(600_000);
  expect(renewals).toBe(before);
});

test('somebody else has it: over at the next renewal', async () => {
  const lease = holdLease(async () => false, 30_000);
  await jest.advanceTimersByTimeAsync(10_000);
  expect(lease.signal.aborted).toBe(true);
});

test.each([
  ['refuses', () => Promise.reject(new Error('away'))],
  ['does not answer', () => new Promise<boolean>(() => {})],
])('a database that %s: over well before anybody else may take it', async (_, renew) => {
  const lease = holdLease(renew, 30_000);
  await jest.advanceTimersByTimeAsync(15_000);
  expect(lease.signal.aborted).toBe(false);
  await jest.advanceTimersByTimeAsync(5_000);
  expect(lease.signal.aborted).toBe(true);
});
