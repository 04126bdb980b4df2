import { bucketNamed } from '@worktide/activitywatch';
import { type Outbox, type Pool, type PoolClient, transactionWithEvents } from '@worktide/postgres';
import type { PrivacyGuard } from '@worktide/privacy';
import { type Caller, notFound } from '@worktide/runtime';
import type { Codec } from '@worktide/schemas';
import { deviceOf } from '../store/device-of.ts';
import { erasedRanges } from '../store/erased-ranges.ts';
import { tellPings } from '../store/tell-pings.ts';
import type { GivenEvent, NumberedEvent } from './event.ts';
import { type Fold, foldEvent, foldHeartbeat } from './fold.ts';
import { type BucketKey, fillLast, keyText, lockBuckets, makeBuckets, type OpenBucket, saveBuckets } from './store.ts';
import { perMs } from './times.ts';

export interface TakeDependencies {
  pool: Pool;
  outbox: Pick<Outbox, 'write' | 'committed'>;
  pings: Codec;
  privacy: PrivacyGuard;
}

export interface Heartbeat {
  caller: Caller;
  bucketId: string;
  event: GivenEvent;
  /** Microseconds. */
  pulsetime: number;
}

export const keyOf = (caller: Caller, bucketId: string): BucketKey => ({
  userId: caller.userId,
  deviceId: deviceOf(caller),
  bucketId,
});

/**
 * Takes heartbeats of one organisation, in order: what becomes of their buckets and the pings that follow from them, in one
 * transaction. Durable when it resolves, whether the log is there or not.
 * @returns of each the event that it belongs to; undefined where nothing may be kept of it.
 * @throws 503 while PostgreSQL is away, or the rules of the organisation are not known.
 */
export async function takeHeartbeats(
  deps: TakeDependencies,
  organizationId: string,
  heartbeats: readonly Heartbeat[],
): Promise<(NumberedEvent | undefined)[]> {
  const keys = new Map(
    heartbeats.map(({ caller, bucketId }) => keyOf(caller, bucketId)).map((key) => [keyText(key), key]),
  );
  return folding(deps, organizationId, async (client, fold) => {
    let buckets = await lockBuckets(client, organizationId, [...keys.values()]);
    const absent = [...keys.values()].filter((key) => !buckets.has(keyText(key)));
    if (absent.length > 0) {
      const createdAt = new Date();
      await makeBuckets(
        client,
        organizationId,
        absent.map((key) => ({ ...key, ...bucketNamed(key.bucketId), createdAt })),
      );
      buckets = await lockBuckets(client, organizationId, [...keys.values()]);
    }
    await fillLast(client, organizationId, buckets.values());
    await readErased(
      client,
      organizationId,
      fold,
      heartbeats.map(({ event }) => event),
      [...buckets.values()],
    );
    const results = heartbeats.map(({ caller, bucketId, event, pulsetime }) =>
      foldHeartbeat(fold, buckets.get(keyText(keyOf(caller, bucketId)))!, event, pulsetime, caller),
    );
    await saveBuckets(client, organizationId, [...buckets.values()], fold.earlier);
    return results;
  });
}

/**
 * Adds events to a bucket, as they are. One with the number of an event that is there takes its place.
 * @param options.once leaves out what the bucket has already, to the last word.
 * @returns what was kept, pieces apart.
 * @throws 404 without the bucket; 503 as above.
 */
export async function takeEvents(
  deps: TakeDependencies,
  caller: Caller,
  bucketId: string,
  events: readonly GivenEvent[],
  options: { once?: boolean } = {},
): Promise<NumberedEvent[]> {
  const { organizationId } = caller;
  return folding(deps, organizationId, async (client, fold) => {
    const key = keyOf(caller, bucketId);
    const bucket = (await lockBuckets(client, organizationId, [key])).get(keyText(key));
    if (!bucket) throw noBucket();
    await readErased(client, organizationId, fold, events, [bucket]);
    await removeEvents(
      client,
      organizationId,
      bucket,
      events.flatMap(({ id }) => id ?? []),
    );
    await fillLast(client, organizationId, [bucket]);
    const kept = events.flatMap((event) => foldEvent(fold, bucket, event, caller));
    if (options.once) await withoutTwins(client, organizationId, bucket, fold);
    await saveBuckets(client, organizationId, [bucket], fold.earlier);
    return kept;
  });
}

export const noBucket = () => notFound('There is no such bucket.', 'BUCKET_NOT_FOUND');

/** A transaction around a fold, and what it tells. */
async function folding<T>(
  deps: TakeDependencies,
  organizationId: string,
  work: (client: PoolClient, fold: Fold) => Promise<T>,
): Promise<T> {
  const privacy = await deps.privacy.of({ organizationId });
  await deps.pings.prepare();
  let fold: Fold | undefined;
  const { result } = await transactionWithEvents(
    { pool: deps.pool, outbox: deps.outbox, tenant: organizationId },
    async (client, say) => {
      fold = { privacy, nowMs: Date.now(), erased: [], earlier: [], pings: new Map(), taken: [] };
      const done = await work(client, fold);
      for (const [userId, byId] of fold.pings) {
        tellPings(deps.pings, say, { organizationId, userId }, [...byId.values()], { nowMs: fold.nowMs });
      }
      return done;
    },
  );
  deps.privacy.taken(fold!.taken);
  return result;
}

/** Of the time of these events and what lies between them and the last event of their bucket. */
async function readErased(
  client: PoolClient,
  organizationId: string,
  fold: Fold,
  given: readonly GivenEvent[],
  buckets: readonly OpenBucket[],
): Promise<void> {
  if (!buckets.some(({ isErased }) => isErased)) return;
  let from = Number.POSITIVE_INFINITY;
  let to = 0;
  for (const { startedAt, endedAt } of [
    ...given,
    ...buckets.flatMap(({ last }) => (last ? [{ startedAt: last.endedAt, endedAt: last.endedAt }] : [])),
  ]) {
    from = Math.min(from, startedAt);
    to = Math.max(to, endedAt);
  }
  const users = [...new Set(buckets.map(({ userId }) => userId))];
  if (to === 0) return;
  const span = { from: Math.floor(from / perMs), to: Math.ceil(to / perMs) };
  const ranges = await erasedRanges(client, organizationId, users, span);
  fold.erased = ranges.map((range) => ({ ...range, from: range.from * perMs, to: range.to * perMs }));
}

async function removeEvents(
  client: PoolClient,
  organizationId: string,
  bucket: OpenBucket,
  numbers: readonly number[],
): Promise<void> {
  if (numbers.length === 0) return;
  if (bucket.last && numbers.includes(bucket.last.number)) bucket.last = undefined;
  await client.query(
    'DELETE FROM agent_protocols.events WHERE organization_id = $1 AND bucket = $2 AND number = ANY($3::bigint[])',
    [organizationId, bucket.number, numbers],
  );
}

/** Lets go of events that the bucket has already. */
async function withoutTwins(client: PoolClient, organizationId: string, bucket: OpenBucket, fold: Fold): Promise<void> {
  const { rows } = await client.query<{ number: string }>(
    `SELECT n.number FROM unnest($3::bigint[], $4::bigint[], $5::bigint[], $6::text[]) AS n (number, started_at, length, data)
     WHERE EXISTS (SELECT FROM agent_protocols.events e WHERE e.organization_id = $1 AND e.bucket = $2
       AND e.started_at = n.started_at AND e.length = n.length AND e.data = n.data)`,
    [
      organizationId,
      bucket.number,
      fold.earlier.map(({ number }) => number),
      fold.earlier.map(({ startedAt }) => startedAt),
      fold.earlier.map(({ startedAt, endedAt }) => endedAt - startedAt),
      fold.earlier.map(({ data }) => data),
    ],
  );
  const there = new Set(rows.map(({ number }) => Number(number)));
  const seen = new Set<string>(bucket.last ? [textOf(bucket.last)] : []);
  fold.earlier = fold.earlier.filter((event) => {
    if (there.has(event.number) || seen.has(textOf(event))) return false;
    seen.add(textOf(event));
    return true;
  });
}

const textOf = ({ startedAt, endedAt, data }: NumberedEvent): string => `${startedAt} ${endedAt} ${data}`;
