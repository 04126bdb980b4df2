import { readFileSync } from 'node:fs';
import { parse, parseDocument } from 'yaml';
import { deployFolder, readTable } from './table.ts';

type Values = { [key: string]: Value };
type Value = string | number | boolean | null | Value[] | Values;
type JsonSchema = Record<string, unknown>;

const text = (): string => readFileSync(new URL('helm/worktide/values.yaml', deployFolder), 'utf8');

/** Where whatever Kubernetes knows may stand; the API server judges it. */
const free = new Set([
  'global',
  'secretKeys',
  'podSecurityContext',
  'resources',
  'affinity',
  'nodeSelector',
  'podAnnotations',
  'podLabels',
  'annotations',
  'labels',
  'agentKey',
]);
const choices: Record<string, string[]> = {
  mode: ['hook', 'job', 'none'],
  pullPolicy: ['Always', 'IfNotPresent', 'Never'],
  logLevel: ['fatal', 'error', 'warn', 'info', 'debug', 'trace'],
};

const isMap = (value: Value): value is Values => typeof value === 'object' && value !== null && !Array.isArray(value);

function schemaOf(key: string, value: Value): JsonSchema {
  // A mapping may be nulled, as OpenShift's users do with security contexts.
  if (free.has(key)) return { type: ['object', 'null'] };
  if (isMap(value)) return objectOf(value);
  if (Array.isArray(value)) return { type: 'array' };
  if (choices[key]) return { enum: choices[key] };
  if (value === null) return { type: ['integer', 'null'], minimum: 1 };
  if (typeof value === 'number') return { type: 'integer', minimum: 0 };
  return { type: typeof value };
}

const objectOf = (values: Values): JsonSchema => ({
  type: 'object',
  properties: Object.fromEntries(Object.entries(values).map(([key, value]) => [key, schemaOf(key, value)])),
  additionalProperties: false,
});

/**
 * `values.schema.json`, from the types of `values.yaml`: a key that is none is refused, but within `global`, which belongs to all charts.
 * `enabled` at the root is what an umbrella chart's condition sets.
 */
export function valuesSchema(): string {
  const values = parse(text()) as Values;
  const settings = objectOf(values.defaults as Values);
  const root = objectOf(values) as { properties: JsonSchema };
  root.properties.services = {
    type: 'object',
    properties: Object.fromEntries(Object.keys(readTable().services).map((name) => [name, settings])),
    additionalProperties: false,
  };
  root.properties.enabled = { type: 'boolean' };
  return `${JSON.stringify({ $schema: 'http://json-schema.org/draft-07/schema#', ...root }, null, 2)}\n`;
}

/** Keys of `values.yaml` that no line above them explains; those within one that is explained as a whole are. */
export function unexplained(): string[] {
  const document = parseDocument(text());
  const found: string[] = [];
  // biome-ignore lint/suspicious/noExplicitAny: a node of the library, whose types differ by kind.
  const walk = (map: any, path: string, isExplained: boolean): void => {
    for (const { key, value } of map.items) {
      const said = isExplained || key.commentBefore || (map.items[0].key === key && map.commentBefore);
      const place = path === '' ? key.value : `${path}.${key.value}`;
      const inner = value?.items && value.constructor.name === 'YAMLMap';
      if (inner && value.items.length > 0 && !said && !free.has(key.value)) walk(value, place, false);
      else if (!said && !inner) found.push(place);
    }
  };
  walk(document.contents, '', false);
  return found;
}
