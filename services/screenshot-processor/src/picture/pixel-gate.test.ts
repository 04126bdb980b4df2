import { expect, test } from '@jest/globals';
import { createPixelGate } from './pixel-gate.ts';

test('work runs side by side within the bound, in its order, and what failed makes room', async () => {
  const gate = createPixelGate(10);
  const started: string[] = [];
  const ends = new Map<string, PromiseWithResolvers<void>>();
  const run = (name: string, pixels: number): Promise<void> => {
    const end = Promise.withResolvers<void>();
    ends.set(name, end);
    return gate.run(pixels, () => {
      started.push(name);
      return end.promise;
    });
  };
  const settled = async (): Promise<void> => {
    for (let i = 0; i < 10; i++) await Promise.resolve();
  };
  const all = [run('a', 6), run('b', 4), run('huge', 50), run('c', 1)];
  await settled();
  expect(started).toEqual(['a', 'b']);
  ends.get('a')!.reject(new Error('no'));
  await expect(all[0]).rejects.toThrow('no');
  // The huge one waits for b, and c does not pass it.
  expect(started).toEqual(['a', 'b']);
  ends.get('b')!.resolve();
  await all[1];
  await settled();
  expect(started).toEqual(['a', 'b', 'huge']);
  ends.get('huge')!.resolve();
  ends.get('c')!.resolve();
  await Promise.all(all.slice(2));
  expect(started).toEqual(['a', 'b', 'huge', 'c']);
});
