import { describe, expect, test } from '@jest/globals';
import { Ajv } from 'ajv';
import fc from 'fast-check';
import { z } from 'zod';
import { changes, original } from './changes.fixture.ts';
import { incompatibilities } from './compatibility.ts';
import { type JsonSchema, jsonSchemaOf } from './json-schema.ts';

describe('a change of a schema', () => {
  test.each(changes)('$name', ({ schema, refused }) => {
    const reasons = incompatibilities(jsonSchemaOf(original), jsonSchemaOf(schema));
    if (refused === undefined) expect(reasons).toEqual([]);
    else expect(reasons).toEqual([expect.stringContaining(refused)]);
  });

  test('a union whose alternatives tell themselves apart may grow, and shrink no more', () => {
    const one = z.object({ kind: z.literal('one') });
    const two = z.object({ kind: z.literal('two'), n: z.int() });
    const three = z.object({ kind: z.literal('three') });
    const small = jsonSchemaOf(z.object({ it: z.discriminatedUnion('kind', [one, two]) }));
    const large = jsonSchemaOf(z.object({ it: z.discriminatedUnion('kind', [one, two, three]) }));
    expect(incompatibilities(small, large)).toEqual([]);
    expect(incompatibilities(large, small)).toEqual(['it.kind: "three" is no longer valid']);
  });

  test('an open object takes no new field: old records may hold anything under its name', () => {
    const open = jsonSchemaOf(z.looseObject({ a: z.string() }));
    const more = jsonSchemaOf(z.looseObject({ a: z.string(), b: z.string().optional() }));
    expect(incompatibilities(open, more)).toEqual(['b: any value was valid, now only some are']);
  });

  test('what cannot be judged is refused, unless it stays as it is', () => {
    const tuple = jsonSchemaOf(z.object({ pair: z.tuple([z.string(), z.int()]), a: z.int() }));
    const wider = jsonSchemaOf(z.object({ pair: z.tuple([z.string(), z.number()]), a: z.int() }));
    const elsewhere = jsonSchemaOf(z.object({ pair: z.tuple([z.string(), z.int()]), a: z.number() }));
    expect(incompatibilities(tuple, wider)).toEqual([expect.stringContaining('cannot be judged')]);
    expect(incompatibilities(tuple, elsewhere)).toEqual([]);
  });
});

describe('soundness, with ajv as the judge', () => {
  const bound = fc.integer({ min: 0, max: 4 });
  const leaf: fc.Arbitrary<JsonSchema> = fc.oneof(
    fc.record(
      { type: fc.constant('integer'), minimum: bound, maximum: bound.map((n) => n + 4) },
      { requiredKeys: ['type'] },
    ),
    fc.record({ type: fc.constant('number'), minimum: bound }, { requiredKeys: ['type'] }),
    fc.record(
      { type: fc.constant('string'), minLength: bound, maxLength: bound.map((n) => n + 4) },
      { requiredKeys: ['type'] },
    ),
    fc.record({ enum: fc.uniqueArray(fc.constantFrom('a', 'b', 'abcd', 3), { minLength: 1, maxLength: 3 }) }),
    fc.constant({ type: 'null' }),
    fc.constant({ const: 'a' }),
    fc.constant({ type: ['string', 'null'] }),
    fc.constant({}),
  );
  const { schema } = fc.letrec<{ schema: JsonSchema }>((tie) => ({
    schema: fc.oneof(
      { maxDepth: 3, depthIdentifier: 'schema' },
      { arbitrary: leaf, weight: 3 },
      {
        arbitrary: fc.record(
          { type: fc.constant('array'), items: tie('schema'), minItems: fc.integer({ min: 0, max: 2 }) },
          { requiredKeys: ['type', 'items'] },
        ),
        weight: 1,
      },
      {
        arbitrary: fc.record(
          {
            type: fc.constant('object'),
            properties: fc.dictionary(fc.constantFrom('p', 'q', 'r'), tie('schema'), { maxKeys: 3 }),
            required: fc.uniqueArray(fc.constantFrom('p', 'q', 'r'), { maxLength: 2 }),
            additionalProperties: fc.oneof(fc.boolean(), tie('schema')),
          },
          { requiredKeys: ['type'] },
        ),
        weight: 3,
      },
      {
        arbitrary: fc.record({ anyOf: fc.array(tie('schema'), { minLength: 1, maxLength: 3 }) }),
        weight: 1,
      },
    ),
  }));
  const value = fc.letrec<{ value: unknown }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 3, depthIdentifier: 'value' },
      fc.constantFrom<unknown>('a', 'b', 'abcd', '', 'abcdefgh', null, true, 0, 2.5),
      fc.integer({ min: -1, max: 9 }),
      fc.array(tie('value'), { maxLength: 3 }),
      fc.dictionary(fc.constantFrom('p', 'q', 'r', 's'), tie('value'), { maxKeys: 3 }),
    ),
  })).value;

  /** A neighbour of a schema: one thing inside it is another, is gone, or is new. */
  const neighbour = (from: JsonSchema, other: JsonSchema, steps: number[]): JsonSchema => {
    const copy = structuredClone(from);
    let at = copy;
    for (const step of steps) {
      const keys = Object.keys(at);
      const key = keys[step % (keys.length + 1)];
      if (key === undefined) return Object.assign(at, other) && copy;
      const inside = at[key];
      if (inside === null || typeof inside !== 'object' || Array.isArray(inside)) {
        if (step % 2 === 0 || key === 'type') at[key] = other[key] ?? at[key];
        else delete at[key];
        return copy;
      }
      at = inside as JsonSchema;
    }
    return copy;
  };

  test('what was valid under the old schema is valid under one that is called compatible', () => {
    const ajv = new Ajv({ strict: false });
    let compatible = 0;
    let judged = 0;
    fc.assert(
      fc.property(
        schema,
        schema,
        fc.array(fc.nat(7), { minLength: 1, maxLength: 5 }),
        fc.array(value, { minLength: 20, maxLength: 20 }),
        (old, other, steps, values) => {
          const now = neighbour(old, other, steps);
          fc.pre(JSON.stringify(now) !== JSON.stringify(old));
          fc.pre(ajv.validateSchema(now) === true && ajv.validateSchema(old) === true);
          if (incompatibilities(old, now).length > 0) return;
          compatible++;
          const wasValid = ajv.compile(old);
          const isValid = ajv.compile(now);
          for (const one of values) {
            if (!wasValid(one)) continue;
            judged++;
            expect({ one, valid: isValid(one) }).toEqual({ one, valid: true });
          }
        },
      ),
      { numRuns: 2_000 },
    );
    // Not shown by refusing everything.
    expect(compatible).toBeGreaterThan(200);
    expect(judged).toBeGreaterThan(200);
  });
});
