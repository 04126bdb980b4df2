import { z } from 'zod';
import type { AnyRoute, RawRoute, Service } from './route.ts';

type Json = Record<string, unknown>;
type Spec = Omit<AnyRoute, 'handler'> & { contentTypes?: string[] };

const errorSchema = z
  .object({
    statusCode: z.int(),
    code: z.string().meta({ description: 'Stable, SCREAMING_SNAKE.' }),
    message: z.string(),
    timestamp: z.iso.datetime(),
    path: z.string(),
    requestId: z.string(),
    details: z
      .array(
        z.object({ path: z.string().optional(), index: z.int().optional(), code: z.string(), message: z.string() }),
      )
      .optional(),
  })
  .meta({ id: 'Error' });

/** JSON Schema of a zod schema with its named parts moved to `components/schemas`. */
function schemaOf(schema: z.ZodType, components: Json, io: 'input' | 'output'): Json {
  const json = z.toJSONSchema(schema, { io, unrepresentable: 'any' }) as Json;
  const defs = (json.$defs ?? {}) as Json;
  const name = typeof json.id === 'string' ? json.id : undefined;
  const clean = (node: unknown): unknown => {
    if (Array.isArray(node)) return node.map(clean);
    if (node === null || typeof node !== 'object') return node;
    const out: Json = {};
    for (const [key, value] of Object.entries(node)) {
      if (key === '$schema' || key === '$defs' || (key === 'id' && typeof value === 'string')) continue;
      if (key === '$ref' && typeof value === 'string') out.$ref = value.replace('#/$defs/', '#/components/schemas/');
      else out[key] = clean(value);
    }
    return out;
  };
  for (const [key, value] of Object.entries(defs)) components[key] = clean(value);
  if (name === undefined) return clean(json) as Json;
  components[name] = clean(json);
  return { $ref: `#/components/schemas/${name}` };
}

function parametersOf(schema: z.ZodType | undefined, where: 'query' | 'path', components: Json): Json[] {
  if (!schema) return [];
  const json = schemaOf(schema, components, 'input') as { properties?: Record<string, Json>; required?: string[] };
  return Object.entries(json.properties ?? {}).map(([name, property]) => ({
    name,
    in: where,
    required: where === 'path' || (json.required?.includes(name) ?? false),
    schema: property,
    ...(property.description ? { description: property.description } : {}),
  }));
}

const errorAnswer = (description: string, retryAfter = false): Json => ({
  description,
  ...(retryAfter
    ? { headers: { 'Retry-After': { description: 'Whole seconds to wait.', schema: { type: 'integer' } } } }
    : {}),
  content: { 'application/json': { schema: { $ref: '#/components/schemas/Error' } } },
});

/** The error answers an operation can have follow from its kind, so that no route can forget one. */
function errorAnswers(spec: Spec): Json {
  const answers: Json = { 500: errorAnswer('Our fault.'), 503: errorAnswer('Not at the moment; try again.', true) };
  if (spec.body || spec.query || spec.params) answers[400] = errorAnswer('The request is not as it must be.');
  if (spec.access !== 'public') {
    answers[401] = errorAnswer('No credential, or one that is wrong, expired or revoked.');
    answers[403] = errorAnswer('Not allowed.');
  }
  if (spec.params) answers[404] = errorAnswer('Not there, or of another organisation.');
  if (spec.method !== 'get') {
    answers[409] = errorAnswer('The state of the object forbids it.');
    answers[429] = errorAnswer('Too many requests.', true);
  }
  if (spec.body) {
    answers[413] = errorAnswer('The body is too large.');
    answers[415] = errorAnswer('The content type or encoding is not taken.');
  }
  return answers;
}

function operationOf(spec: Spec, components: Json): Json {
  const bodySchema = spec.body && schemaOf(spec.body, components, 'input');
  const responses: Json = errorAnswers(spec);
  for (const [status, answer] of Object.entries(spec.responses)) {
    responses[status] = {
      description: answer.description,
      ...(answer.headers
        ? {
            headers: Object.fromEntries(
              Object.entries(answer.headers).map(([k, d]) => [k, { description: d, schema: { type: 'string' } }]),
            ),
          }
        : {}),
      ...(answer.schema
        ? { content: { 'application/json': { schema: schemaOf(answer.schema, components, 'output') } } }
        : {}),
    };
  }
  return {
    operationId: spec.operationId,
    summary: spec.summary,
    ...(spec.description ? { description: spec.description } : {}),
    tags: [spec.tag],
    security: spec.access === 'public' ? [] : [{ bearer: [] }],
    parameters: [...parametersOf(spec.params, 'path', components), ...parametersOf(spec.query, 'query', components)],
    ...(bodySchema
      ? {
          requestBody: {
            required: true,
            content: Object.fromEntries(
              ['application/json', ...(spec.contentTypes ?? [])].map((type) => [
                type,
                { schema: type === 'application/json' ? bodySchema : { type: 'string' } },
              ]),
            ),
          },
        }
      : {}),
    responses,
  };
}

/** The OpenAPI 3.1 document of some services, made from the schemas that validate their requests. */
export function openApiDocument(services: readonly Service[]): Json {
  const components: Json = {};
  schemaOf(errorSchema, components, 'output');
  const paths: Record<string, Json> = {};
  const specs: Spec[] = services.flatMap((service) => [
    ...service.routes,
    ...(service.rawRoutes ?? []).map((raw: RawRoute) => raw.spec),
  ]);
  for (const spec of specs) {
    if (spec.access === 'internal') continue;
    const path = spec.path.replace(/:(\w+)/g, '{$1}');
    paths[path] = { ...paths[path], [spec.method]: operationOf(spec, components) };
  }
  return {
    openapi: '3.1.0',
    info: { title: 'Worktide', version: '1', description: 'Work-time tracking for fleets of desktop agents.' },
    servers: [{ url: '/' }],
    paths,
    components: {
      schemas: components,
      securitySchemes: {
        bearer: { type: 'http', scheme: 'bearer', description: 'An access token, or an agent key (`waka_…`).' },
      },
    },
  };
}
