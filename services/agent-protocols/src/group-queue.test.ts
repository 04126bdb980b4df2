import { describe, expect, test } from '@jest/globals';
import { AppError, invalid, unavailable } from '@worktide/runtime';
import { createGroupQueue, held } from './group-queue.ts';

const of = (organizationId: string) => ({ organizationId, userId: '01a21f64-2c75-7bcf-a166-9fee3f862036' });

describe('a queue', () => {
  test('puts together what comes meanwhile, each organisation on its own, in order', async () => {
    const batches: [string, readonly number[]][] = [];
    const take = createGroupQueue(async (organization: string, items: readonly number[]) => {
      batches.push([organization, items]);
      await new Promise(setImmediate);
      return items.map((item) => item * 2);
    });
    const first = [take(of('a'), 1), take(of('a'), 2), take(of('b'), 3)];
    await new Promise(setImmediate);
    const results = await Promise.all([...first, take(of('a'), 4), take(of('a'), 5)]);
    expect(results).toEqual([2, 4, 6, 8, 10]);
    expect(batches).toEqual([
      ['a', [1, 2]],
      ['b', [3]],
      ['a', [4, 5]],
    ]);
  });

  test('holds no more in one than a transaction may have, but whatever one item is', async () => {
    const sizes: number[] = [];
    const take = createGroupQueue(
      async (_: string, items: readonly number[]) => {
        sizes.push(items.length);
        return [...items];
      },
      (weight) => weight,
    );
    await Promise.all([1_000, 200, 100, 1].map((weight) => take(of('a'), weight)));
    expect(sizes).toEqual([1, 2, 1]);
  });

  test('refuses the one that is to blame, and takes the others', async () => {
    const take = createGroupQueue(async (_: string, items: readonly string[]) => {
      if (items.includes('bad')) throw invalid('BAD', 'It is bad.');
      return [...items];
    });
    const settled = await Promise.allSettled(['x', 'bad', 'y'].map((item) => take(of('a'), item)));
    expect(settled.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
  });

  test('refuses all where something is away, once', async () => {
    let asked = 0;
    const take = createGroupQueue(async (): Promise<number[]> => {
      asked++;
      throw unavailable('postgres');
    });
    const settled = await Promise.allSettled([take(of('a'), 1), take(of('a'), 2)]);
    expect([asked, ...settled.map(({ status }) => status)]).toEqual([1, 'rejected', 'rejected']);
  });
});

describe('what is held', () => {
  test('is done when what was away is back', async () => {
    let attempts = 0;
    const result = await held(async () => {
      if (++attempts < 3) throw unavailable('postgres');
      return 'done';
    });
    expect([result, attempts]).toEqual(['done', 3]);
  });

  test.each([
    ['a refusal', invalid('BAD', 'It is bad.')],
    ['no room', new AppError('QUEUE_FULL', 'Full.', { statusCode: 503 })],
  ])('is not tried again after %s', async (_, error) => {
    let attempts = 0;
    const work = async (): Promise<void> => {
      attempts++;
      throw error;
    };
    await expect(held(work)).rejects.toBe(error);
    expect(attempts).toBe(1);
  });

  test('ends with what is away for too long', async () => {
    await expect(held(() => Promise.reject(unavailable('postgres')), 100)).rejects.toMatchObject({ statusCode: 503 });
  });
});
