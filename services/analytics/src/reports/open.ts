import { type ClickHouse, createClickHouse } from '@worktide/clickhouse';
import { createPeopleTurns, type Logger, type Metrics, type PeopleTurns } from '@worktide/runtime';
import { createReports, type Reports } from './reports.ts';
import { maxQuerySeconds } from './settings.ts';

/**
 * Reports as a service gives them: over connections of their own, since inserts must not wait for them, and by turns, so
 * that no number of reports that one person or organisation asks for keeps another's waiting longer than for one to end.
 */
export function openReports(
  url: string,
  { places, log, metrics }: { places: number; log: Logger; metrics: Metrics },
): { reports: Reports; turns: PeopleTurns; clickhouse: ClickHouse; close(): Promise<void> } {
  const clickhouse = createClickHouse(url, {
    log,
    application: 'worktide-reports',
    maxConnections: places,
    requestTimeoutMs: (maxQuerySeconds + 2) * 1_000,
  });
  const turns = createPeopleTurns({
    name: 'reports',
    places,
    maxWaitMs: 5_000,
    metrics,
    code: 'REPORTS_BUSY',
    message: 'Too many reports are asked for at the moment; try again.',
  });
  return { reports: createReports({ clickhouse }), turns, clickhouse, close: () => clickhouse.close() };
}
