import { describe, expect, test } from '@jest/globals';
import { eventually } from '@worktide/testing';
import { partitionFor } from '../partition.ts';
import type { LogRecord } from '../types.ts';
import { collect, numbered, type Opened, partitions, record, sorted, texts, upTo } from './fixture.ts';

export function producingContract(setUp: () => Promise<Opened>): void {
  describe('producing', () => {
    test('what was acknowledged is there, in order for each key, on the partition of the key', async () => {
      const { log } = await setUp();
      const producer = log.producer();
      const all = numbered(2_000);
      await Promise.all([...Array(20).keys()].map((i) => producer.send('events', all.slice(i * 100, i * 100 + 100))));
      expect(producer.queuedBytes).toBe(0);
      const read = await Promise.all(
        [...Array(partitions).keys()].map((partition) =>
          log.admin.read('events', { partition, fromOffset: 0, limit: 5_000 }),
        ),
      );
      expect(sorted(texts(read.flat()))).toEqual(upTo(2_000));
      for (const stored of read.flat()) expect(stored.partition).toBe(partitionFor(stored.key, partitions));
      for (let key = 0; key < 10; key++) {
        const ofKey = read.flat().filter((one) => one.key === `user-${key}`);
        expect(texts(ofKey)).toEqual(
          upTo(2_000)
            .filter((n) => n % 10 === key)
            .map(String),
        );
      }
    });

    test('keys, headers and binary values come back as they were', async () => {
      const { log } = await setUp();
      const binary = Buffer.from([...Array(256).keys()]);
      const sent: LogRecord[] = [
        { key: 'Zoë 🙂', value: binary, headers: { a: '1', ü: 'Größe', empty: '' } },
        { key: 'Zoë 🙂', value: Buffer.alloc(0) },
        { key: 'Zoë 🙂', value: Buffer.alloc(899 * 1024, 7) },
      ];
      const before = Date.now();
      await log.producer().send('events', sent);
      const { records } = await collect(log);
      await eventually(() => expect(records).toHaveLength(3));
      expect(records.map(({ key, headers }) => ({ key, headers }))).toEqual(
        sent.map(({ key, headers = {} }) => ({ key, headers })),
      );
      for (const [i, one] of records.entries()) {
        expect(one.value.equals(sent[i]!.value)).toBe(true);
        expect(one.topic).toBe('events');
        expect(one.timestamp).toBeGreaterThanOrEqual(before);
        expect(one.timestamp).toBeLessThanOrEqual(Date.now());
      }
    });

    test('over the cap: 503 with Retry-After, nothing of the call queued, and room again afterwards', async () => {
      const { log, metrics } = await setUp();
      const producer = log.producer({ maxQueuedBytes: 300_000 });
      const big = { key: 'a', value: Buffer.alloc(200_000) };
      const first = producer.send('events', [big]);
      await expect(producer.send('events', [big])).rejects.toMatchObject({
        code: 'QUEUE_FULL',
        statusCode: 503,
        retryAfterSeconds: 1,
      });
      expect(producer.queuedBytes).toBeGreaterThanOrEqual(200_000);
      await first;
      expect(producer.queuedBytes).toBe(0);
      await producer.send('events', [big]);
      expect(await log.admin.lag('nobody', ['events'])).toEqual({ events: 2 });
      expect((await metrics.render()).text).toContain('worktide_producer_queued_bytes{client="contract"} 0');
    });

    test('a record over 900 KB is refused with what came with it, and stops nothing else', async () => {
      const { log } = await setUp();
      const producer = log.producer();
      const sent = producer.send('events', [record('a', 'good'), { key: 'a', value: Buffer.alloc(900 * 1024 + 1) }]);
      await expect(sent).rejects.toMatchObject({ code: 'RECORD_TOO_LARGE', statusCode: 413 });
      await producer.send('events', [record('a', 'next')]);
      expect(await log.admin.lag('nobody', ['events'])).toEqual({ events: 1 });
    });

    test('one call with far more than a send takes', async () => {
      const { log } = await setUp();
      const records = Array.from({ length: 30 }, (_, i) => ({ key: 'same', value: Buffer.alloc(200_000, i) }));
      await log.producer().send('events', records);
      const { records: read } = await collect(log);
      await eventually(() => expect(read).toHaveLength(30));
      expect(read.map(({ value }) => value[0])).toEqual(upTo(30));
    });

    test('flush and close wait for what was sent; afterwards records are refused', async () => {
      const { log } = await setUp();
      const producer = log.producer();
      const settled: string[] = [];
      void producer.send('events', numbered(10)).then(() => settled.push('first'));
      await producer.flush();
      expect(settled).toEqual(['first']);
      void producer.send('events', numbered(10)).then(() => settled.push('second'));
      await producer.close();
      expect(settled).toEqual(['first', 'second']);
      await expect(producer.send('events', numbered(1))).rejects.toMatchObject({ code: 'DEPENDENCY_UNAVAILABLE' });
      expect(await log.admin.lag('nobody', ['events'])).toEqual({ events: 20 });
    });
  });
}
