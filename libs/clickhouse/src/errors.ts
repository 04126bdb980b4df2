import { isNativeError } from 'node:util/types';
import { ClickHouseError } from '@clickhouse/client';
import { AppError, overdue, storageFull, unavailable } from '@worktide/runtime';

/**
 * ClickHouse's codes (src/Common/ErrorCodes.cpp) that say "not now" rather than "never": load, limits, outages, and
 * what an operator has yet to put right (migrations, password, disk). Trying the same again later may succeed.
 */
const passing = new Map([
  [16, 'NO_SUCH_COLUMN_IN_TABLE'],
  [60, 'UNKNOWN_TABLE'],
  [81, 'UNKNOWN_DATABASE'],
  [164, 'READONLY'],
  [202, 'TOO_MANY_SIMULTANEOUS_QUERIES'],
  [203, 'NO_FREE_CONNECTION'],
  [209, 'SOCKET_TIMEOUT'],
  [210, 'NETWORK_ERROR'],
  [225, 'NO_ZOOKEEPER'],
  [236, 'ABORTED'],
  [241, 'MEMORY_LIMIT_EXCEEDED'],
  [242, 'TABLE_IS_READ_ONLY'],
  [252, 'TOO_MANY_PARTS'],
  [279, 'ALL_CONNECTION_TRIES_FAILED'],
  [285, 'TOO_FEW_LIVE_REPLICAS'],
  [319, 'UNKNOWN_STATUS_OF_INSERT'],
  [394, 'QUERY_WAS_CANCELLED'],
  [439, 'CANNOT_SCHEDULE_TASK'],
  [516, 'AUTHENTICATION_FAILED'],
  [999, 'KEEPER_EXCEPTION'],
]);

const notEnoughSpace = 243;
/** What a call of the file system fails with: CANNOT_WRITE_TO_FILE_DESCRIPTOR, CANNOT_OPEN_FILE, STD_EXCEPTION, UNKNOWN_EXCEPTION. */
const fileSystemCodes = new Set([75, 76, 1001, 1002]);

function isFull({ code, message }: ClickHouseError): boolean {
  if (Number(code) === notEnoughSpace) return true;
  // The text only of those that quote nothing of a statement: data may say anything.
  return fileSystemCodes.has(Number(code)) && /no space left on device|errno: 28\b/i.test(message);
}

/** It is there, and did not finish in time: perhaps too much was asked of it at once. */
const late = new Map([
  [159, 'TIMEOUT_EXCEEDED'],
  [160, 'TOO_SLOW'],
]);

const memoryLimitExceeded = 241;

/** Whether a statement ended because it asked for more memory or time than it may have: the same again would, too. */
export function isTooExpensive(error: unknown): boolean {
  const cause = error instanceof AppError ? error.cause : error;
  if (!(cause instanceof ClickHouseError)) return false;
  const code = Number(cause.code);
  return code === memoryLimitExceeded || late.has(code);
}

const tooManyRowsOrBytes = 396;

/** Whether an answer was larger than the server gives at once. */
export function resultIsTooLarge(error: unknown): boolean {
  const cause = error instanceof AppError ? error.cause : error;
  return cause instanceof ClickHouseError && Number(cause.code) === tooManyRowsOrBytes;
}

/**
 * What a failed call of the client means: an AppError 503 `STORAGE_FULL` where its disk is full; an AppError 503 with the
 * original as its cause where another try later may succeed (away, overloaded, out of memory, not migrated yet;
 * `DEPENDENCY_TIMEOUT` where it took too long); anything else, such as a syntax error, as it came.
 */
export function mapClickHouseError(error: unknown): unknown {
  if (error instanceof AppError) return error;
  if (error instanceof ClickHouseError) {
    if (isFull(error)) return storageFull(error);
    if (late.has(Number(error.code))) return overdue('clickhouse', error);
    return passing.has(Number(error.code)) ? unavailable('clickhouse', error) : error;
  }
  // Mistakes of ours; everything else the client throws comes from the connection or from a proxy before the server.
  if (!isNativeError(error) || ['TypeError', 'RangeError', 'SyntaxError'].includes(error.name)) return error;
  // What the client says where no answer came within its own timeout.
  if (error.message.startsWith('Timeout error')) return overdue('clickhouse', error);
  return unavailable('clickhouse', error);
}
