import { describe, expect, test } from '@jest/globals';
import { overdue, unavailable } from '@worktide/runtime';
import fc from 'fast-check';
import { type SettleOptions, settle, type Verdict } from './narrow.ts';
import { createSenders } from './senders.ts';
import type { StoredRecord } from './types.ts';

const recordOf = (key: string, text: string, offset = 0): StoredRecord => ({
  topic: 'events',
  partition: 0,
  offset,
  timestamp: 0,
  headers: {},
  key,
  value: Buffer.from(text),
});
const textOf = ({ value }: StoredRecord): string => value.toString();

const limit = { count: 3, senders: 10, windowMs: 60_000 };
const optionsWith = (more: Partial<SettleOptions>): SettleOptions => ({
  handle: async () => {},
  senders: createSenders(limit, () => 1_000_000),
  signal: new AbortController().signal,
  isOver: () => false,
  backoff: async () => {},
  onHandled: () => {},
  onFailure: () => {},
  ...more,
});
const verdictOf = async (records: StoredRecord[], more: Partial<SettleOptions>): Promise<Verdict> => {
  const settled = await settle(records, optionsWith(more));
  if (typeof settled === 'string') throw new Error(settled);
  return settled;
};

describe('narrowing', () => {
  test('whichever records fail: exactly they are letters, all others are handled, each sender’s in order', async () => {
    const batch = fc.array(fc.record({ sender: fc.integer({ min: 0, max: 8 }), bad: fc.boolean() }), { minLength: 1 });
    await fc.assert(
      fc.asyncProperty(batch, async (items) => {
        const records = items.map(({ sender, bad }, i) => recordOf(`${sender}`, bad ? 'bad' : 'good', i));
        const handled: StoredRecord[] = [];
        const { letters, good } = await verdictOf(records, {
          senders: createSenders({ ...limit, count: 1_000 }),
          async handle(part) {
            if (part.some((one) => textOf(one) === 'bad')) throw new RangeError('no');
            handled.push(...part);
          },
        });
        const byOffset = (list: StoredRecord[]): number[] => list.map(({ offset }) => offset).sort((a, b) => a - b);
        const offsets = (bad: boolean): number[] => [...items.keys()].filter((i) => items[i]!.bad === bad);
        expect(byOffset(letters.map(({ record }) => record))).toEqual(offsets(true));
        expect(byOffset(handled)).toEqual(offsets(false));
        for (const own of Map.groupBy(handled, ({ key }) => key).values())
          expect(own).toEqual([...own].sort((a, b) => a.offset - b.offset));
        const senders = (list: number[]): Set<string> => new Set(list.map((i) => `${items[i]!.sender}`));
        const bad = senders(offsets(true));
        expect(good).toEqual(new Set([...senders(offsets(false))].filter((sender) => !bad.has(sender))));
      }),
      { numRuns: 200 },
    );
  });

  test('one culprit of a thousand costs a few attempts, not a thousand', async () => {
    let calls = 0;
    const records = Array.from({ length: 1_000 }, (_, i) => recordOf(`${i}`, i === 700 ? 'bad' : 'good', i));
    await verdictOf(records, {
      async handle(part) {
        calls++;
        if (part.some((one) => textOf(one) === 'bad')) throw new Error('no');
      },
    });
    expect(calls).toBeLessThan(2 * 10 + 5);
  });

  test('a single failure of one record is tried again: perhaps it was not the record', async () => {
    let failures = 2;
    const { letters } = await verdictOf([recordOf('a', 'good')], {
      async handle() {
        if (failures-- > 0) throw new Error('once');
      },
    });
    expect(letters).toEqual([]);
  });

  test('too slow for the database: divided until it is not, and what never is becomes a letter', async () => {
    const records = Array.from({ length: 8 }, (_, i) => recordOf(`${i}`, i === 5 ? 'monstrous' : 'good', i));
    const handled = new Set<number>();
    const { letters } = await verdictOf(records, {
      answers: async () => {},
      async handle(part) {
        if (part.length > 2 || part.some((one) => textOf(one) === 'monstrous')) throw overdue('postgres');
        for (const { offset } of part) handled.add(offset);
      },
    });
    expect(letters).toMatchObject([{ record: records[5], reason: { code: 'DEPENDENCY_TIMEOUT' } }]);
    expect(handled.size).toBe(7);
  });

  test.each([
    ['too slow', overdue('postgres')],
    ['an error that nobody has met before', new TypeError('socket is null')],
  ])('%s while nothing answers at all: nobody’s fault, the same comes again', async (_what, error) => {
    let tries = 0;
    const sizes = new Set<number>();
    const { letters } = await verdictOf([recordOf('a', '1'), recordOf('b', '2')], {
      answers: () => Promise.reject(unavailable('postgres')),
      async handle(part) {
        sizes.add(part.length);
        if (++tries < 20) throw error;
      },
    });
    expect(letters).toEqual([]);
    expect([...sizes]).toEqual([2]);
  });

  test('closing in the middle: over, nothing is a letter', async () => {
    let calls = 0;
    const records = Array.from({ length: 8 }, (_, i) => recordOf(`${i}`, i === 5 ? 'bad' : 'good', i));
    const settled = await settle(
      records,
      optionsWith({
        isOver: () => calls > 2,
        async handle() {
          calls++;
          throw new Error('no');
        },
      }),
    );
    expect(settled).toBe('over');
  });
});

describe('one sender whose records all fail', () => {
  const handle = async (part: StoredRecord[]): Promise<void> => {
    if (part.some((one) => textOf(one) === 'bad')) throw new Error('no');
  };

  test('is handled apart once that is known, then not at all: others are handled in one call', async () => {
    const senders = createSenders(limit, () => 1_000_000);
    const calls: string[] = [];
    const options = {
      senders,
      async handle(part: StoredRecord[]) {
        calls.push(part.map(({ key }) => key).join(''));
        await handle(part);
      },
    };
    const batch = [recordOf('a', 'good'), recordOf('x', 'bad'), recordOf('b', 'good')];
    await verdictOf(batch, options);
    expect(senders.treatment('x')).toBe('apart');
    calls.length = 0;
    await verdictOf(batch, options);
    expect(calls).toEqual(['ab', 'x']);
    await verdictOf(batch, options);
    expect(senders.treatment('x')).toBe('unread');
    calls.length = 0;
    const { letters, good } = await verdictOf(batch, options);
    expect(calls).toEqual(['ab']);
    expect(letters).toMatchObject([{ record: batch[1], reason: { code: 'SENDER_SET_ASIDE' } }]);
    expect([...good]).toEqual(['a', 'b']);
  });
});

describe('counting by sender', () => {
  const clock = () => {
    const time = { now: 1_000_000 };
    return { time, senders: createSenders({ count: 2, senders: 3, windowMs: 1_000 }, () => time.now) };
  };

  test('letters are within the limit, then not, then again after the window', () => {
    const { time, senders } = clock();
    const letters = () => senders.letter('x');
    expect([letters(), letters(), letters(), letters()]).toEqual([
      { within: true, first: false },
      { within: true, first: false },
      { within: false, first: true },
      { within: false, first: false },
    ]);
    expect(senders.setAside).toBe(1);
    expect(senders.letter('y')).toEqual({ within: true, first: false });
    time.now += 1_000;
    expect(senders.setAside).toBe(0);
    expect(letters()).toEqual({ within: true, first: false });
  });

  test('time that one sender’s failures cost sets it aside for ten windows', () => {
    const { time, senders } = clock();
    senders.failed('x', 20_000);
    expect(senders.treatment('x')).toBe('together');
    senders.failed('x', 20_000);
    expect(senders.treatment('x')).toBe('unread');
    time.now += 9_999;
    expect(senders.treatment('x')).toBe('unread');
    time.now += 1;
    expect(senders.treatment('x')).toBe('together');
  });

  test('many bad senders are too many only where no more are good', () => {
    const { time, senders } = clock();
    const names = (prefix: string, count: number) => new Set(Array.from({ length: count }, (_, i) => prefix + i));
    expect(senders.tooMany(names('bad', 2), new Set())).toBe(false);
    expect(senders.tooMany(names('bad', 3), new Set())).toBe(true);
    expect(senders.tooMany(names('bad', 3), names('good', 4))).toBe(false);
    senders.handled(names('good', 4));
    expect(senders.tooMany(names('bad', 3), new Set())).toBe(false);
    expect(senders.tooMany(names('bad', 4), new Set())).toBe(true);
    // Letters before count with those of now.
    senders.letter('bad0');
    senders.letter('bad1');
    expect(senders.tooMany(new Set(['bad2', 'bad3']), new Set())).toBe(true);
    time.now += 30_000;
    senders.handled(new Set());
    time.now += 30_000;
    senders.handled(new Set());
    expect(senders.tooMany(names('bad', 3), new Set())).toBe(true);
  });
});
