import { randomUUID } from 'node:crypto';
import { AppError, backoffMs, sleep, unavailable } from '@worktide/runtime';
import kafkajs, { type Admin, type EachBatchHandler, type Kafka, type Consumer as KafkaConsumer } from 'kafkajs';
import type { LogAdmin, OpenOptions, StoredRecord, TopicSettings } from '../types.ts';
import { createKafka } from './client.ts';
import { toRecord } from './records.ts';

/** Below the two seconds that a readiness check may take. */
const pingTimeoutMs = 1_800;
/** About five seconds. */
const readyRetries = 20;
/** About five seconds, which is what a coordinator needs to load its groups. */
const joinRetries = 10;
const { TOPIC } = kafkajs.ConfigResourceTypes;

export interface KafkaAdmin extends LogAdmin {
  close(): Promise<void>;
}

/** Lag, offsets and topics through one lazily made admin connection. Errors are `unavailable` with their cause. */
export function createKafkaAdmin(client: () => Kafka, prefix: string): KafkaAdmin {
  const connection = lazyAdmin(client);

  async function using<T>(work: (admin: Admin) => Promise<T>): Promise<T> {
    try {
      return await work(await connection.get());
    } catch (error) {
      throw error instanceof AppError ? error : unavailable('event log', error);
    }
  }

  async function ensureTopics(admin: Admin, wanted: TopicSettings[]): Promise<void> {
    const topics = wanted.map((topic) => ({ ...topic, name: prefix + topic.name }));
    const existing = new Set(await admin.listTopics());
    const missing = topics.filter(({ name }) => !existing.has(name));
    if (missing.length > 0) {
      await admin.createTopics({
        // kafkajs gives up on a broker that is slow to elect; `untilReady` asks every partition, and longer.
        waitForLeaders: false,
        topics: missing.map(({ name, partitions, retentionMs }) => ({
          topic: name,
          numPartitions: partitions,
          configEntries: [{ name: 'retention.ms', value: String(retentionMs) }],
        })),
      });
    }
    await untilReady(admin, missing);
    const present = topics.filter(({ name }) => existing.has(name));
    if (present.length === 0) return;
    const metadata = await admin.fetchTopicMetadata({ topics: present.map(({ name }) => name) });
    const counts = new Map(metadata.topics.map(({ name, partitions }) => [name, partitions.length]));
    const tooFew = present.filter(({ name, partitions }) => partitions > counts.get(name)!);
    if (tooFew.length > 0) {
      await admin.createPartitions({
        topicPartitions: tooFew.map(({ name, partitions }) => ({ topic: name, count: partitions })),
      });
    }
    await untilReady(admin, tooFew);
    for (const { name, retentionMs } of present) await setRetention(admin, name, String(retentionMs));
  }

  async function lagOf(admin: Admin, group: string, topic: string): Promise<number> {
    const [ends, [committed]] = await Promise.all([
      admin.fetchTopicOffsets(prefix + topic),
      admin.fetchOffsets({ groupId: prefix + group, topics: [prefix + topic] }),
    ]);
    const offsets = new Map(committed?.partitions.map(({ partition, offset }) => [partition, Number(offset)]));
    // Before its first commit a group starts at the beginning; what retention dropped is no lag either.
    return ends.reduce((sum, { partition, high, low }) => {
      return sum + Math.max(0, Number(high) - Math.max(Number(low), offsets.get(partition) ?? -1));
    }, 0);
  }

  async function resetGroup(admin: Admin, group: string, topic: string, to: 'earliest' | 'latest'): Promise<void> {
    const groupId = prefix + group;
    const { groups } = await admin.describeGroups([groupId]);
    const state = groups[0]?.state;
    if (state !== undefined && state !== 'Empty' && state !== 'Dead') {
      throw new AppError('GROUP_ACTIVE', 'The group has a running consumer; stop it first.', { statusCode: 409 });
    }
    const ends = await admin.fetchTopicOffsets(prefix + topic);
    // As a member for a moment: kafkajs's own setOffsets does the same and takes five seconds.
    await asMember(client, groupId, prefix + topic, async (consumer) => {
      await consumer.commitOffsets(
        ends.map(({ partition, low, high }) => ({
          topic: prefix + topic,
          partition,
          offset: to === 'earliest' ? low : high,
        })),
      );
    });
  }

  async function read(
    admin: Admin,
    topic: string,
    { partition, fromOffset, limit }: { partition: number; fromOffset: number; limit: number },
  ): Promise<StoredRecord[]> {
    const ends = await admin.fetchTopicOffsets(prefix + topic);
    const end = ends.find((one) => one.partition === partition);
    const from = Math.max(fromOffset, Number(end?.low ?? 0));
    const last = Number(end?.high ?? 0) - 1;
    if (from > last || limit < 1) return [];
    const records: StoredRecord[] = [];
    const { promise: done, resolve } = Promise.withResolvers<void>();
    await asMember(
      client,
      `${prefix}worktide-read-${randomUUID()}`,
      prefix + topic,
      async (consumer) => {
        const others = ends.map((one) => one.partition).filter((one) => one !== partition);
        if (others.length > 0) consumer.pause([{ topic: prefix + topic, partitions: others }]);
        consumer.seek({ topic: prefix + topic, partition, offset: String(from) });
        await done;
      },
      async ({ batch }) => {
        if (batch.partition !== partition) return;
        for (const message of batch.messages) {
          const offset = Number(message.offset);
          // The first fetch may have left before the seek took hold, so that some come twice.
          const next = records.length === 0 ? from : records.at(-1)!.offset + 1;
          if (offset >= next && offset <= last && records.length < limit) {
            records.push(toRecord(topic, partition, message));
          }
        }
        if (records.length >= limit || Number(batch.lastOffset()) >= last) resolve();
      },
    );
    return records;
  }

  return {
    ensureTopics: (topics) => using((admin) => ensureTopics(admin, topics)),
    topicNames: () =>
      using(async (admin) => {
        const names = await admin.listTopics();
        return names.filter((name) => name.startsWith(prefix)).map((name) => name.slice(prefix.length));
      }),
    lag: (group, topics) =>
      using(async (admin) =>
        Object.fromEntries(
          await Promise.all(topics.map(async (topic) => [topic, await lagOf(admin, group, topic)] as const)),
        ),
      ),
    resetGroup: (group, topic, to) => using((admin) => resetGroup(admin, group, topic, to)),
    read: (topic, options) => using((admin) => read(admin, topic, options)),
    close: connection.close,
  };
}

/** Answers within two seconds whether a broker answers, on a connection of its own that never retries. */
export function createPinger(brokers: string[], open: OpenOptions): { ping(): Promise<void>; close(): Promise<void> } {
  const client = () =>
    createKafka(
      brokers,
      open,
      { retries: 0, maxRetryTime: 100 },
      { connectionTimeout: pingTimeoutMs, requestTimeout: pingTimeoutMs },
    );
  const connection = lazyAdmin(client);
  let running: Promise<void> | undefined;

  async function ping(): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const expired = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error(`no answer within ${pingTimeoutMs} ms`)), pingTimeoutMs);
    });
    const answer = connection.get().then((admin) => admin.describeCluster());
    answer.catch(() => {});
    try {
      await Promise.race([answer, expired]);
    } catch (error) {
      throw unavailable('event log', error);
    } finally {
      clearTimeout(timer);
    }
  }

  return {
    ping() {
      running ??= ping().finally(() => {
        running = undefined;
      });
      return running;
    },
    close: connection.close,
  };
}

function lazyAdmin(client: () => Kafka): { get(): Promise<Admin>; close(): Promise<void> } {
  let connecting: Promise<Admin> | undefined;
  return {
    get() {
      connecting ??= (async () => {
        const admin = client().admin();
        await admin.connect();
        return admin;
      })().catch((error) => {
        connecting = undefined;
        throw error;
      });
      return connecting;
    },
    async close() {
      const admin = await connecting?.catch(() => undefined);
      await admin?.disconnect();
    },
  };
}

/**
 * A broker lists a new partition a moment before it serves it. A send in that moment succeeds on some partitions and
 * is repeated for all, which leaves duplicates; so a topic counts as there when every partition answers.
 */
async function untilReady(admin: Admin, topics: TopicSettings[]): Promise<void> {
  for (const { name, partitions } of topics) {
    for (let attempt = 0; ; attempt++) {
      try {
        if ((await admin.fetchTopicOffsets(name)).length >= partitions) break;
        throw new Error(`topic ${name} does not have ${partitions} partitions yet`);
      } catch (error) {
        if (attempt >= readyRetries) throw error;
        await sleep(backoffMs(attempt, 50, 500));
      }
    }
  }
}

async function setRetention(admin: Admin, topic: string, retentionMs: string): Promise<void> {
  const { resources } = await admin.describeConfigs({
    resources: [{ type: TOPIC, name: topic }],
    includeSynonyms: false,
  });
  const entries = resources[0]!.configEntries;
  if (entries.find(({ configName }) => configName === 'retention.ms')?.configValue === retentionMs) return;
  // The request replaces all that was set on the topic, so what an operator set goes along.
  const own = entries.filter(({ configSource }) => configSource === kafkajs.ConfigSource.TOPIC_CONFIG);
  const kept = own.filter(({ configName }) => configName !== 'retention.ms');
  await admin.alterConfigs({
    validateOnly: false,
    resources: [
      {
        type: TOPIC,
        name: topic,
        configEntries: [
          ...kept.map(({ configName, configValue }) => ({ name: configName, value: configValue })),
          { name: 'retention.ms', value: retentionMs },
        ],
      },
    ],
  });
}

/**
 * Joins a group alone, does something as its member, leaves. Tried again while the coordinator is not ready, as after
 * a broker's restart: unlike its other calls, kafkajs does not repeat a join by itself. So `work` may run twice.
 */
async function asMember(
  client: () => Kafka,
  groupId: string,
  topic: string,
  work: (consumer: KafkaConsumer) => Promise<void>,
  eachBatch: EachBatchHandler = async () => {},
): Promise<void> {
  for (let attempt = 0; ; attempt++) {
    const consumer = client().consumer({ groupId, maxWaitTimeInMs: 100, allowAutoTopicCreation: false });
    const { promise: failed, reject: fail } = Promise.withResolvers<never>();
    const { promise: joined, resolve: join } = Promise.withResolvers<void>();
    failed.catch(() => {});
    consumer.on('consumer.crash', ({ payload }) => fail(payload.error));
    consumer.on('consumer.group_join', () => join());
    try {
      await consumer.connect();
      await consumer.subscribe({ topics: [topic], fromBeginning: true });
      await consumer.run({ autoCommit: false, eachBatch });
      await Promise.race([joined, failed]);
      return await Promise.race([work(consumer), failed]);
    } catch (error) {
      const retriable = error instanceof kafkajs.KafkaJSError && error.retriable;
      if (!retriable || attempt >= joinRetries) throw error;
      await sleep(backoffMs(attempt, 100, 1_000));
    } finally {
      await consumer.disconnect();
    }
  }
}
