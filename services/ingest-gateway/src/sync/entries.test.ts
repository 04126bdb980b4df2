import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { createEntryScanner } from './entries.ts';

const maxBytes = 100;

/** Entries, `too large` in place of what is, or the code of what is thrown. */
function scan(text: string, cuts: readonly number[] = [], limit = maxBytes): unknown {
  const body = Buffer.from(text);
  const scanner = createEntryScanner(limit);
  const found: unknown[] = [];
  try {
    let from = 0;
    for (const to of [...cuts.map((cut) => cut % (body.length + 1)).sort((a, b) => a - b), body.length]) {
      for (const entry of scanner.push(body.subarray(from, to))) {
        expect(entry.index).toBe(found.length);
        found.push('value' in entry ? entry.value : 'too large');
      }
      from = to;
    }
    scanner.end();
    return found;
  } catch (error) {
    return (error as { code?: string }).code ?? String(error);
  }
}

function parsed(text: string): unknown {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return 'INVALID_JSON';
  }
  const { entries } = (value ?? {}) as { entries?: unknown };
  return Array.isArray(entries) ? entries : 'MISSING_ENTRIES';
}

/** What has to be told apart: quotes that end a text, and those that do not. */
const slashed = fc.string({ unit: fc.constantFrom('\\', '"', 'a', ']', '}', ',') });
const blanks = fc.stringMatching(/^[ \t\r\n]{0,3}$/);
const cuts = fc.array(fc.nat(), { maxLength: 6 });
const bodies = fc
  .tuple(
    fc.dictionary(fc.string({ maxLength: 5 }), fc.jsonValue({ maxDepth: 2 }), { maxKeys: 3 }),
    fc.oneof(
      {
        weight: 8,
        arbitrary: fc.array(fc.oneof(fc.jsonValue({ maxDepth: 3 }), slashed, fc.array(slashed)), { maxLength: 5 }),
      },
      fc.jsonValue(),
    ),
    fc.dictionary(fc.string({ maxLength: 5 }), fc.jsonValue({ maxDepth: 2 }), { maxKeys: 2 }),
    blanks,
  )
  .map(
    ([before, entries, after, blank]) =>
      blank + JSON.stringify({ ...before, entries, ...after }, undefined, blank) + blank,
  );

describe('entries that are read as they come', () => {
  test('are those of the whole body, wherever it is cut', () => {
    fc.assert(
      fc.property(bodies, cuts, (text, at) => expect(scan(text, at, 1_000_000)).toEqual(parsed(text))),
      {
        numRuns: 1_000,
      },
    );
  });

  test('of a damaged body are refused where they are of the whole one', () => {
    const damage = fc.tuple(fc.nat(), fc.nat({ max: 3 }), fc.constantFrom('', ...'[]{}",:\\ 1n\u0000ü'.split('')));
    fc.assert(
      fc.property(bodies, fc.array(damage, { minLength: 1, maxLength: 3 }), cuts, (text, damages, at) => {
        let damaged = text;
        for (const [where, length, by] of damages) {
          const place = where % (damaged.length + 1);
          damaged = damaged.slice(0, place) + by + damaged.slice(place + length);
        }
        const [ours, theirs] = [scan(damaged, at, 1_000_000), parsed(damaged)];
        // That there are no entries may be seen before what is wrong behind it; that a value is there twice JSON.parse forgives.
        if (theirs === 'INVALID_JSON') expect(['INVALID_JSON', 'MISSING_ENTRIES']).toContain(ours);
        else if (ours !== 'INVALID_JSON' || damaged.split('"entries"').length < 3) expect(ours).toEqual(theirs);
      }),
      { numRuns: 3_000 },
    );
  });

  test.each([
    ['', 'INVALID_JSON'],
    ['\ufeff{"entries":[1]}', [1]],
    ['{"entries":[]}', []],
    ['{"a":{"entries":[1]},"entries":[2]}', [2]],
    ['{"entries":[1],"entries":[2]}', 'INVALID_JSON'],
    ['[{"entries":[1]}]', 'MISSING_ENTRIES'],
    ['{"entries":{}}', 'MISSING_ENTRIES'],
    ['{}', 'MISSING_ENTRIES'],
    ['{"entries":[1,]}', 'INVALID_JSON'],
    ['{"entries":[,1]}', 'INVALID_JSON'],
    ['{"entries":[1]},', 'INVALID_JSON'],
    ['{"entries":[1}', 'INVALID_JSON'],
    ['{"entries":[1]', 'INVALID_JSON'],
    ['{"entries":[01]}', 'INVALID_JSON'],
    ['{"entries" [1]}', 'INVALID_JSON'],
    ['{"\\u0065ntries":[1]}', [1]],
  ])('%j', (text, expected) => {
    for (const at of [[], Array.from({ length: text.length }, (_, i) => i)]) expect(scan(text, at)).toEqual(expected);
  });

  test('that are too large are passed over by themselves, in one piece or in many', () => {
    const text = `{"x":"${'}'.repeat(500)}","entries":[1,{"a":["${'\\"]'.repeat(50)}"]},"${'x'.repeat(98)}","${'x'.repeat(99)}"]}`;
    const expected = [1, 'too large', 'x'.repeat(98), 'too large'];
    for (const at of [[], [530, 600], Array.from({ length: text.length }, (_, i) => i)]) {
      expect(scan(text, at)).toEqual(expected);
    }
  });

  test('what is wrong is named by its place', () => {
    const scanner = createEntryScanner(maxBytes);
    const text = '{"entries":[{},{"a":tru}]}';
    expect(() => [...scanner.push(Buffer.from(text))]).toThrow(`at byte ${text.indexOf('{"a"')} (entries[1])`);
  });
});

test('what stands beside the entries is bounded, whether it is long or much', () => {
  const many = (n: number): string => `{${'"a":1,'.repeat(n)}"entries":[1]}`;
  expect(scan(many(300), [], 65_536)).toEqual([1]);
  expect(scan(many(1_000), [], 65_536)).toBe('TOO_MUCH_BESIDES');
  expect(scan(`{"entries":[1],"a":"${'x'.repeat(70_000)}"}`, [10_000], 65_536)).toBe('TOO_MUCH_BESIDES');
});
