import { beforeAll, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { z } from 'zod';
import { type Codec, createCodec } from './codec.ts';
import { openSchemaRegistry } from './registry.ts';

describe('the wire format', () => {
  let codec: Codec;
  beforeAll(async () => {
    codec = createCodec(openSchemaRegistry('local:'), { name: 'codec-test', schema: z.object({ a: z.string() }) });
    await codec.prepare();
  });

  test('is a zero byte, the id in four bytes big-endian, and JSON in UTF-8', () => {
    const bytes = codec.encode({ a: 'ü' });
    expect(bytes[0]).toBe(0);
    expect(bytes.readInt32BE(1)).toBeGreaterThan(0);
    expect(bytes.toString('utf8', 5)).toBe('{"a":"ü"}');
    expect(bytes).toHaveLength(5 + 10);
  });

  test('brings every JSON value back', () => {
    fc.assert(
      fc.property(fc.jsonValue({ stringUnit: 'binary' }), (value) => {
        // Through JSON once first: -0 becomes 0 there.
        const plain = JSON.parse(JSON.stringify(value));
        expect(codec.decode(codec.encode(plain))).toEqual(plain);
      }),
    );
  });

  test('records do not share memory', () => {
    const first = codec.encode({ a: '1' });
    const copy = Buffer.from(first);
    codec.encode({ a: '2' });
    expect(first.equals(copy)).toBe(true);
  });

  const header = (): Buffer => codec.encode({}).subarray(0, 5);
  test.each([
    ['nothing', () => Buffer.alloc(0)],
    ['a header alone', () => header()],
    ['a cut-off header', () => header().subarray(0, 3)],
    ['plain JSON', () => Buffer.from('{"a":"b"}')],
    ['another magic byte', () => Buffer.concat([Buffer.from([1]), header().subarray(1), Buffer.from('{}')])],
    ['no JSON', () => Buffer.concat([header(), Buffer.from('{"a":')])],
    ['random bytes', () => Buffer.concat([header(), Buffer.from([0xff, 0xfe, 0x00, 0x80])])],
  ])('%s is undecodable', (_what, bytes) => {
    expect(() => codec.decode(bytes())).toThrow(expect.objectContaining({ code: 'UNDECODABLE' }));
  });
});
