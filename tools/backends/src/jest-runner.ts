import { createRequire, registerHooks } from 'node:module';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

/**
 * Runs a test file as Node runs the product: its modules are loaded by Node itself, types stripped, once for all files of a
 * worker. Jest's own way loads every module for every file anew in a context of its own, and that with its compiling was a
 * third of the time of all tests; nothing here replaces a module, which is what the contexts are for.
 * Jest finds files, shares them out among its workers, and tells results; its Circus runs the tests.
 */
type Run = (
  globalConfig: unknown,
  config: unknown,
  environment: object,
  runtime: object,
  file: string,
  report?: unknown,
) => Promise<unknown>;

const require = createRequire(import.meta.url);
const circus: { default: Run } = require('jest-circus/runner');
const { ModernFakeTimers } = require('@jest/fake-timers');
const { ModuleMocker } = require('jest-mock');

/** What `@jest/globals` gives to the file that is run. */
const given = Symbol.for('worktide.jest');
const isCircus = /[\\/]jest-circus[\\/]build[\\/]jestAdapterInit\.js$/;
const world = globalThis as Record<symbol, unknown>;
const globalsUrl = new URL('./jest-globals.ts', import.meta.url).href;

registerHooks({
  resolve: (specifier, context, next) =>
    specifier === '@jest/globals' ? { url: globalsUrl, shortCircuit: true } : next(specifier, context),
});

/** Circus keeps what it knows of a file in its module and beside it: the next file begins with a new one. */
function forget(): void {
  for (const module of Object.keys(require.cache)) if (isCircus.test(module)) delete require.cache[module];
  for (const name of ['EVENT_HANDLERS', 'TEST_TIMEOUT_SYMBOL']) delete world[Symbol.for(name)];
}

const run: Run = async (globalConfig, config, _environment, _runtime, file, report) => {
  forget();
  const timers = new ModernFakeTimers({ config, global: globalThis });
  const mocker = new ModuleMocker(globalThis);
  const jest = {
    spyOn: mocker.spyOn.bind(mocker),
    useFakeTimers: (options: unknown) => timers.useFakeTimers(options),
    useRealTimers: () => timers.useRealTimers(),
    setSystemTime: (now: unknown) => timers.setSystemTime(now),
    advanceTimersByTime: (ms: number) => timers.advanceTimersByTime(ms),
    advanceTimersByTimeAsync: (ms: number) => timers.advanceTimersByTimeAsync(ms),
  };
  const runtime = {
    requireInternalModule: require,
    requireModule: require,
    unstable_shouldLoadAsEsm: () => true,
    unstable_importModule: (module: string) => import(pathToFileURL(path.resolve(module)).href),
    setGlobalsForRuntime(globals: object) {
      world[given] = { ...globals, jest };
    },
    enterTestCode() {},
    leaveTestCode() {},
  };
  try {
    return await circus.default(globalConfig, config, { global: globalThis }, runtime, file, report);
  } finally {
    timers.dispose();
    mocker.restoreAllMocks();
  }
};

export default run;
