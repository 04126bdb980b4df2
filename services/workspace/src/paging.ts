import { openIdCursor, sealIdCursor } from '@worktide/runtime';

/**
 * The id after which the page begins; null for the first page.
 * @throws 400 `INVALID_CURSOR`.
 */
export const decodeCursor = (cursor: string | undefined, list: readonly unknown[]): string | null =>
  cursor === undefined ? null : openIdCursor(cursor, list);

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
  return { items: items.map(show), nextCursor: more ? sealIdCursor(idOf(last), list) : null };
}
