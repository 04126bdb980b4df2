import type { Column, ColumnType, Row } from './columns.ts';
import { isoText } from './instants.ts';

/** What a spreadsheet takes for the beginning of a formula, and what CSV has to quote. `;` parts cells in half of Europe. */
const formula = /^\s*[=+\-@＝＋－＠]|^[\t\r\n]/;
const special = /[",;\r\n]/;

/** A text as a cell: one that a spreadsheet would run begins with an apostrophe (rule Exports: cells run nothing). */
function textCell(text: string): string {
  const safe = formula.test(text) ? `'${text}` : text;
  if (safe === text && !special.test(text)) return text;
  return `"${safe.replaceAll('"', '""')}"`;
}

const cells: Record<ColumnType, (value: unknown) => string> = {
  text: (value) => textCell(value as string),
  date: (value) => value as string,
  instant: (value) => isoText(value as number),
  seconds: String,
  count: String,
  score: String,
  flag: String,
  list: (value) => textCell((value as string[]).join(', ')),
  fields: (value) => textCell(value as string),
};

/** RFC 4180, UTF-8 with a byte order mark, without which Excel reads another alphabet. */
export async function* toCsv(batches: AsyncIterable<Row[]>, columns: readonly Column[]): AsyncGenerator<Buffer> {
  const write = columns.map(({ type }) => cells[type]);
  yield Buffer.from(`\ufeff${columns.map(({ name }) => name).join(',')}\r\n`);
  for await (const rows of batches) {
    let text = '';
    for (const row of rows) {
      for (let i = 0; i < write.length; i++) {
        if (i > 0) text += ',';
        const value = row[i];
        if (value !== null && value !== undefined) text += write[i]!(value);
      }
      text += '\r\n';
    }
    yield Buffer.from(text);
  }
}
