import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type Answer, call, expectStatus, inLanes, type Json } from '@worktide/testing';
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import fc from 'fast-check';
import { type Person, register } from '../support/people.ts';
import { type Product, startProduct, temporaryFolder } from '../support/product.ts';
import { inLongRounds } from '../support/rounds.ts';
import { valuesOf } from './arbitrary.ts';

/** Requests of each operation; more by hand: OPENAPI_RUNS=500 npm run jest -- tests/src/openapi */
const runs = Number(process.env.OPENAPI_RUNS ?? inLongRounds(25, 10));

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let product: Product;
let document: Json;
let operations: { name: string; method: string; route: string; spec: Json }[];
const ajv = new Ajv2020({ strict: false, validateFormats: false });

beforeAll(async () => {
  folder = await temporaryFolder();
  product = await startProduct(folder.dir, {
    LOGIN_LIMIT_PER_MINUTE: '100000',
    REGISTER_LIMIT_PER_MINUTE: '100000',
    MAIL_LIMIT_PER_MINUTE: '100000',
    BILLING_WEBHOOK_SECRET: 'billing-secret-of-the-openapi-test',
  });
  document = expectStatus(await call(product.url, 'get', '/api/docs/openapi.json'), 200);
  ajv.addSchema({ $id: 'worktide', components: { schemas: closed(document.components.schemas) } });
  operations = Object.entries(document.paths).flatMap(([route, methods]) =>
    Object.entries(methods as Json).map(([method, spec]) => ({ name: `${method} ${route}`, method, route, spec })),
  );
}, 120_000);
afterAll(async () => {
  await product?.process.stop();
  await folder?.remove();
});

/** With nothing that is not in it: answers may have more some day, and today have what the document says. */
function closed(schema: Json): Json {
  if (schema === null || typeof schema !== 'object') return schema;
  if (Array.isArray(schema)) return schema.map(closed);
  const inside = Object.fromEntries(Object.entries(schema).map(([key, value]) => [key, closed(value)]));
  return inside.type === 'object' && inside.properties && inside.additionalProperties === undefined
    ? { ...inside, additionalProperties: false }
    : inside;
}

const validators = new Map<object, ValidateFunction>();
function isAsDeclared(schema: Json, value: unknown): string {
  let validate = validators.get(schema);
  if (!validate) {
    const absolute = JSON.parse(JSON.stringify(closed(schema)).replaceAll('"#/components/', '"worktide#/components/'));
    validate = ajv.compile(absolute);
    validators.set(schema, validate);
  }
  return validate(value) ? '' : ajv.errorsText(validate.errors);
}

/** What is wrong with an answer: a failure of ours, one that the document does not have, or not as it is there. */
function problemOf(spec: Json, answer: Answer, question: string): string {
  const shown = `${answer.status} to ${question.slice(0, 600)}: ${answer.text.slice(0, 600)}`;
  if (answer.status >= 500) return `a failure of the server: ${shown}`;
  const declared = spec.responses[answer.status];
  if (!declared) return `not in the document: ${shown}`;
  const schema = declared.content?.['application/json']?.schema;
  if (!schema) return answer.text === '' ? '' : `a body where the document has none: ${shown}`;
  const difference = isAsDeclared(schema, answer.body);
  return difference && `not as in the document: ${difference}: ${shown}`;
}

describe('every operation, asked in every way that its own document allows, and in some that it does not', () => {
  /** Objects that exist, so that some of the questions come past 404. */
  async function objectsOf(person: Person): Promise<string[]> {
    const make = async (path: string, body: object): Promise<string> =>
      expectStatus(await call(product.url, 'post', `/api/v1${path}`, { bearer: person.accessToken, body }), 201).id;
    const projectId = await make('/projects', { name: 'Project' });
    return [
      person.userId,
      projectId,
      await make(`/projects/${projectId}/teams`, { name: 'Team' }),
      await make('/tasks', { projectId, title: 'Task' }),
      await make('/time-entries/manual', { startTime: '2026-01-01T09:00:00Z', endTime: '2026-01-01T10:00:00Z' }),
      await make('/time-entries', {}),
      await make('/webhooks', { url: 'https://receiver.invalid/', events: ['task.created'] }),
      await make('/invitations', { email: `guest-${projectId}@example.com`, role: 'employee' }),
    ];
  }

  test('no 5xx, no answer that is not declared, no body that is not as declared', async () => {
    expect(operations.length).toBeGreaterThan(45);
    const problems: string[] = [];
    let answered = 0;
    const examine = async ({ name, method, route, spec }: (typeof operations)[number]): Promise<void> => {
      // Somebody new for each: some operations end the session that calls.
      let person = await register(product.url);
      const objects = await objectsOf(person);
      const { schemas } = document.components;
      const id = fc.oneof(fc.constantFrom(...objects), fc.uuid(), fc.constantFrom('x', '%00', "'"));
      const headerText = fc.string({ unit: 'grapheme-ascii' }).map((text) => text.trim());
      const parameters = Object.fromEntries(
        spec.parameters.map((parameter: Json) => [
          `${parameter.in}.${parameter.name}`,
          parameter.in === 'header'
            ? headerText
            : parameter.in === 'path' || parameter.schema.format === 'uuid'
              ? id
              : valuesOf(parameter.schema, schemas),
        ]),
      );
      const required = spec.parameters.flatMap((p: Json) =>
        p.required || p.in === 'path' ? [`${p.in}.${p.name}`] : [],
      );
      const body = spec.requestBody?.content['application/json']?.schema;
      const question = fc.record({
        parameters: fc.record(parameters, { requiredKeys: required }),
        body: body ? valuesOf(body, schemas) : fc.constant(undefined),
        credential: fc.oneof({ weight: 9, arbitrary: fc.constant('good') }, fc.constantFrom('none', 'bad')),
      });
      let problem = '';
      await fc.check(
        fc.asyncProperty(question, async (asked) => {
          const query = new URLSearchParams();
          const headers: Record<string, string> = {};
          let path = route;
          for (const [key, value] of Object.entries(asked.parameters as Record<string, unknown>)) {
            const [where, parameter] = key.split('.') as [string, string];
            const text = typeof value === 'string' ? value : JSON.stringify(value);
            if (where === 'path')
              path = path.replace(`{${parameter}}`, encodeURIComponent(text.replaceAll(/[\ud800-\udfff]/g, '')) || 'x');
            else if (where === 'header') headers[parameter] = text;
            else query.set(parameter, text);
          }
          const target = query.size > 0 ? `${path}?${query}` : path;
          const bearer = { good: person.accessToken, none: undefined, bad: 'bad' }[asked.credential as 'good'];
          const answer = await call(product.url, method, target, { bearer, body: asked.body, headers });
          answered++;
          problem = problemOf(spec, answer, `${name}: ${target} ${JSON.stringify(asked.body)}`);
          if (asked.credential === 'good' && answer.status === 401) person = await register(product.url);
          return problem === '';
        }),
        { numRuns: runs, endOnFailure: true },
      );
      if (problem) problems.push(problem);
    };
    // Some at once, for everybody has an organisation of their own.
    await inLanes(operations, 3, examine);
    expect(problems).toEqual([]);
    // A test that got no answers would pass.
    expect(answered).toBeGreaterThanOrEqual(operations.length * runs);
  }, 240_000);

  test('a body that is none, of another type, too large or cut short is refused in a declared way', async () => {
    const person = await register(product.url);
    const bodies: [string, string, string][] = [
      ['no JSON', 'application/json', '{"a":'],
      ['another type', 'text/plain', 'a=b'],
      ['form', 'application/x-www-form-urlencoded', 'a=b'],
      ['nothing', 'application/json', ''],
      ['two megabytes', 'application/json', JSON.stringify({ a: 'x'.repeat(2_000_000) })],
      ['deep', 'application/json', `${'['.repeat(20_000)}${']'.repeat(20_000)}`],
      ['not UTF-8', 'application/json; charset=utf-16', '{}'],
    ];
    const problems: string[] = [];
    for (const { name, method, route, spec } of operations.filter((o) => o.spec.requestBody)) {
      for (const [what, type, body] of bodies) {
        const path = route.replaceAll(/\{\w+\}/g, person.userId);
        const headers = { 'content-type': type };
        const answer = await call(product.url, method, path, { bearer: person.accessToken, body, headers }).catch(
          // A connection cut while the body is still on its way says that it was too large.
          (error: NodeJS.ErrnoException) => {
            if (what === 'two megabytes' && ['EPIPE', 'ECONNRESET'].includes(error.code ?? '')) return undefined;
            throw error;
          },
        );
        const problem = answer && problemOf(spec, answer, `${name}: ${what}`);
        if (problem) problems.push(problem);
      }
      if (/logout/.test(route)) Object.assign(person, await register(product.url));
    }
    expect(problems).toEqual([]);
  }, 120_000);
});
