import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
type JsonObject = { [key: string]: Json };

const program = fileURLToPath(new URL('../node_modules/openapi-typescript/bin/cli.js', import.meta.url));
const sources = fileURLToPath(new URL('../src', import.meta.url));
const errors = {
  description: 'Error',
  content: { 'application/json': { schema: { $ref: '#/components/schemas/Error' } } },
};

const isObject = (value: Json | undefined): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Without words, which the document has and the editor would show, but which are nine tenths of the file. */
function withoutWords(value: Json): Json {
  if (Array.isArray(value)) return value.map(withoutWords);
  if (!isObject(value)) return value;
  const isNamed = isObject(value.properties) ? value.properties : undefined;
  return Object.fromEntries(
    Object.entries(value).flatMap(([key, member]) => {
      if (['description', 'summary', 'examples', 'example'].includes(key) && typeof member !== 'object') return [];
      if (key === 'properties' && isNamed) {
        return [[key, Object.fromEntries(Object.entries(isNamed).map(([name, one]) => [name, withoutWords(one)]))]];
      }
      return [[key, withoutWords(member)]];
    }),
  );
}

/** Of all statuses that an operation can have those of success, and one shape for the rest: there is but one. */
function slim(operation: JsonObject): JsonObject {
  const responses = Object.entries(operation.responses as JsonObject)
    .filter(([status]) => status.startsWith('2'))
    .map(([status, response]) => {
      const { headers, ...rest } = response as JsonObject;
      return [status, { ...rest, description: '' }];
    });
  const parameters = ((operation.parameters ?? []) as JsonObject[]).filter((one) => one.in !== 'header');
  return { ...operation, tags: [], parameters, responses: { ...Object.fromEntries(responses), default: errors } };
}

/** The paths that stand in the sources of the pages: what else the interface has does not concern them. */
async function pathsOfPages(): Promise<Set<string>> {
  const paths = new Set<string>();
  for (const name of await readdir(sources, { recursive: true })) {
    if (!/\.tsx?$/.test(name) || name.endsWith('.d.ts')) continue;
    const text = await readFile(path.join(sources, name), 'utf8');
    for (const [, found] of text.matchAll(/'(\/api\/v1\/[^'?]+)'/g)) paths.add(found!);
  }
  return paths;
}

/** Schemas that a value speaks of, and those that these speak of. */
function schemasOf(value: Json, all: JsonObject, found = new Set<string>()): Set<string> {
  for (const [, name] of JSON.stringify(value).matchAll(/"#\/components\/schemas\/([^"]+)"/g)) {
    if (found.has(name!)) continue;
    found.add(name!);
    schemasOf(all[name!]!, all, found);
  }
  return found;
}

/**
 * The types of what the pages call, made from an OpenAPI document of the product.
 * @param document as `/api/docs/openapi.json` answers it.
 */
export async function typesOf(document: unknown): Promise<string> {
  const whole = document as JsonObject;
  const used = await pathsOfPages();
  const entries = Object.entries(whole.paths as JsonObject)
    .filter(([route]) => used.has(route))
    .map(([route, operations]) => [
      route,
      Object.fromEntries(
        Object.entries(operations as JsonObject).map(([method, one]) => [
          method,
          slim(withoutWords(one) as JsonObject),
        ]),
      ),
    ]);
  const paths = Object.fromEntries(entries) as JsonObject;
  const schemas = (whole.components as JsonObject).schemas as JsonObject;
  const spoken = [...schemasOf(paths, schemas)].sort().map((name) => [name, withoutWords(schemas[name]!)]);
  const needed = {
    openapi: whole.openapi!,
    info: { title: 'Worktide', version: '1' },
    paths,
    components: { schemas: Object.fromEntries(spoken) },
  };
  const folder = await mkdtemp(path.join(tmpdir(), 'worktide-types-'));
  try {
    const [from, to] = [path.join(folder, 'openapi.json'), path.join(folder, 'schema.d.ts')];
    await writeFile(from, JSON.stringify(needed));
    await promisify(execFile)(process.execPath, [program, from, '--output', to, '--alphabetize']);
    return await readFile(to, 'utf8');
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
