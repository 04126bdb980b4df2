import type { ExportFormat } from '@worktide/schemas';
import type { Column, Row } from './columns.ts';
import { toCsv } from './csv.ts';
import { toJson } from './json.ts';
import { toParquet } from './parquet.ts';
import { toXlsx } from './xlsx.ts';

/** Writes rows as they come; holds a bounded part of them. */
export type Write = (
  batches: AsyncIterable<Row[]>,
  columns: readonly Column[],
  options: { name: string },
) => AsyncIterable<Buffer>;

export const formats: Record<ExportFormat, { contentType: string; write: Write }> = {
  csv: { contentType: 'text/csv', write: toCsv },
  xlsx: { contentType: 'application/vnd.openxmlformats-officedocument.spreadsheetml.sheet', write: toXlsx },
  json: { contentType: 'application/json', write: toJson },
  parquet: { contentType: 'application/vnd.apache.parquet', write: toParquet },
};
