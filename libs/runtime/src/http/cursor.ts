import { createHash } from 'node:crypto';
import { type AppError, invalid } from '../errors.ts';

const idBytes = 16;
const checkBytes = 8;
/** What every store takes: years of four digits. */
const endOfTime = Date.UTC(10_000, 0, 1);

/**
 * A place in a list as opaque text. Its last bytes are a checksum over the place and the list it is of, organisation and
 * filters included: a cursor that was altered, or brought to another list, is refused. It is no secret and gives no
 * access: every page asks anew who may see what.
 */
function sealCursor(place: Buffer, list: readonly unknown[]): string {
  return Buffer.concat([place, checksum(place, list)]).toString('base64url');
}

/**
 * The place again.
 * @param length of the place in bytes.
 * @throws 400 `INVALID_CURSOR`.
 */
function openCursor(text: string, length: number, list: readonly unknown[]): Buffer {
  const bytes = Buffer.from(text, 'base64url');
  const place = bytes.subarray(0, length);
  const sound =
    bytes.length === length + checkBytes &&
    bytes.toString('base64url') === text &&
    checksum(place, list).equals(bytes.subarray(length));
  if (!sound) throw invalidCursor();
  return place;
}

/** Also for a place that no list has: whoever knows how can make a cursor of any. */
export const invalidCursor = (): AppError =>
  invalid('INVALID_CURSOR', 'cursor is not one that this list gave for the same query.');

const checksum = (place: Buffer, list: readonly unknown[]): Buffer =>
  createHash('sha256').update(place).update(JSON.stringify(list)).digest().subarray(0, checkBytes);

/** The last item of a page of a list by time, where the next begins. */
export interface TimedPlace {
  /** Epoch milliseconds. */
  at: number;
  /** A UUID. */
  id: string;
}

export function sealTimedCursor({ at, id }: TimedPlace, list: readonly unknown[]): string {
  const time = Buffer.alloc(8);
  time.writeBigInt64BE(BigInt(at));
  return sealCursor(Buffer.concat([time, bytesOfUuid(id)]), list);
}

/** @throws 400 `INVALID_CURSOR`. */
export function openTimedCursor(text: string, list: readonly unknown[]): TimedPlace {
  const place = openCursor(text, 8 + idBytes, list);
  const at = Number(place.readBigInt64BE());
  if (at < 0 || at >= endOfTime) throw invalidCursor();
  return { at, id: uuidOfBytes(place.subarray(8)) };
}

export const sealIdCursor = (id: string, list: readonly unknown[]): string => sealCursor(bytesOfUuid(id), list);

/** @throws 400 `INVALID_CURSOR`. */
export const openIdCursor = (text: string, list: readonly unknown[]): string =>
  uuidOfBytes(openCursor(text, idBytes, list));

const bytesOfUuid = (id: string): Buffer => Buffer.from(id.replaceAll('-', ''), 'hex');
const uuidOfBytes = (bytes: Buffer): string =>
  bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
