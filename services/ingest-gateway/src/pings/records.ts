import type { PingEvent, PingsRecord } from '@worktide/schemas';

/** The broker refuses records over 1 MB and with them the whole send; small records also keep one user from filling a batch. */
export const maxRecordBytes = 256 * 1024;

/**
 * The records of one request of one user: one, or as many halves as it takes to stay within `maxRecordBytes`.
 * A single ping never exceeds it: its fields are bounded far below.
 */
export function encodeRecords(
  envelope: Omit<PingsRecord, 'pings'>,
  pings: PingEvent[],
  encode: (record: PingsRecord) => Buffer,
): Buffer[] {
  const value = encode({ ...envelope, pings });
  if (value.length <= maxRecordBytes || pings.length === 1) return [value];
  const middle = pings.length >> 1;
  return [
    ...encodeRecords(envelope, pings.slice(0, middle), encode),
    ...encodeRecords(envelope, pings.slice(middle), encode),
  ];
}
