/** The broker refuses records over 1 MB and with them the whole send; small records also keep one user from filling a batch. */
export const maxRecordBytes = 256 * 1024;

/**
 * The records of one request of one user: one, or as many halves as it takes to stay within `maxRecordBytes`.
 * A single item never exceeds it: its fields are bounded far below.
 */
export function encodeRecords<T>(items: T[], encode: (items: T[]) => Buffer): Buffer[] {
  const value = encode(items);
  if (value.length <= maxRecordBytes || items.length === 1) return [value];
  const middle = items.length >> 1;
  return [...encodeRecords(items.slice(0, middle), encode), ...encodeRecords(items.slice(middle), encode)];
}
