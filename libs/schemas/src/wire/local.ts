import { createHash } from 'node:crypto';
import { incompatibilities } from './compatibility.ts';
import { canonical, type JsonSchema } from './json-schema.ts';
import { incompatible, type SchemaRegistry, unknownSchema } from './registry.ts';
import { loadSnapshots } from './snapshots.ts';
import { subjectOf } from './subject.ts';

/**
 * A registry without a server: ids are derived from subject and schema, so every process comes to the same ones
 * without talking to another, and what it knows from the start is the history of released schemas that comes with the
 * code: a log written by an earlier version stays readable.
 */
export function localRegistry(): SchemaRegistry {
  const byId = new Map<number, JsonSchema>();
  const latest = new Map<string, JsonSchema>();

  function add(subject: string, schema: JsonSchema): number {
    const id = derivedId(subject, schema);
    byId.set(id, schema);
    latest.set(subject, schema);
    return id;
  }
  for (const { topic, schema } of loadSnapshots()) add(subjectOf(topic), schema);

  return {
    async register(subject, jsonSchema) {
      const known = byId.has(derivedId(subject, jsonSchema));
      const before = latest.get(subject);
      if (!known && before) {
        const problems = incompatibilities(before, jsonSchema);
        if (problems.length > 0) throw incompatible(subject, problems.join('; '));
      }
      return known ? derivedId(subject, jsonSchema) : add(subject, jsonSchema);
    },
    async schemaById(id) {
      const schema = byId.get(id);
      if (!schema) throw unknownSchema(id);
      return schema;
    },
    async check() {},
  };
}

/** 31 bits, never 0: the wire format has room for a signed 32-bit number. */
function derivedId(subject: string, schema: JsonSchema): number {
  const hash = createHash('sha256')
    .update(`${subject}\n${canonical(schema)}`)
    .digest();
  return hash.readUInt32BE(0) & 0x7fffffff || 1;
}
