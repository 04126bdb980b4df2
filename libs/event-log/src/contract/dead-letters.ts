import { describe, expect, test } from '@jest/globals';
import { deadLetterHeaders } from '../dead-letters.ts';
import { partitionFor } from '../partition.ts';
import type { BatchContext, StoredRecord } from '../types.ts';
import { collect, eventually, numbered, type Opened, partitions, record, texts } from './fixture.ts';

export function deadLettersContract(setUp: () => Promise<Opened>): void {
  describe('dead letters', () => {
    const poison = { code: 'BAD_PING', message: 'endedAt: before startedAt' };

    test('carry reason and origin, and what is behind the record goes through', async () => {
      const { log, metrics } = await setUp();
      await log
        .producer()
        .send('events', [
          record('user-1', '0', { trace: 'abc' }),
          record('user-1', 'poison', { trace: 'def' }),
          record('user-1', '2'),
        ]);
      const good: string[] = [];
      let attempts = 0;
      await collect(log, { lingerMs: 200 }, async (batch, { deadLetter }) => {
        for (const one of batch) {
          if (one.value.toString() === 'poison') {
            await deadLetter(one, poison);
            await deadLetter(one, poison, Buffer.from('a part'));
          }
        }
        // A retry of the batch writes nothing twice.
        if (++attempts === 1) throw new Error('the database is away');
        good.push(...texts(batch).filter((text) => text !== 'poison'));
      });
      await eventually(async () => expect(await log.admin.lag('group', ['events'])).toEqual({ events: 0 }));
      expect(good).toEqual(['0', '2']);
      const dead = await log.admin.read('events.dead', { partition: 0, fromOffset: 0, limit: 10 });
      expect(texts(dead)).toEqual(['poison', 'a part']);
      const partition = partitionFor('user-1', partitions);
      for (const letter of dead) {
        expect(letter.key).toBe('user-1');
        const { [deadLetterHeaders.time]: time, ...headers } = letter.headers;
        expect(headers).toEqual({
          trace: 'def',
          'worktide-reason-code': 'BAD_PING',
          'worktide-reason-message': 'endedAt: before startedAt',
          'worktide-group': 'group',
          'worktide-topic': 'events',
          'worktide-partition': String(partition),
          'worktide-offset': '1',
        });
        expect(new Date(time!).toISOString()).toBe(time);
      }
      expect((await metrics.render()).text).toContain(
        'worktide_consumer_dead_letters_total{group="group",topic="events"} 2',
      );
    });

    test('the largest record fits with its reason', async () => {
      const { log } = await setUp();
      await log.producer().send('events', [{ key: 'a', value: Buffer.alloc(899 * 1024, 3) }]);
      await collect(log, {}, (batch, { deadLetter }) =>
        deadLetter(batch[0]!, { code: 'X', message: '🙂'.repeat(5_000) }),
      );
      await eventually(async () => expect(await log.admin.lag('group', ['events'])).toEqual({ events: 0 }));
      const [letter] = await log.admin.read('events.dead', { partition: 0, fromOffset: 0, limit: 10 });
      expect(letter!.value).toHaveLength(899 * 1024);
    });

    test('past the limit the consumer stops before the record, and says so', async () => {
      const { log, metrics, again } = await setUp();
      await log.producer().send('events', numbered(50));
      const deadLetterLimit = { count: 20, windowMs: 60_000 };
      const all = async (batch: StoredRecord[], { deadLetter }: BatchContext): Promise<void> => {
        for (const one of batch) await deadLetter(one, poison);
      };
      const bad = again();
      const { consumer } = await collect(bad, { deadLetterLimit, maxRecords: 10 }, all);
      await eventually(() => expect(consumer.state).toBe('stopped'));
      expect(() => consumer.check()).toThrow(expect.objectContaining({ statusCode: 503 }));
      expect((await metrics.render()).text).toContain('worktide_consumer_state{group="group",state="stopped"} 1');
      // Of 50 in batches of at most 10, the batch with the 21st is not committed.
      const lag = await consumer.lag();
      expect(lag).toBeGreaterThanOrEqual(30);
      expect(lag).toBeLessThan(50);
      expect(await log.admin.read('events.dead', { partition: 0, fromOffset: 0, limit: 100 })).toHaveLength(20);
      await bad.close();
      const mended = await collect(log);
      await eventually(() => expect(mended.records).toHaveLength(lag));
      await eventually(async () => expect(await log.admin.lag('group', ['events'])).toEqual({ events: 0 }));
    });
  });
}
