type Globals = typeof import('@jest/globals');

const current = <Name extends keyof Globals>(name: Name): Globals[Name] =>
  (globalThis as unknown as Record<symbol, Globals>)[Symbol.for('worktide.jest')]![name];

/** A module that several test files import lives longer than what Jest gives to one of them. */
const ofFile = <Name extends keyof Globals>(name: Name): Globals[Name] =>
  new Proxy((() => {}) as unknown as Globals[Name] & object, {
    apply: (_, self, args) => Reflect.apply(current(name) as unknown as () => unknown, self, args),
    get: (_, key) => Reflect.get(current(name) as object, key),
  });

/** `@jest/globals`, where `jest-runner.ts` runs the tests. */
export const afterAll = ofFile('afterAll');
export const afterEach = ofFile('afterEach');
export const beforeAll = ofFile('beforeAll');
export const beforeEach = ofFile('beforeEach');
export const describe = ofFile('describe');
export const expect = ofFile('expect');
export const jest = ofFile('jest');
export const test = ofFile('test');
