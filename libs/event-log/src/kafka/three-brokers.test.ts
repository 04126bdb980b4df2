import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { type Engine, type KafkaCluster, startKafkaCluster } from '@worktide/backends';
import kafkajs, { type Admin } from 'kafkajs';
import { eventually, logFixture } from '../contract/fixture.ts';
import { readTopic, type Senders, type Stored, startSenders, toStored } from '../contract/ledger.ts';

const partitions = 24;
const day = 24 * 3_600_000;

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
  });
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

  /** Brings a broker down and up again; waits until it leads nothing, and until it follows all. */
  async function moveAwayFrom(
    topic: string,
    node: number,
    down: (broker: Engine) => Promise<void>,
    up: (broker: Engine) => Promise<void>,
  ) {
    const broker = cluster.brokers[node - 1]!;
    await down(broker);
    await eventually(
      async () => expect((await metadataOf(topic)).map(({ leader }) => leader)).not.toContain(node),
      30_000,
    );
    await up(broker);
    await eventually(
      async () => expect((await metadataOf(topic)).every(({ isr }) => isr.length === 3)).toBe(true),
      30_000,
    );
  }

  const someMore = (senders: Senders, count: number): Promise<void> => {
    const from = senders.acknowledged.length;
    return eventually(() => expect(senders.acknowledged.length).toBeGreaterThan(from + count));
  };

  test('what was acknowledged is in the log and is handled, while each broker in turn ends, is killed and hangs', async () => {
    const { log, prefix, again } = await setUp();
    await log.admin.ensureTopics([{ name: 'moved', partitions, retentionMs: day }]);
    const topic = `${prefix}moved`;
    const handled: Stored[] = [];
    const handle = async (batch: { key: string }[]): Promise<void> =>
      void handled.push(...(batch as never[]).map(toStored));
    for (let member = 0; member < 2; member++) await again().consume({ group: 'movers', topics: ['moved'], handle });
    const senders = startSenders(log, 'moved', 50);
    stopping.push(() => senders.stop());
    await someMore(senders, 1_000);
    await moveAwayFrom(
      topic,
      1,
      (broker) => broker.stop(),
      (broker) => broker.restart(),
    );
    await someMore(senders, 1_000);
    await moveAwayFrom(
      topic,
      2,
      (broker) => broker.kill9(),
      (broker) => broker.restart(),
    );
    await someMore(senders, 1_000);
    await moveAwayFrom(
      topic,
      3,
      async (broker) => broker.suspend(),
      async (broker) => broker.resume(),
    );
    await someMore(senders, 1_000);
    await senders.stop();

    const stored = await readTopic(addresses(), topic);
    const there = new Set(stored.map(({ number }) => number));
    const lost = senders.acknowledged.filter((number) => !there.has(number));
    console.log({
      acknowledged: senders.acknowledged.length,
      refused: senders.refused,
      lost: lost.length,
      duplicates: stored.length - there.size,
    });
    expect(lost).toEqual([]);
  }, 120_000);
});
