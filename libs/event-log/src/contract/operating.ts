import { describe, expect, test } from '@jest/globals';
import { eventually } from '@worktide/testing';
import { partitionFor } from '../partition.ts';
import { collect, day, numbered, type Opened, partitions, record, sorted, texts, upTo } from './fixture.ts';

export function operatingContract(setUp: () => Promise<Opened>): void {
  describe('operating', () => {
    test('lag counts what a group has not committed', async () => {
      const { log } = await setUp();
      const producer = log.producer();
      await producer.send('events', numbered(30));
      expect(await log.admin.lag('group', ['events', 'events.dead'])).toEqual({ events: 30, 'events.dead': 0 });
      const { consumer } = await collect(log);
      await eventually(async () => expect(await consumer.lag()).toBe(0));
    });

    test('resetGroup replays from the start, or skips to the end, and refuses while a consumer runs', async () => {
      const { log } = await setUp();
      await log.producer().send('events', numbered(30));
      const first = await collect(log);
      await eventually(async () => expect(await first.consumer.lag()).toBe(0));
      await expect(log.admin.resetGroup('group', 'events', 'earliest')).rejects.toMatchObject({
        code: 'GROUP_ACTIVE',
        statusCode: 409,
      });
      await first.consumer.close();
      await log.admin.resetGroup('group', 'events', 'earliest');
      expect(await log.admin.lag('group', ['events'])).toEqual({ events: 30 });
      const second = await collect(log);
      await eventually(() => expect(second.records).toHaveLength(30));
      expect(sorted(texts(second.records))).toEqual(upTo(30));
      await second.consumer.close();
      await log.admin.resetGroup('new', 'events', 'latest');
      expect(await log.admin.lag('new', ['events'])).toEqual({ events: 0 });
    });

    test('read gives a partition from an offset on, up to a limit', async () => {
      const { log } = await setUp();
      const same = upTo(30).map((n) => record('same', String(n)));
      await log.producer().send('events', same);
      const partition = partitionFor('same', partitions);
      const read = await log.admin.read('events', { partition, fromOffset: 10, limit: 5 });
      expect(texts(read)).toEqual(['10', '11', '12', '13', '14']);
      expect(read.map(({ offset }) => offset)).toEqual([10, 11, 12, 13, 14]);
      expect(await log.admin.read('events', { partition, fromOffset: 30, limit: 5 })).toEqual([]);
      const other = (partition + 1) % partitions;
      expect(await log.admin.read('events', { partition: other, fromOffset: 0, limit: 5 })).toEqual([]);
    });

    test('ensureTopics creates, adds partitions, and changes nothing when run again', async () => {
      const { log } = await setUp();
      const topics = [
        { name: 'a', partitions: 2, retentionMs: day },
        { name: 'b', partitions: 1, retentionMs: day },
      ];
      await log.admin.ensureTopics(topics);
      await log.producer().send('a', numbered(10));
      await log.admin.ensureTopics(topics);
      expect((await log.admin.topicNames()).sort()).toEqual(['a', 'b', 'events', 'events.dead']);
      expect(await log.admin.lag('nobody', ['a'])).toEqual({ a: 10 });
      await log.admin.ensureTopics([{ name: 'a', partitions: 6, retentionMs: 2 * day }]);
      await log.admin.ensureTopics([{ name: 'a', partitions: 1, retentionMs: 2 * day }]);
      const producer = log.producer();
      await producer.send('a', numbered(50));
      const read = await Promise.all(
        upTo(6).map((partition) => log.admin.read('a', { partition, fromOffset: 0, limit: 100 })),
      );
      expect(read.flat()).toHaveLength(60);
      expect(read.slice(2).flat().length).toBeGreaterThan(0);
    });

    test('check answers; closing the log closes what it opened', async () => {
      const { log, again } = await setUp();
      await log.check();
      const other = again();
      const producer = other.producer();
      const { consumer } = await collect(other);
      const sent = producer.send('events', numbered(5));
      await other.close();
      await sent;
      expect(consumer.state).toBe('stopped');
      await expect(producer.send('events', numbered(1))).rejects.toMatchObject({ statusCode: 503 });
      expect(() => other.producer()).toThrow(expect.objectContaining({ statusCode: 503 }));
      await expect(other.consume({ group: 'g', topics: ['events'], handle: async () => {} })).rejects.toMatchObject({
        statusCode: 503,
      });
    });

    test('a consumer without a group, without topics or with a limit of nothing is refused', async () => {
      const { log } = await setUp();
      const good = { group: 'g', topics: ['events'], handle: async () => {} };
      for (const bad of [{ group: '' }, { topics: [] }, { maxRecords: 0 }, { maxBytes: 0 }, { lingerMs: -1 }]) {
        await expect(log.consume({ ...good, ...bad })).rejects.toThrow(RangeError);
      }
    });
  });
}
