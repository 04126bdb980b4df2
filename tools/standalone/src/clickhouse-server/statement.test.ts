import { describe, expect, test } from '@jest/globals';
import { parseStatement } from './statement.ts';

const insert = (text: string) => {
  const s = parseStatement(text);
  if (s.kind !== 'insert') throw new Error(`not an insert with data: ${text}`);
  return { target: s.target, settings: s.settings, format: s.format, data: text.slice(s.dataStart) };
};
const other = (text: string) => {
  const s = parseStatement(text);
  if (s.kind !== 'other') throw new Error(`an insert with data: ${text}`);
  return s;
};

describe('inserts that carry data', () => {
  const plain = { target: 'INSERT INTO t', settings: '', format: 'TSV' };
  test.each([
    ['INSERT INTO t FORMAT TSV', plain, ''],
    ['insert into t format TSV\n1\t2\n', { ...plain, target: 'insert into t' }, '1\t2\n'],
    ['INSERT INTO t FORMAT TSV 1\t2', plain, '1\t2'],
    ['INSERT INTO t FORMAT TSV\r\n\n', plain, '\n'],
    ['INSERT INTO t FORMAT TSV;', plain, ''],
    ['INSERT INTO t FORMAT TSV\n;', plain, ''],
    [
      '/* FORMAT X */ INSERT INTO t -- VALUES\n FORMAT TSV\n1',
      { ...plain, target: '/* FORMAT X */ INSERT INTO t -- VALUES' },
      '1',
    ],
    [
      'INSERT INTO `a FORMAT b`.`c``d` (x, `VALUES`) FORMAT TSV\n1',
      { ...plain, target: 'INSERT INTO `a FORMAT b`.`c``d` (x, `VALUES`)' },
      '1',
    ],
    [
      'INSERT INTO format.values (format, select) FORMAT TSV\n1',
      { ...plain, target: 'INSERT INTO format.values (format, select)' },
      '1',
    ],
    ['INSERT INTO TABLE t VALUES (1)', { ...plain, target: 'INSERT INTO TABLE t', format: 'Values' }, ' (1)'],
    [
      "INSERT INTO FUNCTION null('a FORMAT Int') FORMAT TSV\n1",
      { ...plain, target: "INSERT INTO FUNCTION null('a FORMAT Int')" },
      '1',
    ],
    [
      "INSERT INTO t SETTINGS a=1, b='FORMAT X' FORMAT TSV\n1",
      { ...plain, settings: "SETTINGS a=1, b='FORMAT X'" },
      '1',
    ],
    ['INSERT INTO t (* EXCEPT(a)) VALUES', { ...plain, target: 'INSERT INTO t (* EXCEPT(a))', format: 'Values' }, ''],
    ['INSERT INTO t', { ...plain, format: undefined }, ''],
    ['INSERT INTO t (a, b);', { ...plain, target: 'INSERT INTO t (a, b)', format: undefined }, ''],
  ])('%j', (text, expected, data) => expect(insert(text)).toEqual({ ...expected, data }));

  test('what looks like SQL in the data is data', () => {
    expect(insert("INSERT INTO t FORMAT TSV\n; DROP TABLE t; '").data).toBe("; DROP TABLE t; '");
  });
});

describe('everything else goes to the engine as it is', () => {
  test.each([
    'INSERT INTO t SELECT 1',
    'INSERT INTO t (a) SELECT 1 FORMAT TSV',
    'INSERT INTO t WITH 1 AS a SELECT a',
    'INSERT INTO t (SELECT 1)',
    'INSERT INTO t (a) (SELECT 1)',
    "INSERT INTO t FROM INFILE 'x' FORMAT TSV",
  ])('%s', (text) => expect(other(text)).toMatchObject({ sql: text, isInsertSelect: true }));

  test.each([
    ['SELECT 1', undefined],
    ['SELECT 1 FORMAT JSON', 'JSON'],
    ['SELECT 1 FORMAT JSON SETTINGS max_threads = 1', 'JSON'],
    ["SELECT 'FORMAT CSV'", undefined],
    ['SELECT format FROM t', undefined],
    ['SELECT 1 -- FORMAT CSV', undefined],
    ['SELECT $x$ ; FORMAT CSV $x$ FORMAT TSV', 'TSV'],
    ['SELECT /* /* ; */ ; */ 1', undefined],
    ["SELECT 'it''s ;', 'a\\'; b', `a;b`, \"c;d\"", undefined],
  ])('%s has format %s', (sql, format) => expect(other(sql)).toMatchObject({ sql, format, isInsertSelect: false }));

  test.each(['SELECT 1;', 'SELECT 1 ; ;\n', 'SELECT 1; -- end', 'SELECT 1;/* end */'])('%j is one statement', (sql) => {
    expect(other(sql).sql).toBe('SELECT 1');
  });

  test.each([
    'SELECT 1; SELECT 2',
    'SELECT 1;;SELECT 2',
    'SELECT 1; -- x\nDROP TABLE t',
    'INSERT INTO t; DROP TABLE t',
  ])('%j is refused', (sql) => expect(() => parseStatement(sql)).toThrow('Multi-statements are not allowed'));
  test('data that the engine would not see is refused', () => {
    expect(() => parseStatement("INSERT INTO t SELECT a FROM input('a Int64') FORMAT TSV\n1")).toThrow('not supported');
    expect(other("SELECT 'input(' AS input").sql).toBe("SELECT 'input(' AS input");
  });
  test.each(['', ' \n', '-- nothing', '/* nothing'])('%j is no statement', (sql) => {
    expect(() => parseStatement(sql)).toThrow('Empty query');
  });
});
