import type { ClickHouse } from '@worktide/clickhouse';
import type { ConsumeOptions, Consumer, EventLog } from '@worktide/event-log';
import type { Metrics } from '@worktide/runtime';
import {
  createCodec,
  type SchemaRegistry,
  screenshotReadyRecord,
  splitBy,
  type TopicName,
  topics,
  workspaceRecord,
} from '@worktide/schemas';
import type { z } from 'zod';
import type { Stored } from './changes.ts';
import { erasuresHandler, forgetErased } from './erasures.ts';
import { type HandlerOptions, tableHandler } from './handler.ts';
import { addScreenshot, addWorkspace, type Rows, statesHandler } from './states.ts';
import {
  alertsTable,
  auditTable,
  inputMinutesTable,
  pingsTable,
  type TableSpec,
  timeEntriesTable,
  usageTable,
} from './tables.ts';

export interface ConsumerDeps {
  eventLog: Pick<EventLog, 'consume'>;
  registry: SchemaRegistry;
  clickhouse: ClickHouse;
  metrics: Metrics;
  /** Told of what each batch has stored. */
  onStored?: (stored: Stored) => void;
}

const mib = 1024 * 1024;
const few = { maxRecords: 10_000, maxBytes: 16 * mib } as const;

/** By the topic that each reads. */
export type Consumers = Record<
  | 'pings'
  | 'usage'
  | 'input-minutes'
  | 'erasures'
  | 'time-entries'
  | 'alerts'
  | 'audit'
  | 'workspace-events'
  | 'screenshots-ready',
  Consumer
>;

/**
 * A group for each topic, so that a backlog of raw pings holds up no report and no audit trail. ClickHouse wants few and
 * large inserts: half a second's worth at least, which a report is behind at most; under load a batch is full long before.
 */
export async function startConsumers(deps: ConsumerDeps): Promise<Consumers> {
  const start = <E extends { organizationId: string }, I>(
    spec: TableSpec<E, I>,
    topic: TopicName,
    {
      afterInsert,
      ...options
    }: Pick<ConsumeOptions, 'maxRecords' | 'maxBytes' | 'lingerMs'> & Pick<HandlerOptions, 'afterInsert'>,
  ): Promise<Consumer> => {
    const { eventLog, registry, clickhouse, metrics, onStored } = deps;
    const codec = createCodec(registry, topics[topic]);
    return eventLog.consume({
      group: `analytics-${topic}`,
      topics: [topic],
      ...options,
      ready: () => codec.prepare(),
      answers: () => clickhouse.check(),
      handle: tableHandler(spec, { clickhouse, codec, metrics, afterInsert, ...(onStored ? { onStored } : {}) }),
      split: splitBy(spec.items),
    });
  };
  const other = (
    topic: TopicName,
    handlerOf: (options: Omit<HandlerOptions, 'clickhouse'> & { clickhouse: ClickHouse }) => ConsumeOptions['handle'],
  ): Promise<Consumer> => {
    const { eventLog, registry, clickhouse, metrics, onStored } = deps;
    const codec = createCodec(registry, topics[topic]);
    return eventLog.consume({
      group: `analytics-${topic}`,
      topics: [topic],
      ...few,
      lingerMs: 500,
      ready: () => codec.prepare(),
      answers: () => clickhouse.check(),
      handle: handlerOf({ clickhouse, codec, metrics, ...(onStored ? { onStored } : {}) }),
    });
  };
  const states = <S extends z.ZodType<{ organizationId: string }>>(
    topic: TopicName,
    schema: S,
    add: (rows: Rows, record: z.output<S>) => void,
  ): Promise<Consumer> => other(topic, (options) => statesHandler(schema, add, options));
  return {
    usage: await start(usageTable, 'usage', { maxRecords: 50_000, maxBytes: 16 * mib, lingerMs: 500 }),
    'time-entries': await start(timeEntriesTable, 'time-entries', { ...few, lingerMs: 500 }),
    'input-minutes': await start(inputMinutesTable, 'input-minutes', {
      maxRecords: 50_000,
      maxBytes: 16 * mib,
      lingerMs: 1_000,
      afterInsert: (changes) => forgetErased(deps.clickhouse, changes),
    }),
    erasures: await other('erasures', erasuresHandler),
    pings: await start(pingsTable, 'pings', { maxRecords: 50_000, maxBytes: 16 * mib, lingerMs: 1_000 }),
    alerts: await start(alertsTable, 'alerts', { ...few, lingerMs: 1_000 }),
    audit: await start(auditTable, 'audit', { ...few, lingerMs: 1_000 }),
    'workspace-events': await states('workspace-events', workspaceRecord, addWorkspace),
    'screenshots-ready': await states('screenshots-ready', screenshotReadyRecord, addScreenshot),
  };
}
