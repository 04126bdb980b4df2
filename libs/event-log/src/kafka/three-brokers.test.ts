import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { type Engine, type KafkaCluster, startKafkaCluster } from '@worktide/backends';
import { eventually } from '@worktide/testing';
import kafkajs, { type Admin } from 'kafkajs';
import { collect, day, logFixture, numbered } from '../contract/fixture.ts';
import { firstMet, readTopic, type Senders, type Stored, startSenders, toStored } from '../contract/ledger.ts';
import type { StoredRecord } from '../types.ts';

const partitions = 24;
/** A broker's start takes seconds, or a minute on a machine with much else to do. */
const patience = { seconds: 60 };

describe('three brokers', () => {
  let dir: string;
  let cluster: KafkaCluster;
  let admin: Admin;
  const setUp = logFixture(async () => cluster.url);
  const stopping: (() => Promise<void>)[] = [];
  const addresses = (): string[] => cluster.url.slice('kafka://'.length).split(',');

  beforeAll(async () => {
    dir = await mkdtemp(path.join(tmpdir(), 'worktide-brokers-'));
    cluster = await startKafkaCluster({ dir });
    // One of those it asks may hang.
    const impatient = { requestTimeout: 1_000, retry: { retries: 0 } };
    admin = new kafkajs.Kafka({ brokers: addresses(), logLevel: kafkajs.logLevel.NOTHING, ...impatient }).admin();
    await admin.connect();
  }, 120_000);
  afterAll(async () => {
    await admin?.disconnect();
    await Promise.all(cluster?.brokers.map((broker) => broker.kill9()) ?? []);
    await rm(dir, { recursive: true, force: true });
  });

  afterEach(async () => void (await Promise.all(stopping.splice(0).map((stop) => stop()))));

  async function metadataOf(topic: string) {
    const { topics } = await admin.fetchTopicMetadata({ topics: [topic] });
    return topics[0]!.partitions;
  }

  async function minInsyncOf(topic: string): Promise<string | undefined> {
    const resources = [{ type: kafkajs.ConfigResourceTypes.TOPIC, name: topic, configNames: ['min.insync.replicas'] }];
    const answer = await admin.describeConfigs({ resources, includeSynonyms: false });
    return answer.resources[0]?.configEntries[0]?.configValue;
  }

  /** Brings a broker down until it leads nothing, and up until it follows all. */
  async function moveAwayFrom(
    topic: string,
    node: number,
    { down, up }: Record<'down' | 'up', (broker: Engine) => Promise<void> | void>,
  ): Promise<void> {
    const broker = cluster.brokers[node - 1]!;
    await down(broker);
    await eventually(async () => {
      const leaders = (await metadataOf(topic)).map(({ leader }) => leader);
      expect(leaders).not.toContain(node);
    }, patience);
    await up(broker);
    await eventually(async () => {
      const inSync = (await metadataOf(topic)).map(({ isr }) => isr.length);
      expect(Math.min(...inSync)).toBe(3);
    }, patience);
  }

  const someMore = (senders: Senders, count: number): Promise<void> => {
    const from = senders.acknowledged.length;
    return eventually(() => expect(senders.acknowledged.length).toBeGreaterThan(from + count));
  };

  test('what was acknowledged is in the log and is handled, in order, while each broker in turn ends, is killed and hangs', async () => {
    const { log, prefix, again } = await setUp();
    await log.admin.ensureTopics([{ name: 'moved', partitions, retentionMs: day }]);
    const topic = `${prefix}moved`;
    const handled: Stored[] = [];
    for (let member = 0; member < 2; member++) {
      const handle = async (batch: StoredRecord[]): Promise<void> => void handled.push(...batch.map(toStored));
      await again().consume({ group: 'movers', topics: ['moved'], handle });
    }
    const senders = startSenders(log, 'moved', 50);
    stopping.push(() => senders.stop());
    await someMore(senders, 1_000);
    await moveAwayFrom(topic, 1, { down: (broker) => broker.stop(), up: (broker) => broker.restart() });
    await someMore(senders, 1_000);
    await moveAwayFrom(topic, 2, { down: (broker) => broker.kill9(), up: (broker) => broker.restart() });
    await someMore(senders, 1_000);
    await moveAwayFrom(topic, 3, { down: (broker) => broker.suspend(), up: (broker) => broker.resume() });
    await someMore(senders, 1_000);
    await senders.stop();

    const acknowledged = new Set(senders.acknowledged);
    const lostOf = (records: Stored[]): number[] => {
      const met = new Set(records.map(({ number }) => number));
      return [...acknowledged].filter((number) => !met.has(number));
    };
    const outOfOrder = (records: Stored[]): number =>
      [...firstMet(records).values()].filter((numbers) => {
        const of = numbers.filter((number) => acknowledged.has(number));
        return of.some((number, i) => number < (of[i - 1] ?? -1));
      }).length;
    const stored = await readTopic(addresses(), topic);
    expect(lostOf(stored)).toEqual([]);
    expect(outOfOrder(stored)).toBe(0);
    // A member that was thrown out notices it after half a minute, and the group waits for it once more when it comes back.
    const caughtUp = async () => expect(await log.admin.lag('movers', ['moved'])).toEqual({ moved: 0 });
    await eventually(caughtUp, { seconds: 4 * patience.seconds });
    expect(lostOf(handled)).toEqual([]);
    expect(outOfOrder(handled)).toBe(0);
  }, 600_000);

  test('who begins while the first broker of its URL hangs is served by the others', async () => {
    const { log, prefix, again } = await setUp();
    const broker = cluster.brokers[0]!;
    broker.suspend();
    stopping.push(async () => broker.resume());
    await eventually(async () => {
      const leaders = (await metadataOf(`${prefix}events`)).map(({ leader }) => leader);
      expect(leaders).not.toContain(1);
    }, patience);
    const fresh = again();
    await fresh.check();
    await fresh.producer().send('events', numbered(20));
    const { records, consumer } = await collect(fresh);
    await eventually(() => expect(records).toHaveLength(20));
    await eventually(async () => expect(await consumer.lag()).toBe(0));
    // Who was connected to it before asks it once, and then another one.
    await eventually(async () => expect(await log.admin.lag('group', ['events'])).toEqual({ events: 0 }), patience);
  });

  test('a topic that is made while one of three brokers is away has three copies, two in sync', async () => {
    const { log, prefix } = await setUp();
    const broker = cluster.brokers[1]!;
    await broker.kill9();
    stopping.push(() => broker.restart());
    await eventually(async () => expect((await admin.describeCluster()).brokers).toHaveLength(2), patience);
    await log.admin.ensureTopics([{ name: 'made', partitions: 3, retentionMs: day }]);
    expect((await metadataOf(`${prefix}made`)).map(({ replicas }) => replicas.length)).toEqual([3, 3, 3]);
    expect(await minInsyncOf(`${prefix}made`)).toBe('2');
    await log.producer().send('made', numbered(10));
  }, 120_000);

  test('topics have three copies, two in sync; one with fewer is named and stays writable', async () => {
    const { log, prefix, again } = await setUp();
    const created = (await metadataOf(`${prefix}events`)).map(({ replicas }) => replicas.length);
    expect(created).toEqual([3, 3, 3, 3]);
    expect(await minInsyncOf(`${prefix}events`)).toBe('2');
    await log.checkReplication();

    await admin.createTopics({ topics: [{ topic: `${prefix}pings`, numPartitions: 2, replicationFactor: 1 }] });
    await log.admin.ensureTopics([{ name: 'pings', partitions: 2, retentionMs: day }]);
    expect(await minInsyncOf(`${prefix}pings`)).toBe('1');
    await log.producer().send('pings', numbered(10));
    // Another opening, as another service: what was seen is kept for a minute.
    const other = again();
    await eventually(() => expect(other.checkReplication()).rejects.toThrow(`${prefix}pings (1 of 3)`));
    const once = again({ replication: { replication: 1 } });
    await once.checkReplication();
  });
});
