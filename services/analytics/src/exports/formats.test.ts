import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { freshClickHouseDatabase } from '@worktide/backends';
import { type ClickHouse, createClickHouse } from '@worktide/clickhouse';
import { silentLogger } from '@worktide/runtime';
import type { ExportFormat } from '@worktide/schemas';
import type { Column, Row } from './columns.ts';
import { formats } from './formats.ts';
import { createLines } from './lines.ts';
import { openThread } from './open-thread.ts';
import { readCsv, readSheets } from './testing.ts';
import { toXlsx } from './xlsx.ts';

const columns: Column[] = [
  { name: 'text', type: 'text' },
  { name: 'date', type: 'date' },
  { name: 'at', type: 'instant' },
  { name: 'seconds', type: 'seconds' },
  { name: 'count', type: 'count' },
  { name: 'score', type: 'score' },
  { name: 'flag', type: 'flag' },
  { name: 'list', type: 'list' },
  { name: 'fields', type: 'fields' },
];
const at = Date.parse('2026-11-20T23:59:59.007Z');
/** 37:05:24 */
const long = 37 * 3_600 + 5 * 60 + 24;
const hostile = [
  "=cmd|' /C calc'!A0",
  '+1',
  '-2h',
  '@x',
  '\tx',
  '\rx',
  '=1+1\n=2',
  'a,"b";c',
  '"',
  ' x ',
  'two\nlines',
  'שלום عالم',
  '👩‍👩‍👧 🇩🇪',
  '<&>]]>',
  'bell\u0007',
  '_x0041_',
  '',
];
const rows: Row[] = [
  ['plain', '2026-11-20', at, long, 5_000_000_000, 99.5, true, ['a', 'b, c'], '{"a":[1]}'],
  Array.from(columns, () => null),
  ...hostile.map((text) => [text, '2026-02-28', 0, 0, 0, 0, false, [text], '{}']),
];

async function* batchesOf(all: readonly Row[], size = 7): AsyncGenerator<Row[]> {
  for (let i = 0; i < all.length; i += size) yield all.slice(i, i + size);
}
async function collect(parts: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks = [];
  for await (const part of parts) chunks.push(part);
  return Buffer.concat(chunks);
}
const write = (format: ExportFormat, all: readonly Row[]): Promise<Buffer> =>
  collect(formats[format].write(batchesOf(all), columns, { name: 'a & b' }));

describe('csv', () => {
  test('is RFC 4180 with a byte order mark, and each value reads as it was', async () => {
    const bytes = await write('csv', rows);
    expect(bytes.subarray(0, 3)).toEqual(Buffer.from([0xef, 0xbb, 0xbf]));
    const [head, first, empty] = readCsv(bytes.toString());
    expect(head).toEqual(columns.map(({ name }) => name));
    expect(first).toEqual([
      'plain',
      '2026-11-20',
      '2026-11-20T23:59:59.007Z',
      String(long),
      '5000000000',
      '99.5',
      'true',
      'a, b, c',
      '{"a":[1]}',
    ]);
    expect(empty).toEqual(columns.map(() => ''));
  });

  test('a cell that a spreadsheet would run begins with an apostrophe, every other one is what it was', async () => {
    const cells = readCsv((await write('csv', rows)).toString()).slice(3);
    const expected = hostile.map((text) => (/^[=+\-@\t\r]/.test(text) ? `'${text}` : text));
    expect(cells.map(([text]) => text)).toEqual(expected);
    expect(cells.map((row) => row[7])).toEqual(expected);
  });

  test('without rows is its heading', async () => {
    expect(readCsv((await write('csv', [])).toString())).toEqual([columns.map(({ name }) => name)]);
  });
});

describe('json', () => {
  test('is one array of objects, typed', async () => {
    const all = JSON.parse((await write('json', rows)).toString());
    expect(all).toHaveLength(rows.length);
    expect(all[0]).toEqual({
      text: 'plain',
      date: '2026-11-20',
      at: '2026-11-20T23:59:59.007Z',
      seconds: long,
      count: 5_000_000_000,
      score: 99.5,
      flag: true,
      list: ['a', 'b, c'],
      fields: { a: [1] },
    });
    expect(Object.values(all[1])).toEqual(columns.map(() => null));
    expect(all.slice(2).map(({ text }: { text: string }) => text)).toEqual(hostile);
  });

  test('without rows is an array too', async () => {
    expect(JSON.parse((await write('json', [])).toString())).toEqual([]);
  });
});

describe('xlsx', () => {
  test('numbers are numbers, instants and days are dates, durations sum, texts are texts', async () => {
    const bytes = await write('xlsx', rows);
    const [sheet] = await readSheets(bytes);
    expect(sheet!.name).toBe('a & b');
    const [head, first, empty] = sheet!.rows;
    expect(head).toEqual(columns.map(({ name }) => name));
    const [days, instant, duration] = [first![1], first![2], first![3]] as Date[];
    expect(days).toEqual(new Date('2026-11-20T00:00:00Z'));
    // The reader rounds down what a number of days cannot hold exactly.
    expect(Math.abs(instant!.getTime() - at)).toBeLessThanOrEqual(1);
    // It takes [h]:mm:ss for a date; what counts is that it is a number of days, which sums.
    expect((duration!.getTime() - Date.UTC(1899, 11, 30)) / 1_000).toBe(long);
    expect(first).toEqual(['plain', days, instant, duration, 5_000_000_000, 99.5, true, 'a, b, c', '{"a":[1]}']);
    expect(empty).toEqual(columns.map(() => null));
  });

  test('what looks like a formula is a text and unchanged, whatever stands in it', async () => {
    const [sheet] = await readSheets(await write('xlsx', rows));
    const shown = (text: string): string | null => (text === '' ? null : text.replaceAll(/\r\n?/g, '\n'));
    expect(sheet!.rows.slice(3).map(([text]) => text)).toEqual(hostile.map(shown));
    expect(sheet!.xml).not.toContain('<f>');
  });

  test('rows that a sheet has no room for go on in the next, under the heading again', async () => {
    const many = Array.from({ length: 9 }, (_, i) => [`row ${i}`]);
    const few: Column[] = [{ name: 'text', type: 'text' }];
    for (const [rowsOfSheet, sizes] of [
      [4, [3, 3, 3]],
      [5, [4, 4, 1]],
      [10, [9]],
    ] as const) {
      const file = await collect(toXlsx(batchesOf(many, 2), few, { name: 'x', rowsOfSheet }));
      const sheets = await readSheets(file);
      expect(sheets.map(({ rows: [head, ...rest] }) => [head, rest.length])).toEqual(
        sizes.map((size) => [['text'], size]),
      );
      expect(sheets.flatMap(({ rows: [, ...rest] }) => rest)).toEqual(many);
    }
  });

  test('a text longer than a cell may be is cut', async () => {
    const [sheet] = await readSheets(
      await collect(toXlsx(batchesOf([['x'.repeat(40_000)]]), [{ name: 'text', type: 'text' }], { name: 'x' })),
    );
    expect(sheet!.rows[1]![0]).toBe(`${'x'.repeat(32_766)}…`);
  });
});

describe('parquet', () => {
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

  test('ClickHouse reads its columns as the types that they are', async () => {
    await clickhouse.command(`CREATE TABLE read (n UInt64 DEFAULT rowNumberInAllBlocks(), text Nullable(String),
      date Nullable(Date32), at Nullable(DateTime64(3, 'UTC')), seconds Nullable(Int32), count Nullable(Int64),
      score Nullable(Float64), flag Nullable(Bool), list Nullable(String), fields Nullable(String)) ENGINE = Memory`);
    const many = Array.from({ length: 45_000 }, (_, i) => rows[i % rows.length]!);
    const insert = { table: 'read', columns: columns.map(({ name }) => name), format: 'Parquet' };
    await clickhouse.insert({ ...insert, data: [await write('parquet', many)] });
    const read = await clickhouse.query<Record<string, unknown>>(
      `SELECT count() AS rows, sum(seconds) AS seconds, sum(count) AS counts, sum(score) AS scores, countIf(flag) AS flags,
        sum(toUnixTimestamp64Milli(at)) AS instants, uniqExact(text) AS texts, countIf(date = '2026-11-20') AS days,
        countIf(list = '["a","b, c"]') AS lists, countIf(fields = '{"a":[1]}') AS objects FROM read
        SETTINGS output_format_json_quote_64bit_integers = 0`,
    );
    const firsts = many.filter(([text]) => text === 'plain').length;
    expect(read).toEqual([
      {
        rows: many.length,
        seconds: firsts * long,
        counts: firsts * 5_000_000_000,
        scores: firsts * 99.5,
        flags: firsts,
        instants: firsts * at,
        texts: hostile.length + 1,
        days: firsts,
        lists: firsts,
        objects: firsts,
      },
    ]);
  });

  test('without rows is a file with no rows', async () => {
    await clickhouse.command('CREATE TABLE none (text Nullable(String)) ENGINE = Memory');
    await clickhouse.insert({
      table: 'none',
      columns: ['text'],
      format: 'Parquet',
      data: [await write('parquet', [])],
    });
    expect(await clickhouse.query('SELECT count() AS n FROM none')).toEqual([{ n: 0 }]);
  });
});

describe('the thread', () => {
  const lines = Buffer.from(rows.map((row) => `${JSON.stringify(row)}\n`).join(''));

  test.each(Object.keys(formats) as ExportFormat[])('writes %s out of pieces that are cut anywhere', async (format) => {
    const thread = openThread({ format, columns, name: 'a & b' });
    const file = collect(thread.output);
    let taken = { rows: 0 };
    for (let i = 0; i < lines.length; i += 100) taken = await thread.add(lines.subarray(i, i + 100));
    expect(taken).toEqual({ rows: rows.length });
    thread.end();
    // A zip has the time in it, and both may be parted by a second.
    if (format === 'xlsx') expect((await readSheets(await file))[0]!.rows).toHaveLength(rows.length + 1);
    else expect(await file).toEqual(await write(format, rows));
  });

  test('does not write ahead of its reader', async () => {
    const thread = openThread({ format: 'csv', columns: [{ name: 'text', type: 'text' }], name: 'x' });
    const chunk = Buffer.from(`${JSON.stringify(['x'.repeat(1_000_000)])}\n`);
    let taken = 0;
    const adding = (async () => {
      for (; taken < 20; taken++) await thread.add(chunk);
      thread.end();
    })();
    // Nobody reads: it stops once so much is on its way.
    let before = -1;
    while (taken !== before) {
      before = taken;
      await new Promise((resolve) => setTimeout(resolve, 300));
    }
    expect(taken).toBeLessThan(10);
    expect((await collect(thread.output)).length).toBe(20 * 1_000_002 + 3 + 'text\r\n'.length);
    await adding;
  });

  test('that is ended fails whoever waits for it, and that dies fails its file', async () => {
    const thread = openThread({ format: 'csv', columns, name: 'x' });
    const file = collect(thread.output);
    const error = new Error('not wanted');
    thread.fail(error);
    await expect(file).rejects.toBe(error);
    await expect(thread.add(lines)).rejects.toBe(error);

    const broken = openThread({ format: 'csv', columns, name: 'x' });
    await Promise.all([
      expect(collect(broken.output)).rejects.toThrow(/JSON/),
      expect(broken.add(Buffer.from('no JSON\n'))).rejects.toThrow(/JSON/),
    ]);
  });
});

test('lines come whole, however they are cut', () => {
  const text = Buffer.from('["a\\n✓"]\n[2]\n[3]\n');
  for (let size = 1; size <= text.length; size++) {
    const lines = createLines();
    const read: Row[] = [];
    for (let i = 0; i < text.length; i += size) read.push(...lines.add(text.subarray(i, i + size)));
    expect(read).toEqual([['a\n✓'], [2], [3]]);
  }
});
