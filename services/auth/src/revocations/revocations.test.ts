import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type Engine, startPostgres } from '@worktide/backends';
import { createPool, type Pool } from '@worktide/postgres';
import { silentLogger, uuidv7 } from '@worktide/runtime';
import type { Revocation } from '@worktide/schemas';
import { authDatabase, internalToken, type Running, startAuth, type TestDatabase } from '../testing.ts';
import { pruneRevocations, readRevocations, recordRevocations } from './revocations.ts';

let dir: string;
let server: Engine;
let database: TestDatabase;
let pool: Pool;
let auth: Running;

beforeAll(async () => {
  // The cursor is the oldest open transaction of the whole server: none but this test's may be there.
  dir = await mkdtemp(join(tmpdir(), 'worktide-revocations-'));
  await chmod(dir, 0o711);
  server = await startPostgres({ dir });
  database = await authDatabase(server.url);
  pool = createPool(database.url, { applicationName: 'revocations-test', log: silentLogger() });
  auth = await startAuth(database.url);
});
afterAll(async () => {
  await auth.close();
  await pool.end();
  await database.drop();
  await server.stop();
  await rm(dir, { recursive: true, force: true });
});

const session = (): Revocation => ({ kind: 'session', id: uuidv7(), organizationId: uuidv7(), at: Date.now() });

/** Everything since a cursor, as a reader gets it. */
async function readAll(after?: string): Promise<{ ids: string[]; cursor: string; pages: number }> {
  const ids: string[] = [];
  let cursor = '';
  let pages = 0;
  for (let page: string | null | undefined; page !== null; pages++) {
    const answer = await readRevocations(pool, { after, page: page ?? undefined });
    ids.push(...answer.items.map((item) => item.id));
    cursor ||= answer.cursor;
    page = answer.nextPage;
  }
  return { ids, cursor, pages };
}

describe('the revocation feed', () => {
  test('gives back what was recorded, of each kind', async () => {
    const items: Revocation[] = [
      session(),
      { ...session(), kind: 'agent-key' },
      { ...session(), kind: 'organization' },
      { ...session(), kind: 'user', role: 'manager', timezone: 'Asia/Tokyo', status: 'suspended' },
    ];
    await recordRevocations(pool, items);
    const answer = await readRevocations(pool, {});
    for (const item of items) expect(answer.items).toContainEqual(item);
  });

  test('from a cursor on only what is new', async () => {
    const { cursor } = await readAll();
    const item = session();
    await recordRevocations(pool, [item]);
    expect((await readAll(cursor)).ids).toEqual([item.id]);
  });

  test('a transaction that commits late is not missed by a reader who has seen later ones', async () => {
    const late = session();
    const early = session();
    const client = await pool.connect();
    await client.query('BEGIN');
    await recordRevocations(client, [late]);
    await recordRevocations(pool, [early]);
    const before = await readAll();
    expect(before.ids).toContain(early.id);
    expect(before.ids).not.toContain(late.id);
    await client.query('COMMIT');
    client.release();
    expect((await readAll(before.cursor)).ids).toContain(late.id);
  });

  test('goes by pages without loss', async () => {
    const { cursor } = await readAll();
    const items = Array.from({ length: 4_500 }, session);
    await recordRevocations(pool, items);
    const all = await readAll(cursor);
    expect(all.pages).toBe(3);
    expect(all.ids).toEqual(items.map(({ id }) => id));
  });

  test('a cursor from the future, as after a restore, gets everything', async () => {
    const item = session();
    await recordRevocations(pool, [item]);
    expect((await readAll('9999999999999999')).ids).toContain(item.id);
  });

  test('old entries go, young ones stay', async () => {
    const [old, young] = [session(), session()];
    await recordRevocations(pool, [{ ...old, at: Date.now() - 4 * 3_600_000 - 1_000 }, young]);
    await pruneRevocations(pool);
    const { ids } = await readAll();
    expect(ids).toContain(young.id);
    expect(ids).not.toContain(old.id);
  });

  test.each([
    '/internal/revocations',
    `/internal/users/${uuidv7()}/${uuidv7()}`,
    `/internal/organizations/${uuidv7()}`,
  ])('%s is for services only', async (path) => {
    for (const token of [undefined, 'x', `${internalToken}x`]) {
      expect((await auth.call('GET', path, { token })).status).toBe(401);
    }
    expect((await auth.call('GET', path, { token: internalToken })).status).toBe(200);
    expect((await auth.call('GET', '/internal/revocations?after=x', { token: internalToken })).status).toBe(400);
  });
});
