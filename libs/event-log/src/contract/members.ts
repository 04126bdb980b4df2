import { describe, expect, test } from '@jest/globals';
import { sleep } from '@worktide/runtime';
import { eventually } from '@worktide/testing';
import type { BatchContext, StoredRecord } from '../types.ts';
import { collect, gate, numbered, type Opened, sorted, texts, upTo } from './fixture.ts';

export function membersContract(setUp: () => Promise<Opened>): void {
  describe('members of a group', () => {
    test('two divide the partitions; when one leaves, the other has them all', async () => {
      const { log, again } = await setUp();
      const producer = log.producer();
      const one = await collect(again());
      const two = await collect(again());
      // Joined when both get records; where a rebalance falls between, some come twice.
      let sent = 0;
      await eventually(async () => {
        await producer.send('events', numbered(40, sent));
        sent += 40;
        expect(Math.min(one.records.length, two.records.length)).toBeGreaterThan(0);
      });
      await eventually(async () => expect(await log.admin.lag('group', ['events'])).toEqual({ events: 0 }));
      one.records.length = 0;
      two.records.length = 0;
      await producer.send('events', numbered(400, sent));
      await eventually(() => expect(one.records.length + two.records.length).toBe(400));
      const owned = (records: StoredRecord[]): number[] => [...new Set(records.map(({ partition }) => partition))];
      expect(owned(one.records).length).toBe(2);
      expect([...owned(one.records), ...owned(two.records)].sort()).toEqual([0, 1, 2, 3]);
      await eventually(async () => expect(await log.admin.lag('group', ['events'])).toEqual({ events: 0 }));
      await one.consumer.close();
      two.records.length = 0;
      await producer.send('events', numbered(40, sent + 400));
      await eventually(() => expect(new Set(texts(two.records)).size).toBe(40));
    });

    test('a rebalance while a batch is handled loses nothing and commits nothing of partitions that went away', async () => {
      const { log, again } = await setUp();
      await log.producer().send('events', numbered(200));
      const slow = gate();
      let context: BatchContext | undefined;
      const one = await collect(again(), { lingerMs: 200 }, async (_batch, given) => {
        context ??= given;
        await slow.wait();
      });
      await slow.entered;
      const two = await collect(again());
      await eventually(() => expect(two.records.length).toBeGreaterThan(0));
      expect(context?.signal.aborted).toBe(true);
      slow.open();
      await eventually(async () => expect(await log.admin.lag('group', ['events'])).toEqual({ events: 0 }));
      const seen = new Set([...texts(one.records), ...texts(two.records)]);
      expect(sorted([...seen])).toEqual(upTo(200));
      // The records of the partitions that went away were handled by the second member too.
      const partitionsOfTwo = new Set(two.records.map(({ partition }) => partition));
      const stored = await Promise.all(
        [...partitionsOfTwo].map((partition) => log.admin.read('events', { partition, fromOffset: 0, limit: 500 })),
      );
      expect(new Set(texts(two.records))).toEqual(new Set(texts(stored.flat())));
    });

    test('a batch that fails for longer than anyone waits keeps its membership', async () => {
      const { log } = await setUp();
      const producer = log.producer();
      await producer.send('events', numbered(10));
      const failing = gate();
      let aborted = 0;
      const { records } = await collect(log, { lingerMs: 200 }, async (_batch, { signal }) => {
        signal.addEventListener('abort', () => aborted++);
        await failing.wait();
      });
      await failing.entered;
      // Past the heartbeat interval, with more waiting than is fetched ahead.
      await producer.send(
        'events',
        Array.from({ length: 60 }, (_, i) => ({ key: `user-${i % 10}`, value: Buffer.alloc(300_000, i) })),
      );
      await sleep(2_500);
      failing.open();
      await eventually(() => expect(records).toHaveLength(70));
      expect(aborted).toBe(0);
    });
  });
}
