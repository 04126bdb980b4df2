import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { backend } from '@worktide/backends';
import { createMetrics, silentLogger } from '@worktide/runtime';
import { until } from '@worktide/testing';
import { type KeyValue, maxKeyLength, maxValueBytes, openKeyValue } from './index.ts';
import { memoryKeyValue } from './memory.ts';

const minute = 60_000;
const newKey = (): string => `test:${randomUUID()}`;

describe.each(['memory', 'named memory', 'redis'])('key-value: %s', (kind) => {
  const options = { log: silentLogger(), metrics: createMetrics() };
  let store: KeyValue;
  let url: string;
  beforeAll(async () => {
    url = { memory: 'memory:', 'named memory': `memory:${randomUUID()}` }[kind] ?? (await backend('redis'));
    store = openKeyValue(url, options);
  });
  afterAll(() => store.close());

  test('the first call right after opening is answered', async () => {
    const fresh = openKeyValue(url, options);
    expect(await fresh.get(newKey())).toBeUndefined();
    await fresh.close();
  });

  test('a value is there until it is deleted', async () => {
    const key = newKey();
    await store.set(key, 'grüße \u0000 😀', minute);
    expect(await store.get(key)).toBe('grüße \u0000 😀');
    await store.set(key, '', minute);
    expect(await store.get(key)).toBe('');
    await store.delete(key);
    expect(await store.get(key)).toBeUndefined();
    await store.delete(key);
  });

  test('a value expires, and setting it again extends it', async () => {
    const [short, long] = [newKey(), newKey()];
    await store.set(long, 'a', 30);
    await store.set(long, 'b', minute);
    await store.set(short, 'a', 30);
    await until('the value has expired', async () => (await store.get(short)) === undefined);
    expect(await store.get(long)).toBe('b');
  });

  test('a counter counts, starting at 0', async () => {
    const key = newKey();
    expect(await store.increment(key, 0, minute)).toBe(0);
    expect(await store.increment(key, 5, minute)).toBe(5);
    expect(await store.increment(key, -7, minute)).toBe(-2);
    expect(await store.get(key)).toBe('-2');
    await store.set(key, '40', minute);
    expect(await store.increment(key, 2, minute)).toBe(42);
  });

  test('parallel increments are all counted', async () => {
    const key = newKey();
    const sums = await Promise.all(Array.from({ length: 100 }, () => store.increment(key, 1, minute)));
    expect(new Set(sums).size).toBe(100);
    expect(await store.increment(key, 0, minute)).toBe(100);
  });

  test('a counter expires after its first increment, however often it is added to', async () => {
    const key = newKey();
    await store.increment(key, 10, 50);
    await until('the counter has expired', async () => (await store.increment(key, 1, 50)) === 1);
  });

  test('what is no number is no counter, and stays as it is', async () => {
    const key = newKey();
    for (const value of ['abc', '1.5', ' 1', '']) {
      await store.set(key, value, minute);
      await expect(store.increment(key, 1, minute)).rejects.toMatchObject({ code: 'NOT_A_COUNTER' });
      expect(await store.get(key)).toBe(value);
    }
  });

  test('a set takes so many members, those that come first, and expires after the last call for it', async () => {
    const key = newKey();
    const three = { max: 3, ttlMs: minute };
    expect(await store.addToSet(key, ['a', 'b'], three)).toEqual([true, true]);
    expect(await store.addToSet(key, ['b', 'c', 'd', 'a', 'c'], three)).toEqual([true, true, false, true, true]);
    expect(await store.addToSet(key, ['d', 'b'], three)).toEqual([false, true]);
    expect(await store.addToSet(key, ['d'], { ...three, max: 4 })).toEqual([true]);
    expect(await store.addToSet(newKey(), ['d'], { ...three, max: 0 })).toEqual([false]);
    await store.addToSet(key, ['a'], { ...three, ttlMs: 1 });
    await until(
      'the set has expired',
      async () => (await store.addToSet(key, ['e'], { ...three, ttlMs: 1 }))[0] === true,
    );
    await expect(store.addToSet(key, ['a b'], three)).rejects.toThrow(RangeError);
  });

  test('a set that many add to at once has no more than it may', async () => {
    const key = newKey();
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, i) => store.addToSet(key, [`${i}`, `${i}-again`], { max: 30, ttlMs: minute })),
    );
    expect(answers.flat().filter((is) => is)).toHaveLength(30);
  });

  test('limits', async () => {
    const refused = { code: 'KEY_VALUE_TOO_LARGE', statusCode: 400 };
    const longest = 'k'.repeat(maxKeyLength);
    await store.set(longest, 'v'.repeat(maxValueBytes), minute);
    expect(await store.get(longest)).toHaveLength(maxValueBytes);
    await store.delete(longest);
    await expect(store.get(`${longest}k`)).rejects.toMatchObject(refused);
    await expect(store.get('')).rejects.toMatchObject(refused);
    await expect(store.set('k', 'v'.repeat(maxValueBytes + 1), minute)).rejects.toMatchObject(refused);
    await expect(store.set('k', 'ü'.repeat(maxValueBytes / 2 + 1), minute)).rejects.toMatchObject(refused);
    await expect(store.publish('k', 'v'.repeat(maxValueBytes + 1))).rejects.toMatchObject(refused);
    for (const ttl of [0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY]) {
      await expect(store.set('k', 'v', ttl)).rejects.toThrow(RangeError);
      await expect(store.increment('k', 1, ttl)).rejects.toThrow(RangeError);
    }
    await expect(store.increment('k', 0.5, minute)).rejects.toThrow(RangeError);
  });

  test('messages reach every listener of the channel and no other, in order', async () => {
    const [channel, other] = [newKey(), newKey()];
    const heard: string[] = [];
    await store.subscribe(channel, (message) => heard.push(`1:${message}`));
    await store.subscribe(channel, (message) => heard.push(`2:${message}`));
    await store.subscribe(other, (message) => heard.push(`other:${message}`));
    await store.publish(channel, 'a');
    await store.publish(channel, 'b');
    await until('four messages', () => heard.length >= 4);
    expect(heard).toEqual(['1:a', '2:a', '1:b', '2:b']);
  });

  test('a listener that throws keeps nobody else from hearing', async () => {
    const channel = newKey();
    const heard: string[] = [];
    await store.subscribe(channel, () => {
      throw new Error('a bug');
    });
    await store.subscribe(channel, (message) => heard.push(message));
    await store.publish(channel, 'a');
    await until('one message', () => heard.length === 1);
  });

  test('who has stopped listening hears no more, the others do', async () => {
    const channel = newKey();
    const heard: string[] = [];
    const stop = await store.subscribe(channel, (message) => heard.push(`1:${message}`));
    const stopOther = await store.subscribe(channel, (message) => heard.push(`2:${message}`));
    await stop();
    await stop();
    await store.publish(channel, 'a');
    await until('a message', () => heard.length > 0);
    await stopOther();
    await store.publish(channel, 'b');
    // Whatever was sent before on the same connection has arrived when this has.
    const last = newKey();
    await store.subscribe(last, (message) => heard.push(message));
    await store.publish(last, 'end');
    await until('the last message', () => heard.includes('end'));
    expect(heard).toEqual(['2:a', 'end']);
  });

  test('is ready; closed it is not, and every call says so', async () => {
    const own = openKeyValue(url, options);
    await own.check();
    await own.close();
    await own.close();
    const refused = { code: 'DEPENDENCY_UNAVAILABLE', statusCode: 503 };
    await expect(own.check()).rejects.toMatchObject(refused);
    await expect(own.get('k')).rejects.toMatchObject(refused);
    await expect(own.set('k', 'v', minute)).rejects.toMatchObject(refused);
    await expect(own.increment('k', 1, minute)).rejects.toMatchObject(refused);
    await expect(own.publish('k', 'v')).rejects.toMatchObject(refused);
    await (await own.subscribe('k', () => {}))();
  });
});

test('memory holds so many keys at most: what has expired goes first, then what is oldest', async () => {
  const store = memoryKeyValue({ log: silentLogger(), maxKeys: 10 });
  await store.set('expired', 'x', 1);
  for (let i = 0; i < 9; i++) await store.set(`k${i}`, 'x', minute);
  await until('the value has expired', async () => (await store.get('expired')) === undefined);
  await store.set('k9', 'x', minute);
  expect(await store.get('k0')).toBe('x');
  await store.set('k10', 'x', minute);
  expect(await store.get('k0')).toBeUndefined();
  expect(await store.get('k10')).toBe('x');
});

test('memory holds so much text at most: what has expired goes first, then what is oldest', async () => {
  const store = memoryKeyValue({ log: silentLogger(), maxCharacters: 100 });
  const fifteen = 'x'.repeat(15);
  await store.set('e0', fifteen, 1);
  for (let i = 0; i < 4; i++) await store.set(`k${i}`, fifteen, minute);
  await store.set('k3', fifteen, minute);
  await until('the first value has expired', async () => (await store.get('e0')) === undefined);
  await store.set('k4', fifteen, minute);
  expect(await store.get('k0')).toBe(fifteen);
  await store.set('k5', fifteen, minute);
  expect(await store.get('k0')).toBeUndefined();
  for (let i = 2; i < 6; i++) expect(await store.get(`k${i}`)).toBe(fifteen);
});

test('two stores in memory share nothing', async () => {
  const options = { log: silentLogger(), metrics: createMetrics() };
  const [one, two] = [openKeyValue('memory:', options), openKeyValue('memory:', options)];
  await one.set('k', 'v', minute);
  expect(await two.get('k')).toBeUndefined();
});

describe.each(['named memory', 'redis'])('two who have one store open: %s', (kind) => {
  const options = { log: silentLogger(), metrics: createMetrics() };
  let url: string;
  beforeAll(async () => {
    url = kind === 'redis' ? await backend('redis') : `memory:${randomUUID()}`;
  });

  test('share values, counters and messages', async () => {
    const [one, two] = [openKeyValue(url, options), openKeyValue(url, options)];
    const [key, counter, channel] = [newKey(), newKey(), newKey()];
    await one.set(key, 'v', minute);
    expect(await two.get(key)).toBe('v');
    await one.increment(counter, 1, minute);
    expect(await two.increment(counter, 1, minute)).toBe(2);
    const heard: string[] = [];
    const listener = (message: string): void => void heard.push(message);
    await one.subscribe(channel, listener);
    const stop = await two.subscribe(channel, listener);
    await one.publish(channel, 'a');
    await until('two messages', () => heard.length === 2);
    await stop();
    await two.publish(channel, 'b');
    await until('three messages', () => heard.length === 3);

    await one.close();
    await one.close();
    await expect(one.get(key)).rejects.toMatchObject({ code: 'DEPENDENCY_UNAVAILABLE' });
    expect(await two.get(key)).toBe('v');
    await two.subscribe(channel, (message) => heard.push(`two:${message}`));
    await two.publish(channel, 'c');
    await until('four messages', () => heard.length >= 4);
    expect(heard).toEqual(['a', 'a', 'b', 'two:c']);
    await two.close();
  });
});

test('a named store in memory is empty again when the last has closed', async () => {
  const options = { log: silentLogger(), metrics: createMetrics() };
  const url = `memory:${randomUUID()}`;
  const first = openKeyValue(url, options);
  await first.set('k', 'v', minute);
  await first.close();
  const second = openKeyValue(url, options);
  await first.close();
  expect(await second.get('k')).toBeUndefined();
  await second.set('k', 'w', minute);
  expect(await openKeyValue(url, options).get('k')).toBe('w');
});

test('a scheme that is none is a bad configuration', () => {
  const options = { log: silentLogger(), metrics: createMetrics() };
  expect(() => openKeyValue('http://x', options)).toThrow(expect.objectContaining({ code: 'BAD_CONFIGURATION' }));
});
