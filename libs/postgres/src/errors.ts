import { AppError, overdue, storageFull, unavailable } from '@worktide/runtime';

/** SQLSTATEs (PostgreSQL manual, appendix A) after which the same transaction, run again, may succeed. */
const retryable = new Set(['40001', '40P01']);

/**
 * SQLSTATE classes and codes that mean "the database, not the statement": connection (08), resources (53),
 * operator intervention such as a shutdown, a failover or a statement timeout (57), system (58), read-only
 * after a failover (25006), lock timeout (55P03), and what a database looks like before its migrations ran:
 * no such role or password (28), no such database, schema, table, column or function, no privilege yet.
 */
const unavailableClasses = ['08', '28', '53', '57', '58'];
const unavailableCodes = new Set(['25006', '25P03', '55P03', '3D000', '3F000', '42P01', '42703', '42883', '42501']);

/** The database is there but did not finish: cancelled by the statement timeout, or out of memory for this statement. */
const overdueCodes = new Set(['57014', '53200']);
/** As pg says it itself, after the same time and some grace. */
const overdueText = /query read timeout/i;

const unavailableSystemCodes = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'EPIPE',
  'ETIMEDOUT',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOENT',
]);

/** No TLS, or not with this server: Node's and OpenSSL's codes, an operator's to put right as a wrong password is. */
const tlsCode =
  /^(ERR_(TLS|SSL)_|CERT_|UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|HOSTNAME_MISMATCH|INVALID_(CA|PURPOSE)|EPROTO)/;

// pg reports its own connection trouble as plain errors, without a code.
const unavailableText =
  /connection terminated|timeout exceeded when trying to connect|query read timeout|connection error and is not queryable|client was closed|pool after calling end|timeout expired|SSL connection|^SASL/i;

/** Where in PostgreSQL an error was raised: tells apart what shares a SQLSTATE, in any language. */
const routineOf = (error: unknown): unknown => (error as { routine?: unknown }).routine;

const codeOf = (error: unknown): string =>
  typeof error === 'object' && error !== null && 'code' in error && typeof error.code === 'string' ? error.code : '';

export const isRetryable = (error: unknown): boolean => retryable.has(codeOf(error));

/** A statement ended before it was done: its time was up, or somebody asked for it. The connection is good. */
export const isCancelled = (error: unknown): boolean => codeOf(error) === '57014';

/** True where the connection itself cannot be trusted any more and has to be thrown away. */
export function isConnectionTrouble(error: unknown): boolean {
  if (error instanceof AggregateError) return error.errors.some(isConnectionTrouble);
  const code = codeOf(error);
  if (unavailableSystemCodes.has(code) || tlsCode.test(code) || /^ERR_(STREAM|SOCKET)_/.test(code)) return true;
  // A row that a policy refuses has the code of a missing privilege, but it is a fault of ours: waiting mends nothing.
  if (code === '42501' && routineOf(error) === 'ExecWithCheckOptions') return false;
  // `SET ROLE` to a tenant's role that the migrations have yet to make.
  if (code === '22023' && routineOf(error) === 'call_string_check_hook') return true;
  if (/^[0-9A-Z]{5}$/.test(code)) return unavailableClasses.includes(code.slice(0, 2)) || unavailableCodes.has(code);
  return error instanceof Error && !(error instanceof AppError) && unavailableText.test(error.message);
}

/**
 * Connection trouble and what is left after bounded retries become 503 `DEPENDENCY_UNAVAILABLE` with the original
 * as cause, a full disk 503 `STORAGE_FULL`; what took too long 503 `DEPENDENCY_TIMEOUT`, since the statement itself may be
 * the reason and then will never succeed; anything else (constraint violations, wrong SQL, AppErrors) stays what it is.
 */
export function mapPostgresError(error: unknown): unknown {
  if (error instanceof AppError) return error;
  if (codeOf(error) === '53100') return storageFull(error);
  if (overdueCodes.has(codeOf(error)) || (error instanceof Error && overdueText.test(error.message))) {
    return overdue('postgres', error);
  }
  return isConnectionTrouble(error) || isRetryable(error) ? unavailable('postgres', error) : error;
}

/** Name of the violated unique, exclusion, check or foreign-key constraint, if that is what the error is (class 23). */
export function violatedConstraint(error: unknown): string | undefined {
  if (!codeOf(error).startsWith('23')) return undefined;
  const { constraint } = error as { constraint?: string };
  return constraint ?? '';
}
