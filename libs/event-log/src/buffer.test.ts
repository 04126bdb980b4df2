import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { createRecordBuffer } from './buffer.ts';
import type { StoredRecord } from './types.ts';

const record = (offset: number, size: number): StoredRecord => ({
  topic: 't',
  partition: 0,
  offset,
  timestamp: 0,
  key: '',
  value: Buffer.alloc(size),
  headers: {},
});

test('whatever is put in comes out once, in order, within both limits or alone', () => {
  const sizes = fc.array(fc.array(fc.integer({ min: 0, max: 3_000 }), { maxLength: 20 }), { maxLength: 20 });
  fc.assert(
    fc.property(sizes, fc.integer({ min: 1, max: 15 }), fc.integer({ min: 1, max: 5_000 }), (chunks, count, bytes) => {
      const buffer = createRecordBuffer();
      let offset = 0;
      for (const chunk of chunks) buffer.push(chunk.map((size) => record(offset++, size)));
      expect(buffer.count).toBe(offset);
      const taken: number[] = [];
      while (buffer.count > 0) {
        const batch = buffer.take(count, bytes);
        expect(batch.length).toBeGreaterThan(0);
        expect(batch.length).toBeLessThanOrEqual(count);
        const total = batch.reduce((sum, { value }) => sum + value.length + 200, 0);
        if (batch.length > 1) expect(total).toBeLessThanOrEqual(bytes);
        taken.push(...batch.map((one) => one.offset));
      }
      expect(taken).toEqual(Array.from({ length: offset }, (_, i) => i));
      expect(buffer.bytes).toBe(0);
    }),
  );
});

test('clear empties it and gives back what it held; `since` is when the oldest came', () => {
  let now = 5;
  const buffer = createRecordBuffer(() => now);
  buffer.push([record(0, 1), record(1, 1)]);
  now = 9;
  buffer.push([record(2, 1)]);
  expect(buffer.since).toBe(5);
  buffer.take(1, 1_000_000);
  expect(buffer.since).toBe(5);
  buffer.take(1, 1_000_000);
  expect(buffer.since).toBe(9);
  expect(buffer.clear().map(({ offset }) => offset)).toEqual([2]);
  expect([buffer.count, buffer.bytes]).toEqual([0, 0]);
});
