import { expect, test } from '@jest/globals';
import { type EveryOptions, type Pass, stopWith } from './every.ts';
import { createLifecycle } from './lifecycle.ts';
import { createLogger } from './log.ts';

interface Pause {
  ms: number;
  /** Its time is over. */
  end(): void;
}

/** A loop whose pauses end when the test says so. */
function start(options: EveryOptions, pass: Pass) {
  const pauses: Pause[] = [];
  const lines: string[] = [];
  let began: () => void = () => {};
  const pause = (ms: number, signal?: AbortSignal): Promise<void> =>
    new Promise((resolve) => {
      const one = {
        ms,
        end() {
          pauses.splice(pauses.indexOf(one), 1);
          resolve();
        },
      };
      pauses.push(one);
      signal?.addEventListener('abort', one.end);
      began();
    });
  const destination = { write: (line: string) => void lines.push(`${JSON.parse(line).level} ${JSON.parse(line).msg}`) };
  const lifecycle = createLifecycle({ log: createLogger({ service: 's', destination }), pause });
  /** The present pause, as soon as there is one. */
  async function pausing(): Promise<Pause> {
    if (pauses.length === 0) await new Promise<void>((resolve) => (began = resolve));
    return pauses[0]!;
  }
  return { lifecycle, loop: lifecycle.every('work', options, pass), pauses, pausing, lines };
}

/** Long enough for whatever would follow by itself. */
const settled = () => new Promise((resolve) => setImmediate(resolve));

test('passes follow each other with a pause, the first at once or after one, and none overlap', async () => {
  let passes = 0;
  let end: () => void = () => {};
  const { pausing, pauses, lifecycle } = start({ everyMs: 60 }, () => {
    passes++;
    return new Promise<void>((resolve) => (end = resolve));
  });
  expect(passes).toBe(1);
  await settled();
  expect(pauses).toEqual([]);
  end();
  const first = await pausing();
  expect({ ms: first.ms, passes }).toEqual({ ms: 60, passes: 1 });
  first.end();
  await settled();
  expect(passes).toBe(2);
  end();
  await pausing();
  expect(await lifecycle.close()).toBe(true);
  expect(passes).toBe(2);

  let pause = 0;
  const later = start({ everyMs: () => ++pause, first: 'later' }, () => passes++);
  expect(passes).toBe(2);
  (await later.pausing()).end();
  expect((await later.pausing()).ms).toBe(2);
  expect(passes).toBe(3);
  await later.lifecycle.close();
});

test('where there is more to do the next pass follows at once', async () => {
  const answers = [true, true, 'truthy'];
  const { pausing, lifecycle } = start({ everyMs: 60 }, () => Promise.resolve(answers.shift()));
  expect((await pausing()).ms).toBe(60);
  expect(answers).toEqual([]);
  await lifecycle.close();
});

test('waking cuts a pause short, and what comes during a pass is not missed', async () => {
  let passes = 0;
  let end: () => void = () => {};
  const { loop, pausing, pauses, lifecycle } = start({ everyMs: 60 }, () => {
    passes++;
    return new Promise<void>((resolve) => (end = resolve));
  });
  end();
  await pausing();
  loop.wake();
  await settled();
  expect({ passes, pauses }).toEqual({ passes: 2, pauses: [] });
  loop.wake();
  loop.wake();
  end();
  await settled();
  expect({ passes, pauses }).toEqual({ passes: 3, pauses: [] });
  end();
  await pausing();
  expect(passes).toBe(3);
  await lifecycle.close();
});

test('a failure is tried again after a pause that waking does not cut short; a row of failures is one line, and so is its end', async () => {
  let isAway = true;
  const { loop, pausing, lines, lifecycle } = start({ everyMs: 60, retryMs: (failures) => failures * 5 }, async () => {
    if (isAway) throw new Error('away');
  });
  const first = await pausing();
  expect(first.ms).toBe(5);
  loop.wake();
  await settled();
  expect(await pausing()).toBe(first);
  first.end();
  const second = await pausing();
  expect(second.ms).toBe(10);
  expect(lines).toEqual(['warn work: tried again: away']);
  isAway = false;
  second.end();
  const well = await pausing();
  expect(well.ms).toBe(60);
  expect(lines).toEqual(['warn work: tried again: away', 'info work: works again']);
  isAway = true;
  well.end();
  expect((await pausing()).ms).toBe(5);
  expect(lines.length).toBe(3);
  await lifecycle.close();

  const plain = start({ everyMs: 60 }, () => {
    throw new Error('at once');
  });
  expect((await plain.pausing()).ms).toBe(60);
  await plain.lifecycle.close();
});

test('closing stops where its turn comes, and waits for the pass under way, which is told', async () => {
  const order: string[] = [];
  const { lifecycle, loop, lines } = start({ everyMs: 60 }, async (signal) => {
    await new Promise((resolve) => signal.addEventListener('abort', resolve));
    await settled();
    order.push('pass ended');
    throw new Error('cut off');
  });
  lifecycle.onClose('opened later', () => void order.push('opened later'));
  expect(await lifecycle.close()).toBe(true);
  expect(order).toEqual(['opened later', 'pass ended']);
  // What fails because it was stopped is no news.
  expect(lines).toEqual([]);
  await loop.stop();
});

test('closing waits no longer than its grace; a part may stop its loop before', async () => {
  const hanging = start({ everyMs: 60, graceMs: 7 }, () => new Promise(() => {}));
  const closed = hanging.lifecycle.close();
  const grace = await hanging.pausing();
  expect(grace.ms).toBe(7);
  grace.end();
  expect(await closed).toBe(true);

  let passes = 0;
  const stopped = start({ everyMs: 60 }, () => void passes++);
  await stopped.pausing();
  await stopped.loop.stop();
  stopped.loop.wake();
  await settled();
  expect({ passes, pauses: stopped.pauses }).toEqual({ passes: 1, pauses: [] });
  expect(await stopped.lifecycle.close()).toBe(true);
});

test('a loop is stopped with what its present pass begins last, and no longer than it may take', async () => {
  const works = new Set<Promise<unknown>>();
  let endPass = (): void => {};
  let endWork = (): void => {};
  const work = new Promise<void>((resolve) => (endWork = resolve));
  const stop = () => new Promise<void>((resolve) => (endPass = resolve)).then(() => void works.add(work));
  let isOver = false;
  const ending = stopWith({ stop }, () => works, 60_000).then(() => (isOver = true));
  endPass();
  await new Promise(setImmediate);
  expect([works.size, isOver]).toEqual([1, false]);
  endWork();
  expect(await ending).toBe(true);

  await stopWith({ stop: () => new Promise(() => {}) }, () => works, 1);
});
