import { type ClickHouse, resultIsTooLarge } from '@worktide/clickhouse';
import type { Reports } from '../reports/reports.ts';
import type { Asked } from './asked.ts';
import type { Row } from './columns.ts';
import { auditParts, type Parts, timeEntryParts, usageParts } from './entries.ts';
import { exportSettings } from './settings.ts';
import { writeDaily, writeParts, writeTeam, writeTimesheet } from './sums.ts';

/** Where rows go. */
export interface RowSink {
  /** Takes lines of JSON, cut anywhere; resolves when it has room for more. */
  add(chunk: Uint8Array): Promise<unknown>;
  /** So many rows there will be. @throws where they are too many. */
  expect(rows: number): void;
  /** So much of all is done, 0 to 1. */
  progress(done: number): void;
}

export interface RowsDeps {
  /** Of exports alone. */
  clickhouse: Pick<ClickHouse, 'query' | 'stream'>;
  reports: Reports;
  /** Rows of one question; 20,000 unless said. */
  partRows?: number;
}

/** A part with fewer rows than these that is too large for the server is a fault to see. */
const leastRows = 100;

/**
 * Reads the rows of an export, and gives them to the sink as they come. Lists are asked for in parts: an embedded ClickHouse
 * bounds an answer, and so no question takes long on any.
 * @param now until when what runs has run, the same for all of it.
 */
export async function writeRows(
  deps: RowsDeps,
  { organizationId, asked, now }: { organizationId: string; asked: Asked; now: number },
  sink: RowSink,
  signal: AbortSignal,
): Promise<void> {
  const { reports } = deps;
  const add = async (rows: readonly Row[], done: number): Promise<void> => {
    if (rows.length > 0) await sink.add(Buffer.from(rows.map((row) => `${JSON.stringify(row)}\n`).join('')));
    sink.progress(done);
  };
  const sums = { reports, organizationId, now, signal, add };
  switch (asked.report) {
    case 'daily':
      return writeDaily(sums, asked);
    case 'apps':
    case 'domains':
      return writeParts(sums, asked);
    case 'team':
      return writeTeam(sums, asked);
    case 'timesheet':
      return writeTimesheet(sums, asked);
    case 'usage':
      return writeList(deps, usageParts(organizationId, asked), sink, signal);
    case 'time-entries':
      return writeList(deps, timeEntryParts(organizationId, asked, now), sink, signal);
    case 'audit':
      return writeList(deps, auditParts(organizationId, asked), sink, signal);
  }
}

/** The rows of a part, as they came, and the last of them. */
interface Part {
  chunks: Buffer[];
  rows: number;
  last: Row | undefined;
}

const newline = 10;

async function writeList(
  { clickhouse, partRows = 20_000 }: RowsDeps,
  { count, part, maxRows = partRows }: Parts,
  sink: RowSink,
  signal: AbortSignal,
): Promise<void> {
  const settings = exportSettings;
  const [counted] = await clickhouse.query<{ rows: number }>(count.sql, { params: count.params, settings, signal });
  const all = Number(counted!.rows);
  sink.expect(all);
  let limit = Math.min(partRows, maxRows);

  async function read(after: Row | undefined): Promise<Part & { isLast: boolean }> {
    for (;;) {
      const { sql, params } = part(after, limit);
      try {
        const got = await collect(clickhouse.stream(sql, 'JSONCompactEachRow', { params, settings, signal }));
        return { ...got, isLast: got.rows < limit };
      } catch (error) {
        // Texts may be long: fewer of them, then.
        if (!resultIsTooLarge(error) || limit <= leastRows) throw error;
        limit = Math.max(leastRows, Math.floor(limit / 4));
      }
    }
  }

  // The next part is read while the one before is written, which takes about as long.
  let reading = read(undefined);
  let written = 0;
  for (;;) {
    const { chunks, rows, last, isLast } = await reading;
    if (!isLast) {
      reading = read(last);
      // Where writing fails before, nobody waits for it.
      reading.catch(() => {});
    }
    for (const chunk of chunks) await sink.add(chunk);
    written += rows;
    // What was stored meanwhile makes it more.
    sink.progress(written / Math.max(all, written, 1));
    if (isLast) return;
  }
}

/** All of a part: `max_result_bytes` bounds it. */
async function collect(answer: AsyncIterable<Buffer>): Promise<Part> {
  const chunks: Buffer[] = [];
  let rows = 0;
  for await (const chunk of answer) {
    chunks.push(chunk);
    for (let at = chunk.indexOf(newline); at >= 0; at = chunk.indexOf(newline, at + 1)) rows++;
  }
  return { chunks, rows, last: lastLine(chunks) };
}

/** Every line ends with a newline, the last one too. */
function lastLine(chunks: readonly Buffer[]): Row | undefined {
  let tail = Buffer.alloc(0);
  for (let i = chunks.length - 1; i >= 0; i--) {
    tail = Buffer.concat([chunks[i]!, tail]);
    const before = tail.lastIndexOf(newline, tail.length - 2);
    if (before >= 0 || i === 0) return JSON.parse(tail.subarray(before + 1).toString()) as Row;
  }
  return undefined;
}
