/** Numbers of ClickHouse's own errors (src/Common/ErrorCodes.cpp) that this server answers by itself. */
export const errorCodes = {
  SYNTAX_ERROR: 62,
  NOT_IMPLEMENTED: 48,
  READONLY: 164,
  ACCESS_DENIED: 497,
  UNKNOWN_SETTING: 115,
  TOO_MANY_SIMULTANEOUS_QUERIES: 202,
  QUERY_IS_TOO_LARGE: 311,
  SESSION_NOT_FOUND: 372,
  SESSION_IS_LOCKED: 373,
  INVALID_SESSION_TIMEOUT: 374,
  CANNOT_DECOMPRESS: 271,
  TOO_MANY_ROWS_OR_BYTES: 396,
  AUTHENTICATION_FAILED: 516,
  ABORTED: 236,
  NOT_ENOUGH_SPACE: 243,
  UNKNOWN_EXCEPTION: 1002,
} as const;

const names = new Map(Object.entries(errorCodes).map(([name, code]) => [code as number, name]));

/** An error in ClickHouse's own form, made by the server or read from the engine's message. */
export class ClickHouseError extends Error {
  readonly code: number;

  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}

/** HTTP statuses by code, as in ClickHouse's `exceptionCodeToHTTPStatus`; everything else is 500. */
const statuses: Record<number, number> = Object.fromEntries([
  ...[6, 26, 27, 36, 38, 41, 42, 43, 53, 62, 72, 117, 374, 456, 457].map((code) => [code, 400]),
  ...[516, 497, 192, 193].map((code) => [code, 403]),
  ...[46, 47, 50, 56, 60, 63, 73, 78, 81, 115, 336, 372].map((code) => [code, 404]),
  [311, 413],
  [48, 501],
  [202, 503],
  [236, 503],
  [373, 500],
]);

const isOutOfSpace = (error: unknown): boolean =>
  ['ENOSPC', 'EDQUOT'].includes(String((error as NodeJS.ErrnoException | undefined)?.code));

/** The answer to a failed request: status, code for `X-ClickHouse-Exception-Code`, and the text clients parse. */
export function errorAnswer(error: unknown, version: string): { status: number; code: number; text: string } {
  const message = error instanceof Error ? error.message : String(error);
  // Of this server's own files: a body that is too large for memory waits in one.
  if (isOutOfSpace(error)) return errorAnswer(new ClickHouseError(errorCodes.NOT_ENOUGH_SPACE, message), version);
  const parsed = /Code: (\d+)\. DB::Exception: /.exec(message);
  const code =
    error instanceof ClickHouseError ? error.code : parsed ? Number(parsed[1]) : errorCodes.UNKNOWN_EXCEPTION;
  const body = parsed
    ? message.slice(parsed.index).trim()
    : `Code: ${code}. DB::Exception: ${message}. (${names.get(code) ?? 'UNKNOWN_EXCEPTION'})`;
  return { status: statuses[code] ?? 500, code, text: `${body} (version ${version} (official build))\n` };
}
