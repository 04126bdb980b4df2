import type { Audit } from '@worktide/audit';
import type { Consumer, EventLog } from '@worktide/event-log';
import type { Limits } from '@worktide/key-value';
import type { Outbox, Pool, Reads } from '@worktide/postgres';
import type { AnyRoute, Lifecycle, Logger, Metrics } from '@worktide/runtime';
import type { SchemaRegistry } from '@worktide/schemas';
import type { Config } from '../config.ts';
import type { Teller } from '../notifications/tell.ts';
import { createAddressRules } from './addresses.ts';
import { followForWebhooks } from './consumer.ts';
import { webhookMetrics } from './metrics.ts';
import { type Resolve, resolveByDns } from './resolve.ts';
import { removeOldDeliveries } from './retention.ts';
import { webhookRoutes } from './routes.ts';
import { createSecrets } from './secrets.ts';
import { startWebhookWorkers, type WebhookWorkersOptions } from './workers.ts';

/** Of all that a delivery takes. */
const timeoutMs = 10_000;
const sweepEveryMs = 3_600_000;
const retryMs = 30_000;
/** Changes of URLs and tests, of a user in a minute. */
const asksPerMinute = 30;

/** Tables of webhooks, for the erasing of an organisation; what hangs on a row goes with it. */
export const webhookTables = ['webhooks', 'webhook_turns'] as const;

export interface Webhooks {
  routes: AnyRoute[];
  consumer: Consumer;
}

/** What tests have otherwise than a service. */
export type WebhookPace = Partial<
  Pick<WebhookWorkersOptions, 'pollMs' | 'leaseMs' | 'pauseMs' | 'longestPauseMs' | 'giveUpMs' | 'timeoutMs' | 'ca'>
> & { resolve?: Resolve; maxWaiting?: number };

/** Webhooks: from topics into deliveries, and from these to whoever asked for them. Closes with the lifecycle. */
export async function openWebhooks(
  config: Pick<Config, 'WEBHOOK_ALLOWED_RANGES' | 'WEBHOOK_ALLOW_HTTP' | 'WEBHOOK_SECRETS_KEY' | 'WEBHOOK_CONCURRENCY'>,
  deps: {
    pool: Pool;
    reads: Reads;
    outbox: Outbox;
    audit: Audit;
    eventLog: Pick<EventLog, 'consume'>;
    registry: SchemaRegistry;
    limits: Pick<Limits, 'window'>;
    teller: Teller;
    lifecycle: Lifecycle;
    log: Logger;
    metrics: Metrics;
  },
  { maxWaiting, ...pace }: WebhookPace = {},
): Promise<Webhooks> {
  const { pool, lifecycle, limits } = deps;
  const metrics = webhookMetrics(deps.metrics);
  const secrets = createSecrets(config.WEBHOOK_SECRETS_KEY);
  const terms = {
    rules: createAddressRules(config.WEBHOOK_ALLOWED_RANGES),
    allowHttp: config.WEBHOOK_ALLOW_HTTP,
    resolve: resolveByDns,
    timeoutMs,
    ...pace,
  };
  const { wake } = startWebhookWorkers({
    ...deps,
    ...terms,
    secrets,
    metrics,
    concurrency: config.WEBHOOK_CONCURRENCY,
  });
  lifecycle.every('old deliveries', { everyMs: sweepEveryMs, retryMs }, () => removeOldDeliveries(pool));
  const consumer = await followForWebhooks({
    ...deps,
    metrics,
    wake,
    ...(maxWaiting === undefined ? {} : { maxWaiting }),
  });
  lifecycle.onClose('webhooks consumer', () => consumer.close());
  const limit = limits.window({ name: 'webhook-asks', points: asksPerMinute, seconds: 60 });
  return { routes: webhookRoutes({ ...deps, secrets, terms, limit, wake }), consumer };
}
