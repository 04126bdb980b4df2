import { traceHeader, traceparentFor, unavailable } from '@worktide/runtime';
import type { z } from 'zod';

/** Below the two seconds of a poll, above anything a working service takes. */
const timeoutMs = 3_000;

/** A service's internal routes. */
export interface Internal {
  /** What it is called where it is away. */
  service: string;
  /** Base URL. */
  url: string;
  internalToken: string;
}

/**
 * What another service answers on an internal route: a GET, or a POST where there is a body.
 * @throws AppError 503 `DEPENDENCY_UNAVAILABLE` where it gives no proper answer within three seconds.
 */
export async function askInternal<S extends z.ZodType>(
  { service, url, internalToken }: Internal,
  schema: S,
  path: string,
  body?: unknown,
): Promise<z.output<S>> {
  const traceparent = traceparentFor();
  try {
    const response = await fetch(url.replace(/\/+$/, '') + path, {
      method: body === undefined ? 'GET' : 'POST',
      headers: {
        authorization: `Bearer ${internalToken}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...(traceparent === undefined ? {} : { [traceHeader]: traceparent }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(timeoutMs),
    });
    // Read in any case: an unread body keeps its connection from being used again.
    const text = await response.text();
    // A 404 or 401 here is a wrong URL or secret, never an answer about what was asked for.
    if (response.status !== 200) throw new Error(`${service} answered ${response.status} to ${path}`);
    return schema.parse(JSON.parse(text));
  } catch (error) {
    throw unavailable(service, error);
  }
}
