import type { ClickHouse } from '@worktide/clickhouse';
import type { Consumer, EventLog } from '@worktide/event-log';
import type { Metrics } from '@worktide/runtime';
import { createCodec, type SchemaRegistry, topics } from '@worktide/schemas';
import { tableHandler } from './handler.ts';
import { auditTable, pingsTable, usageTable } from './tables.ts';

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
  const { eventLog, registry, clickhouse, metrics } = deps;
  const usage = await eventLog.consume({
    group: 'analytics-usage',
    topics: [topics.usage.name],
    maxRecords: 50_000,
    maxBytes: 16 * mib,
    lingerMs: 500,
    handle: tableHandler(usageTable, { clickhouse, codec: createCodec(registry, topics.usage), metrics }),
  });
  const pings = await eventLog.consume({
    group: 'analytics-pings',
    topics: [topics.pings.name],
    maxRecords: 50_000,
    maxBytes: 16 * mib,
    lingerMs: 1_000,
    handle: tableHandler(pingsTable, { clickhouse, codec: createCodec(registry, topics.pings), metrics }),
  });
  const audit = await eventLog.consume({
    group: 'analytics-audit',
    topics: [topics.audit.name],
    maxRecords: 10_000,
    maxBytes: 16 * mib,
    lingerMs: 1_000,
    handle: tableHandler(auditTable, { clickhouse, codec: createCodec(registry, topics.audit), metrics }),
  });
  return { pings, usage, audit };
}
