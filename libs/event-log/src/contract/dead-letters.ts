import { describe, expect, test } from '@jest/globals';
import { unavailable } from '@worktide/runtime';
import { eventually } from '@worktide/testing';
import { deadLetterHeaders } from '../dead-letters.ts';
import { partitionFor } from '../partition.ts';
import type { BatchContext, EventLog, StoredRecord } from '../types.ts';
import { collect, numbered, type Opened, partitions, record, sorted, texts, upTo } from './fixture.ts';

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
            deadLetter(one, poison);
            deadLetter(one, poison, Buffer.from('a part'));
          }
        }
        // A retry of the batch writes nothing twice.
        if (++attempts === 1) throw unavailable('database');
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

    test('whole ones are told of until that is done, when they are durable; what cannot be told keeps nobody waiting', async () => {
      const { log } = await setUp();
      const sent = ['good', 'part', 'whole', 'untold', 'broken', 'good'];
      await log.producer().send(
        'events',
        sent.map((text) => record('user-1', text)),
      );
      const told: string[] = [];
      let attempts = 0;
      await collect(
        log,
        {
          async deadLettered({ value }, { code }) {
            const written = texts(await log.admin.read('events.dead', { partition: 0, fromOffset: 0, limit: 10 }));
            expect(written).toContain(value.toString());
            if (++attempts === 1) throw unavailable('database');
            if (value.toString() === 'untold') throw new Error('no');
            told.push(`${value} ${code}`);
          },
        },
        (batch, { deadLetter }) => {
          for (const one of batch) {
            const text = one.value.toString();
            if (text === 'part') deadLetter(one, poison, Buffer.from('a part'));
            if (text === 'whole' || text === 'untold') deadLetter(one, poison);
            if (text === 'broken') throw new Error('cannot be');
          }
        },
      );
      await eventually(async () => expect(await log.admin.lag('group', ['events'])).toEqual({ events: 0 }));
      expect(told.sort()).toEqual(['broken HANDLER_FAILED', 'whole BAD_PING']);
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

    const dead = (log: EventLog) => log.admin.read('events.dead', { partition: 0, fromOffset: 0, limit: 1_000 });
    const allDone = (log: EventLog) =>
      eventually(async () => expect(await log.admin.lag('group', ['events'])).toEqual({ events: 0 }));
    const isBad = (one: StoredRecord) => one.value.toString().startsWith('bad');

    test('one sender over the limit stops nobody: its records go by whole ones, everybody’s good ones are handled', async () => {
      const { log, metrics } = await setUp();
      const sent = Array.from({ length: 60 }, (_, i) => [
        record('hostile', `bad ${i}`),
        record('hostile', `good ${i}`),
        record(`user-${i}`, `good of user ${i}`),
      ]).flat();
      await log.producer().send('events', sent);
      const good = new Set<string>();
      const deadLetterLimit = { count: 20, senders: 2, windowMs: 60_000 };
      const { consumer } = await collect(log, { deadLetterLimit, maxRecords: 40 }, (batch, { deadLetter }) => {
        for (const one of batch) {
          if (!isBad(one)) good.add(one.value.toString());
          // Three things are wrong with each.
          else for (const what of ['a', 'b', 'c']) deadLetter(one, poison, () => Buffer.from(`${one.value} ${what}`));
        }
      });
      await allDone(log);
      expect(consumer.state).toBe('running');
      expect(good.size).toBe(120);
      const letters = texts(await dead(log));
      const within = Array.from({ length: 20 }, (_, i) => `bad ${Math.floor(i / 3)} ${'abc'[i % 3]}`);
      expect(letters.slice(0, 20)).toEqual(within);
      // Whole from there on: the record of which two parts were within the limit as well, so that its third is there.
      expect(letters.slice(20)).toEqual(Array.from({ length: 54 }, (_, i) => `bad ${i + 6}`));
      expect((await metrics.render()).text).toContain('worktide_consumer_senders_set_aside{group="group"} 1');
    });

    test('what cannot be handled is found, wherever it is, and dead-lettered alone; the rest is handled in order', async () => {
      const { log, metrics } = await setUp();
      const bad = new Set([0, 137, 138, 299]);
      await log.producer().send(
        'events',
        Array.from({ length: 300 }, (_, i) => record(`user-${i % 30}`, bad.has(i) ? `bad ${i}` : `${i}`)),
      );
      const { records, consumer } = await collect(log, { lingerMs: 200 }, (batch) => {
        if (batch.some(isBad)) throw new TypeError('cannot read properties of undefined');
      });
      await allDone(log);
      const letters = await dead(log);
      expect(texts(letters).sort()).toEqual(['bad 0', 'bad 137', 'bad 138', 'bad 299']);
      expect(letters[0]!.headers).toMatchObject({
        'worktide-reason-code': 'HANDLER_FAILED',
        'worktide-reason-message': 'cannot read properties of undefined',
      });
      const handled = records.filter((one) => !isBad(one));
      expect(sorted([...new Set(texts(handled))])).toEqual(upTo(300).filter((i) => !bad.has(i)));
      for (const [, own] of Map.groupBy(handled, ({ key }) => key)) {
        const once = [...new Set(texts(own))].map(Number);
        expect(once).toEqual([...once].sort((a, b) => a - b));
      }
      await eventually(() => expect(consumer.state).toBe('running'));
      expect((await metrics.render()).text).toContain(
        'worktide_consumer_dead_letters_total{group="group",topic="events"} 4',
      );
    });

    test('within a record it is found by splitting', async () => {
      const { log } = await setUp();
      await log.producer().send('events', [record('a', '1,2,bad,4,5,6,7'), record('b', '8')]);
      const handled = new Set<string>();
      const split = (one: StoredRecord): StoredRecord[] => {
        const items = one.value.toString().split(',');
        const half = items.length >> 1;
        return half === 0
          ? []
          : [items.slice(0, half), items.slice(half)].map((part) => ({ ...one, value: Buffer.from(part.join(',')) }));
      };
      await collect(log, { split }, (batch) => {
        const items = texts(batch).flatMap((text) => text.split(','));
        if (items.includes('bad')) throw new Error('no');
        for (const item of items) handled.add(item);
      });
      await allDone(log);
      expect(sorted([...handled])).toEqual([1, 2, 4, 5, 6, 7, 8]);
      expect(texts(await dead(log))).toEqual(['bad']);
    });

    test('away while the culprit is looked for: it waits, and blames nobody', async () => {
      const { log } = await setUp();
      await log.producer().send('events', [record('a', 'bad'), record('b', '1'), record('c', '2')]);
      let away = 5;
      const { records } = await collect(log, { lingerMs: 200 }, (batch) => {
        if (batch.length === 1 && away-- > 0) throw unavailable('database');
        if (batch.some(isBad)) throw new Error('no');
      });
      await allDone(log);
      expect(texts(await dead(log))).toEqual(['bad']);
      expect(sorted(texts(records))).toEqual([1, 2]);
    });

    test('what is not ready is no record’s fault', async () => {
      const { log } = await setUp();
      await log.producer().send('events', numbered(5));
      let missing = 3;
      const { records } = await collect(log, {
        ready: async () => {
          if (missing-- > 0) throw new Error('the schema is refused');
        },
      });
      await allDone(log);
      expect(records).toHaveLength(5);
      expect(await dead(log)).toEqual([]);
    });

    test('where nearly all senders fail the consumer stops before them, again after a restart, and writes nothing', async () => {
      const { log, metrics, again } = await setUp();
      await log.producer().send('events', numbered(50));
      const deadLetterLimit = { count: 20, senders: 5, windowMs: 60_000 };
      const refuse = (batch: StoredRecord[], { deadLetter }: BatchContext): void => {
        for (const one of batch) deadLetter(one, poison);
      };
      const fail = (): void => {
        throw new TypeError('a mistake of ours');
      };
      for (const handler of [refuse, fail, refuse]) {
        const broken = again();
        const { consumer } = await collect(broken, { deadLetterLimit, lingerMs: 300 }, handler);
        await eventually(() => expect(consumer.state).toBe('stopped'));
        expect(() => consumer.check()).toThrow(expect.objectContaining({ statusCode: 503 }));
        expect((await metrics.render()).text).toContain('worktide_consumer_state{group="group",state="stopped"} 1');
        await broken.close();
      }
      expect(await log.admin.lag('group', ['events'])).toEqual({ events: 50 });
      expect(await dead(log)).toEqual([]);
      const mended = await collect(log);
      await eventually(() => expect(mended.records).toHaveLength(50));
      await allDone(log);
    });

    test('it looks again after the window, so that what is mended elsewhere goes on by itself', async () => {
      const { log } = await setUp();
      await log.producer().send('events', numbered(20));
      let wrong = true;
      const deadLetterLimit = { count: 20, senders: 5, windowMs: 300 };
      const { records, consumer } = await collect(log, { deadLetterLimit, lingerMs: 200 }, () => {
        if (wrong) throw new Error('no such column');
      });
      await eventually(() => expect(consumer.state).toBe('stopped'));
      wrong = false;
      await allDone(log);
      expect(new Set(texts(records)).size).toBe(20);
      expect(await dead(log)).toEqual([]);
      await eventually(() => expect(consumer.state).toBe('running'));
    });

    test('what was dead-lettered before a restart is not met again', async () => {
      const { log, again } = await setUp();
      await log.producer().send(
        'events',
        [...Array(30).keys()].map((i) => record('hostile', `bad ${i}`)),
      );
      const deadLetterLimit = { count: 5, senders: 2, windowMs: 60_000 };
      const refuse = (batch: StoredRecord[], { deadLetter }: BatchContext): void => {
        for (const one of batch.filter(isBad)) deadLetter(one, poison);
      };
      const first = again();
      await collect(first, { deadLetterLimit, maxRecords: 7 }, refuse);
      await allDone(log);
      await first.close();
      await log.producer().send('events', [record('user-1', 'good')]);
      const second = await collect(again(), { deadLetterLimit }, refuse);
      await eventually(() => expect(texts(second.records)).toEqual(['good']));
      await allDone(log);
      expect(texts(await dead(log))).toEqual([...Array(30).keys()].map((i) => `bad ${i}`));
    });
  });
}
