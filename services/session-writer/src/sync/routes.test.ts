import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { type Pool, transaction } from '@worktide/postgres';
import {
  AppError,
  type Caller,
  createBudget,
  createLifecycle,
  createMetrics,
  ownedUuid,
  serve,
  silentLogger,
  userSubject,
  uuidv7,
} from '@worktide/runtime';
import { type Json, until } from '@worktide/testing';
import { openWriter, type TestDatabase, type TestWriter, trackingDatabase } from '../testing.ts';
import { type Arrivals, createArrivals } from './arrivals.ts';
import { forgetOutcomes, type PartOutcome, saveOutcome } from './outcomes.ts';
import { syncRoutes } from './routes.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await trackingDatabase();
});
afterAll(() => database?.drop());

let writer: TestWriter;
let pool: Pool;
beforeEach(async () => {
  writer = await openWriter(database.url);
  pool = writer.pool;
});
const open: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of open.splice(0)) await close();
  await writer.close();
});

const person = (): Caller => ({
  organizationId: randomUUID(),
  userId: randomUUID(),
  role: 'employee',
  timezone: 'UTC',
  agentKeyId: 'k',
});
const me = person();
const colleague = { ...person(), organizationId: me.organizationId };
const stranger = person();
const callers: Record<string, Caller> = { me, colleague, stranger };

async function start({ maxWaits = 100, points = 1_000, now = Date.now } = {}) {
  const lifecycle = createLifecycle({ log: silentLogger() });
  const metrics = createMetrics();
  const arrivals: Arrivals = createArrivals();
  let left = points;
  const limit = {
    async take() {
      if (left-- <= 0) throw new AppError('RATE_LIMITED', 'x', { statusCode: 429 });
      return { name: 'sync', limit: points, remaining: left, resetSeconds: 1, policySeconds: 60 };
    },
  };
  const waits = createBudget({ name: 'waits', total: maxWaits, metrics });
  const { url } = await serve({
    services: [
      {
        name: 'session-writer',
        routes: syncRoutes({ pool, arrivals, limit, waits, now }),
        checks: {},
        authenticate: async (authorization) => callers[authorization?.replace('Bearer ', '') ?? '']!,
      },
    ],
    lifecycle,
    log: silentLogger(),
    metrics,
    host: '127.0.0.1',
    port: 0,
  });
  open.push(() => lifecycle.close());
  const get = async (batchId: string, { who = 'me', wait = 0, signal = null as AbortSignal | null } = {}) => {
    const headers = { authorization: `Bearer ${who}` };
    const response = await fetch(`${url}/api/v1/sync/batches/${batchId}?wait=${wait}`, { headers, signal });
    return { status: response.status, body: (await response.json()) as Json };
  };
  return { get, arrivals, waits };
}

const created = (index: number): PartOutcome => ({
  results: [{ index, idempotencyKey: `${index}`, outcome: 'created', id: uuidv7() }],
  conflicts: [],
});
const refused: PartOutcome = {
  results: [
    { index: 1, idempotencyKey: 'x', outcome: 'conflict' },
    { index: 2, idempotencyKey: 'y', outcome: 'skipped', id: uuidv7() },
  ],
  conflicts: [{ index: 1, idempotencyKey: 'x', reason: 'invalid', code: 'IN_FUTURE', message: 'm' }],
};
const save = (batchId: string, part: number, parts: number, outcome: PartOutcome): Promise<void> =>
  transaction(pool, (client) => saveOutcome(client, { ...me, batchId, part, parts }, outcome));
const newBatch = (who = me, at = Date.now()): string => ownedUuid(userSubject(who), at);

test('200 when all of it is known, 202 while it is on its way', async () => {
  const { get } = await start();
  const batchId = newBatch();
  expect(await get(batchId)).toEqual({ status: 202, body: { batchId, accepted: 0, rejected: [] } });
  await save(batchId, 1, 2, created(3));
  expect(await get(batchId)).toEqual({ status: 202, body: { batchId, accepted: 1, rejected: [] } });
  await save(batchId, 0, 2, refused);
  const answer = await get(batchId.toUpperCase());
  expect(answer).toMatchObject({
    status: 200,
    body: { batchId, processed: 1, skipped: 1, conflicts: refused.conflicts },
  });
  expect(answer.body.results.map(({ index }: { index: number }) => index)).toEqual([1, 2, 3]);
});

test('is the own one alone: of others, made up or old and unknown it is 404', async () => {
  let now = Date.now();
  const { get } = await start({ now: () => now });
  const batchId = newBatch();
  await save(batchId, 0, 1, created(0));
  for (const who of ['colleague', 'stranger']) expect(await get(batchId, { who })).toMatchObject({ status: 404 });
  for (const other of [newBatch(colleague), uuidv7(), randomUUID()])
    expect(await get(other)).toMatchObject({ status: 404 });
  expect(await get('x')).toMatchObject({ status: 400 });
  const lost = newBatch();
  expect(await get(lost)).toMatchObject({ status: 202 });
  now += 25 * 3_600_000;
  expect(await get(lost, { wait: 30 })).toMatchObject({ status: 404 });
  expect(await get(batchId)).toMatchObject({ status: 200 });
});

test('a wait ends with the commit, here or elsewhere', async () => {
  const { get, arrivals, waits } = await start();
  for (const elsewhere of [false, true]) {
    const batchId = newBatch();
    const answer = get(batchId, { wait: 25 });
    await until('it waits', () => waits.held === 1);
    await save(batchId, 0, 1, created(0));
    if (!elsewhere) arrivals.committed(batchId);
    expect(await answer).toMatchObject({ status: 200, body: { processed: 1 } });
  }
  expect(waits.held).toBe(0);
});

test('a wait is bounded: by its time, its request, and by how many there are', async () => {
  const { get, waits } = await start({ maxWaits: 2 });
  expect(await get(newBatch(), { wait: 1 })).toMatchObject({ status: 202 });
  expect(await get(newBatch(), { wait: 31 })).toMatchObject({ status: 400 });
  const aborter = new AbortController();
  const gone = get(newBatch(), { wait: 30, signal: aborter.signal }).catch(() => 'gone');
  await until('it waits', () => waits.held === 1);
  // More than the organisation's share of those who wait: it is told at once.
  expect(await get(newBatch(), { wait: 30 })).toMatchObject({ status: 202 });
  expect(await get(newBatch(stranger), { who: 'stranger', wait: 1 })).toMatchObject({ status: 202 });
  aborter.abort();
  expect(await gone).toBe('gone');
  await until('nobody waits', () => waits.held === 0);
});

test('is limited for each user', async () => {
  const { get } = await start({ points: 1 });
  expect(await get(newBatch())).toMatchObject({ status: 202 });
  expect(await get(newBatch())).toMatchObject({ status: 429 });
});

test('outcomes are kept for seven days', async () => {
  const [old, young] = [newBatch(), newBatch()];
  await save(old, 0, 1, created(0));
  await save(young, 0, 1, created(0));
  await pool.query(`UPDATE tracking.sync_batch_parts SET created_at = now() - interval '8 days' WHERE batch_id = $1`, [
    old,
  ]);
  await forgetOutcomes(pool);
  const { rows } = await pool.query('SELECT batch_id FROM tracking.sync_batch_parts WHERE batch_id = ANY($1::uuid[])', [
    [old, young],
  ]);
  expect(rows).toEqual([{ batch_id: young }]);
});
