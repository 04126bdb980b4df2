import { describe, expect, test } from '@jest/globals';
import { type JestSummary, slowest, verdict } from './verdict.ts';

const good: JestSummary = {
  numPassedTests: 12,
  numFailedTests: 0,
  numPendingTests: 0,
  numTodoTests: 0,
  numRuntimeErrorTestSuites: 0,
  success: true,
  testResults: [],
};

test('the slowest files are named, the longest first', () => {
  const file = (name: string, seconds: number) => ({
    name: `/r/${name}`,
    startTime: 1_000,
    endTime: 1_000 + seconds * 1_000,
  });
  const testResults = [file('a.test.ts', 1.5), file('b.test.ts', 20), file('c.test.ts', 0.1)];
  expect(slowest({ testResults }, '/r', 2)).toEqual(['   20.0 s  b.test.ts', '    1.5 s  a.test.ts']);
});

describe('verdict of npm test', () => {
  test('everything passed', () => {
    expect(verdict([], good)).toEqual({ lines: ['12 passed, 0 failed'], ok: true });
  });

  test.each([
    ['a failed test', [], { ...good, numFailedTests: 1, success: false }, '12 passed, 1 failed'],
    ['a file that could not run', [], { ...good, numRuntimeErrorTestSuites: 1 }, '12 passed, 1 failed'],
    ['a skipped test', [], { ...good, numPendingTests: 2 }, '12 passed, 2 failed'],
    ['a test to be written', [], { ...good, numTodoTests: 1 }, '12 passed, 1 failed'],
    ['no test at all', [], { ...good, numPassedTests: 0 }, '0 passed, 1 failed'],
    ['a teardown that threw', [], { ...good, success: false }, '12 passed, 1 failed'],
    ['no summary', [], undefined, '0 passed, 1 failed'],
    ['lint and types', ['biome check', 'tsc'], good, '12 passed, 2 failed'],
  ])('%s is a failure', (_what, broken, jest, lastLine) => {
    const { lines, ok } = verdict(broken, jest);
    expect(ok).toBe(false);
    expect(lines.at(-1)).toBe(lastLine);
    expect(lines.length).toBeGreaterThan(lines.at(-1) === '12 passed, 1 failed' ? 0 : 1);
  });
});
