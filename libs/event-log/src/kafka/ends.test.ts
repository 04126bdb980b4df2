import { expect, test } from '@jest/globals';
import { createEndsReader } from './ends.ts';

type Answer = { partition: number; low: string; high: string; offset: string }[];
const answer = (...highs: number[]): Answer =>
  highs.map((high, partition) => ({ partition, low: '0', high: String(high), offset: String(high) }));

function reader() {
  let now = 0;
  const ends = createEndsReader(() => now);
  return {
    read: (given: Answer) => ends.read({ fetchTopicOffsets: async () => given }, 'topic'),
    wait: (ms: number) => {
      now += ms;
    },
  };
}

test('the ends of every partition, in their order, however the brokers tell them', async () => {
  const { read } = reader();
  expect(await read(answer(5, 7).reverse())).toEqual([
    { partition: 0, low: 0, high: 5 },
    { partition: 1, low: 0, high: 7 },
  ]);
});

test.each([
  ['no partition', []],
  ['a partition is missing', answer(1, 2, 3).filter(({ partition }) => partition !== 1)],
  ['a partition comes twice', [...answer(1, 2), ...answer(1)]],
  ['no offset', [{ partition: 0, low: '0', high: '-1', offset: '-1' }]],
])('an answer that is not whole is refused: %s', async (_name, given) => {
  await expect(reader().read(given)).rejects.toThrow('not whole');
});

test('an end behind one seen before is refused, and so is a partition fewer, until it has stayed so', async () => {
  const { read, wait } = reader();
  await read(answer(5, 7));
  await expect(read(answer(6, 6))).rejects.toThrow('topic/1 ended at 7 before, now at 6');
  await expect(read(answer(6))).rejects.toThrow('topic/1 ended at 7 before, now at undefined');
  wait(50_000);
  expect(await read(answer(6, 7))).toHaveLength(2);
  await expect(read(answer(6, 6))).rejects.toThrow();
  wait(50_000);
  await expect(read(answer(6, 6))).rejects.toThrow();
  wait(10_000);
  expect(await read(answer(6, 6))).toHaveLength(2);
  await expect(read(answer(6, 5))).rejects.toThrow();
});

test('an answer that was overtaken by a later one is none that went back', async () => {
  const ends = createEndsReader(() => 0);
  const slow = Promise.withResolvers<Answer>();
  const first = ends.read({ fetchTopicOffsets: () => slow.promise }, 'topic');
  await ends.read({ fetchTopicOffsets: async () => answer(9) }, 'topic');
  slow.resolve(answer(5));
  expect(await first).toEqual([{ partition: 0, low: 0, high: 5 }]);
  await expect(ends.read({ fetchTopicOffsets: async () => answer(8) }, 'topic')).rejects.toThrow('ended at 9 before');
});
