import { expect, test } from '@jest/globals';
import { sleep } from '@worktide/runtime';
import { type AccumulatorOptions, createAccumulator, maxSendBytes, type TopicRecords } from './accumulator.ts';
import type { LogRecord } from './types.ts';

const record = (size = 100): LogRecord => ({ key: 'k', value: Buffer.alloc(size) });

/** An accumulator whose transmissions are settled by the test, in order. */
function setUp(options: Partial<AccumulatorOptions> = {}) {
  const batches: TopicRecords[][] = [];
  const settlers: { resolve: () => void; reject: (error: Error) => void }[] = [];
  const accumulator = createAccumulator({
    transmit(batch) {
      batches.push(batch);
      return new Promise((resolve, reject) => settlers.push({ resolve, reject }));
    },
    maxQueuedBytes: 10_000_000,
    maxRecordBytes: 900 * 1024,
    deadlineMs: 60_000,
    onBytes: () => {},
    ...options,
  });
  const transmitted = async (count: number): Promise<void> => {
    while (batches.length < count) await sleep(1);
  };
  return { accumulator, batches, settlers, transmitted };
}

test('one transmission at a time; what queues meanwhile is the next, by topic', async () => {
  const { accumulator, batches, settlers, transmitted } = setUp();
  const first = accumulator.send('a', [record()]);
  await transmitted(1);
  const rest = [
    accumulator.send('a', [record(), record()]),
    accumulator.send('b', [record()]),
    accumulator.send('a', [record()]),
  ];
  expect(batches).toHaveLength(1);
  settlers[0]!.resolve();
  await first;
  await transmitted(2);
  expect(batches[1]!.map(({ topic, records }) => [topic, records.length])).toEqual([
    ['a', 3],
    ['b', 1],
  ]);
  settlers[1]!.resolve();
  await Promise.all(rest);
  expect(accumulator.queuedBytes).toBe(0);
});

test('what arrives in one turn of the event loop goes out together', async () => {
  const { accumulator, batches, settlers, transmitted } = setUp();
  const sent = [accumulator.send('a', [record()]), accumulator.send('a', [record()])];
  await transmitted(1);
  settlers[0]!.resolve();
  await Promise.all(sent);
  expect(batches).toHaveLength(1);
});

test('no transmission exceeds what the broker takes, however small the records', async () => {
  const { accumulator, batches, settlers, transmitted } = setUp({ maxQueuedBytes: 100_000_000 });
  const sent = accumulator.send(
    'a',
    Array.from({ length: 50_000 }, () => record(0)),
  );
  let done = false;
  void sent.then(() => {
    done = true;
  });
  for (let i = 0; !done; i++) {
    await transmitted(i + 1);
    settlers[i]!.resolve();
    await sleep(1);
  }
  const counts = batches.map((batch) => batch[0]!.records.length);
  expect(counts.reduce((a, b) => a + b)).toBe(50_000);
  // An empty record with a key of one byte takes 39 bytes by the accumulator's bound.
  expect(Math.max(...counts)).toBeLessThanOrEqual(maxSendBytes / 39);
});

test('a failed transmission refuses what it held and what was queued, and the next send tries again', async () => {
  const { accumulator, settlers, transmitted } = setUp();
  const first = accumulator.send('a', [record()]);
  await transmitted(1);
  const queued = accumulator.send('a', [record()]);
  settlers[0]!.reject(new Error('broker away'));
  await expect(first).rejects.toMatchObject({ code: 'DEPENDENCY_UNAVAILABLE', statusCode: 503 });
  await expect(queued).rejects.toMatchObject({ code: 'DEPENDENCY_UNAVAILABLE' });
  expect(accumulator.queuedBytes).toBe(0);
  const next = accumulator.send('a', [record()]);
  await transmitted(2);
  settlers[1]!.resolve();
  await next;
});

test('past the deadline everything is refused at once until the transmission settles', async () => {
  const { accumulator, settlers, transmitted } = setUp({ deadlineMs: 20 });
  const first = accumulator.send('a', [record()]);
  await transmitted(1);
  const queued = accumulator.send('a', [record()]);
  await expect(first).rejects.toMatchObject({ code: 'DEPENDENCY_UNAVAILABLE' });
  await expect(queued).rejects.toMatchObject({ code: 'DEPENDENCY_UNAVAILABLE' });
  await expect(accumulator.send('a', [record()])).rejects.toMatchObject({ code: 'DEPENDENCY_UNAVAILABLE' });
  // What is in flight still takes memory.
  expect(accumulator.queuedBytes).toBeGreaterThan(0);
  await accumulator.flush();
  settlers[0]!.resolve();
  await sleep(0);
  expect(accumulator.queuedBytes).toBe(0);
  const next = accumulator.send('a', [record()]);
  await transmitted(2);
  settlers[1]!.resolve();
  await next;
});

test('bytes held are told as they change and end at zero', async () => {
  let held = 0;
  const { accumulator, settlers, transmitted } = setUp({ onBytes: (delta) => (held += delta) });
  const sent = accumulator.send('a', [record(), record()]);
  expect(held).toBe(accumulator.queuedBytes);
  expect(held).toBeGreaterThan(200);
  await transmitted(1);
  settlers[0]!.resolve();
  await sent;
  expect(held).toBe(0);
  await accumulator.send('a', []);
});

test('behind much of one subject, the next of another goes with the next transmission', async () => {
  const { accumulator, batches, settlers, transmitted } = setUp({ maxQueuedBytes: 50_000_000 });
  const greedy = Array.from({ length: 40 }, () => accumulator.send('a', [record(800_000)], 'greedy'));
  await transmitted(1);
  const small = accumulator.send('a', [{ ...record(), key: 'small' }], 'small');
  settlers[0]!.resolve();
  await transmitted(2);
  settlers[1]!.resolve();
  await transmitted(3);
  settlers[2]!.resolve();
  await small;
  expect(
    batches
      .slice(1, 3)
      .flat()
      .flatMap(({ records }) => records.filter(({ key }) => key === 'small')),
  ).toHaveLength(1);
  const flushed = accumulator.flush();
  for (let i = 3; i < 40; i++) {
    await transmitted(i + 1);
    settlers[i]!.resolve();
  }
  await flushed;
  await Promise.all(greedy);
  expect(accumulator.queuedBytes).toBe(0);
});
