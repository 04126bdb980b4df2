import { describe, expect, test } from '@jest/globals';
import { createCache } from './cache.ts';

describe('cache', () => {
  test('never holds more than its bound, and keeps what is used', () => {
    const cache = createCache<number>(100);
    cache.set('used', 1);
    let largest = 0;
    for (let i = 0; i < 10_000; i++) {
      cache.set(`k${i}`, i);
      if (cache.get('used') !== 1) throw new Error(`forgotten after ${i}`);
      largest = Math.max(largest, cache.size);
    }
    expect(largest).toBeLessThanOrEqual(100);
    expect(cache.get('k9999')).toBe(9999);
    expect(cache.get('k0')).toBeUndefined();
  });

  test('the newest half is always there', () => {
    const cache = createCache<number>(100);
    for (let i = 0; i < 1_000; i++) cache.set(`k${i}`, i);
    for (let i = 950; i < 1_000; i++) expect(cache.get(`k${i}`)).toBe(i);
  });

  test('overwriting and deleting leave one value or none', () => {
    const cache = createCache<number>(4);
    for (const key of ['a', 'b', 'c', 'd']) cache.set(key, 1);
    cache.set('a', 2);
    expect(cache.get('a')).toBe(2);
    cache.delete('a');
    expect(cache.get('a')).toBeUndefined();
    cache.deleteWhere((value) => value === 1);
    expect(cache.size).toBe(0);
  });
});
