// ESM throughout: Jest runs under --experimental-vm-modules (npm run jest), swc only strips the types.
export default {
  testEnvironment: 'node',
  extensionsToTreatAsEsm: ['.ts'],
  transform: {
    '^.+\\.ts$': [
      '@swc/jest',
      { jsc: { parser: { syntax: 'typescript' }, target: 'es2024' }, module: { type: 'es6' } },
    ],
  },
  testMatch: ['<rootDir>/{libs,services,tools,tests,bench}/**/*.test.ts'],
  // Real engines, started at the first demand of a test and stopped at the end (tools/backends).
  globalSetup: '<rootDir>/tools/backends/src/jest-setup.ts',
  globalTeardown: '<rootDir>/tools/backends/src/jest-teardown.ts',
  testTimeout: 60_000,
  maxWorkers: 2,
};
