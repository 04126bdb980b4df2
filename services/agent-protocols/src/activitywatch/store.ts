import type { Queryable } from '@worktide/postgres';
import { AppError } from '@worktide/runtime';
import { type EventRow, eventOfRow, type LastRow, lastOfRow, type NumberedEvent } from './event.ts';
import type { OwnedBucket } from './kept.ts';

/** Whose bucket: buckets of two devices have nothing to do with each other, whatever their names. */
export interface BucketKey {
  userId: string;
  deviceId: string;
  bucketId: string;
}

/** A bucket whose row is locked, as it will be saved. */
export interface OpenBucket extends BucketKey, OwnedBucket {
  /** Names it in the table of events. */
  number: number;
  /** Number of the event that was made last. */
  count: number;
  /** The event that begins last. */
  last: NumberedEvent | undefined;
  /** Whether time of it was ever erased. */
  isErased: boolean;
}

/** What of a bucket's events is no longer its last, or never was. */
export interface EarlierEvent extends NumberedEvent {
  bucket: number;
}

export interface NewBucket extends BucketKey {
  type: string;
  client: string;
  hostname: string;
  createdAt: Date;
}

/** Watchers make one each; whoever makes them by the thousand watches nothing. */
export const maxBucketsOfUser = 500;

export const keyText = ({ userId, deviceId, bucketId }: BucketKey): string => `${userId}\n${deviceId}\n${bucketId}`;

interface Row extends LastRow {
  number: string;
  userId: string;
  deviceId: string;
  bucketId: string;
  type: string;
  client: string;
  count: string;
  isErased: boolean;
}

const keyArrays = (keys: readonly BucketKey[]): string[][] => [
  keys.map(({ userId }) => userId),
  keys.map(({ deviceId }) => deviceId),
  keys.map(({ bucketId }) => bucketId),
];

/** Locks buckets in one order, so that two who want the same ones wait for each other and no more. Those that are not there are left out. */
export async function lockBuckets(
  client: Queryable,
  organizationId: string,
  keys: readonly BucketKey[],
): Promise<Map<string, OpenBucket>> {
  const { rows } = await client.query<Row>(
    `SELECT b.number, b.user_id AS "userId", b.device_id AS "deviceId", b.bucket_id AS "bucketId", b.type, b.client,
       b.last_event_number AS count, b.is_erased AS "isErased", b.last_number AS "lastNumber", b.last_started_at AS "lastStartedAt",
       b.last_length AS "lastLength", b.last_data AS "lastData"
     FROM unnest($2::uuid[], $3::text[], $4::text[]) AS k (user_id, device_id, bucket_id)
     JOIN agent_protocols.buckets b ON b.organization_id = $1 AND b.user_id = k.user_id AND b.device_id = k.device_id
       AND b.bucket_id = k.bucket_id
     ORDER BY b.number FOR UPDATE OF b`,
    [organizationId, ...keyArrays(keys)],
  );
  return new Map(
    rows.map((row) => {
      const last = lastOfRow(row);
      const { userId, deviceId, bucketId, type, client: watcher, isErased } = row;
      const number = Number(row.number);
      return [
        keyText(row),
        { userId, deviceId, bucketId, type, client: watcher, number, count: Number(row.count), last, isErased },
      ];
    }),
  );
}

/** Where the last event of a bucket was deleted or erased, the one before takes its place; to be saved with the bucket. */
export async function fillLast(
  client: Queryable,
  organizationId: string,
  buckets: Iterable<OpenBucket>,
): Promise<void> {
  for (const bucket of buckets) {
    if (!bucket.last && bucket.count > 0) bucket.last = await takeNewest(client, organizationId, bucket.number);
  }
}

/** Takes the event that begins last out of the table of events. */
async function takeNewest(
  client: Queryable,
  organizationId: string,
  bucket: number,
): Promise<NumberedEvent | undefined> {
  const { rows } = await client.query<EventRow>(
    `DELETE FROM agent_protocols.events WHERE organization_id = $1 AND bucket = $2 AND number = (
       SELECT number FROM agent_protocols.events WHERE organization_id = $1 AND bucket = $2
       ORDER BY started_at DESC, number DESC LIMIT 1)
     RETURNING number, started_at AS "startedAt", length, data`,
    [organizationId, bucket],
  );
  const [row] = rows;
  return row && eventOfRow(row);
}

/**
 * Makes buckets of one user where they are not there. @returns how many it made.
 * @throws AppError 400 `TOO_MANY_BUCKETS`.
 */
export async function makeBuckets(
  client: Queryable,
  organizationId: string,
  buckets: readonly NewBucket[],
): Promise<number> {
  const { rowCount } = await client.query(
    `INSERT INTO agent_protocols.buckets
       (organization_id, user_id, device_id, bucket_id, type, client, hostname, created_at, is_erased)
     SELECT $1, k.*, EXISTS (SELECT FROM agent_protocols.erased_ranges WHERE organization_id = $1 AND user_id = k.user_id) FROM unnest($2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::timestamptz[])
       AS k (user_id, device_id, bucket_id, type, client, hostname, created_at)
     ON CONFLICT DO NOTHING`,
    [
      organizationId,
      ...keyArrays(buckets),
      buckets.map(({ type }) => type),
      buckets.map(({ client: watcher }) => watcher),
      buckets.map(({ hostname }) => hostname),
      buckets.map(({ createdAt }) => createdAt),
    ],
  );
  if (!rowCount) return 0;
  const users = [...new Set(buckets.map(({ userId }) => userId))];
  const { rows } = await client.query(
    `SELECT FROM agent_protocols.buckets WHERE organization_id = $1 AND user_id = ANY($2::uuid[])
     GROUP BY user_id HAVING count(*) > ${maxBucketsOfUser}`,
    [organizationId, users],
  );
  if (rows.length > 0) {
    throw new AppError('TOO_MANY_BUCKETS', `A person may have ${maxBucketsOfUser} buckets.`, { statusCode: 400 });
  }
  return rowCount;
}

/** Saves what has become of locked buckets, and the events that are not their last. */
export async function saveBuckets(
  client: Queryable,
  organizationId: string,
  buckets: readonly OpenBucket[],
  earlier: readonly EarlierEvent[],
): Promise<void> {
  // One statement: each costs a turn, and the organisation's next heartbeats wait.
  await client.query(
    `WITH earlier AS (
       INSERT INTO agent_protocols.events (organization_id, bucket, number, started_at, length, data)
       SELECT $1, e.* FROM unnest($9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[], $13::text[]) AS e
     )
     UPDATE agent_protocols.buckets b SET last_event_number = u.count, last_number = u.last_number,
       last_started_at = u.started_at, last_length = u.length, last_data = u.data, longest = greatest(b.longest, u.length, u.longest),
       updated_at = now()
     FROM unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::text[], $8::bigint[])
       AS u (number, count, last_number, started_at, length, data, longest)
     WHERE b.organization_id = $1 AND b.number = u.number`,
    [
      organizationId,
      buckets.map(({ number }) => number),
      buckets.map(({ count }) => count),
      buckets.map(({ last }) => last?.number ?? null),
      buckets.map(({ last }) => last?.startedAt ?? null),
      buckets.map(({ last }) => last && lengthOf(last)),
      buckets.map(({ last }) => last?.data ?? null),
      buckets.map(({ number }) =>
        earlier.reduce((most, event) => (event.bucket === number ? Math.max(most, lengthOf(event)) : most), 0),
      ),
      earlier.map(({ bucket }) => bucket),
      earlier.map(({ number }) => number),
      earlier.map(({ startedAt }) => startedAt),
      earlier.map(lengthOf),
      earlier.map(({ data }) => data),
    ],
  );
}

export const lengthOf = ({ startedAt, endedAt }: { startedAt: number; endedAt: number }): number => endedAt - startedAt;
