import createFetchClient from 'openapi-fetch';
import createHooks from 'openapi-react-query';
import type { components, paths } from './schema.d.ts';
import { authorize, renew } from './session.ts';

export type Schemas = components['schemas'];

/** An answer that says no, or none at all: code `OFFLINE`. */
export class ApiError extends Error {
  readonly code: string;
  readonly status: number;
  readonly details: readonly { path?: string; code: string; message: string; conflictsWith?: string }[];

  constructor(status: number, answer: { code?: string; message?: string; details?: ApiError['details'] }) {
    super(answer.message ?? `HTTP ${status}`);
    this.status = status;
    this.code = answer.code ?? 'UNKNOWN';
    this.details = answer.details ?? [];
  }
}

/** With the token of this tab; a token that has run out is renewed once, and the request sent again. */
async function send(request: Request): Promise<Response> {
  // A file is sent once: a copy of it would be kept in memory for the case.
  const isFile = request.headers.get('content-type')?.startsWith('multipart/');
  const again = isFile ? undefined : request.clone();
  const response = await reach(await authorize(request));
  if (response.status !== 401 || request.url.includes('/api/v1/auth/log') || request.url.endsWith('/auth/refresh')) {
    return response;
  }
  if (!again || !request.headers.has('authorization') || !(await renew())) return response;
  return reach(await authorize(again));
}

async function reach(request: Request): Promise<Response> {
  try {
    return await fetch(request);
  } catch (error) {
    if (request.signal.aborted) throw error;
    throw new ApiError(0, { code: 'OFFLINE', message: 'Worktide cannot be reached.' });
  }
}

export const client = createFetchClient<paths>({ baseUrl: location.origin, fetch: send });
client.use({
  async onResponse({ response }) {
    if (response.ok) return;
    const answer = (await response.json().catch(() => ({}))) as ConstructorParameters<typeof ApiError>[1];
    throw new ApiError(response.status, answer);
  },
});

export const api = createHooks(client);

/** Every page of a list. @param most items are read, so that no list can hold the page up for ever. */
export async function readAll<T>(
  read: (cursor: string | undefined) => Promise<{ data?: { items: T[]; nextCursor: string | null } | undefined }>,
  most = 10_000,
): Promise<T[]> {
  const items: T[] = [];
  for (let cursor: string | undefined; items.length < most; ) {
    const { data } = await read(cursor);
    items.push(...(data?.items ?? []));
    if (!data?.nextCursor) break;
    cursor = data.nextCursor;
  }
  return items;
}
