import { type ClickHouse, resultIsTooLarge } from '@worktide/clickhouse';
import type { Reports } from '../reports/reports.ts';
import type { Asked } from './asked.ts';
import type { Row } from './columns.ts';
import { auditParts, type Parts, timeEntryParts, usageParts } from './entries.ts';
import { exportSettings } from './settings.ts';
import { writeDaily, writeParts, writeTeam, writeTimesheet } from './sums.ts';

/** Where rows go. */
export interface RowSink {
  /** Takes lines of JSON. @returns the rows until now, and the last of them. */
  add(chunk: Uint8Array): Promise<{ rows: number; last: Row | undefined }>;
  /** So many rows there will be. @throws where they are too many. */
  expect(rows: number): void;
  /** So much of all is done, 0 to 1. */
  progress(done: number): void;
}

export interface RowsDeps {
  /** Of exports alone. */
  clickhouse: Pick<ClickHouse, 'query' | 'stream'>;
  reports: Reports;
  /** Rows of one question; 50,000 unless said. */
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

async function writeList(
  { clickhouse, partRows = 50_000 }: RowsDeps,
  { count, part }: Parts,
  sink: RowSink,
  signal: AbortSignal,
): Promise<void> {
  const settings = exportSettings;
  const [counted] = await clickhouse.query<{ rows: number }>(count.sql, { params: count.params, settings, signal });
  const all = Number(counted!.rows);
  sink.expect(all);
  let limit = partRows;
  let taken: { rows: number; last: Row | undefined } = { rows: 0, last: undefined };
  for (;;) {
    const before = taken.rows;
    const { sql, params } = part(taken.last, limit);
    try {
      for await (const chunk of clickhouse.stream(sql, 'JSONCompactEachRow', { params, settings, signal })) {
        taken = await sink.add(chunk);
      }
    } catch (error) {
      // Texts may be long: fewer of them, then. Nothing of the part has come.
      if (!resultIsTooLarge(error) || limit <= leastRows || taken.rows > before) throw error;
      limit = Math.max(leastRows, Math.floor(limit / 4));
      continue;
    }
    // What was stored meanwhile makes it more.
    sink.progress(taken.rows / Math.max(all, taken.rows, 1));
    if (taken.rows - before < limit) return;
  }
}
