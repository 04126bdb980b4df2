import { z } from 'zod';

const before = {
  id: z.string().max(10),
  count: z.int().min(0),
  state: z.enum(['active', 'idle']),
  list: z.array(z.object({ x: z.string() })).min(1),
  host: z.string().nullable(),
  note: z.string().optional(),
};
const { note: _note, ...withoutNote } = before;

/** What every change below starts from. */
export const original = z.object(before);

export interface Change {
  name: string;
  schema: z.ZodType;
  /** Part of the reason for a refusal; undefined where the change is compatible. */
  refused?: string;
}

const change = (name: string, fields: Record<string, z.ZodType>, refused?: string): Change => ({
  name,
  schema: z.object({ ...before, ...fields }),
  ...(refused === undefined ? {} : { refused }),
});

/** Changes of a topic's schema, and whether records written before them can still be read. */
export const changes: Change[] = [
  change('nothing', {}),
  change('an optional field more', { extra: z.string().optional() }),
  change('a required field more', { extra: z.string() }, 'extra: is now required'),
  { name: 'a field less', schema: z.object(withoutNote), refused: 'note: may not be there any more' },
  change('an enum value more', { state: z.enum(['active', 'idle', 'away']) }),
  change('an enum value less', { state: z.enum(['active']) }, 'state: "idle" is no longer valid'),
  change('another type', { count: z.string() }, 'count: was of type integer, is now of type string'),
  change('integer to number', { count: z.number().min(0) }),
  change('a higher minimum', { count: z.int().min(1) }, 'count: minimum was 0, is now 1'),
  change('a lower minimum', { count: z.int().min(-1) }),
  change('a longer text', { id: z.string().max(20) }),
  change('a shorter text', { id: z.string().max(5) }, 'id: maxLength was 10, is now 5'),
  change('a pattern', { id: z.string().max(10).regex(/^a/) }, 'id: pattern was added or changed'),
  change('a nested optional field', { list: z.array(z.object({ x: z.string(), y: z.int().optional() })).min(1) }),
  change(
    'a nested required field',
    { list: z.array(z.object({ x: z.string(), y: z.int() })).min(1) },
    'list[].y: is now required',
  ),
  change(
    'more items at least',
    { list: z.array(z.object({ x: z.string() })).min(2) },
    'list: minItems was 1, is now 2',
  ),
  change('null no longer', { host: z.string() }, 'host: was of type null'),
  change('null as well', { id: z.string().max(10).nullable() }),
  change('required to optional', { count: z.int().min(0).optional() }),
  change('optional to required', { note: z.string() }, 'note: is now required'),
  change('a wider union', { id: z.union([z.string().max(10), z.int()]) }),
];
