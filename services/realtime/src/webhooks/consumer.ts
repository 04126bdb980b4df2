import type { Audit } from '@worktide/audit';
import type { Consumer, EventLog } from '@worktide/event-log';
import { checkPostgres, type Outbox, type Pool, transactionWithEvents } from '@worktide/postgres';
import type { Logger } from '@worktide/runtime';
import type { SchemaRegistry } from '@worktide/schemas';
import type { Teller } from '../notifications/tell.ts';
import { createTopicReader } from '../told/read-topics.ts';
import { addDeliveries } from './deliveries.ts';
import { eventsOf, eventTopics } from './events.ts';
import type { WebhookMetrics } from './metrics.ts';
import { countSwitchedOff, noteSwitchedOff } from './off.ts';

export const group = 'realtime-webhooks';

/** What has lain on the log for longer is not told any more; deliveries are remembered for longer than that. */
export const oldestMs = 7 * 86_400_000;
const maxRecords = 1_000;

export interface WebhookConsumerDeps {
  eventLog: Pick<EventLog, 'consume'>;
  registry: SchemaRegistry;
  pool: Pool;
  outbox: Pick<Outbox, 'write' | 'committed'>;
  audit: Pick<Audit, 'events'>;
  teller: Pick<Teller, 'push'>;
  metrics: WebhookMetrics;
  log: Logger;
  /** There is something to deliver. */
  wake: () => void;
  /** For tests. */
  maxWaiting?: number;
}

/** Makes deliveries of what topics tell. Read again, they make none again. */
export function followForWebhooks(deps: WebhookConsumerDeps): Promise<Consumer> {
  const { eventLog, registry, pool, outbox, audit, teller, metrics, log, wake, maxWaiting } = deps;
  const reader = createTopicReader(registry, [...eventTopics]);
  return eventLog.consume({
    group,
    topics: reader.topics,
    maxRecords,
    ready: reader.prepare,
    answers: checkPostgres(pool),
    async handle(batch, context) {
      const since = Date.now() - oldestMs;
      const events = reader.read(batch, context).flatMap((told) => (told.at < since ? [] : eventsOf(told)));
      if (events.length === 0) return;
      const { result } = await transactionWithEvents({ pool, outbox }, async (client, tell) => {
        const { added, off } = await addDeliveries(client, events, maxWaiting);
        return { added, off, rows: await noteSwitchedOff(client, off, { audit, tell }) };
      });
      teller.push(result.rows);
      countSwitchedOff(result.off, metrics, log);
      if (result.added === 0) return;
      metrics.added.inc(result.added);
      wake();
    },
  });
}
