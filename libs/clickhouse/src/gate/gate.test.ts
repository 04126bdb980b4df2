import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { freshClickHouseDatabase } from '@worktide/backends';
import { silentLogger } from '@worktide/runtime';
import { type ClickHouse, createClickHouse } from '../client.ts';
import { viewsOf } from '../views.ts';
import { queryFailure } from './failures.ts';
import { namedFunctions } from './functions.ts';
import { catalogOf } from './gate.ts';
import { checkText } from './text.ts';
import { checkTree } from './tree.ts';

let database: Awaited<ReturnType<typeof freshClickHouseDatabase>>;
let clickhouse: ClickHouse;
beforeAll(async () => {
  database = await freshClickHouseDatabase();
  clickhouse = createClickHouse(database.url, { log: silentLogger() });
});
afterAll(async () => {
  await clickhouse?.close();
  await database?.drop();
});

test('every function that is allowed is one of the engine, or the form in which it shows one', async () => {
  const rows = await clickhouse.query<{ name: string }>('SELECT lower(name) AS name FROM system.functions');
  const known = new Set(rows.map(({ name }) => name));
  const ofTrees = ['lambda', 'untuple', 'exists', 'grouping', '_cast', 'casewithexpression', 'casewithoutexpression'];
  expect(
    namedFunctions.map((name) => name.toLowerCase()).filter((name) => !known.has(name) && !ofTrees.includes(name)),
  ).toEqual([]);
});

describe('the words of a query', () => {
  test.each<[string, string, string | undefined]>([
    ['SELECT 1', 'SELECT 1', undefined],
    [' select 1 ;; ', ' select 1', undefined],
    ['SELECT /* a\nb */ 1 -- c', 'SELECT     \n     1', undefined],
    ['SELECT 1\nFORMAT JSONCompact', 'SELECT 1', 'JSONCompact'],
    ['SELECT 1 format CSV;', 'SELECT 1', 'CSV'],
    ["(SELECT ';', 'it''s', `a b`, \"c\")", "(SELECT ';', 'it''s', `a b`, \"c\")", undefined],
    ["SELECT format('{}', 1)", "SELECT format('{}', 1)", undefined],
  ])('%j', (text, sql, format) => {
    expect(checkText(text)).toEqual({ sql, format });
  });
});

describe('the syntax tree of a query', () => {
  const tree = async (sql: string): Promise<string> => {
    const { stream } = await clickhouse.client.exec({ query: `EXPLAIN AST ${sql}` });
    return (await stream.toArray()).join('');
  };
  const readable = { database: 'v', views: new Set(['a']) };
  test.each([
    ['SELECT 1', false],
    ['SELECT * FROM a', true],
    ['SELECT * EXCEPT (x), a.* FROM v.a AS a', true],
    ['WITH b AS (SELECT 1 AS x) SELECT * FROM b WHERE x IN (1, 2) AND x NOT IN b', true],
    ['SELECT x, sum(y) FILTER (WHERE z) OVER (PARTITION BY x ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM a', true],
    ['SELECT x FROM a GROUP BY GROUPING SETS ((x), ()) HAVING count() > 1 ORDER BY x WITH FILL LIMIT 1 BY x', true],
    [
      "SELECT INTERVAL 1 DAY, x::String, CASE x WHEN 1 THEN 'a' ELSE 'b' END, EXTRACT(DAY FROM now()), [1, 2][1], t.1 FROM a",
      true,
    ],
    ['SELECT arrayMap((x, y) -> x + y, [1], [2])', false],
    ['SELECT x FROM a WINDOW w AS (PARTITION BY x)', true],
    ['SELECT DISTINCT x FROM a ARRAY JOIN y AS z QUALIFY row_number() OVER (ORDER BY x) = 1', true],
  ])('%s', async (sql, reads) => {
    expect(checkTree(await tree(sql), readable)).toBe(reads);
  });
  test.each([
    'SELECT * FROM v.b',
    'SELECT * FROM w.a',
    'SELECT file(x)',
    'SELECT * FROM a SETTINGS max_threads = 1',
    'SELECT 1 FORMAT CSV',
  ])('%s is refused', async (sql) => {
    const text = await tree(sql);
    expect(() => checkTree(text, readable)).toThrow(
      expect.objectContaining({ code: 'QUERY_REFUSED', statusCode: 400 }),
    );
  });
  test('what is no tree of a SELECT is refused', () => {
    for (const text of ['', 'InsertQuery', 'SelectWithUnionQuery (children 1)\n Something']) {
      expect(() => checkTree(text, readable)).toThrow(expect.objectContaining({ code: 'QUERY_REFUSED' }));
    }
  });
});

test('a catalogue filters every table: by its organisation, or entirely', () => {
  expect([viewsOf('d'), viewsOf('worktide'), viewsOf('default')]).toEqual(['d_v1', 'worktide_v1', 'worktide_v1']);
  const row = (database: string, name: string, isView: number, isOwned: number) => ({
    database,
    name,
    isView,
    isOwned,
  });
  const catalog = catalogOf('d', [row('d', 'a', 0, 1), row('d', 'b', 0, 0), row('d_v1', 'v', 1, 0)]);
  const id = '01890000-0000-7000-8000-000000000000';
  expect(catalog.filtersOf(id)).toBe(`{'d.a': 'organization_id = \\'${id}\\'', 'd.b': '0'}`);
  expect(() => catalog.filtersOf("' OR 1")).toThrow(TypeError);
  expect(() => catalogOf('d', [row('d', 'a', 0, 1)])).toThrow(expect.objectContaining({ statusCode: 503 }));
});

test('failures tell what is wrong with the query, and nothing else', () => {
  const text = (code: number, message: string, options = {}) =>
    queryFailure({ code, message }, 'SELECT ü x', options)?.message;
  expect(text(62, 'Syntax error: failed at position 20 (x)', { before: 10 })).toBe(
    'The query has a syntax error at line 1, column 9.',
  );
  expect(text(47, 'Unknown expression identifier `a` in scope SELECT a FROM d.t. (UNKNOWN_IDENTIFIER)')).toBe(
    'Unknown expression identifier `a`.',
  );
  expect(text(43, 'Illegal type of d.t. (ILLEGAL_TYPE_OF_ARGUMENT)', { hidden: ['d.'] })).toBe(
    'The query failed: ILLEGAL_TYPE_OF_ARGUMENT.',
  );
  expect(text(6, "Cannot parse string 'secret' as Int32")).toBe('The query failed: CANNOT_PARSE_TEXT.');
  expect(text(395, 'secret. (FUNCTION_THROW_IF_VALUE_IS_NON_ZERO) (version 1)')).toBe(
    'The query failed: FUNCTION_THROW_IF_VALUE_IS_NON_ZERO.',
  );
  expect(text(241, 'Memory limit exceeded')).toMatch(/more memory/);
  expect(text(202, 'Too many simultaneous queries')).toBeUndefined();
});
