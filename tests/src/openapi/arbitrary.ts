import type { Json } from '@worktide/testing';
import fc, { type Arbitrary } from 'fast-check';

/** Text that trips up parsers, databases and logs; refused or taken, never a 5xx. */
const hostileText = fc.oneof(
  fc.constantFrom(
    '',
    ' ',
    '\u0000',
    'a\u0000b',
    '\ud800',
    '’; DROP TABLE users; --',
    "' OR 1=1 --",
    '%00',
    '../../etc/passwd',
    '<script>',
    '\r\nSet-Cookie: a=b',
    '𝕏'.repeat(300),
    '9'.repeat(400),
    '-1',
    '1e400',
    'null',
    'undefined',
    '2026-02-30',
    '0000-00-00T00:00:00.000Z',
    '+275760-09-13T00:00:00.001Z',
  ),
  fc.string({ unit: 'binary', maxLength: 40 }),
);
const hostile: Arbitrary<unknown> = fc.oneof(
  hostileText,
  fc.constantFrom(null, true, 0, -1, 2 ** 53, 1e308, -0.5, [], {}, [[]], { __proto__: null }),
  fc.jsonValue({ maxDepth: 3 }),
);

const formats: Record<string, Arbitrary<string>> = {
  uuid: fc.uuid(),
  date: fc.date({ noInvalidDate: true }).map((d) => d.toISOString().slice(0, 10)),
  'date-time': fc.date({ noInvalidDate: true }).map((d) => d.toISOString()),
  email: fc.emailAddress(),
};

/**
 * Values that a JSON Schema asks for, so far as this reading of it goes, with now and then something else in the place of
 * any part: a validator is tried on the border, not only on either side of it.
 */
export function valuesOf(schema: Json, components: Json): Arbitrary<unknown> {
  const lawful = lawfulOf(schema, components);
  return fc.oneof({ weight: 12, arbitrary: lawful }, { weight: 1, arbitrary: hostile });
}

function lawfulOf(schema: Json, components: Json): Arbitrary<unknown> {
  const of = (inner: Json): Arbitrary<unknown> => valuesOf(inner, components);
  if (schema === undefined || schema === true) return hostile;
  if (schema.$ref) return of(components[schema.$ref.split('/').at(-1)]);
  if (schema.const !== undefined) return fc.constant(schema.const);
  if (schema.enum) return fc.constantFrom(...schema.enum);
  for (const many of [schema.anyOf, schema.oneOf]) if (many) return fc.oneof(...many.map(of));
  if (schema.allOf) return of(schema.allOf[0]);
  switch (Array.isArray(schema.type) ? schema.type[0] : schema.type) {
    case 'string':
      return stringOf(schema);
    case 'integer':
      return fc.integer(rangeOf(schema));
    case 'number':
      return fc.double({ noNaN: true, min: schema.minimum ?? -1e9, max: schema.maximum ?? 1e9 });
    case 'boolean':
      return fc.boolean();
    case 'null':
      return fc.constant(null);
    case 'array':
      return fc.array(of(schema.items), {
        minLength: schema.minItems ?? 0,
        maxLength: Math.min(schema.maxItems ?? 4, 4),
      });
    case 'object': {
      const properties = Object.entries(schema.properties ?? {}).map(([name, inner]) => [name, of(inner)]);
      return fc.record(Object.fromEntries(properties), { requiredKeys: schema.required ?? [] });
    }
    default:
      return hostile;
  }
}

const rangeOf = ({ minimum, maximum }: Json): { min: number; max: number } => {
  const min = Math.max(minimum ?? -(2 ** 31), -(2 ** 31));
  return { min, max: Math.max(min, Math.min(maximum ?? 2 ** 31 - 1, 2 ** 31 - 1)) };
};

function stringOf({ format, pattern, minLength = 0, maxLength = 60 }: Json): Arbitrary<string> {
  const known = formats[format as string];
  if (known) return known;
  if (pattern && pattern.length < 200) {
    try {
      return fc.stringMatching(new RegExp(pattern));
    } catch {
      // A pattern of a kind that cannot be generated: any text.
    }
  }
  return fc.string({ unit: 'grapheme', minLength, maxLength: Math.max(minLength, Math.min(maxLength, 60)) });
}
