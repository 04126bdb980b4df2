import type { Readable } from 'node:stream';
import { type AppError, invalid } from '@worktide/runtime';
import { parse } from 'csv-parse';

/** A row by the names of its columns, in small letters. */
export interface CsvRow {
  /** From 1, without the line of names. */
  row: number;
  get(...names: string[]): string;
}

/** One row with a long description; what is larger is no row of an export. */
const maxRowBytes = 64 * 1024;
const maxColumns = 200;
const rowsAtOnce = 200;

const nameOf = (text: string): string => text.trim().toLowerCase();

/**
 * Rows of a CSV file, some at a time. Separated by commas, or by semicolons where the line of names has these alone.
 * @param required groups of names, of each of which one is to be there.
 * @throws AppError 400 `MALFORMED_CSV`, `NOT_THIS_KIND`.
 */
export async function* readCsv(file: Readable, required: readonly (readonly string[])[]): AsyncGenerator<CsvRow[]> {
  const pieces = file[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  // All of the line of names, which tells what separates them.
  let head: Buffer = Buffer.alloc(0);
  while (!head.includes(0x0a) && head.length < maxRowBytes) {
    const piece = await pieces.next();
    if (piece.done) break;
    head = Buffer.concat([head, piece.value]);
  }
  if (head.length === 0) throw invalid('EMPTY_FILE', 'The file is empty.');
  const line = head.toString('utf8').split(/\r?\n/, 1)[0]!;
  const parser = parse({
    bom: true,
    delimiter: line.includes(';') && !line.includes(',') ? ';' : ',',
    relax_column_count: true,
    relax_quotes: true,
    skip_empty_lines: true,
    max_record_size: maxRowBytes,
  });
  async function feed(): Promise<void> {
    for (let piece: IteratorResult<Buffer> = { value: head }; !piece.done; piece = await pieces.next()) {
      if (!parser.write(piece.value)) {
        await new Promise<void>((resolve) => {
          parser.once('drain', resolve);
          parser.once('close', resolve);
        });
      }
      if (parser.destroyed) return;
    }
    parser.end();
  }
  // Its failure is the rows' failure, below.
  feed().catch((error: Error) => parser.destroy(error));
  let columns: Map<string, number> | undefined;
  let row = 0;
  let rows: CsvRow[] = [];
  try {
    for await (const record of parser as AsyncIterable<string[]>) {
      if (!columns) {
        columns = columnsOf(record);
        const missing = required.find((names) => !names.some((name) => columns!.has(name)));
        if (missing) throw invalid('NOT_THIS_KIND', `The file has no column “${missing[0]}”: it is no such export.`);
        continue;
      }
      const places = columns;
      row++;
      rows.push({
        row,
        get(...names) {
          for (const name of names) {
            const place = places.get(name);
            if (place !== undefined) return record[place]?.trim() ?? '';
          }
          return '';
        },
      });
      if (rows.length >= rowsAtOnce) {
        yield rows;
        rows = [];
      }
    }
  } catch (error) {
    throw malformed(error);
  } finally {
    parser.destroy();
    file.destroy();
  }
  if (!columns) throw invalid('EMPTY_FILE', 'The file has no line of names.');
  if (rows.length > 0) yield rows;
}

function columnsOf(record: readonly string[]): Map<string, number> {
  const columns = new Map<string, number>();
  for (const [place, text] of record.slice(0, maxColumns).entries()) {
    if (!columns.has(nameOf(text))) columns.set(nameOf(text), place);
  }
  return columns;
}

function malformed(error: unknown): unknown {
  const { code, lines } = error as { code?: string; lines?: number };
  if (!code?.startsWith('CSV_') && code !== 'INVALID_OPENING_QUOTE') return error;
  const found: AppError = invalid('MALFORMED_CSV', `The file is no CSV at line ${lines ?? '?'}.`);
  return Object.assign(found, { cause: error });
}
