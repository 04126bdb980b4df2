import { type Pool, tenantTransaction } from '@worktide/postgres';
import { type EventRow, eventOfRow, type LastRow, lastOfRow, type NumberedEvent } from './event.ts';
import { type BucketKey, lengthOf } from './store.ts';

/** A bucket as it is shown, and what is needed to read its events. */
export interface BucketRow {
  bucketId: string;
  number: number;
  type: string;
  client: string;
  hostname: string;
  createdAt: Date;
  /** JSON. */
  data: string;
  /** Number of the event that was made last. */
  count: number;
  last: NumberedEvent | undefined;
  /** The length of its longest event. */
  longest: number;
}

/** Microseconds, both ends included, as the protocol has it; undefined: no end. */
export interface Period {
  start: number | undefined;
  end: number | undefined;
}

interface Row extends LastRow {
  bucketId: string;
  number: string;
  type: string;
  client: string;
  hostname: string;
  createdAt: Date;
  data: string;
  count: string;
  longest: string;
}

/** Buckets of a device, all or one, in the order of their making. */
export async function readBuckets(
  pool: Pool,
  organizationId: string,
  { userId, deviceId }: Omit<BucketKey, 'bucketId'>,
  bucketId?: string,
): Promise<BucketRow[]> {
  const { rows } = await tenantTransaction(pool, organizationId, (client) =>
    client.query<Row>(
      `SELECT bucket_id AS "bucketId", number, type, client, hostname, created_at AS "createdAt", data, last_event_number AS count,
         longest, last_number AS "lastNumber", last_started_at AS "lastStartedAt", last_length AS "lastLength", last_data AS "lastData"
       FROM agent_protocols.buckets
       WHERE organization_id = $1 AND user_id = $2 AND device_id = $3 AND ($4::text IS NULL OR bucket_id = $4) ORDER BY number`,
      [organizationId, userId, deviceId, bucketId],
    ),
  );
  return rows.map((row) => ({
    ...row,
    number: Number(row.number),
    count: Number(row.count),
    longest: Number(row.longest),
    last: lastOfRow(row),
  }));
}

/** What is read and shown at once. */
const pageRows = 1_000;
const pageBytes = 1_000_000;

const isWithin = ({ startedAt, endedAt }: NumberedEvent, { start, end }: Period): boolean =>
  (start === undefined || endedAt >= start) && (end === undefined || startedAt <= end);

const within = `started_at >= coalesce($3::bigint, 0) - $5::bigint AND started_at + length >= coalesce($3::bigint, 0)
  AND started_at <= coalesce($4::bigint, 9223372036854775807)`;

/**
 * Events of a bucket that touch a period, what begins last first, by pages: no more than one is held, whatever the bucket has.
 * What comes while it reads is not among them.
 */
export async function* readEvents(
  pool: Pool,
  organizationId: string,
  bucket: BucketRow,
  period: Period,
  limit = Number.POSITIVE_INFINITY,
): AsyncGenerator<NumberedEvent[]> {
  let left = limit;
  const { last } = bucket;
  if (last && left > 0 && isWithin(last, period)) {
    left--;
    yield [last];
  }
  let before: NumberedEvent | undefined;
  while (left > 0) {
    const asked = Math.min(pageRows, left);
    const { rows } = await tenantTransaction(pool, organizationId, (client) =>
      client.query<EventRow>(
        `SELECT number, "startedAt", length, data FROM (
           SELECT number, started_at AS "startedAt", length, data,
             sum(octet_length(data)) OVER (ORDER BY started_at DESC, number DESC) - octet_length(data) AS before
           FROM (
             SELECT number, started_at, length, data FROM agent_protocols.events
             WHERE organization_id = $1 AND bucket = $2 AND ${within} AND number <= $6 AND number IS DISTINCT FROM $7
               AND ($8::bigint IS NULL OR (started_at, number) < ($8, $9::bigint))
             ORDER BY started_at DESC, number DESC LIMIT ${asked}) AS rows) AS page
         WHERE before < ${pageBytes} ORDER BY "startedAt" DESC, number DESC`,
        [
          organizationId,
          bucket.number,
          period.start,
          period.end,
          bucket.longest,
          bucket.count,
          last?.number,
          before?.startedAt,
          before?.number,
        ],
      ),
    );
    const page = rows.map(eventOfRow);
    // One that is shorter than asked for may have been too large.
    if (page.length === 0) return;
    yield page;
    left -= page.length;
    before = page.at(-1)!;
  }
}

/** How many events of a bucket touch a period. */
export async function countEvents(
  pool: Pool,
  organizationId: string,
  bucket: BucketRow,
  period: Period,
): Promise<number> {
  const { rows } = await tenantTransaction(pool, organizationId, (client) =>
    client.query<{ n: string }>(
      `SELECT count(*) AS n FROM agent_protocols.events
       WHERE organization_id = $1 AND bucket = $2 AND ${within} AND number IS DISTINCT FROM $6`,
      [organizationId, bucket.number, period.start, period.end, bucket.longest, bucket.last?.number],
    ),
  );
  return Number(rows[0]!.n) + (bucket.last && isWithin(bucket.last, period) ? 1 : 0);
}

/** Cut to a period, as the protocol shows events. */
export function cutTo<E extends NumberedEvent>(event: E, { start, end }: Period): E {
  const startedAt = start === undefined ? event.startedAt : Math.max(event.startedAt, start);
  const endedAt = end === undefined ? event.endedAt : Math.min(event.endedAt, end);
  if (lengthOf({ startedAt, endedAt }) === lengthOf(event)) return event;
  return { ...event, startedAt, endedAt: Math.max(startedAt, endedAt) };
}

/** One event by its number. */
export async function findEvent(
  pool: Pool,
  organizationId: string,
  bucket: BucketRow,
  number: number,
): Promise<NumberedEvent | undefined> {
  if (bucket.last?.number === number) return bucket.last;
  const { rows } = await tenantTransaction(pool, organizationId, (client) =>
    client.query<EventRow>(
      `SELECT number, started_at AS "startedAt", length, data FROM agent_protocols.events
       WHERE organization_id = $1 AND bucket = $2 AND number = $3`,
      [organizationId, bucket.number, number],
    ),
  );
  const [row] = rows;
  return row && eventOfRow(row);
}
