import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { z } from 'zod';
import { createCodec } from './codec.ts';
import { openSchemaRegistry } from './registry.ts';
import { splitBy } from './split.ts';

const codec = createCodec(openSchemaRegistry('local:'), { name: 'split-test', schema: z.object({}) });
const split = splitBy('items');

test('two halves say together what the whole said, and are read as it was', async () => {
  await codec.prepare();
  fc.assert(
    fc.property(fc.array(fc.jsonValue(), { minLength: 2 }), (items) => {
      const plain = JSON.parse(JSON.stringify(items));
      const record = { key: 'k', offset: 7, value: codec.encode({ whose: 'mine', items: plain }) };
      const halves = split(record);
      expect(halves.map(({ key, offset }) => ({ key, offset }))).toEqual(Array(2).fill({ key: 'k', offset: 7 }));
      const read = halves.map(({ value }) => codec.decode(value) as { whose: string; items: unknown[] });
      expect(read.map(({ whose }) => whose)).toEqual(['mine', 'mine']);
      expect(read.flatMap((half) => half.items)).toEqual(plain);
      for (const half of read) expect(half.items.length).toBeGreaterThan(0);
    }),
  );
});

test('what has no two items, or is none of ours, is not divided', async () => {
  await codec.prepare();
  const values = [{ items: [1] }, { items: [] }, { items: 'ab' }, {}, [], null, 'text'].map((v) => codec.encode(v));
  for (const value of [...values, Buffer.alloc(0), Buffer.from('nonsense')]) expect(split({ value })).toEqual([]);
});
