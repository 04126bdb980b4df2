import { describe, expect, test } from '@jest/globals';
import { z } from 'zod';
import { openApiDocument } from './openapi.ts';
import { type AnyRoute, route } from './route.ts';

// biome-ignore lint/suspicious/noExplicitAny: a document, looked at here and there.
type Json = any;

const thing = z.object({ name: z.string(), inner: z.object({ size: z.int() }) });
const bare: Omit<AnyRoute, 'handler'> = {
  method: 'post',
  path: '/api/v1/things',
  operationId: 'thing',
  summary: 'A thing',
  tag: 'test',
  access: 'session',
  responses: { 200: { description: 'It.', schema: thing } },
};
const documentOf = (more: Partial<AnyRoute> = {}): Json =>
  openApiDocument([
    { name: 's', checks: {}, routes: [route({ ...bare, ...more, handler: () => ({ status: 200 }) } as AnyRoute)] },
  ]);
const operationOf = (more?: Partial<AnyRoute>): Json =>
  documentOf(more).paths['/api/v1/things'][more?.method ?? 'post'];

describe('the document', () => {
  test('has headers of requests', () => {
    expect(operationOf({ requestHeaders: { Prefer: 'What.' } }).parameters).toEqual([
      { name: 'Prefer', in: 'header', required: false, description: 'What.', schema: { type: 'string' } },
    ]);
  });

  test('demands a body only where there must be one', () => {
    expect(operationOf({ body: thing }).requestBody.required).toBe(true);
    expect(operationOf({ body: thing.optional() }).requestBody.required).toBe(false);
  });

  test('closes no answer, for additions are free, and of requests only what is closed', () => {
    const { content } = operationOf().responses[200];
    expect(JSON.stringify(content)).not.toContain('additionalProperties');
    const strict = operationOf({ body: z.strictObject({ a: z.string() }) }).requestBody;
    expect(strict.content['application/json'].schema.additionalProperties).toBe(false);
  });

  test.each([
    ['a log-in', {}, [{ accessToken: [] }]],
    ['what agents call', { access: 'user', agents: true }, [{ accessToken: [] }, { agentKey: [] }]],
    ['what agents read', { access: 'user', method: 'get' }, [{ accessToken: [] }, { agentKey: [] }]],
    ['what is public', { access: 'public' }, []],
    [
      'what takes the cookie',
      { access: 'public', refreshCookie: true },
      [{}, { refreshCookie: [] }, { accessToken: [] }],
    ],
  ] as [string, Partial<AnyRoute>, object[]][])('names the credentials of %s', (_name, more, security) => {
    expect(operationOf(more).security).toEqual(security);
    const { securitySchemes } = documentOf(more).components;
    for (const name of security.flatMap(Object.keys)) expect(securitySchemes).toHaveProperty(name);
  });
});
