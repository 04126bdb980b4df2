import type { IncomingHttpHeaders } from 'node:http';
import {
  AppError,
  type AppErrorOptions,
  type Caller,
  type ErrorDetail,
  limitHeaderNames,
  senderHeader,
  signSender,
  traceHeader,
  traceparentFor,
  unavailable,
} from '@worktide/runtime';
import { z } from 'zod';

/** Whose routes are called. */
export type ApiService = 'auth' | 'workspace' | 'session-writer' | 'ingest-gateway' | 'screenshot-processor';

export interface ApiRequest {
  method: 'GET' | 'POST' | 'PUT';
  /** Below `/api/v1`, with its query. */
  path: string;
  /** JSON, or a form. */
  body?: object | FormData;
  headers?: Record<string, string>;
  timeoutMs?: number;
}

/** On whose behalf: what the request of the desktop said of itself. */
export interface OnBehalf {
  authorization?: string | undefined;
  requestId: string;
  /** Who sent it, behind the proxies that are trusted: limits and the audit trail are about them. */
  address?: string | undefined;
  userAgent?: string | undefined;
  /** Ends with the request. */
  signal?: AbortSignal | undefined;
}

export type ApiAnswer =
  | { ok: true; status: number; body: unknown }
  | { ok: false; status: number; code: string; message: string; details: ErrorDetail[] | undefined };

/** Our own interface, as anybody may call it, with the credential of a person. */
export interface Api {
  /**
   * @returns the answer, refusals included.
   * @throws AppError 503 where the service is away or says that it cannot at the moment; 429 as it was answered.
   */
  call(service: ApiService, request: ApiRequest, as: OnBehalf): Promise<ApiAnswer>;
}

const usualTimeoutMs = 10_000;
const refusal = z.looseObject({
  code: z.string(),
  message: z.string(),
  details: z.array(z.looseObject({ code: z.string(), message: z.string() })).optional(),
});

/**
 * @param apiUrl where our interface answers; `{service}` in it stands for the name of the service.
 * @param internalToken the secret of services, by which they believe us whom we ask for.
 */
export function createApi({ apiUrl, internalToken }: { apiUrl: string; internalToken: string }): Api {
  const urlOf = (service: ApiService, path: string): string =>
    `${apiUrl.replaceAll('{service}', service).replace(/\/+$/, '')}/api/v1${path}`;

  async function ask(service: ApiService, request: ApiRequest, as: OnBehalf) {
    const { method, path, body, headers, timeoutMs = usualTimeoutMs } = request;
    const isForm = body instanceof FormData;
    const sent: Record<string, string | undefined> = {
      authorization: as.authorization,
      'x-request-id': as.requestId,
      [traceHeader]: traceparentFor(),
      [senderHeader]: as.address && signSender(as.address, internalToken),
      'user-agent': as.userAgent,
      ...(body && !isForm ? { 'content-type': 'application/json' } : {}),
      ...headers,
    };
    const late = AbortSignal.timeout(timeoutMs);
    try {
      const response = await fetch(urlOf(service, path), {
        method,
        headers: Object.fromEntries(
          Object.entries(sent).filter((one): one is [string, string] => one[1] !== undefined),
        ),
        ...(body ? { body: isForm ? body : JSON.stringify(body) } : {}),
        redirect: 'error',
        signal: as.signal ? AbortSignal.any([as.signal, late]) : late,
      });
      // Read in any case: an unread body keeps its connection from being used again.
      const text = await response.text();
      return { response, body: text === '' ? undefined : (JSON.parse(text) as unknown) };
    } catch (error) {
      throw unavailable(service, error);
    }
  }

  return {
    async call(service, request, as) {
      const { response, body } = await ask(service, request, as);
      const { status } = response;
      if (response.ok) return { ok: true, status, body };
      const said = refusal.safeParse(body);
      const retryAfter = Number(response.headers.get('retry-after') ?? 1) || 1;
      // What is no error of ours is no answer about what was asked for: a wrong URL, or a proxy between.
      if (status >= 500 || !said.success) {
        throw unavailable(service, new Error(`${service} answered ${status} to ${request.method}`), retryAfter);
      }
      const { code, message, details } = said.data;
      if (status === 429) {
        const shown = limitHeaderNames.map((name) => [name, response.headers.get(name)] as const);
        throw passedOn(code, message, {
          statusCode: 429,
          retryAfterSeconds: retryAfter,
          headers: Object.fromEntries(shown.filter((one): one is [(typeof one)[0], string] => one[1] !== null)),
        });
      }
      return { ok: false, status, code, message, details: details as ErrorDetail[] | undefined };
    },
  };
}

/** @throws 503 for an answer that is not what our interface promises: a service of another version. */
export function read<T>(
  schema: { safeParse(value: unknown): { success: true; data: T } | { success: false; error: unknown } },
  value: unknown,
  service: string,
): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  throw unavailable(service, result.error);
}

/** An error of our own interface, as somebody is to be told of it who asked through another. */
export const passedOn = (code: string, message: string, options: AppErrorOptions): AppError =>
  new AppError(code, message, options);

/** Whose timers, pictures and keys. */
export type Who = Pick<Caller, 'organizationId' | 'userId'>;

/** What a request says of itself, for calls that are made for it. */
export function onBehalfOf(
  req: { headers: IncomingHttpHeaders; ip?: string | undefined },
  more: Pick<OnBehalf, 'requestId' | 'signal'>,
): OnBehalf {
  const { authorization, 'user-agent': userAgent } = req.headers;
  return { authorization, userAgent, address: req.ip, ...more };
}
