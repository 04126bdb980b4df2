/** One problem inside a refused request: where it is, a stable code, and a sentence for people. */
export interface ErrorDetail {
  /** Path of the field, e.g. `body.email`. */
  path?: string;
  /** Index of the item in a list request. */
  index?: number;
  code: string;
  message: string;
  /** Id of another object that is in the way. */
  conflictsWith?: string;
}

export interface AppErrorOptions {
  /** HTTP status this error becomes; 500 unless said. */
  statusCode?: number;
  details?: ErrorDetail[];
  /** Whole seconds for `Retry-After`; always set on 429 and 503. */
  retryAfterSeconds?: number;
  /** More headers of the answer, e.g. which limit was passed. */
  headers?: Readonly<Record<string, string>>;
  /** What happened underneath. Logged, never shown to a caller. */
  cause?: unknown;
}

/**
 * The one error class of the system. `code` is stable SCREAMING_SNAKE and `message` is text for the public:
 * it never holds hosts, SQL, secrets or another tenant's data. What operators need goes into `cause`.
 */
export class AppError extends Error {
  readonly code: string;
  readonly statusCode: number;
  readonly details: ErrorDetail[] | undefined;
  readonly retryAfterSeconds: number | undefined;
  readonly headers: Readonly<Record<string, string>> | undefined;

  constructor(code: string, message: string, options: AppErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'AppError';
    this.code = code;
    this.statusCode = options.statusCode ?? 500;
    this.details = options.details;
    this.headers = options.headers;
    const needsRetry = this.statusCode === 429 || this.statusCode === 503;
    this.retryAfterSeconds = options.retryAfterSeconds ?? (needsRetry ? 1 : undefined);
  }
}

/** 400: the request can never succeed as it is. */
export const invalid = (code: string, message: string, details?: ErrorDetail[]): AppError =>
  new AppError(code, message, { statusCode: 400, ...(details ? { details } : {}) });

/** 401: no credential, or one that is wrong, expired or revoked. */
export const unauthorized = (message = 'A valid credential is required.', code = 'UNAUTHORIZED'): AppError =>
  new AppError(code, message, { statusCode: 401 });

/** 403: known caller, not allowed. */
export const forbidden = (message = 'This is not allowed for your role.', code = 'FORBIDDEN'): AppError =>
  new AppError(code, message, { statusCode: 403 });

/** 404: not there, or another organisation's: the two are alike on purpose. */
export const notFound = (message = 'There is no such thing here.', code = 'NOT_FOUND'): AppError =>
  new AppError(code, message, { statusCode: 404 });

/** 409: the state of the object forbids it. */
export const conflict = (code: string, message: string, details?: ErrorDetail[]): AppError =>
  new AppError(code, message, { statusCode: 409, ...(details ? { details } : {}) });

/**
 * 503: a dependency failed or is away. Consumers treat it as "pause and try again", HTTP as "come back later".
 * @param dependency short name as in `/health/ready`, e.g. `postgres`.
 */
export const unavailable = (dependency: string, cause?: unknown, retryAfterSeconds = 1): AppError =>
  new AppError('DEPENDENCY_UNAVAILABLE', `The service cannot answer at the moment (${dependency}).`, {
    statusCode: 503,
    retryAfterSeconds,
    cause,
  });

/** 400 that nobody reads: the caller went away, so what was done for it ended. */
export const requestAborted = (cause?: unknown): AppError =>
  new AppError('REQUEST_ABORTED', 'The request ended.', { statusCode: 400, cause });

/** The same while its body was still on its way. */
export const bodyAborted = (cause?: unknown): AppError =>
  new AppError('REQUEST_ABORTED', 'The request ended before its body did.', { statusCode: 400, cause });

/**
 * 503: a dependency is there but did not finish in time. As `unavailable`, but that what was asked of it may be the
 * reason: a consumer tries a few times, then asks for less.
 */
export const overdue = (dependency: string, cause?: unknown): AppError =>
  new AppError('DEPENDENCY_TIMEOUT', `The service did not answer in time (${dependency}).`, { statusCode: 503, cause });

/** Any thrown value as an AppError; what is unknown becomes `INTERNAL` with the original as cause. */
export function toAppError(error: unknown): AppError {
  if (error instanceof AppError) return error;
  return new AppError('INTERNAL', 'Something went wrong on our side.', { cause: error });
}

/** The innermost useful message of an error and its causes, for logs and readiness texts. */
export function describeError(error: unknown): string {
  const parts: string[] = [];
  for (let e: unknown = error, depth = 0; e !== undefined && e !== null && depth < 5; depth++) {
    if (e instanceof AggregateError && e.message === '') parts.push(e.errors.map((x) => describeError(x)).join('; '));
    else parts.push(e instanceof Error ? `${e.message || e.name}` : String(e));
    e = e instanceof Error ? e.cause : undefined;
  }
  return parts.join(': ');
}
