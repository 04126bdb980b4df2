import type { Metrics } from '@worktide/runtime';

export type ExportMetrics = ReturnType<typeof exportMetrics>;

/** What an operator sees of exports. */
export function exportMetrics(metrics: Metrics) {
  const waiting = metrics.gauge('worktide_exports_waiting', 'Exports that wait or are in work, of all replicas');
  const oldest = metrics.gauge('worktide_exports_oldest_seconds', 'How long ago the oldest of them was asked for');
  const running = metrics.gauge('worktide_exports_running', 'Exports in work in this process');
  for (const gauge of [waiting, oldest, running]) gauge.set(0);
  return {
    waiting,
    oldest,
    running,
    seconds: metrics.histogram(
      'worktide_export_seconds',
      'Time of an export that became ready, from taking it up to its file in the store',
      [0.1, 0.5, 1, 5, 15, 60, 300, 1_800],
      ['format'],
    ),
    rows: metrics.counter('worktide_export_rows_total', 'Rows of exports that became ready', ['format']),
    bytes: metrics.counter('worktide_export_bytes_total', 'Bytes of exports that became ready', ['format']),
    ready: metrics.counter('worktide_exports_ready_total', 'Exports that became ready', ['report', 'format']),
    failed: metrics.counter('worktide_exports_failed_total', 'Exports that cannot be done', ['code']),
    retried: metrics.counter('worktide_exports_retried_total', 'Tries that failed, and that others follow', ['code']),
    postponed: metrics.counter(
      'worktide_exports_postponed_total',
      'Exports put back because something else was away, to be tried again',
    ),
    lost: metrics.counter('worktide_exports_overtaken_total', 'Exports cancelled or taken by others while in work'),
  };
}
