import { describe, expect, test } from '@jest/globals';
import { sleep, unavailable } from '@worktide/runtime';
import { eventually } from '@worktide/testing';
import { collect, day, gate, numbered, type Opened, sorted, texts, upTo } from './fixture.ts';

export function consumingContract(setUp: () => Promise<Opened>): void {
  describe('consuming', () => {
    test('groups are independent, and each continues where it was', async () => {
      const { log, again } = await setUp();
      const producer = log.producer();
      await producer.send('events', numbered(50));
      const one = await collect(log, { group: 'one' });
      const two = await collect(log, { group: 'two' });
      await eventually(() => expect([one.records.length, two.records.length]).toEqual([50, 50]));
      await one.consumer.close();
      await producer.send('events', numbered(50, 50));
      const later = await collect(again(), { group: 'one' });
      await eventually(() => expect([later.records.length, two.records.length]).toEqual([50, 100]));
      expect(sorted(texts(later.records))).toEqual(upTo(100).slice(50));
    });

    test('a failing handler gets the same batch again until it succeeds; nothing is committed meanwhile', async () => {
      const { log, metrics } = await setUp();
      await log.producer().send('events', numbered(20));
      const attempts: string[][] = [];
      const failing = gate();
      const { records, consumer } = await collect(log, { lingerMs: 200 }, async (batch) => {
        attempts.push(texts(batch));
        if (attempts.length === 3) await failing.wait();
        if (attempts.length <= 3) throw unavailable('database');
      });
      await failing.entered;
      expect(consumer.state).toBe('retrying');
      expect(() => consumer.check()).toThrow(expect.objectContaining({ statusCode: 503 }));
      expect(await log.admin.lag('group', ['events'])).toEqual({ events: 20 });
      failing.open();
      await eventually(() => expect(records).toHaveLength(20));
      expect(attempts[1]).toEqual(attempts[0]);
      expect(attempts[2]).toEqual(attempts[0]);
      await eventually(async () => expect(await consumer.lag()).toBe(0));
      await eventually(() => expect(consumer.state).toBe('running'));
      consumer.check();
      const { text } = await metrics.render();
      expect(text).toContain('worktide_consumer_batch_failures_total{group="group"} 3');
      expect(text).toContain('worktide_consumer_records_total{group="group",topic="events"} 20');
      expect(text).toContain('worktide_consumer_state{group="group",state="running"} 1');
    });

    test('an offset is committed only after its handler resolved: what a dying consumer had comes again', async () => {
      const { log, again } = await setUp();
      await log.producer().send('events', numbered(20));
      const dying = gate();
      const doomed = again();
      const first = await collect(doomed, { lingerMs: 200 }, async () => {
        await dying.wait();
        throw unavailable('database');
      });
      await dying.entered;
      expect(await first.consumer.lag()).toBe(20);
      const closed = doomed.close();
      dying.open();
      await closed;
      expect(await log.admin.lag('group', ['events'])).toEqual({ events: 20 });
      const second = await collect(log);
      await eventually(() => expect(second.records).toHaveLength(20));
      expect(sorted(texts(second.records))).toEqual(upTo(20));
    });

    test('close finishes the running batch, commits it and takes no other', async () => {
      const { log } = await setUp();
      await log.producer().send('events', numbered(20));
      const slow = gate();
      const { records, consumer } = await collect(log, { maxRecords: 5 }, slow.wait);
      await slow.entered;
      const closed = consumer.close();
      slow.open();
      await closed;
      expect(records.length).toBeGreaterThanOrEqual(1);
      expect(records.length).toBeLessThanOrEqual(5);
      expect(await log.admin.lag('group', ['events'])).toEqual({ events: 20 - records.length });
      expect(consumer.state).toBe('stopped');
    });

    test('one handler call at a time, while fetching goes on', async () => {
      const { log } = await setUp();
      await log.producer().send('events', numbered(100));
      let inside = 0;
      let most = 0;
      const { records } = await collect(log, { maxRecords: 7 }, async () => {
        most = Math.max(most, ++inside);
        await sleep(1);
        inside--;
      });
      await eventually(() => expect(records).toHaveLength(100));
      expect(most).toBe(1);
    });

    test('batches end at maxRecords, at maxBytes, or when the linger is over', async () => {
      const { log } = await setUp();
      await log.producer().send('events', numbered(40));
      const byCount = await collect(log, { group: 'count', maxRecords: 16, lingerMs: 60_000 });
      await eventually(() => expect(byCount.records.length).toBe(32));
      expect(byCount.batches.map((batch) => batch.length)).toEqual([16, 16]);
      const byTime = await collect(log, { group: 'time', lingerMs: 1_000 });
      await eventually(() => expect(byTime.records).toHaveLength(40));
      expect(byTime.batches).toHaveLength(1);
      // 200 bytes a record are counted besides key and value, see ConsumeOptions.
      const byBytes = await collect(log, { group: 'bytes', maxBytes: 2_200, lingerMs: 60_000 });
      await eventually(() => expect(byBytes.records.length).toBeGreaterThanOrEqual(30));
      expect(Math.max(...byBytes.batches.map((batch) => batch.length))).toBe(10);
    });

    test('paused: the running batch ends, nothing else is handed over until resumed', async () => {
      const { log, metrics } = await setUp();
      const producer = log.producer();
      await producer.send('events', numbered(10));
      const { records, consumer } = await collect(log);
      await eventually(async () => expect(await consumer.lag()).toBe(0));
      consumer.pause();
      expect(consumer.state).toBe('paused');
      consumer.check();
      await producer.send('events', numbered(10, 10));
      const other = await collect(log, { group: 'other' });
      await eventually(() => expect(other.records).toHaveLength(20));
      expect(records).toHaveLength(10);
      expect(await consumer.lag()).toBe(10);
      expect((await metrics.render()).text).toContain('worktide_consumer_state{group="group",state="paused"} 1');
      consumer.resume();
      await eventually(() => expect(records).toHaveLength(20));
      expect(consumer.state).toBe('running');
    });

    test('a consumer may start before its topic exists', async () => {
      const { log } = await setUp();
      const { records, consumer } = await collect(log, { topics: ['later'] });
      expect(consumer.state).not.toBe('running');
      expect(() => consumer.check()).toThrow(expect.objectContaining({ statusCode: 503 }));
      await log.admin.ensureTopics([{ name: 'later', partitions: 2, retentionMs: day }]);
      await log.producer().send('later', numbered(5));
      await eventually(() => expect(records).toHaveLength(5));
      expect(consumer.state).toBe('running');
    });
  });
}
