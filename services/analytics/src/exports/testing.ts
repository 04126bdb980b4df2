import { unzipSync } from 'fflate';
import readWorkbook from 'read-excel-file/node';

/** The sheets of a workbook, read by somebody else's library, which trims nothing. */
export async function readSheets(file: Buffer): Promise<{ name: string; rows: unknown[][]; xml: string }[]> {
  const parts = unzipSync(file);
  const sheets = await readWorkbook(file, { trim: false });
  return sheets.map(({ sheet, data }, i) => ({
    name: sheet,
    rows: data,
    xml: Buffer.from(parts[`xl/worksheets/sheet${i + 1}.xml`]!).toString(),
  }));
}

/** The cells of a CSV, by RFC 4180 alone. @throws Error where it is none. */
export function readCsv(text: string): string[][] {
  const rows: string[][] = [];
  let row: string[] = [];
  const cell = /(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r\n)/y;
  cell.lastIndex = text.startsWith('\ufeff') ? 1 : 0;
  while (cell.lastIndex < text.length) {
    const at = cell.lastIndex;
    const found = cell.exec(text);
    if (!found) throw new Error(`no CSV at ${at}: ${JSON.stringify(text.slice(at, at + 40))}`);
    row.push(found[1] === undefined ? found[2]! : found[1].replaceAll('""', '"'));
    if (found[3] === '\r\n') {
      rows.push(row);
      row = [];
    }
  }
  return rows;
}
