import { call, expectStatus } from '@worktide/testing';

export interface Parameter {
  name: string;
  in: 'path' | 'query' | 'header';
  required: boolean;
  schema: { format?: string };
}

/** One operation of the OpenAPI document. */
export interface Operation {
  /** `get /api/v1/tasks/{id}` */
  name: string;
  method: string;
  route: string;
  access: 'public' | 'user' | 'session';
  /** Those who may call it at all; undefined where every role may. */
  roles: string[] | undefined;
  /** Whether it is also for who has not proven their address. */
  unverified: boolean;
  hasBody: boolean;
  parameters: Parameter[];
}

interface OperationObject {
  requestBody?: object;
  parameters: Parameter[];
  'x-worktide-access': { access: Operation['access']; roles?: string[]; unverified?: true };
}

/** Every operation that the product itself says it has, so that a new route cannot be forgotten. */
export async function readOperations(origin: string): Promise<Operation[]> {
  const document = expectStatus(await call(origin, 'get', '/api/docs/openapi.json'), 200);
  return Object.entries(document.paths as Record<string, Record<string, OperationObject>>).flatMap(([route, methods]) =>
    Object.entries(methods).map(([method, spec]) => ({
      name: `${method} ${route}`,
      method,
      route,
      access: spec['x-worktide-access'].access,
      roles: spec['x-worktide-access'].roles,
      unverified: spec['x-worktide-access'].unverified === true,
      hasBody: spec.requestBody !== undefined,
      parameters: spec.parameters,
    })),
  );
}
