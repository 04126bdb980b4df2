import { describe, expect, test } from '@jest/globals';
import { AppError } from '@worktide/runtime';
import fc from 'fast-check';
import { readLarge, readSmall } from './read-items.ts';
import { elements } from './spans.ts';

const limits = {
  maxItems: 1_000,
  maxItemBytes: 1_000_000,
  itemTooLarge: { code: 'PING_TOO_LARGE', message: '' },
  tooMany: () => new AppError('TOO_MANY_PINGS', '', { statusCode: 413 }),
  empty: () => new AppError('EMPTY_REQUEST', '', { statusCode: 400 }),
};

/** Values, or the code of what is thrown. */
function outcome(read: () => Iterable<object>): unknown {
  try {
    return [...read()].map((item) => ('value' in item ? item.value : item));
  } catch (error) {
    return (error as { code: string }).code;
  }
}
const whole = (text: string): unknown => outcome(() => readSmall(Buffer.from(text), 'json', limits));
const inParts = (text: string): unknown => outcome(() => readLarge(Buffer.from(text), 'json', limits));

const blanks = fc.stringMatching(/^[ \t\r\n]{0,3}$/);
/** JSON with blanks wherever they may be. */
const json = fc.tuple(fc.array(fc.jsonValue({ maxDepth: 4 }), { maxLength: 5 }), blanks).map(([value, blank]) => {
  const text = JSON.stringify(value, undefined, blank);
  return blank + text + blank;
});

describe('a body read member by member', () => {
  test('is what it is when it is read whole', () => {
    fc.assert(fc.property(json, (text) => expect(inParts(text)).toEqual(whole(text))));
  });

  test('is refused where it is when it is read whole, however it is damaged', () => {
    const damage = fc.tuple(fc.nat(), fc.nat({ max: 3 }), fc.constantFrom('', ...'[]{}",:\\ 1n\u0000ü'.split('')));
    fc.assert(
      fc.property(json, fc.array(damage, { minLength: 1, maxLength: 3 }), (text, damages) => {
        let damaged = text;
        for (const [at, length, by] of damages) {
          const place = at % (damaged.length + 1);
          damaged = damaged.slice(0, place) + by + damaged.slice(place + length);
        }
        expect(inParts(damaged)).toEqual(whole(damaged));
      }),
      { numRuns: 2_000 },
    );
  });

  test.each([
    '[',
    '[1',
    '[1,',
    '[1,]',
    '[,1]',
    '[1]]',
    '[1]x',
    '[{]}',
    '[}]',
    '["]',
    '["\\"]',
    '["\\',
    ']',
    '',
    ' ',
    '"[',
    '[1 2]',
  ])('refuses %j', (text) => {
    expect(whole(text)).toBe('MALFORMED_JSON');
    expect(inParts(text)).toBe('MALFORMED_JSON');
  });

  test('a member is counted without the blanks around it, and passed over where it is too large', () => {
    const body = Buffer.from(`[ 1${' '.repeat(500)},\n"${'ü'.repeat(60)}" , {"a":[[["]"]]]} ]`);
    expect([...elements(body)].map(([start, end]) => end - start)).toEqual([1, 122, 15]);
    const items = [...readLarge(body, 'json', { ...limits, maxItems: 3, maxItemBytes: 121 })];
    expect(items).toMatchObject([{ value: 1 }, { problem: { code: 'PING_TOO_LARGE' } }, { value: { a: [[[']']]] } }]);
  });

  test('no more items than may are looked at, whatever follows', () => {
    const few = { ...limits, maxItems: 2, maxItemBytes: 10 };
    expect(outcome(() => readLarge(Buffer.from('[1,2,3,'), 'json', few))).toBe('TOO_MANY_PINGS');
    expect(outcome(() => readLarge(Buffer.from('1\n\n2\n \r\n'), 'ndjson', few))).toEqual([1, 2]);
    expect(outcome(() => readLarge(Buffer.from('1\n2\n3'), 'ndjson', few))).toBe('TOO_MANY_PINGS');
    expect(outcome(() => readLarge(Buffer.from('\n \t\n'), 'ndjson', few))).toBe('EMPTY_REQUEST');
  });
});
