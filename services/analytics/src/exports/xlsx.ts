import { once } from 'node:events';
import { Readable } from 'node:stream';
import { ZipFile } from 'yazl';
import type { Column, Row } from './columns.ts';
import { contentTypes, rowWriter, sheetEnd, sheetHead, sheetPath, workbookParts } from './sheet.ts';

/** Rows that a sheet of Excel has, its heading among them. */
const maxSheetRows = 1_048_576;
/** The fastest: what is exported is downloaded once, and compresses well anyway. */
const compressionLevel = 1;

/**
 * A workbook. Where there are more rows than a sheet has they go on in the next, under the same heading.
 * @param options.rowsOfSheet heading included; Excel's limit unless said.
 */
export async function* toXlsx(
  batches: AsyncIterable<Row[]>,
  columns: readonly Column[],
  { name, rowsOfSheet = maxSheetRows }: { name: string; rowsOfSheet?: number },
): AsyncGenerator<Buffer> {
  const zip = new ZipFile();
  const output = zip.outputStream as Readable;
  zip.on('error', (error) => output.destroy(error as Error));
  const text = (part: string, path: string): void => zip.addBuffer(Buffer.from(part), path, { compressionLevel });
  const source = batches[Symbol.asyncIterator]();
  const write = rowWriter(columns);
  /** Read, but for the next sheet. */
  let left: Row[] = [];

  async function* sheet(): AsyncGenerator<Buffer> {
    yield Buffer.from(sheetHead(columns));
    let n = 2;
    for (;;) {
      if (left.length === 0) {
        const next = await source.next();
        if (next.done) break;
        left = next.value;
      }
      const rows = left.slice(0, rowsOfSheet + 1 - n);
      left = left.slice(rows.length);
      yield Buffer.from(write(rows, n));
      n += rows.length;
      if (left.length > 0) break;
    }
    yield Buffer.from(sheetEnd);
  }

  async function addAll(): Promise<void> {
    text(contentTypes, '[Content_Types].xml');
    let sheets = 0;
    do {
      const content = Readable.from(sheet(), { objectMode: false });
      content.on('error', (error) => output.destroy(error));
      zip.addReadStream(content, sheetPath(++sheets), { compressionLevel });
      await once(content, 'end');
    } while (left.length > 0);
    for (const [path, part] of Object.entries(workbookParts(name, sheets))) text(part, path);
    zip.end();
  }

  const adding = addAll();
  // It is `output` that says so.
  adding.catch(() => {});
  for await (const chunk of output) yield chunk as Buffer;
}
