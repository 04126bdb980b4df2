import type { Consumer, EventLog } from '@worktide/event-log';
import { type Pool, type Queryable, transaction } from '@worktide/postgres';
import {
  createCodec,
  type ErasuresRecord,
  erasuresRecord,
  readRecord,
  type SchemaRegistry,
  topics,
} from '@worktide/schemas';

/** Follows topic `erasures`: events of erased time go, and what comes of it later is let go of (`erasedSpans`). */
export async function followErasures(options: {
  service: string;
  eventLog: Pick<EventLog, 'consume'>;
  registry: SchemaRegistry;
  pool: Pool;
}): Promise<Consumer> {
  const { service, eventLog, registry, pool } = options;
  const codec = createCodec(registry, topics.erasures);
  return eventLog.consume({
    group: `${service}-erasures`,
    topics: [topics.erasures.name],
    ready: () => codec.prepare(),
    handle: async (batch, context) => {
      for (const record of batch) {
        const read = readRecord(codec, record.value, erasuresRecord);
        if ('unusable' in read) context.deadLetter(record, read.unusable);
        else await eraseTime(pool, read.data);
      }
    },
  });
}

/** Keeps the ranges, and cuts them out of events that are there. Again changes nothing. Rejects 503. */
export async function eraseTime(pool: Pool, { organizationId, userId, ranges }: ErasuresRecord): Promise<void> {
  for (const { deviceId, from, to } of ranges) {
    // Of its own, and before: who writes an event from here on knows the range, and whoever wrote one before holds the bucket.
    await pool.query(
      `INSERT INTO agent_protocols.erased_ranges (organization_id, user_id, device_id, from_ms, to_ms)
       VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING`,
      [organizationId, userId, deviceId ?? '', from, to],
    );
    // Heartbeats are written under their person's lock, which whoever knew nothing of the range holds until they are stored.
    await transaction(pool, async (client) => {
      const lock = `heartbeats ${organizationId} ${userId}`;
      await client.query('SELECT pg_advisory_xact_lock(hashtextextended($1, 0))', [lock]);
      await client.query(
        `DELETE FROM agent_protocols.heartbeats
         WHERE organization_id = $1 AND user_id = $2 AND ($3::text IS NULL OR device_id = $3) AND at_ms >= $4 AND at_ms < $5`,
        [organizationId, userId, deviceId, from, to],
      );
    });
    // Heartbeats of Hubnity are no usage themselves; but what began in erased time is not to be gone on with.
    await pool.query(
      `DELETE FROM agent_protocols.hubnity_heartbeats
       WHERE organization_id = $1 AND user_id = $2 AND ($3::text IS NULL OR $3 = 'hubnity') AND at_ms >= $4 AND at_ms < $5`,
      [organizationId, userId, deviceId, from, to],
    );
    const { rows } = await pool.query<{ number: number }>(
      `SELECT number FROM agent_protocols.buckets
       WHERE organization_id = $1 AND user_id = $2 AND ($3::text IS NULL OR device_id = $3) ORDER BY number`,
      [organizationId, userId, deviceId],
    );
    for (const { number } of rows) {
      await transaction(pool, (client) => cutBucket(client, { organizationId, bucket: number, from, to }));
    }
  }
}

/** What is left before the range stays under its number; what is left behind it begins where the range ends. */
async function cutBucket(
  client: Queryable,
  { organizationId, bucket, from, to }: { organizationId: string; bucket: number; from: number; to: number },
): Promise<void> {
  const range = [organizationId, bucket, from * 1_000, to * 1_000];
  await client.query(
    'UPDATE agent_protocols.buckets SET is_erased = true WHERE organization_id = $1 AND number = $2',
    range.slice(0, 2),
  );
  // The last event stands in the bucket's row: what reaches into erased time ends there, and heartbeats begin another.
  await client.query(
    `WITH old AS (
       SELECT last_number AS number, last_started_at AS started_at, last_length AS length, last_data AS data
       FROM agent_protocols.buckets WHERE organization_id = $1 AND number = $2
         AND last_started_at < $4::bigint AND last_started_at + greatest(last_length, 1) > $3::bigint
     ), moved AS (
       INSERT INTO agent_protocols.events (organization_id, bucket, number, started_at, length, data)
       SELECT $1, $2, number, started_at, length, data FROM old
     )
     UPDATE agent_protocols.buckets SET last_number = NULL, last_started_at = NULL, last_length = NULL, last_data = NULL
     WHERE organization_id = $1 AND number = $2 AND EXISTS (SELECT FROM old)`,
    range,
  );
  const touched = `organization_id = $1 AND bucket = $2 AND started_at < $4::bigint AND started_at + greatest(length, 1) > $3::bigint`;
  await client.query(
    `WITH cut AS (
       DELETE FROM agent_protocols.events WHERE ${touched} RETURNING number, started_at, length, data
     ), kept AS (
       INSERT INTO agent_protocols.events (organization_id, bucket, number, started_at, length, data)
       SELECT $1, $2, number, started_at, $3::bigint - started_at, data FROM cut WHERE started_at < $3::bigint
     ), behind AS (
       SELECT data, started_at + length AS ended_at, started_at < $3::bigint AS is_second, number,
         row_number() OVER (ORDER BY number) AS n
       FROM cut WHERE started_at + length > $4::bigint
     ), counted AS (
       UPDATE agent_protocols.buckets SET last_event_number = last_event_number + (SELECT count(*) FROM behind)
       WHERE organization_id = $1 AND number = $2 RETURNING last_event_number
     )
     INSERT INTO agent_protocols.events (organization_id, bucket, number, started_at, length, data)
     SELECT $1, $2, last_event_number - n + 1, $4::bigint, ended_at - $4::bigint, data FROM behind, counted`,
    range,
  );
}
