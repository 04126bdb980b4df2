import { createHash } from 'node:crypto';
import { invalid } from '@worktide/runtime';

/** The last screenshot of a page, where the next begins. */
export interface Position {
  capturedAt: number;
  id: string;
}

const size = 8 + 16 + 8;

/**
 * A page's end as opaque text of 43 characters. The last bytes are a checksum over position and query: a cursor that
 * was altered, or brought to another query, is refused. It is no secret and gives no access: every page asks anew who
 * may see what.
 */
export function encodeCursor({ capturedAt, id }: Position, query: readonly unknown[]): string {
  const bytes = Buffer.alloc(size);
  bytes.writeBigInt64BE(BigInt(capturedAt), 0);
  bytes.write(id.replaceAll('-', ''), 8, 'hex');
  checksum(bytes, query).copy(bytes, 24, 0, 8);
  return bytes.toString('base64url');
}

/** @throws 400 `INVALID_CURSOR`. */
export function decodeCursor(text: string, query: readonly unknown[]): Position {
  const bytes = Buffer.from(text, 'base64url');
  const sound =
    bytes.length === size &&
    bytes.toString('base64url') === text &&
    checksum(bytes, query).subarray(0, 8).equals(bytes.subarray(24));
  if (!sound) throw invalid('INVALID_CURSOR', 'cursor is not one that this list gave for the same query.');
  const id = bytes.toString('hex', 8, 24).replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
  return { capturedAt: Number(bytes.readBigInt64BE(0)), id };
}

const checksum = (bytes: Buffer, query: readonly unknown[]): Buffer =>
  createHash('sha256').update(bytes.subarray(0, 24)).update(JSON.stringify(query)).digest();
