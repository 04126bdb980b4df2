import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { compileGlobs } from './glob.ts';

test.each([
  ['slack', 'slack', true],
  ['slack', 'slack 2', false],
  ['*', '', true],
  ['*', 'anything', true],
  ['a*', 'a', true],
  ['*a', 'a', true],
  ['a*a', 'a', false],
  ['a*a', 'aa', true],
  ['ab*bc', 'abc', false],
  ['*bank*', 'my bank - browser', true],
  ['*.example.com', 'mail.example.com', true],
  ['*.example.com', 'example.com', false],
  ['*aab*b', 'aaaabb', true],
  ['*aba*aba*', 'ababa', false],
  ['*aba*aba*', 'abaaba', true],
  ['a.c', 'abc', false],
  ['[ab]', 'a', false],
])('%s and %s: %s', (glob, text, expected) => {
  expect(compileGlobs([glob])(text)).toBe(expected);
});

test('says what a regular expression of the same meaning says', () => {
  const letters = fc.string({ unit: fc.constantFrom('a', 'b'), maxLength: 14 });
  const glob = fc.string({ unit: fc.constantFrom('a', 'b', '*'), maxLength: 8 });
  fc.assert(
    fc.property(fc.array(glob, { maxLength: 3 }), letters, (globs, text) => {
      const expected = globs.some((one) => new RegExp(`^${one.replaceAll('*', '.*')}$`).test(text));
      expect(compileGlobs(globs)(text)).toBe(expected);
    }),
    { numRuns: 3_000 },
  );
});
