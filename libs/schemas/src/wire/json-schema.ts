import { z } from 'zod';

/** A JSON Schema as an object, draft 7. */
export type JsonSchema = Record<string, unknown>;

/**
 * The JSON Schema of what is written to a topic.
 *
 * Draft 7: the newest that the schema registries compare and that ajv reads without more packages.
 *
 * `output`, which closes objects (`additionalProperties: false`): it says what our writers write, and BACKWARD
 * compatibility needs it. Under a closed schema no old record can hold a field of a later day, so an optional field may
 * be added. An open one allows old records to hold that field with any value, and the addition is refused. Readers are
 * not bound by it: they validate with zod, which lets go of fields that it does not know.
 */
export function jsonSchemaOf(schema: z.ZodType): JsonSchema {
  return z.toJSONSchema(schema, { target: 'draft-7', io: 'output' }) as JsonSchema;
}

/** The same text for the same schema, whatever the order of its keys. */
export function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  if (value === null || typeof value !== 'object') return JSON.stringify(value);
  const entries = Object.entries(value).filter(([, v]) => v !== undefined);
  entries.sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${entries.map(([k, v]) => `${JSON.stringify(k)}:${canonical(v)}`).join(',')}}`;
}
