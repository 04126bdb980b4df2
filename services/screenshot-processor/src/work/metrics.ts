import type { Metrics } from '@worktide/runtime';

export type WorkMetrics = ReturnType<typeof workMetrics>;

/** What an operator sees of the work on pictures. */
export function workMetrics(metrics: Metrics) {
  const waiting = metrics.gauge('worktide_screenshots_waiting', 'Pictures not yet processed, of all replicas');
  const oldest = metrics.gauge('worktide_screenshots_oldest_seconds', 'How long the oldest of them has waited');
  waiting.set(0);
  oldest.set(0);
  return {
    waiting,
    oldest,
    running: metrics.gauge('worktide_screenshots_running', 'Rows in work in this process'),
    seconds: metrics.histogram(
      'worktide_screenshot_seconds',
      'Time of one picture, from taking it up to its row, with its way from and to the store',
      [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60],
    ),
    bytes: metrics.counter('worktide_screenshot_bytes_total', 'Bytes of uploads (in) and of results (out)', [
      'direction',
    ]),
    ready: metrics.counter('worktide_screenshots_ready_total', 'Pictures processed', ['level']),
    failures: metrics.counter('worktide_screenshots_failed_total', 'Pictures that cannot be processed', ['code']),
    postponed: metrics.counter(
      'worktide_screenshots_postponed_total',
      'Rows put back because something else failed, to be tried again',
    ),
    lost: metrics.counter('worktide_screenshots_overtaken_total', 'Pictures deleted or taken by others while in work'),
  };
}
