import { backoffMs, type Logger, sleep } from '@worktide/runtime';
import kafkajs, { type Admin } from 'kafkajs';
import type { ReplicationOptions, TopicSettings } from '../types.ts';
import type { EndsReader } from './ends.ts';
import { copiesFor, minInsyncFor, replicationFor, sayIfWeak } from './replication.ts';

/** About five seconds. */
const readyRetries = 20;
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
  const { brokers } = await admin.describeCluster();
  const copies = copiesFor(brokers.length, asked);
  sayIfWeak(copies, log);
  const existing = new Set(await admin.listTopics());
  const missing = topics.filter(({ name }) => !existing.has(name));
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
  const { brokers } = await admin.describeCluster();
  const replication = replicationFor(brokers.length, asked);
  const existing = new Set(await admin.listTopics());
  const present = names.filter((name) => existing.has(name));
  if (present.length === 0) return [];
  const found = [...(await describeTopics(admin, present))];
  return found
    .filter(([, topic]) => topic.replication < replication)
    .map(([name, topic]) => `${name} (${topic.replication} of ${replication})`);
}

export interface FoundTopic {
  partitions: number;
  /** Of the partition with the fewest copies. */
  replication: number;
}

/** @throws Error unless the answer has every topic with all that is asked of it. */
export async function describeTopics(admin: Admin, names: string[]): Promise<Map<string, FoundTopic>> {
  const metadata = await admin.fetchTopicMetadata({ topics: names });
  const found = new Map(
    metadata.topics.map(({ name, partitions }) => [
      name,
      { partitions: partitions.length, replication: Math.min(...partitions.map(({ replicas }) => replicas.length)) },
    ]),
  );
  for (const name of names) {
    if (!((found.get(name)?.partitions ?? 0) > 0)) throw new Error(`the brokers tell nothing of the topic ${name}`);
  }
  return found;
}

/**
 * A broker lists a new partition a moment before it serves it. A send in that moment succeeds on some partitions and
 * is repeated for all, which leaves duplicates; so a topic counts as there when every partition answers.
 */
async function untilReady(
  admin: Admin,
  topics: Pick<TopicSettings, 'name' | 'partitions'>[],
  ends: EndsReader,
): Promise<void> {
  for (const { name, partitions } of topics) {
    for (let attempt = 0; ; attempt++) {
      try {
        if ((await ends.read(admin, name)).length >= partitions) break;
        throw new Error(`topic ${name} does not have ${partitions} partitions yet`);
      } catch (error) {
        if (attempt >= readyRetries) throw error;
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
