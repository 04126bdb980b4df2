import { createHash } from 'node:crypto';
import { invalid } from '@worktide/runtime';

const idBytes = 16;
const checkBytes = 8;

/**
 * Where a page ended, as opaque text of 32 characters. The last bytes are a checksum over the id and the list it is of,
 * organisation and filters included: a cursor that was altered, or brought to another list, is refused. It is no secret
 * and gives no access: every page asks anew who may see what.
 */
function encodeCursor(lastId: string, list: readonly unknown[]): string {
  const bytes = Buffer.from(lastId.replaceAll('-', ''), 'hex');
  return Buffer.concat([bytes, checksum(bytes, list)]).toString('base64url');
}

/**
 * The id after which the page begins; null for the first page.
 * @throws 400 `INVALID_CURSOR`.
 */
export function decodeCursor(cursor: string | undefined, list: readonly unknown[]): string | null {
  if (cursor === undefined) return null;
  const bytes = Buffer.from(cursor, 'base64url');
  const id = bytes.subarray(0, idBytes);
  const sound =
    bytes.length === idBytes + checkBytes &&
    bytes.toString('base64url') === cursor &&
    checksum(id, list).equals(bytes.subarray(idBytes));
  if (!sound) throw invalid('INVALID_CURSOR', 'cursor is not one that this list gave for the same query.');
  return id.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

const checksum = (id: Buffer, list: readonly unknown[]): Buffer =>
  createHash('sha256').update(id).update(JSON.stringify(list)).digest().subarray(0, checkBytes);

/** A page of rows of which one more than `limit` was asked for, to know whether there are more. */
export function pageOf<R, T>(
  rows: readonly R[],
  limit: number,
  list: readonly unknown[],
  { idOf, show }: { idOf: (row: R) => string; show: (row: R) => T },
): { items: T[]; nextCursor: string | null } {
  const items = rows.slice(0, limit);
  const last = items.at(-1);
  const more = last !== undefined && rows.length > limit;
  return { items: items.map(show), nextCursor: more ? encodeCursor(idOf(last), list) : null };
}
