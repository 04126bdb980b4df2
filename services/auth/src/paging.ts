import { invalid } from '@worktide/runtime';
import { id } from '@worktide/schemas';

/** Cursors are opaque to callers: the id of the last item, encoded. Lists are newest first, ids are UUIDv7. */
const encodeCursor = (lastId: string): string => Buffer.from(lastId.replaceAll('-', ''), 'hex').toString('base64url');

/** @throws 400 `VALIDATION_FAILED` for a cursor that no list gave. */
export function decodeCursor(cursor: string | undefined): string | null {
  if (cursor === undefined) return null;
  const hex = Buffer.from(cursor, 'base64url').toString('hex');
  const text = hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
  if (id.safeParse(text).success) return text;
  throw invalid('VALIDATION_FAILED', "The request's query is not as it must be.", [
    { path: 'query.cursor', code: 'INVALID_CURSOR', message: 'not a cursor of this list' },
  ]);
}

/** A page of rows of which one more than `limit` was asked for, to know whether there are more. */
export function pageOf<R extends { id: string }, T>(
  rows: R[],
  limit: number,
  show: (row: R) => T,
): { items: T[]; nextCursor: string | null } {
  const items = rows.slice(0, limit);
  return { items: items.map(show), nextCursor: rows.length > limit ? encodeCursor(items.at(-1)!.id) : null };
}
