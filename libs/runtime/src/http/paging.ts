import { openIdCursor, sealIdCursor } from './cursor.ts';

/**
 * Where a page of a list by id goes on; null for the first.
 * @param list what the list is of, organisation and filters included.
 * @throws 400 `INVALID_CURSOR`, also for one of another list.
 */
export const decodeCursor = (cursor: string | undefined, list: readonly unknown[]): string | null =>
  cursor === undefined ? null : openIdCursor(cursor, list);

/** A page of rows of which one more than `limit` was asked for, to know whether there are more. */
export function pageOf<R, T>(
  rows: R[],
  limit: number,
  list: readonly unknown[],
  { idOf, show }: { idOf: (row: R) => string; show: (row: R) => T },
): { items: T[]; nextCursor: string | null } {
  const items = rows.slice(0, limit);
  const last = items.at(-1);
  return {
    items: items.map(show),
    nextCursor: last !== undefined && rows.length > limit ? sealIdCursor(idOf(last), list) : null,
  };
}
