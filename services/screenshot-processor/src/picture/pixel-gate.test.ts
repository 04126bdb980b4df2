import { setImmediate as turnOfTheLoop } from 'node:timers/promises';
import { expect, test } from '@jest/globals';
import { createPixelGate } from './pixel-gate.ts';

/** Works that end, or fail, when told to. */
function workshop(bound: number, each?: number) {
  const gate = createPixelGate(bound, each);
  const started: string[] = [];
  const ends = new Map<string, PromiseWithResolvers<void>>();
  return {
    started,
    run(name: string, pixels: number, subject = 'one'): Promise<void> {
      const end = Promise.withResolvers<void>();
      ends.set(name, end);
      return gate.run(subject, pixels, () => {
        started.push(name);
        return end.promise;
      });
    },
    async end(name: string, failure?: Error): Promise<void> {
      if (failure) ends.get(name)!.reject(failure);
      else ends.get(name)!.resolve();
      await turnOfTheLoop();
    },
  };
}

test('work runs side by side within the bound, of one in its order, and what failed makes room', async () => {
  const { run, end, started } = workshop(10);
  const all = [run('a', 6), run('b', 4), run('huge', 50), run('c', 1)];
  const failed = expect(all[0]).rejects.toThrow('no');
  await turnOfTheLoop();
  expect(started).toEqual(['a', 'b']);
  await end('a', new Error('no'));
  await failed;
  // The huge one waits for b, and c does not pass it.
  expect(started).toEqual(['a', 'b']);
  await end('b');
  expect(started).toEqual(['a', 'b', 'huge']);
  await end('huge');
  await end('c');
  await Promise.all(all.slice(1));
  expect(started).toEqual(['a', 'b', 'huge', 'c']);
});

test('large ones of one keep another waiting for what is in work, not for all', async () => {
  const { run, end, started } = workshop(10);
  const all = [1, 2, 3, 4].map((i) => run(`large ${i}`, 10, 'greedy'));
  all.push(run('small 1', 1, 'other'), run('small 2', 1, 'other'));
  await end('large 1');
  expect(started).toEqual(['large 1', 'small 1', 'small 2']);
  await end('small 1');
  await end('small 2');
  for (const i of [2, 3, 4]) await end(`large ${i}`);
  await Promise.all(all);
  expect(started.slice(3)).toEqual(['large 2', 'large 3', 'large 4']);
});

test('one leaves room for another where it is told to', async () => {
  const { run, end, started } = workshop(10, 5);
  const all = [run('a', 4, 'greedy'), run('b', 4, 'greedy'), run('c', 9, 'third'), run('d', 5, 'other')];
  await turnOfTheLoop();
  expect(started).toEqual(['a']);
  await end('a');
  expect(started).toEqual(['a', 'c']);
  await end('c');
  expect(new Set(started)).toEqual(new Set(['a', 'c', 'd', 'b']));
  await end('b');
  await end('d');
  await Promise.all(all);
});
