import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { compareCodePoints, compareKeys, sameKey, type UsageKey } from './key.ts';

const text = fc.string({ unit: 'grapheme-composite', maxLength: 4 });
const anyKey: fc.Arbitrary<UsageKey> = fc.record({
  state: fc.constantFrom('active', 'idle'),
  app: text,
  host: fc.option(text),
});

describe('the order of keys', () => {
  test('active before idle, app by code point, no host before a host, host by code point', () => {
    const ordered: UsageKey[] = [
      { state: 'active', app: 'A', host: null },
      { state: 'active', app: 'A', host: '' },
      { state: 'active', app: 'A', host: 'a' },
      { state: 'active', app: 'AA', host: null },
      { state: 'active', app: 'a', host: null },
      { state: 'active', app: '\ue000', host: null },
      { state: 'active', app: '\uff5e', host: null },
      { state: 'active', app: '\u{10000}', host: null },
      { state: 'active', app: '\u{1f600}', host: '\uffff' },
      { state: 'active', app: '\u{1f600}', host: '\u{10ffff}' },
      { state: 'idle', app: 'A', host: null },
    ];
    for (const [i, a] of ordered.entries()) {
      for (const [j, b] of ordered.entries()) expect(Math.sign(compareKeys(a, b))).toBe(Math.sign(i - j));
    }
  });

  test('code points compare as UTF-8 bytes do', () => {
    fc.assert(
      fc.property(text, text, (a, b) => {
        expect(Math.sign(compareCodePoints(a, b))).toBe(Math.sign(Buffer.compare(Buffer.from(a), Buffer.from(b))));
      }),
    );
  });

  test('it is total, and equal only for the same key', () => {
    fc.assert(
      fc.property(anyKey, anyKey, anyKey, (a, b, c) => {
        expect(compareKeys(a, b) === 0).toBe(sameKey(a, b));
        expect(Math.sign(compareKeys(a, b))).toBe(-Math.sign(compareKeys(b, a)) + 0);
        if (compareKeys(a, b) <= 0 && compareKeys(b, c) <= 0) expect(compareKeys(a, c)).toBeLessThanOrEqual(0);
      }),
    );
  });
});
