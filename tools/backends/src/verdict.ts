/** What is used of the summary that `jest --json` writes. */
export interface JestSummary {
  numPassedTests: number;
  numFailedTests: number;
  numPendingTests: number;
  numTodoTests: number;
  /** Files that could not be run at all. */
  numRuntimeErrorTestSuites: number;
  success: boolean;
  testResults: { name: string; startTime: number; endTime: number }[];
}

/** The files that took longest, in seconds, the longest first: where to look when the whole takes too long. */
export function slowest({ testResults }: Pick<JestSummary, 'testResults'>, root: string, count = 20): string[] {
  return testResults
    .map(({ name, startTime, endTime }) => ({ name, seconds: (endTime - startTime) / 1000 }))
    .sort((a, b) => b.seconds - a.seconds)
    .slice(0, count)
    .map(({ name, seconds }) => `${seconds.toFixed(1).padStart(7)} s  ${name.replace(`${root}/`, '')}`);
}

/**
 * The outcome of a whole check.
 * @param broken names of the checks before the tests that did not pass.
 * @param jest undefined when Jest wrote no summary.
 * @returns `lines` to print, the last one `<n> passed, <n> failed`: tests, and as failed also files that could not run,
 * checks that did not pass, and skipped tests, for a test that does not run shows nothing.
 */
export function verdict(broken: string[], jest: JestSummary | undefined): { lines: string[]; ok: boolean } {
  const lines = broken.map((name) => `${name} did not pass`);
  const passed = jest?.numPassedTests ?? 0;
  let failed = broken.length + (jest?.numFailedTests ?? 0) + (jest?.numRuntimeErrorTestSuites ?? 0);
  if (!jest) {
    lines.push('jest wrote no summary');
    failed++;
  } else {
    const skipped = jest.numPendingTests + jest.numTodoTests;
    if (skipped > 0) {
      lines.push(`${skipped} tests were skipped`);
      failed += skipped;
    }
    if (jest.numRuntimeErrorTestSuites > 0) lines.push(`${jest.numRuntimeErrorTestSuites} test files could not run`);
    if (passed + jest.numFailedTests === 0) {
      lines.push('no test ran');
      failed++;
    }
    // For instance a teardown that threw.
    if (!jest.success && failed === 0) {
      lines.push('jest reports a failure of its own');
      failed++;
    }
  }
  lines.push(`${passed} passed, ${failed} failed`);
  return { lines, ok: failed === 0 };
}
