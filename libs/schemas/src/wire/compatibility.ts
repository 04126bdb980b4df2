import { canonical, type JsonSchema } from './json-schema.ts';

type Schema = JsonSchema | boolean | undefined;

/** Say nothing about which values are valid. */
const annotations = ['$schema', '$id', '$comment', 'title', 'description', 'default', 'examples', 'deprecated'];
/** Bounds that may only fall, and those that may only rise. */
const lower = ['minimum', 'exclusiveMinimum', 'minLength', 'minItems', 'minProperties'];
const upper = ['maximum', 'exclusiveMaximum', 'maxLength', 'maxItems', 'maxProperties'];
/** May be dropped but not added or changed: nothing can be said about two patterns. */
const fixed = ['pattern', 'format', 'multipleOf', 'uniqueItems', 'propertyNames', 'not', 'allOf'];
const structural = ['type', 'enum', 'const', 'properties', 'required', 'additionalProperties', 'items'];
/** A schema with anything else must be the same before and after. */
const judged = [...annotations, ...lower, ...upper, ...fixed, ...structural];

/**
 * Why records valid under `before` might not be valid under `after` (BACKWARD compatibility, as of the Confluent and
 * Apicurio registries): one sentence each, empty when compatible. Sound rather than complete: what it cannot judge
 * (a rewritten pattern, a reference) it refuses, what it lets through is compatible.
 * Knows what zod writes for draft 7: objects, arrays, enums, unions, bounds.
 */
export function incompatibilities(before: JsonSchema, after: JsonSchema): string[] {
  return compare(before, after, '');
}

function compare(before: Schema, after: Schema, path: string): string[] {
  const at = path || 'the record';
  if (isAnything(after) || before === false) return [];
  if (canonical(before ?? true) === canonical(after)) return [];
  if (after === false) return [`${at}: may not be there any more`];
  if (isAnything(before)) return [`${at}: any value was valid, now only some are`];
  const old = before as JsonSchema;
  const now = after as JsonSchema;

  const oldBranches = branchesOf(old);
  if (oldBranches) return oldBranches.flatMap((branch) => compare(branch, now, path));
  const nowBranches = branchesOf(now);
  if (nowBranches) return compareWithUnion(old, nowBranches, path);

  const strange = [...Object.keys(old), ...Object.keys(now)].find((key) => !judged.includes(key));
  if (strange !== undefined) return [`${at}: changed, and "${strange}" cannot be judged`];
  return [
    ...compareTypes(old, now, at),
    ...compareValues(old, now, at),
    ...compareBounds(old, now, at),
    ...compareObjects(old, now, path),
    ...compareItems(old, now, path),
  ];
}

const isAnything = (schema: Schema): boolean =>
  schema === undefined ||
  schema === true ||
  (schema !== false && Object.keys(schema).every((key) => annotations.includes(key)));

/** The alternatives of a union that is nothing but a union; a list of types is one, too. */
function branchesOf(schema: JsonSchema): Schema[] | undefined {
  const keys = Object.keys(schema).filter((key) => !annotations.includes(key));
  if (keys.length === 1 && keys[0] === 'anyOf') return schema.anyOf as Schema[];
  if (keys.length === 1 && keys[0] === 'oneOf') {
    // A value that fits two alternatives of `oneOf` is invalid; only where none can is it a union.
    const branches = schema.oneOf as Schema[];
    return haveDiscriminator(branches) ? branches : undefined;
  }
  if (Array.isArray(schema.type)) return schema.type.map((type) => ({ ...schema, type }));
  return undefined;
}

/** Whether some required property has a constant of its own in each alternative, as zod's discriminated unions have. */
function haveDiscriminator(branches: Schema[]): boolean {
  const constants = branches.map((branch) => {
    if (typeof branch !== 'object' || branch.type !== 'object') return new Map<string, string>();
    const required = (branch.required ?? []) as string[];
    const properties = Object.entries((branch.properties ?? {}) as Record<string, JsonSchema>);
    const fixedOnes = properties.filter(([name, schema]) => required.includes(name) && schema.const !== undefined);
    return new Map(fixedOnes.map(([name, schema]) => [name, canonical(schema.const)]));
  });
  const names = [...(constants[0]?.keys() ?? [])];
  return names.some((name) => {
    const values = constants.flatMap((each) => each.get(name) ?? []);
    return values.length === branches.length && new Set(values).size === branches.length;
  });
}

function compareWithUnion(old: JsonSchema, branches: Schema[], path: string): string[] {
  const outcomes = branches.map((branch) => compare(old, branch, path));
  // The alternative that comes closest tells the reader most.
  outcomes.sort((a, b) => a.length - b.length);
  return outcomes[0] ?? [`${path || 'the record'}: no value is valid any more`];
}

function compareTypes(old: JsonSchema, now: JsonSchema, at: string): string[] {
  if (now.type === undefined || now.type === old.type) return [];
  if (now.type === 'number' && old.type === 'integer') return [];
  return [`${at}: was of type ${old.type ?? 'any'}, is now of type ${now.type}`];
}

/** The only values that `enum` and `const` allow, in canonical form; undefined where neither says so. */
function valuesOf(schema: JsonSchema): string[] | undefined {
  const fixedValue = 'const' in schema ? [canonical(schema.const)] : undefined;
  const listed = (schema.enum as unknown[] | undefined)?.map(canonical);
  return fixedValue && listed ? fixedValue.filter((value) => listed.includes(value)) : (fixedValue ?? listed);
}

function compareValues(old: JsonSchema, now: JsonSchema, at: string): string[] {
  const nowValues = valuesOf(now);
  if (!nowValues) return [];
  const oldValues = valuesOf(old);
  if (!oldValues) return [`${at}: is now limited to ${nowValues.join(', ')}`];
  return oldValues.filter((value) => !nowValues.includes(value)).map((value) => `${at}: ${value} is no longer valid`);
}

function compareBounds(old: JsonSchema, now: JsonSchema, at: string): string[] {
  const problems: string[] = [];
  const tighter = (key: string) => `${at}: ${key} was ${old[key] ?? 'not set'}, is now ${now[key]}`;
  for (const key of lower) {
    const before = (old[key] ?? Number.NEGATIVE_INFINITY) as number;
    if (now[key] !== undefined && (now[key] as number) > before) problems.push(tighter(key));
  }
  for (const key of upper) {
    const before = (old[key] ?? Number.POSITIVE_INFINITY) as number;
    if (now[key] !== undefined && (now[key] as number) < before) problems.push(tighter(key));
  }
  for (const key of fixed) {
    if (now[key] !== undefined && canonical(now[key]) !== canonical(old[key] ?? null)) {
      problems.push(`${at}: ${key} was added or changed`);
    }
  }
  return problems;
}

function compareObjects(old: JsonSchema, now: JsonSchema, path: string): string[] {
  const below = (name: string) => (path ? `${path}.${name}` : name);
  const own = (schema: JsonSchema) => new Map(Object.entries((schema.properties ?? {}) as Record<string, Schema>));
  const oldProperties = own(old);
  const nowProperties = own(now);
  const wasRequired = (old.required ?? []) as string[];
  const problems = ((now.required ?? []) as string[])
    .filter((name) => !wasRequired.includes(name))
    .map((name) => `${below(name)}: is now required`);
  const rest = (schema: JsonSchema) => schema.additionalProperties as Schema;
  for (const name of new Set([...oldProperties.keys(), ...nowProperties.keys()])) {
    // A property that is not named is what the schema says about all others.
    const before = oldProperties.has(name) ? oldProperties.get(name) : rest(old);
    const after = nowProperties.has(name) ? nowProperties.get(name) : rest(now);
    problems.push(...compare(before, after, below(name)));
  }
  return [...problems, ...compare(rest(old), rest(now), below('*'))];
}

function compareItems(old: JsonSchema, now: JsonSchema, path: string): string[] {
  const at = `${path}[]`;
  if (Array.isArray(old.items) || Array.isArray(now.items)) {
    return canonical(old.items ?? null) === canonical(now.items ?? null) ? [] : [`${at}: tuples cannot be judged`];
  }
  return compare(old.items as Schema, now.items as Schema, at);
}
