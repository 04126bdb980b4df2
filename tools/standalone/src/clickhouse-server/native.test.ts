import { describe, expect, test } from '@jest/globals';
import { nativeFor } from './native.ts';

const varint = (value: number): number[] => (value < 128 ? [value] : [(value & 127) | 128, ...varint(value >> 7)]);
const text = (value: string): number[] => [...varint(Buffer.byteLength(value)), ...Buffer.from(value)];
const u64 = (...values: number[]): number[] =>
  values.flatMap((value) => {
    const bytes = Buffer.alloc(8);
    bytes.writeBigUInt64LE(BigInt(value));
    return [...bytes];
  });

interface Column {
  type: string;
  data: number[];
}
/** One block as the engine writes it, and as a client of a revision reads it. */
const block = (rows: number, columns: Column[]): number[] => [
  ...varint(columns.length),
  ...varint(rows),
  ...columns.flatMap(({ type, data }, i) => [...text(`c${i}`), ...text(type), ...data]),
];
const read = (rows: number, columns: Column[]): number[] => [
  ...[1, 0, 2, 255, 255, 255, 255, 0],
  ...varint(columns.length),
  ...varint(rows),
  ...columns.flatMap(({ type, data }, i) => [...text(`c${i}`), ...text(type), 0, ...data]),
];
const bytes = (count: number): number[] => Array.from({ length: count }, (_, i) => i % 251);

describe('blocks of format Native get what a client of a revision looks for', () => {
  const long = 'x'.repeat(300);
  const columns: Column[] = [
    { type: 'UInt8', data: bytes(2) },
    { type: "DateTime64(3, 'UTC')", data: bytes(16) },
    { type: 'Decimal(18, 3)', data: bytes(16) },
    { type: "Enum8('a,(' = 1, 'b\\'' = 2)", data: bytes(2) },
    { type: 'FixedString(3)', data: bytes(6) },
    { type: 'String', data: [...text(long), ...text('ü')] },
    { type: 'Nullable(String)', data: [0, 1, ...text('a'), ...text('')] },
    { type: 'Array(Nullable(UInt16))', data: [...u64(1, 3), ...bytes(3), ...bytes(6)] },
    { type: 'Array(Array(String))', data: [...u64(1, 2), ...u64(2, 3), ...text('a'), ...text('b'), ...text('c')] },
    { type: 'Map(String, UInt64)', data: [...u64(0, 1), ...text('k'), ...u64(7)] },
    {
      type: 'Tuple(a UInt8, `b c` Array(UInt8), String)',
      data: [...bytes(2), ...u64(0, 2), ...bytes(2), ...text('p'), ...text('q')],
    },
    { type: 'IntervalDay', data: bytes(16) },
    { type: 'UUID', data: bytes(32) },
    // A version; kind of the keys, two of them; two rows of one byte each.
    { type: 'LowCardinality(String)', data: [...u64(1, 0x600, 2), ...text(''), ...text('a'), ...u64(2), 1, 0] },
    { type: 'LowCardinality(Nullable(String))', data: [...u64(1, 0x601, 1), ...text(''), ...u64(2), 0, 0, 0, 0] },
    {
      type: 'Array(LowCardinality(String))',
      data: [...u64(1), ...u64(1, 1), ...u64(0x600, 1), ...text('b'), ...u64(1), 0],
    },
  ];

  test.each(columns.map((column) => [column.type, column] as const))('%s', (_, column) => {
    const sent = Buffer.from([...block(2, [column, column]), ...block(2, [column])]);
    expect([...nativeFor(54_460, sent)]).toEqual([...read(2, [column, column]), ...read(2, [column])]);
  });

  test('all of them together, none, and a block without rows', () => {
    expect([...nativeFor(54_460, Buffer.from(block(2, columns)))]).toEqual(read(2, columns));
    expect(nativeFor(54_460, Buffer.alloc(0))).toHaveLength(0);
    const empty = columns.map(({ type }) => ({ type, data: [] }));
    expect([...nativeFor(54_460, Buffer.from(block(0, empty)))]).toEqual(read(0, empty));
  });

  test('an older one gets the info of the block alone', () => {
    const sent = block(2, columns);
    expect([...nativeFor(54_000, Buffer.from(sent))]).toEqual([1, 0, 2, 255, 255, 255, 255, 0, ...sent]);
  });

  test('a type whose length is not known is refused, not guessed', () => {
    const sent = Buffer.from(block(1, [{ type: 'Dynamic', data: [1] }]));
    expect(() => nativeFor(54_460, sent)).toThrow(expect.objectContaining({ code: 48 }));
  });
});
