import type { Column, ColumnType, Row } from './columns.ts';
import { isoText } from './instants.ts';

const plain = (value: unknown): string => JSON.stringify(value);
const values: Record<ColumnType, (value: unknown) => string> = {
  text: plain,
  date: plain,
  instant: (value) => `"${isoText(value as number)}"`,
  seconds: plain,
  count: plain,
  score: plain,
  flag: plain,
  list: plain,
  // It is JSON already.
  fields: (value) => value as string,
};

/** An array of objects, one a line. */
export async function* toJson(batches: AsyncIterable<Row[]>, columns: readonly Column[]): AsyncGenerator<Buffer> {
  const write = columns.map(({ type }) => values[type]);
  const keys = columns.map(({ name }, i) => `${i === 0 ? '{' : ','}${JSON.stringify(name)}:`);
  let before = '[\n';
  for await (const rows of batches) {
    let text = '';
    for (const row of rows) {
      text += before;
      before = ',\n';
      for (let i = 0; i < write.length; i++) {
        const value = row[i] ?? null;
        text += keys[i] + (value === null ? 'null' : write[i]!(value));
      }
      text += '}';
    }
    yield Buffer.from(text);
  }
  yield Buffer.from(before === '[\n' ? '[]\n' : '\n]\n');
}
