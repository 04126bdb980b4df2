import type { Producer } from '@worktide/event-log';
import { AppError, describeError, type Logger, type Metrics } from '@worktide/runtime';
import { type OutboxEvent, packEvents } from './outbox-codec.ts';
import type { Pool } from './pool.ts';

export interface PublisherOptions {
  schema: string;
  /** The outbox; what is refused goes to `<table>_refused`. */
  table: string;
  pool: Pool;
  producer: Pick<Producer, 'send'>;
  log: Logger;
  metrics: OutboxMetrics;
}

/** Only what is away is tried again. */
const isAway = (error: unknown): boolean => error instanceof AppError && error.statusCode === 503;

/**
 * Sends a row's events. @returns what resolves when the log has them, or will never take some of them and that is on
 * record; rejects where all of it is to be tried again.
 */
export function createPublisher(options: PublisherOptions) {
  const { schema, table, pool, producer, log, metrics } = options;

  async function send(events: readonly OutboxEvent[]): Promise<void> {
    const topics = Map.groupBy(events, (event) => event.topic);
    await Promise.all(
      [...topics].map(([topic, list]) =>
        producer.send(
          topic,
          list.map(({ key, value, headers }) => ({ key, value, ...(headers && { headers }) })),
        ),
      ),
    );
    metrics.published.inc({ schema }, events.length);
  }

  /** Something among them is refused for ever: the rest is published, and that is put where it holds nobody up. */
  async function sendOneByOne(id: string, events: readonly OutboxEvent[]): Promise<void> {
    const refused: OutboxEvent[] = [];
    let reason: unknown;
    for (const event of events) {
      try {
        await send([event]);
      } catch (error) {
        if (isAway(error)) throw error;
        refused.push(event);
        reason = error;
      }
    }
    if (refused.length === 0) return;
    await pool.query(
      `INSERT INTO ${table}_refused (id, reason, events) VALUES ($1, $2, $3) ON CONFLICT (id) DO NOTHING`,
      [id, describeError(reason).slice(0, 1_000), packEvents(refused)],
    );
    metrics.refused.inc({ schema }, refused.length);
    log.error(
      { err: reason, schema, row: id, events: refused.length, key: refused[0]!.key },
      'outbox: the log refuses events for ever; they stand in outbox_refused',
    );
  }

  return async function publish({ id, events }: { id: string; events: readonly OutboxEvent[] }): Promise<void> {
    try {
      await send(events);
    } catch (error) {
      if (isAway(error)) throw error;
      await sendOneByOne(id, events);
    }
  };
}

export type OutboxMetrics = ReturnType<typeof outboxMetrics>;

export function outboxMetrics(metrics: Metrics, schema: string) {
  const by = ['schema'] as const;
  const unpublished = metrics.gauge('worktide_outbox_unpublished', 'Committed transactions not yet in the log', by);
  unpublished.set({ schema }, 0);
  return {
    unpublished,
    published: metrics.counter('worktide_outbox_published_total', 'Events published from the outbox', by),
    left: metrics.counter('worktide_outbox_left_total', 'Rows left to the sweep while too much waited for the log', by),
    swept: metrics.counter('worktide_outbox_swept_total', 'Rows left behind and published by a sweep', by),
    refused: metrics.counter(
      'worktide_outbox_refused_total',
      'Events that the log will never take, in outbox_refused',
      by,
    ),
    failures: metrics.counter('worktide_outbox_failures_total', 'Attempts to publish that failed', by),
  };
}
