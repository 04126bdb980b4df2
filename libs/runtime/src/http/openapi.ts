import { z } from 'zod';
import { limitHeaderNames } from './limits.ts';
import { type AnyRoute, accessOf, isLimitedByAddress, type RawRoute, type Service } from './route.ts';

type Json = Record<string, unknown>;
type Spec = Omit<AnyRoute, 'handler'> & Pick<RawRoute['spec'], 'contentTypes' | 'multipart'>;

/** Where the product shows docs/agents.md. */
export const agentsPage = '/api/docs/agents.md';

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
        z.object({
          path: z.string().optional(),
          index: z.int().optional(),
          code: z.string(),
          message: z.string(),
          conflictsWith: z.string().optional().meta({ description: 'Id of the other object that is in the way.' }),
        }),
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
      // What is answered may have more tomorrow: whoever reads it strictly would break by an addition.
      if (key === 'additionalProperties' && value === false && io === 'output') continue;
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

const limitHeaderTexts: Record<(typeof limitHeaderNames)[number], string> = {
  RateLimit: 'The limit that was passed: units that remain (`r`) and seconds until all are there again (`t`).',
  'RateLimit-Policy': 'The limit by name: units (`q`) in a window of seconds (`w`).',
  'RateLimit-Limit': 'Units in a window.',
  'RateLimit-Remaining': 'Units that remain.',
  'RateLimit-Reset': 'Seconds until all are there again.',
};
const headers: Json = Object.fromEntries([
  ['Retry-After', { description: 'Whole seconds to wait.', schema: { type: 'integer' } }],
  ...limitHeaderNames.map((name) => [
    name,
    {
      description: limitHeaderTexts[name],
      schema: { type: name === 'RateLimit' || name === 'RateLimit-Policy' ? 'string' : 'integer' },
    },
  ]),
]);
const refer = (names: readonly string[]): Json => ({
  headers: Object.fromEntries(names.map((name) => [name, { $ref: `#/components/headers/${name}` }])),
});

const errorAnswer = (status: number, description: string): Json => ({
  description,
  ...(status === 503 ? refer(['Retry-After']) : {}),
  ...(status === 429 ? refer(['Retry-After', ...limitHeaderNames]) : {}),
  content: { 'application/json': { schema: { $ref: '#/components/schemas/Error' } } },
});

/** The error answers an operation can have follow from its kind, so that no route can forget one. */
function errorAnswers(spec: Spec, { limited, namesUser }: { limited: boolean; namesUser: boolean }): Json {
  const texts: Record<number, string> = { 500: 'Our fault.', 503: 'Not at the moment; try again.' };
  if (spec.body || spec.query || spec.params) texts[400] = 'The request is not as it must be.';
  if (spec.access !== 'public') {
    texts[401] = 'No credential, or one that is wrong, expired or revoked.';
    texts[403] = 'Not allowed.';
  }
  if (spec.params || namesUser) texts[404] = 'Not there, or of another organisation.';
  if (spec.method !== 'get') texts[409] = 'The state of the object forbids it.';
  if (spec.body) {
    texts[408] = 'The body took too long to arrive.';
    texts[413] = 'The body is too large.';
    texts[415] = 'The content type or encoding is not taken.';
  }
  if (limited) texts[429] = 'Too many requests.';
  return Object.fromEntries(
    Object.entries({ ...texts, ...spec.alsoAnswers }).map(([status, text]) => [
      status,
      errorAnswer(Number(status), text),
    ]),
  );
}

function operationOf(spec: Spec, limitedByAddress: boolean, components: Json): Json {
  const bodySchema = spec.body && schemaOf(spec.body, components, 'input');
  const ownType = spec.multipart ? 'multipart/form-data' : 'application/json';
  const queryParameters = parametersOf(spec.query, 'query', components);
  const responses: Json = errorAnswers(spec, {
    limited: limitedByAddress || spec.userLimit !== undefined,
    // A user of another organisation does not exist.
    namesUser: queryParameters.some(({ name }) => name === 'userId'),
  });
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
        ? {
            content: {
              'application/json': { schema: schemaOf(answer.schema, components, 'output') },
              ...Object.fromEntries((answer.files ?? []).map((type) => [type, {}])),
            },
          }
        : {}),
    };
  }
  return {
    operationId: spec.operationId,
    summary: spec.summary,
    ...(spec.description ? { description: spec.description } : {}),
    tags: [spec.tag],
    'x-worktide-access': {
      access: accessOf(spec),
      ...(spec.roles ? { roles: spec.roles } : {}),
      ...(spec.unverified ? { unverified: true } : {}),
    },
    security: securityOf(spec),
    parameters: [
      ...parametersOf(spec.params, 'path', components),
      ...queryParameters,
      ...Object.entries(spec.requestHeaders ?? {}).map(([name, description]) => ({
        name,
        in: 'header',
        required: false,
        schema: { type: 'string' },
        description,
      })),
    ],
    ...(bodySchema
      ? {
          requestBody: {
            required: !spec.body!.safeParse(undefined).success,
            content: Object.fromEntries(
              [ownType, ...(spec.contentTypes ?? [])].map((type) => [
                type,
                { schema: type === ownType ? bodySchema : { type: 'string' } },
              ]),
            ),
          },
        }
      : {}),
    responses,
  };
}

/** Any one of them is enough; none is needed where there is an empty one. */
function securityOf(spec: Spec): Record<string, never[]>[] {
  if (spec.refreshCookie) return [{}, { refreshCookie: [] }, { accessToken: [] }];
  const access = accessOf(spec);
  if (access === 'public') return [];
  return access === 'user' ? [{ accessToken: [] }, { agentKey: [] }] : [{ accessToken: [] }];
}

/** The OpenAPI 3.1 document of some services, made from the schemas that validate their requests. */
export function openApiDocument(services: readonly Service[]): Json {
  const components: Json = {};
  schemaOf(errorSchema, components, 'output');
  const paths: Record<string, Json> = {};
  const add = (spec: Spec, limitedByAddress: boolean): void => {
    if (spec.access === 'internal') return;
    const path = spec.path.replace(/[:*](\w+)/g, '{$1}');
    paths[path] = { ...paths[path], [spec.method]: operationOf(spec, limitedByAddress, components) };
  };
  for (const service of services) {
    for (const spec of service.routes) add(spec, isLimitedByAddress(service, spec));
    for (const { spec } of service.rawRoutes ?? []) add(spec, false);
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Worktide',
      version: '1',
      description:
        `Work-time tracking for fleets of desktop agents. [For people who write agents](${agentsPage}): what to send, what to ` +
        'send again, and every code. Fields may be added to any answer; `code` of an error is stable, its ' +
        'message is for people. `x-worktide-access` of an operation says who may call it: `public`, `user` (a log-in or an ' +
        'agent key), `session` (a log-in alone), and which `roles`.',
    },
    servers: [{ url: '/' }],
    paths,
    components: {
      schemas: components,
      headers,
      securitySchemes: {
        accessToken: {
          type: 'http',
          scheme: 'bearer',
          bearerFormat: 'JWT',
          description: 'From a log-in, for 15 minutes.',
        },
        agentKey: {
          type: 'http',
          scheme: 'bearer',
          description: 'Of one person and device (`waka_<UUID>`), long-lived.',
        },
        refreshCookie: {
          type: 'apiKey',
          in: 'cookie',
          name: 'worktide_refresh',
          description: 'HttpOnly; behind TLS its name is `__Secure-worktide_refresh`.',
        },
      },
    },
  };
}
