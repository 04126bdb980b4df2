import { backoffMs, sleep } from '@worktide/runtime';
import type { EachBatchPayload, Consumer as KafkaConsumer, LogEntry } from 'kafkajs';
import { createOffsetResets } from '../consumer-metrics.ts';
import { createDelivery, type Delivery, type Source } from '../delivery.ts';
import type { ConsumerHooks } from '../log.ts';
import type { ConsumeOptions, Consumer, OpenOptions } from '../types.ts';
import type { Client } from './connections.ts';
import { disconnect, settles } from './member.ts';
import { toRecord } from './records.ts';

/**
 * A member that dies, or that a restarted broker has forgotten, is replaced after the session timeout: the shortest
 * that brokers take by default (`group.min.session.timeout.ms`).
 */
const sessionTimeoutMs = 6_000;
const heartbeatMs = 1_000;
/** Longer than any lawful silence: a session, and a division of partitions that waits for its slowest member. */
const lifelessMs = 30_000;
/** An empty fetch comes back after this: the longest that closing waits, and no delay for records. */
const maxWaitMs = 250;
/** A fetch of one who lingers comes back with this much, or when its wait is over. */
const lingerBytes = 256 * 1024;
/** How long closing waits for a consumer that is still starting, e.g. because the broker is away. */
const startingMs = 5_000;
const fetchBytes = 4 * 1024 * 1024;
const fetchBytesPerPartition = 512 * 1024;

export interface KafkaConsumerDependencies extends ConsumerHooks {
  /** A fresh client each time, and what it has to say. */
  client: (onEntry: (entry: LogEntry) => void) => Client;
  prefix: string;
  open: OpenOptions;
}

/**
 * A group member on kafkajs. Its fetch loop calls `eachBatch`, which only pushes into the delivery's buffer and, while
 * that is full, waits and keeps the membership alive; handling and committing go on beside it. So a handler may take
 * as long as it likes, and a failing one may be repeated for ever, without the group noticing.
 */
export function createKafkaConsumer(options: ConsumeOptions, dependencies: KafkaConsumerDependencies): Consumer {
  const { client, prefix, open } = dependencies;
  const closing = new AbortController();
  /** What was dropped at the last division of partitions, until it has been fetched again. */
  const dropped = new Map<string, number>();
  let current: KafkaConsumer | undefined;
  let generation = 0;
  let lastSignOfLife = 0;
  let commits = 0;
  const resets = createOffsetResets(open.metrics, options.group);

  const source: Source = {
    async commit(offsets) {
      if (!current) throw new Error('not connected');
      const before = commits;
      await current.commitOffsets(
        offsets.map(({ topic, partition, offset }) => ({ topic: prefix + topic, partition, offset: String(offset) })),
      );
      // kafkajs does nothing, and says nothing, while it is not running.
      if (commits === before) throw new Error('kafkajs has not committed');
    },
    lag: dependencies.lag,
    writeDeadLetter: dependencies.writeDeadLetter,
    healthy: () => Date.now() - lastSignOfLife < sessionTimeoutMs,
    async leave() {
      closing.abort();
      await supervising;
      dependencies.onClosed();
    },
  };
  const delivery: Delivery = createDelivery(options, source, open);

  async function eachBatch({ batch, resolveOffset, heartbeat, isRunning }: EachBatchPayload): Promise<void> {
    const joinedAs = generation;
    const topic = batch.topic.slice(prefix.length);
    if (isStale(topic, batch.partition, Number(batch.firstOffset()))) return;
    while (!delivery.hasRoom()) {
      await delivery.room(heartbeatMs);
      await heartbeat();
      // Returning without resolving makes kafkajs fetch the same again, under whatever membership holds then.
      if (generation !== joinedAs || delivery.ended || !isRunning()) return;
    }
    delivery.push(batch.messages.map((message) => toRecord(topic, batch.partition, message)));
    resolveOffset(batch.lastOffset());
  }

  /**
   * With several brokers a fetch that began before the group divided its partitions anew may come back after it.
   * Taking it would move kafkajs past what was dropped and not committed; it can come once a partition.
   */
  function isStale(topic: string, partition: number, firstOffset: number): boolean {
    const id = `${topic}/${partition}`;
    const from = dropped.get(id);
    dropped.delete(id);
    return from !== undefined && firstOffset > from;
  }

  function onJoin(): void {
    generation++;
    lastSignOfLife = Date.now();
    for (const { topic, partition, offset } of delivery.reassigned()) dropped.set(`${topic}/${partition}`, offset);
  }

  /**
   * The group's offset is no longer in the log, for retention has cut it, or not yet, for records were lost. kafkajs goes
   * on from the earliest record by itself; of that it tells its log and nobody else.
   */
  function onEntry({ log: { message, topic, partition } }: LogEntry): void {
    if (message !== 'Offset out of range, resetting to default offset') return;
    const name = String(topic).slice(prefix.length);
    resets(name);
    open.log.error(
      { group: options.group, topic: name, partition },
      'the offset of the group is not in the log: it goes on from the earliest record that is',
    );
  }

  async function run(consumer: KafkaConsumer, onCrash: (error: Error) => void): Promise<void> {
    const { GROUP_JOIN, HEARTBEAT, COMMIT_OFFSETS, CRASH } = consumer.events;
    consumer.on(GROUP_JOIN, ({ payload }) => {
      onJoin();
      open.log.info({ group: options.group, partitions: payload.memberAssignment }, 'joined the group');
    });
    consumer.on(HEARTBEAT, () => {
      lastSignOfLife = Date.now();
    });
    consumer.on(COMMIT_OFFSETS, () => {
      commits++;
    });
    consumer.on(CRASH, ({ payload }) => onCrash(payload.error));
    await consumer.connect();
    await consumer.subscribe({ topics: options.topics.map((topic) => prefix + topic), fromBeginning: true });
    current = consumer;
    await consumer.run({ autoCommit: false, eachBatchAutoResolve: false, eachBatch });
  }

  /** Joins, and joins anew after every crash: kafkajs restarts after some errors only, so it is told never to. */
  async function supervise(): Promise<void> {
    for (let attempt = 0; !closing.signal.aborted; attempt++) {
      const { kafka, cut } = client(onEntry);
      const consumer = kafka.consumer({
        groupId: prefix + options.group,
        sessionTimeout: sessionTimeoutMs,
        heartbeatInterval: heartbeatMs,
        rebalanceTimeout: 15_000,
        // Who lingers anyway is not woken for every record: a broker that answers each at once keeps both busy with fetches.
        minBytes: options.lingerMs ? lingerBytes : 1,
        maxWaitTimeInMs: Math.min(maxWaitMs, options.lingerMs || maxWaitMs),
        maxBytes: fetchBytes,
        maxBytesPerPartition: fetchBytesPerPartition,
        allowAutoTopicCreation: false,
        retry: { restartOnFailure: async () => false },
      });
      const before = generation;
      const { promise: crashed, reject: onCrash } = Promise.withResolvers<never>();
      const closed = aborted(closing.signal);
      const starting = run(consumer, onCrash);
      const over = new AbortController();
      void watch(over.signal, onCrash);
      try {
        await Promise.race([crashed, closed, starting.then(() => Promise.race([crashed, closed]))]);
      } catch (error) {
        if (generation !== before) attempt = 0;
        delivery.lost(error);
        open.log.warn({ err: error, group: options.group, attempt }, 'not in the group, joining again');
      }
      over.abort();
      current = undefined;
      // kafkajs cannot stop what is still starting: it would join after that and stay, a member that nobody serves.
      if (!(await settles(starting, startingMs))) cut();
      await disconnect(consumer, cut);
      if (!closing.signal.aborted) await sleep(backoffMs(attempt, 200), closing.signal);
    }
  }

  /**
   * kafkajs that was thrown out of the group and cannot join again at once (the coordinator is loading) goes on to
   * fetch without a member id, skips every heartbeat without a word, and never tries to join again.
   */
  async function watch(signal: AbortSignal, onCrash: (error: Error) => void): Promise<void> {
    lastSignOfLife = Date.now();
    while (!signal.aborted && Date.now() - lastSignOfLife < lifelessMs) await sleep(heartbeatMs, signal);
    if (!signal.aborted) onCrash(new Error(`no heartbeat for ${lifelessMs / 1000} s`));
  }

  const supervising = supervise();
  return delivery.consumer;
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
