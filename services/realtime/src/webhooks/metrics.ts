import type { Metrics } from '@worktide/runtime';

export type WebhookMetrics = ReturnType<typeof webhookMetrics>;

/** What an operator sees of webhooks. */
export function webhookMetrics(metrics: Metrics) {
  const waiting = metrics.gauge('worktide_webhook_deliveries_waiting', 'Deliveries not made yet, of all replicas');
  const oldest = metrics.gauge('worktide_webhook_deliveries_oldest_seconds', 'How long the oldest of them has waited');
  const failing = metrics.gauge('worktide_webhooks_failing', 'Webhooks whose last delivery failed');
  const running = metrics.gauge('worktide_webhooks_running', 'Webhooks that this process delivers to now');
  for (const gauge of [waiting, oldest, failing, running]) gauge.set(0);
  return {
    waiting,
    oldest,
    failing,
    running,
    added: metrics.counter('worktide_webhook_deliveries_total', 'Deliveries that events have made due'),
    tries: metrics.counter('worktide_webhook_tries_total', 'Tries to deliver, by what became of them', ['outcome']),
    seconds: metrics.histogram(
      'worktide_webhook_try_seconds',
      'Time of a try, from the look at the name to the end of the answer',
      [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
    ),
    failed: metrics.counter('worktide_webhook_deliveries_failed_total', 'Deliveries that were tried for a day in vain'),
    off: metrics.counter('worktide_webhooks_off_total', 'Webhooks that were switched off by the service', ['reason']),
    lost: metrics.counter(
      'worktide_webhook_tries_lost_total',
      'Tries whose webhook was another’s, or gone, by their end',
    ),
  };
}
