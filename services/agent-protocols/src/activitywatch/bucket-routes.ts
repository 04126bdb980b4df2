import { type Pool, tenantTransaction } from '@worktide/postgres';
import { type AnyRoute, type Caller, forbidden, type RequestLimit, route } from '@worktide/runtime';
import { z } from 'zod';
import { deviceOf } from '../store/device-of.ts';
import { type GivenEvent, maxDataBytes } from './event.ts';
import { base, bucketParams, bucketPath, name, tag } from './protocol.ts';
import { type BucketRow, readBuckets } from './read.ts';
import { keyText, lockBuckets, makeBuckets } from './store.ts';
import { keyOf, noBucket } from './take.ts';
import { shownTimestamp } from './times.ts';

export interface BucketDependencies {
  pool: Pool;
  limit: RequestLimit;
}

const data = z
  .record(z.string(), z.unknown())
  .refine((value) => Buffer.byteLength(JSON.stringify(value)) <= maxDataBytes, `at most ${maxDataBytes} bytes as JSON`);
const bucket = z
  .object({
    id: z.string(),
    created: z.string(),
    name: z.null(),
    type: z.string(),
    client: z.string(),
    hostname: z.string(),
    data: z.record(z.string(), z.unknown()),
    last_updated: z.string().optional(),
  })
  .meta({ id: 'ActivityWatchBucket' });
const newBucket = z.object({ type: name, client: name, hostname: name, data: data.optional() });
const nothing = z.object({});

/** As it is shown, without its events. */
export const shownBucket = (row: BucketRow) => ({
  id: row.bucketId,
  created: row.createdAt.toISOString(),
  name: null,
  type: row.type,
  client: row.client,
  hostname: row.hostname,
  data: JSON.parse(row.data) as Record<string, unknown>,
  ...(row.last ? { last_updated: shownTimestamp(row.last.endedAt) } : {}),
});

/** Buckets of the caller's device. */
export const bucketsOf = (pool: Pool, caller: Caller): Promise<BucketRow[]> =>
  readBuckets(pool, caller.organizationId, { userId: caller.userId, deviceId: deviceOf(caller) });

/** @throws AppError 404. */
export async function bucketOf(pool: Pool, caller: Caller, bucketId: string): Promise<BucketRow> {
  const owner = { userId: caller.userId, deviceId: deviceOf(caller) };
  const [found] = await readBuckets(pool, caller.organizationId, owner, bucketId);
  if (!found) throw noBucket();
  return found;
}

/** Buckets of the device whose key it is: listing, making, changing, deleting. */
export function bucketRoutes({ pool, limit }: BucketDependencies): AnyRoute[] {
  const common = { tag, access: 'user', agents: true, userLimit: limit } as const;
  const ofBucket = { ...common, path: bucketPath, params: bucketParams } as const;

  return [
    route({
      ...common,
      method: 'get',
      path: `${base}/buckets`,
      operationId: 'activityWatchBuckets',
      summary: 'The buckets of this device, by id',
      responses: { 200: { description: 'At most 500 a person.', schema: z.record(z.string(), bucket) } },
      handler: async ({ caller }) => {
        const rows = await bucketsOf(pool, caller);
        return { status: 200, body: Object.fromEntries(rows.map((row) => [row.bucketId, shownBucket(row)])) };
      },
    }),
    route({
      ...ofBucket,
      method: 'get',
      operationId: 'activityWatchBucket',
      summary: 'One bucket',
      responses: { 200: { description: 'Without its events.', schema: bucket } },
      alsoAnswers: { 404: 'No such bucket on this device.' },
      handler: async ({ caller, params }) => ({
        status: 200,
        body: shownBucket(await bucketOf(pool, caller, params.bucketId)),
      }),
    }),
    route({
      ...ofBucket,
      method: 'post',
      operationId: 'makeActivityWatchBucket',
      summary: 'Make a bucket',
      body: newBucket,
      responses: {
        200: { description: 'It is made.', schema: nothing },
        304: { description: 'It was there; nothing has changed.' },
      },
      handler: async ({ caller, params, body }) => {
        const { organizationId } = caller;
        const fresh = { ...keyOf(caller, params.bucketId), ...body, createdAt: new Date() };
        const made = await tenantTransaction(
          pool,
          organizationId,
          async (client) => {
            const count = await makeBuckets(client, organizationId, [fresh]);
            if (count > 0 && body.data) await setData(client, organizationId, fresh, body.data);
            return count;
          },
          { lock: `buckets ${organizationId} ${caller.userId}` },
        );
        return made > 0 ? { status: 200, body: {} } : { status: 304 };
      },
    }),
    route({
      ...ofBucket,
      method: 'put',
      operationId: 'changeActivityWatchBucket',
      summary: 'Change what a bucket says of itself',
      body: newBucket.partial(),
      responses: { 200: { description: 'It is changed.', schema: nothing } },
      alsoAnswers: { 404: 'No such bucket on this device.' },
      handler: async ({ caller, params, body }) => {
        const { organizationId } = caller;
        const key = keyOf(caller, params.bucketId);
        await tenantTransaction(pool, organizationId, async (client) => {
          const { rowCount } = await client.query(
            `UPDATE agent_protocols.buckets SET type = coalesce($5, type), client = coalesce($6, client),
               hostname = coalesce($7, hostname), updated_at = now()
             WHERE organization_id = $1 AND user_id = $2 AND device_id = $3 AND bucket_id = $4`,
            [organizationId, key.userId, key.deviceId, key.bucketId, body.type, body.client, body.hostname],
          );
          if (!rowCount) throw noBucket();
          if (body.data) await setData(client, organizationId, key, body.data);
        });
        return { status: 200, body: {} };
      },
    }),
    route({
      ...ofBucket,
      method: 'delete',
      operationId: 'deleteActivityWatchBucket',
      summary: 'Delete a bucket with its events',
      description: 'What has become of them in reports stays: time is erased by `DELETE /usage`.',
      query: z.object({ force: z.string().max(16).optional().meta({ description: '`1`, or nothing is deleted.' }) }),
      responses: { 200: { description: 'It is deleted.', schema: nothing } },
      alsoAnswers: { 403: 'Without `force=1`.', 404: 'No such bucket on this device.' },
      handler: async ({ caller, params, query }) => {
        if (query.force !== '1')
          throw forbidden('Say force=1 to delete a bucket with all that is in it.', 'FORCE_NEEDED');
        const { organizationId } = caller;
        const key = keyOf(caller, params.bucketId);
        await tenantTransaction(pool, organizationId, async (client) => {
          const locked = (await lockBuckets(client, organizationId, [key])).get(keyText(key));
          if (!locked) throw noBucket();
          const whose = [organizationId, locked.number];
          await client.query('DELETE FROM agent_protocols.events WHERE organization_id = $1 AND bucket = $2', whose);
          await client.query('DELETE FROM agent_protocols.buckets WHERE organization_id = $1 AND number = $2', whose);
        });
        return { status: 200, body: {} };
      },
    }),
  ];
}

type Client = Parameters<typeof makeBuckets>[0];

async function setData(
  client: Client,
  organizationId: string,
  key: ReturnType<typeof keyOf>,
  value: GivenEvent['data'],
): Promise<void> {
  await client.query(
    `UPDATE agent_protocols.buckets SET data = $5
     WHERE organization_id = $1 AND user_id = $2 AND device_id = $3 AND bucket_id = $4`,
    [organizationId, key.userId, key.deviceId, key.bucketId, JSON.stringify(value)],
  );
}
