import { afterEach, describe, expect, test } from '@jest/globals';
import { createLogger } from '@worktide/runtime';
import { eventually } from '@worktide/testing';
import kafkajs, { type Admin } from 'kafkajs';
import type { EventLog } from '../types.ts';
import { collect, day, logFixture, numbered, type Opened, sorted, texts, upTo } from './fixture.ts';

/** What only Kafka can do to a group: take away what it has not read, or have less than it has. */
export function offsetsContract(url: () => Promise<string>): void {
  const setUp = logFixture(url);
  const opened: Admin[] = [];
  afterEach(async () => void (await Promise.all(opened.splice(0).map((admin) => admin.disconnect()))));

  /** The broker as an operator sees it. */
  async function operator(): Promise<Admin> {
    const brokers = (await url()).slice('kafka://'.length).split(',');
    const admin = new kafkajs.Kafka({ brokers, logLevel: kafkajs.logLevel.NOTHING }).admin();
    await admin.connect();
    opened.push(admin);
    return admin;
  }

  async function resetsOf({ metrics }: Opened): Promise<number> {
    const { text } = await metrics.render();
    const name = 'worktide_consumer_offset_resets_total{group="group",topic="events"}';
    const line = text.split('\n').find((one) => one.startsWith(name));
    return Number(line?.slice(name.length) ?? 0);
  }

  async function caughtUp(log: EventLog): Promise<void> {
    await eventually(async () => expect(await log.admin.lag('group', ['events'])).toEqual({ events: 0 }));
  }

  describe('offsets out of range', () => {
    test('cut by retention while the group was away: it goes on from the earliest, says so and counts it', async () => {
      const setting = await setUp();
      const { log, again, prefix } = setting;
      const producer = log.producer();
      await producer.send('events', numbered(100));
      const first = await collect(log);
      await caughtUp(log);
      await first.consumer.close();
      expect(await resetsOf(setting)).toBe(0);

      await producer.send('events', numbered(100, 100));
      const admin = await operator();
      const topic = `${prefix}events`;
      const ends = await admin.fetchTopicOffsets(topic);
      await admin.deleteTopicRecords({
        topic,
        partitions: ends.map(({ partition, high }) => ({ partition, offset: high })),
      });
      await producer.send('events', numbered(50, 200));

      const lines: string[] = [];
      const destination = { write: (line: string) => void lines.push(line) };
      const second = await collect(again({ log: createLogger({ service: 'test', destination }) }));
      await eventually(() => expect(second.records).toHaveLength(50));
      expect(sorted(texts(second.records))).toEqual(upTo(250).slice(200));
      await caughtUp(log);
      const partitionsCut = ends.filter(({ high, low }) => high !== low).length;
      expect(await resetsOf(setting)).toBe(partitionsCut);
      expect(lines.filter((line) => line.includes('goes on from the earliest'))).toHaveLength(partitionsCut);
    });

    test('beyond the end, as after records were lost: everything that is there comes once more', async () => {
      const setting = await setUp();
      const { log, prefix } = setting;
      await log.producer().send('events', numbered(100));
      const admin = await operator();
      const topic = `${prefix}events`;
      await admin.setOffsets({
        groupId: `${prefix}group`,
        topic,
        partitions: [0, 1, 2, 3].map((partition) => ({ partition, offset: '1000' })),
      });
      // No lag of nothing: what a group has not read is not known while it has read more than there is.
      await expect(log.admin.lag('group', ['events'])).rejects.toMatchObject({ statusCode: 503 });
      const { records } = await collect(log);
      await eventually(() => expect(records).toHaveLength(100));
      await caughtUp(log);
      expect(await resetsOf(setting)).toBe(4);
    });
  });

  describe('topics of others', () => {
    test('what an operator has set besides stays, and a second run changes nothing', async () => {
      const { log, prefix } = await setUp();
      const settings = [{ name: 'events', partitions: 4, retentionMs: 2 * day }];
      const admin = await operator();
      const topic = `${prefix}events`;
      const configs = async (): Promise<Record<string, string>> => {
        const { resources } = await admin.describeConfigs({
          resources: [{ type: kafkajs.ConfigResourceTypes.TOPIC, name: topic }],
          includeSynonyms: false,
        });
        const own = resources[0]!.configEntries.filter(
          ({ configSource }) => configSource === kafkajs.ConfigSource.TOPIC_CONFIG,
        );
        return Object.fromEntries(own.map(({ configName, configValue }) => [configName, configValue]));
      };
      const resources = [
        {
          type: kafkajs.ConfigResourceTypes.TOPIC,
          name: topic,
          configEntries: [
            { name: 'segment.ms', value: '7200000' },
            { name: 'retention.ms', value: String(day) },
          ],
        },
      ];
      await admin.alterConfigs({ validateOnly: false, resources });
      await log.admin.ensureTopics(settings);
      const expected = { 'segment.ms': '7200000', 'retention.ms': String(2 * day), 'min.insync.replicas': '1' };
      await eventually(async () => expect(await configs()).toEqual(expected));
      await log.admin.ensureTopics(settings);
      expect(await configs()).toEqual(expected);
    });

    test('more copies than there are brokers, asked for outright, are not made fewer', async () => {
      const { again } = await setUp();
      const settings = [{ name: 'copied', partitions: 1, retentionMs: day }];
      const four = again({ replication: { replication: 4 } });
      await expect(four.admin.ensureTopics(settings)).rejects.toMatchObject({ statusCode: 503 });
      expect(await four.admin.topicNames()).not.toContain('copied');
      const never = again({ replication: { replication: 1, minInsync: 2 } });
      await expect(never.admin.ensureTopics(settings)).rejects.toMatchObject({ code: 'BAD_CONFIGURATION' });
    });
  });
}
