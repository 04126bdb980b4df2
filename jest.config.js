export default {
  // Node itself loads tests and what they test.
  testRunner: '<rootDir>/tools/backends/src/jest-runner.ts',
  transform: {},
  testSequencer: '<rootDir>/tools/backends/src/jest-sequencer.ts',
  testMatch: ['<rootDir>/{apps,libs,services,tools,tests,bench}/**/*.test.ts'],
  // Real engines, started at the first demand of a test and stopped at the end (tools/backends).
  globalSetup: '<rootDir>/tools/backends/src/jest-setup.ts',
  globalTeardown: '<rootDir>/tools/backends/src/jest-teardown.ts',
  testTimeout: 60_000,
  maxWorkers: 2,
};
