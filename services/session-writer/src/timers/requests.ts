import { createHash } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { Queryable } from '@worktide/postgres';
import { AppError, invalid } from '@worktide/runtime';
import { idempotencyKey } from '@worktide/schemas';
import type { Author } from './store.ts';

/** For how long a key is remembered: longer than anybody tries the same request again. */
const keepDays = 7;

/** What a POST with an `Idempotency-Key` asks for: sent again it is answered with what the first one made. */
export interface KeyedRequest {
  key: string;
  hash: Buffer;
}

/** @throws 400 `INVALID_IDEMPOTENCY_KEY`. */
export function keyedRequest(req: IncomingMessage, operation: string, body: unknown): KeyedRequest | undefined {
  const given = req.headers['idempotency-key'];
  if (given === undefined) return undefined;
  const key = idempotencyKey.safeParse(given);
  if (!key.success) throw invalid('INVALID_IDEMPOTENCY_KEY', 'Idempotency-Key must be text of 1–128 characters.');
  return {
    key: key.data,
    hash: createHash('sha256')
      .update(JSON.stringify([operation, body]))
      .digest(),
  };
}

export const keyReused = (): AppError =>
  new AppError('IDEMPOTENCY_KEY_REUSED', 'This Idempotency-Key was used for another request.', { statusCode: 422 });

/**
 * The entry that an earlier request of this key has made. Lock the user first.
 * @throws 422 `IDEMPOTENCY_KEY_REUSED` where that one was another.
 */
export async function findRequest(
  client: Queryable,
  { organizationId, actorId }: Pick<Author, 'organizationId' | 'actorId'>,
  { key, hash }: KeyedRequest,
): Promise<string | undefined> {
  const { rows } = await client.query<{ request_hash: Buffer; entry_id: string }>(
    'SELECT request_hash, entry_id FROM timer_requests WHERE organization_id = $1 AND actor_id = $2 AND key = $3',
    [organizationId, actorId, key],
  );
  const [found] = rows;
  if (!found) return undefined;
  if (found.request_hash.equals(hash)) return found.entry_id;
  throw keyReused();
}

export async function rememberRequest(
  client: Queryable,
  { organizationId, actorId }: Author,
  { key, hash }: KeyedRequest,
  entryId: string,
): Promise<void> {
  await client.query(
    `INSERT INTO timer_requests (organization_id, actor_id, key, request_hash, entry_id) VALUES ($1, $2, $3, $4, $5)`,
    [organizationId, actorId, key, hash, entryId],
  );
}

export async function pruneRequests(client: Queryable): Promise<void> {
  await client.query(`DELETE FROM tracking.timer_requests WHERE created_at < now() - interval '${keepDays} days'`);
}
