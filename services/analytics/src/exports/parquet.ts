import { ByteWriter, type ColumnSource, ParquetWriter, type SchemaElement } from 'hyparquet-writer';
import type { Column, ColumnType, Row } from './columns.ts';

/** Rows of a group, and characters in them, which is as much as is held at once. */
const groupRows = 16_384;
const groupCharacters = 8_000_000;

const same = (value: unknown): unknown => value;
const string = { type: 'BYTE_ARRAY', converted_type: 'UTF8', logical_type: { type: 'STRING' } } as const;
/** How a column is declared, and what the writer takes as its value. */
const kinds: Record<
  ColumnType,
  { element: Omit<SchemaElement, 'name' | 'repetition_type'>; of: (value: unknown) => unknown }
> = {
  text: { element: string, of: same },
  date: {
    element: { type: 'INT32', converted_type: 'DATE', logical_type: { type: 'DATE' } },
    of: (value) => new Date(value as string),
  },
  instant: {
    element: {
      type: 'INT64',
      converted_type: 'TIMESTAMP_MILLIS',
      logical_type: { type: 'TIMESTAMP', isAdjustedToUTC: true, unit: 'MILLIS' },
    },
    of: (value) => new Date(value as number),
  },
  seconds: { element: { type: 'INT32' }, of: same },
  count: { element: { type: 'INT64' }, of: (value) => BigInt(value as number) },
  score: { element: { type: 'DOUBLE' }, of: same },
  flag: { element: { type: 'BOOLEAN' }, of: same },
  // As JSON's text: lists of lists are what half of the readers stumble over.
  list: { element: string, of: (value) => JSON.stringify(value) },
  fields: { element: string, of: same },
};

/** Typed columns, in groups of rows, each of which goes out before the next is begun. */
export async function* toParquet(batches: AsyncIterable<Row[]>, columns: readonly Column[]): AsyncGenerator<Buffer> {
  const writer = new ByteWriter();
  const schema: SchemaElement[] = [
    { name: 'root', num_children: columns.length },
    ...columns.map(({ name, type }): SchemaElement => ({ name, repetition_type: 'OPTIONAL', ...kinds[type].element })),
  ];
  const parquet = new ParquetWriter({ writer, schema, statistics: false, createdBy: 'worktide' });
  /** What was written since the last time; the writer's own place in the file stays as it is. */
  const taken = (): Buffer => {
    const bytes = Buffer.from(writer.getBytes());
    writer.index = 0;
    return bytes;
  };
  const group = (rows: readonly Row[]): Buffer => {
    const columnData = columns.map(({ name, type }, i): ColumnSource => {
      const { of } = kinds[type];
      const data = rows.map((row) => (row[i] === null || row[i] === undefined ? undefined : of(row[i])));
      return { name, data };
    });
    parquet.write({ columnData, rowGroupSize: groupRows });
    return taken();
  };
  let held: Row[] = [];
  let characters = 0;
  for await (const rows of batches) {
    for (const row of rows) {
      held.push(row);
      for (const value of row) if (typeof value === 'string') characters += value.length;
      if (held.length < groupRows && characters < groupCharacters) continue;
      yield group(held);
      [held, characters] = [[], 0];
    }
  }
  if (held.length > 0) yield group(held);
  parquet.finish();
  yield taken();
}
