import { backoffMs, type Logger, sleep } from '@worktide/runtime';
import kafkajs, { type Admin, type ITopicMetadata } from 'kafkajs';
import type { ReplicationOptions, TopicSettings } from '../types.ts';
import type { EndsReader } from './ends.ts';
import { copiesFor, minInsyncFor, replicationFor, sayIfWeak } from './replication.ts';

/** Some milliseconds as a rule; brokers that have much else to do have taken a quarter of a minute. */
const readyMs = 60_000;
const { TOPIC } = kafkajs.ConfigResourceTypes;

export interface TopicsDependencies {
  ends: EndsReader;
  replication: ReplicationOptions;
  log: Logger;
}

/**
 * Creates what is missing, adds partitions, sets what we say of a topic and keeps what an operator has said besides.
 * `topics` carry their full names. The number of copies of a topic that is there stays as it is: raising it moves all of
 * its data, which is an operator's decision.
 */
export async function ensureTopics(
  admin: Admin,
  topics: TopicSettings[],
  { ends, replication: asked, log }: TopicsDependencies,
): Promise<void> {
  const cluster = await describeCluster(admin);
  const copies = copiesFor(cluster.brokers, asked);
  sayIfWeak(copies, log);
  const missing = topics.filter(({ name }) => !cluster.topics.has(name));
  if (missing.length > 0) {
    // False where another process was quicker; what it made is looked at below like all the rest.
    await admin.createTopics({
      // kafkajs gives up on a broker that is slow to elect; `untilReady` asks every partition, and longer.
      waitForLeaders: false,
      topics: missing.map(({ name, partitions, retentionMs }) => ({
        topic: name,
        numPartitions: partitions,
        replicationFactor: copies.replication,
        configEntries: [
          { name: 'retention.ms', value: String(retentionMs) },
          { name: 'min.insync.replicas', value: String(copies.minInsync) },
        ],
      })),
    });
    await untilReady(
      admin,
      missing.map(({ name }) => ({ name, partitions: 1 })),
      ends,
    );
  }
  const found = await describeTopics(
    admin,
    topics.map(({ name }) => name),
  );
  const tooFew = topics.filter(({ name, partitions }) => partitions > found.get(name)!.partitions);
  if (tooFew.length > 0) {
    await admin.createPartitions({
      topicPartitions: tooFew.map(({ name, partitions }) => ({ topic: name, count: partitions })),
    });
  }
  await untilReady(admin, topics, ends);
  for (const { name, retentionMs } of topics) {
    const { replication } = found.get(name)!;
    // Of the topic's own copies, for some brokers may be away just now. One with too few could not be written any more.
    const minInsync = minInsyncFor(replication, asked);
    await setConfigs(admin, name, {
      'retention.ms': String(retentionMs),
      ...(minInsync <= replication ? { 'min.insync.replicas': String(minInsync) } : {}),
    });
  }
}

/** Those of the topics that are there and have fewer copies than asked, each with how many. */
export async function weakTopics(admin: Admin, names: string[], asked: ReplicationOptions): Promise<string[]> {
  const { brokers, topics } = await describeCluster(admin);
  const replication = replicationFor(brokers, asked);
  return names
    .map((name) => ({ name, copies: topics.get(name)?.replication ?? replication }))
    .filter(({ copies }) => copies < replication)
    .map(({ name, copies }) => `${name} (${copies} of ${replication})`);
}

interface FoundTopic {
  partitions: number;
  /** Of the partition with the fewest copies. */
  replication: number;
}

/**
 * Every topic, and how many brokers there are: those that answer, and those that have a copy of anything. One that is
 * just being restarted is among the latter only, and no reason to keep new topics with fewer copies for ever.
 */
async function describeCluster(admin: Admin): Promise<{ brokers: number; topics: Map<string, FoundTopic> }> {
  const [{ brokers }, metadata] = await Promise.all([admin.describeCluster(), admin.fetchTopicMetadata()]);
  const replicas = metadata.topics.flatMap(({ partitions }) => partitions.flatMap((partition) => partition.replicas));
  const ids = new Set([...brokers.map(({ nodeId }) => nodeId), ...replicas]);
  return { brokers: ids.size, topics: foundIn(metadata.topics) };
}

/** @throws Error unless the answer has every topic with all that is asked of it. */
async function describeTopics(admin: Admin, names: string[]): Promise<Map<string, FoundTopic>> {
  const found = foundIn((await admin.fetchTopicMetadata({ topics: names })).topics);
  for (const name of names) {
    if (!((found.get(name)?.partitions ?? 0) > 0)) throw new Error(`the brokers tell nothing of the topic ${name}`);
  }
  return found;
}

const foundIn = (topics: ITopicMetadata[]): Map<string, FoundTopic> =>
  new Map(
    topics.map(({ name, partitions }) => [
      name,
      { partitions: partitions.length, replication: Math.min(...partitions.map(({ replicas }) => replicas.length)) },
    ]),
  );

/**
 * A broker lists a new partition a moment before it serves it. A send in that moment succeeds on some partitions and
 * is repeated for all, which leaves duplicates; so a topic counts as there when every partition answers.
 */
async function untilReady(
  admin: Admin,
  topics: Pick<TopicSettings, 'name' | 'partitions'>[],
  ends: EndsReader,
): Promise<void> {
  const deadline = performance.now() + readyMs;
  for (const { name, partitions } of topics) {
    for (let attempt = 0; ; attempt++) {
      try {
        if ((await ends.read(admin, name)).length >= partitions) break;
        throw new Error(`topic ${name} does not have ${partitions} partitions yet`);
      } catch (error) {
        if (performance.now() > deadline) throw error;
        await sleep(backoffMs(attempt, 50, 500));
      }
    }
  }
}

async function setConfigs(admin: Admin, topic: string, wanted: Record<string, string>): Promise<void> {
  const { resources } = await admin.describeConfigs({
    resources: [{ type: TOPIC, name: topic }],
    includeSynonyms: false,
  });
  const entries = resources.find(({ resourceName }) => resourceName === topic)?.configEntries;
  if (!entries) throw new Error(`the brokers tell nothing of the configuration of ${topic}`);
  const isSet = ([name, value]: [string, string]): boolean =>
    entries.some(({ configName, configValue }) => configName === name && configValue === value);
  if (Object.entries(wanted).every(isSet)) return;
  // The request replaces all that was set on the topic, so what an operator set goes along.
  const own = entries.filter(({ configSource }) => configSource === kafkajs.ConfigSource.TOPIC_CONFIG);
  const kept = own.filter(({ configName }) => !(configName in wanted));
  await admin.alterConfigs({
    validateOnly: false,
    resources: [
      {
        type: TOPIC,
        name: topic,
        configEntries: [
          ...kept.map(({ configName, configValue }) => ({ name: configName, value: configValue })),
          ...Object.entries(wanted).map(([name, value]) => ({ name, value })),
        ],
      },
    ],
  });
}
