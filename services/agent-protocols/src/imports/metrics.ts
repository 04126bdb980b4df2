import type { Metrics } from '@worktide/runtime';

export type ImportMetrics = ReturnType<typeof importMetrics>;

export const importMetrics = (metrics: Metrics) => ({
  waiting: metrics.gauge('worktide_imports_waiting', 'Imports that wait to be read or imported, or are in work'),
  oldest: metrics.gauge('worktide_imports_oldest_seconds', 'How long the oldest of them has waited'),
  read: metrics.counter('worktide_imports_read_total', 'Files of imports that were looked at', ['kind']),
  rows: metrics.counter('worktide_imports_rows_total', 'Rows of files that were imported, or left out', ['kind']),
  imported: metrics.counter('worktide_imports_imported_total', 'Imports of which all is on the log', ['kind']),
  failed: metrics.counter('worktide_imports_failed_total', 'Imports that cannot be done', ['code']),
  postponed: metrics.counter('worktide_imports_postponed_total', 'Imports put back because something was away'),
  removed: metrics.counter('worktide_imports_taken_out_total', 'Imports that were taken out again'),
  swept: metrics.counter('worktide_imports_swept_total', 'Imports and files that a sweep removed', ['kind']),
});
