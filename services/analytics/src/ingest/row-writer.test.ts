import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { freshClickHouseDatabase } from '@worktide/backends';
import { type ClickHouse, createClickHouse } from '@worktide/clickhouse';
import { silentLogger } from '@worktide/runtime';
import fc from 'fast-check';
import { createRowWriter, uuidBytes } from './row-writer.ts';

let database: Awaited<ReturnType<typeof freshClickHouseDatabase>>;
let clickhouse: ClickHouse;
beforeAll(async () => {
  database = await freshClickHouseDatabase();
  clickhouse = createClickHouse(database.url, { log: silentLogger() });
  await clickhouse.command(
    `CREATE TABLE t (n UInt64, id UUID, other Nullable(UUID), again UUID, text LowCardinality(String), small UInt8,
       day Date32, late Nullable(UInt64), list Array(Nullable(UInt64)))
     ENGINE = MergeTree ORDER BY n`,
  );
});
afterAll(async () => {
  await database.drop();
  await clickhouse.close();
});

test('what is written is what ClickHouse reads', async () => {
  const texts = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 200 }),
    fc.string({ unit: fc.constantFrom('a', 'é', '✓', '😀', '\0', '\n', '\ud800', '\udc00'), maxLength: 60 }),
    // Around the lengths at which the encoding of length or text changes.
    fc
      .tuple(fc.constantFrom(0, 47, 48, 49, 127, 128, 16_383, 16_384, 1_500_000), fc.constantFrom('x', 'é'))
      .map(([n, c]) => c.repeat(n)),
  );
  const rows = fc.record({
    n: fc.maxSafeNat(),
    id: fc.uuid(),
    upper: fc.boolean(),
    other: fc.option(fc.uuid(), { nil: undefined }),
    text: texts,
    small: fc.integer({ min: 0, max: 255 }),
    day: fc.integer({ min: 0, max: 84_000 }),
    late: fc.option(fc.maxSafeNat()),
    list: fc.oneof(
      fc.array(fc.option(fc.maxSafeNat()), { maxLength: 5 }),
      fc.constantFrom(127, 128, 20_000).map((length) => Array.from({ length }, (_, i) => i)),
    ),
  });
  await fc.assert(
    fc.asyncProperty(fc.uniqueArray(rows, { selector: (r) => r.n, minLength: 1, maxLength: 30 }), async (list) => {
      const writer = createRowWriter();
      for (const row of list) {
        writer.uint64(row.n);
        writer.uuid(row.upper ? row.id.toUpperCase() : row.id);
        writer.nullableUuid(row.other);
        writer.raw(uuidBytes(row.id));
        writer.string(row.text);
        writer.uint8(row.small);
        writer.uint32(row.day);
        writer.nullableUint64(row.late);
        writer.length(row.list.length);
        for (const value of row.list) writer.nullableUint64(value);
        writer.endRow();
      }
      expect(writer.rows).toBe(list.length);
      const { bytes } = writer;
      const data = writer.take();
      expect(Buffer.concat(data)).toHaveLength(bytes);
      expect([writer.rows, writer.bytes, writer.take()]).toEqual([0, 0, []]);
      await clickhouse.insert({
        table: 't',
        columns: ['n', 'id', 'other', 'again', 'text', 'small', 'day', 'late', 'list'],
        format: 'RowBinary',
        data,
      });
      const stored = await clickhouse.query('SELECT * FROM t ORDER BY n', {
        settings: { output_format_json_quote_64bit_integers: 0 },
      });
      const expected = [...list]
        .sort((a, b) => a.n - b.n)
        .map(({ upper, ...row }) => ({
          ...row,
          other: row.other ?? null,
          again: row.id,
          text: row.text.toWellFormed(),
          day: new Date(row.day * 86_400_000).toISOString().slice(0, 10),
        }));
      expect(stored).toEqual(expected);
      await clickhouse.command('TRUNCATE TABLE t');
    }),
    { numRuns: 15 },
  );
});
