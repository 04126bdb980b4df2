import { describe, expect, test } from '@jest/globals';
import { splitStatements, tokens } from './sql.ts';

describe('splitStatements', () => {
  test.each<[string, string[]]>([
    ['', []],
    ['  -- nothing\n /* ; */ ;;', []],
    ['SELECT 1', ['SELECT 1']],
    ['SELECT 1;\nSELECT 2;\n', ['SELECT 1', 'SELECT 2']],
    [
      "SELECT ';', 'it''s ;', 'a\\';b'; SELECT `a;b`, \"c;d\"",
      ["SELECT ';', 'it''s ;', 'a\\';b'", 'SELECT `a;b`, "c;d"'],
    ],
    ['SELECT 1 -- ; not here\n; SELECT 2 /* ; /* ; */ ; */', ['SELECT 1 -- ; not here', 'SELECT 2 /* ; /* ; */ ; */']],
    ['SELECT $x$ ; $x$; SELECT $y', ['SELECT $x$ ; $x$', 'SELECT $y']],
    ["SELECT 'unended ; ", ["SELECT 'unended ;"]],
  ])('%j', (text, expected) => expect(splitStatements(text)).toEqual(expected));
});

test('tokens tell names, words, literals and symbols apart', () => {
  expect([...tokens("INSERT `a` 1.5e3 'x' $h$ y $h$ (#! rest")].map((t) => [t.kind, t.text])).toEqual([
    ['word', 'INSERT'],
    ['quoted', '`a`'],
    ['literal', '1.5e3'],
    ['literal', "'x'"],
    ['literal', '$h$ y $h$'],
    ['symbol', '('],
  ]);
});
