import type { ClickHouse } from '@worktide/clickhouse';
import type { ConsumeOptions, Consumer, EventLog } from '@worktide/event-log';
import type { Metrics } from '@worktide/runtime';
import { createCodec, type SchemaRegistry, splitBy, type TopicName, topics } from '@worktide/schemas';
import { tableHandler } from './handler.ts';
import { auditTable, pingsTable, type TableSpec, usageTable } from './tables.ts';

export interface ConsumerDeps {
  eventLog: Pick<EventLog, 'consume'>;
  registry: SchemaRegistry;
  clickhouse: ClickHouse;
  metrics: Metrics;
}

const mib = 1024 * 1024;

export type Consumers = Record<'pings' | 'usage' | 'audit', Consumer>;

/**
 * A group for each topic, so that a backlog of raw pings holds up no report and no audit trail. ClickHouse wants few and
 * large inserts: half a second's worth at least, which a report is behind at most; under load a batch is full long before.
 */
export async function startConsumers(deps: ConsumerDeps): Promise<Consumers> {
  const start = <E, I>(
    spec: TableSpec<E, I>,
    topic: TopicName,
    options: Pick<ConsumeOptions, 'maxRecords' | 'maxBytes' | 'lingerMs'>,
  ): Promise<Consumer> => {
    const { eventLog, registry, clickhouse, metrics } = deps;
    const codec = createCodec(registry, topics[topic]);
    return eventLog.consume({
      group: `analytics-${topic}`,
      topics: [topic],
      ...options,
      ready: () => codec.prepare(),
      answers: () => clickhouse.check(),
      handle: tableHandler(spec, { clickhouse, codec, metrics }),
      split: splitBy(spec.items),
    });
  };
  const usage = await start(usageTable, 'usage', { maxRecords: 50_000, maxBytes: 16 * mib, lingerMs: 500 });
  const pings = await start(pingsTable, 'pings', { maxRecords: 50_000, maxBytes: 16 * mib, lingerMs: 1_000 });
  const audit = await start(auditTable, 'audit', { maxRecords: 10_000, maxBytes: 16 * mib, lingerMs: 1_000 });
  return { pings, usage, audit };
}
