import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { createTurnQueue } from './turn-queue.ts';

const entry = (subject: string, n: number, bytes: number) => ({ subject, n, bytes });

test('what fits at once goes as it came', () => {
  const queue = createTurnQueue<ReturnType<typeof entry>>();
  for (const [n, subject] of ['a', 'b', 'a', 'c'].entries()) queue.push(subject, entry(subject, n, 10));
  expect(queue.take(40).map(({ n }) => n)).toEqual([0, 1, 2, 3]);
  expect([queue.length, queue.take(40)]).toEqual([0, []]);
});

test('a newcomer goes with the next, however much of others waits, in whatever sizes', () => {
  for (const bytes of [1_000, 200_000, 1_000_000]) {
    const queue = createTurnQueue<ReturnType<typeof entry>>();
    for (let n = 0; n < 50_000_000 / bytes; n++) queue.push('greedy', entry('greedy', n, bytes));
    queue.take(1_000_000);
    queue.push('small', entry('small', 0, 300));
    const next = [...queue.take(1_000_000), ...queue.take(1_000_000)];
    expect(next.filter(({ subject }) => subject === 'small')).toHaveLength(1);
    const rest = queue.clear();
    expect(queue.length).toBe(0);
    expect(rest).toHaveLength(50_000_000 / bytes + 1 - next.length - Math.floor(1_000_000 / bytes));
  }
});

test('whoever pushes what: everything comes out once, in each one’s order, in bounded sends, and bytes stay level', () => {
  const max = 1_000_000;
  const push = fc.record({
    who: fc.constantFrom('a', 'b', 'c'),
    bytes: fc.integer({ min: 1, max }),
    times: fc.nat(20),
  });
  const step = fc.oneof(push, fc.constant('take' as const));
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const queue = createTurnQueue<ReturnType<typeof entry>>();
      const waiting = new Map<string, number[]>();
      let n = 0;
      let length = 0;
      function take(): void {
        const before = [...waiting].filter(([, left]) => left.length > 0).length;
        const got = queue.take(max);
        expect(got.length > 0).toBe(before > 0);
        expect(got.reduce((sum, { bytes }) => sum + bytes, 0)).toBeLessThanOrEqual(max);
        for (const one of got) expect(waiting.get(one.subject)!.shift()).toBe(one.n);
        length -= got.length;
        expect(queue.length).toBe(length);
      }
      for (const one of steps) {
        if (one === 'take') take();
        else {
          for (let i = 0; i < one.times; i++) {
            queue.push(one.who, entry(one.who, n, one.bytes));
            waiting.set(one.who, [...(waiting.get(one.who) ?? []), n++]);
            length++;
          }
        }
      }
      while (queue.length > 0) take();
      expect([...waiting.values()].flat()).toEqual([]);
    }),
  );
});

test('of two that always have some waiting, each gets the same bytes, whatever the size of its entries', () => {
  const queue = createTurnQueue<ReturnType<typeof entry>>();
  for (let n = 0; n < 40; n++) queue.push('large', entry('large', n, 700_000));
  for (let n = 0; n < 20_000; n++) queue.push('small', entry('small', n, 1_000));
  const bytes = { large: 0, small: 0 };
  for (let i = 0; i < 20; i++) {
    for (const one of queue.take(1_000_000)) bytes[one.subject as 'large' | 'small'] += one.bytes;
  }
  expect(Math.abs(bytes.large - bytes.small)).toBeLessThanOrEqual(1_000_000);
});
