import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { uuidv7 } from '@worktide/runtime';
import type { SignedIn } from '@worktide/schemas';
import { until } from '@worktide/testing';
import {
  addColleague,
  authDatabase,
  internalToken,
  type Running,
  signUp,
  startAuth,
  type TestDatabase,
} from '../testing.ts';

let database: TestDatabase;
let auth: Running;
let admin: SignedIn;
let organizationId: string;

beforeAll(async () => {
  database = await authDatabase();
  auth = await startAuth(database.url);
});
beforeEach(async () => {
  admin = await signUp(auth);
  organizationId = admin.organization.id;
});
afterAll(async () => {
  await auth.close();
  await database.drop();
});

const colleague = () => addColleague(auth, database, organizationId, 'employee');

async function agentKeyOf(token: string): Promise<string> {
  const { body } = await auth.call('POST', '/api/v1/auth/agent-keys', { token, body: { name: 'agent' } });
  return body.key;
}

describe('last seen', () => {
  const seenAt = async (id: string): Promise<string | null> =>
    (await auth.call('GET', `/api/v1/users/${id}`, { token: admin.accessToken })).body.lastSeenAt;
  const turnBack = (id: string) =>
    database.admin.query("UPDATE auth.users SET last_seen_at = now() - interval '1 hour' WHERE id = $1", [id]);

  test('moves with requests at auth and with the use of agent keys, without a write for each', async () => {
    const byToken = await colleague();
    const byKey = await colleague();
    const key = await agentKeyOf(byKey.token);
    // As of another process: this one has noted the making of the key.
    const other = await startAuth(database.url);
    await turnBack(byToken.id);
    await turnBack(byKey.id);
    const before = Date.now() - 60_000;
    await Promise.all(
      Array.from({ length: 20 }, () => [
        other.call('GET', '/api/v1/auth/me', { token: byToken.token }),
        other.call('GET', '/api/v1/auth/me', { token: key }),
      ]).flat(),
    );
    for (const { id } of [byToken, byKey]) {
      await until('it has moved', async () => Date.parse((await seenAt(id)) ?? '') > before);
    }
    // What is known to be a moment old is not written again.
    await turnBack(byToken.id);
    const moved = await seenAt(byToken.id);
    await other.call('GET', '/api/v1/auth/me', { token: byToken.token });
    await other.close();
    expect(await seenAt(byToken.id)).toBe(moved);
  });

  test('moves forward, never back, with what others have seen; strangers and the future change nothing', async () => {
    const [ada, ben] = [await colleague(), await colleague()];
    const see = (people: object[], token = internalToken) =>
      auth.call('POST', '/internal/users/seen', { token, body: { people } });
    for (const { id } of [ada, ben]) await turnBack(id);
    const of = (id: string, at: number) => ({ organizationId, userId: id, at });
    const at = Date.now() - 60_000;
    expect(await see([of(ada.id, at), of(ada.id, at - 1), of(uuidv7(), at)])).toMatchObject({
      status: 200,
      body: { noted: 1 },
    });
    expect(await seenAt(ada.id)).toBe(new Date(at).toISOString());
    expect((await see([of(ada.id, at - 5_000)])).body).toEqual({ noted: 0 });
    expect(await seenAt(ada.id)).toBe(new Date(at).toISOString());
    expect((await see([{ ...of(ben.id, at), organizationId: uuidv7() }])).body).toEqual({ noted: 0 });
    expect((await see([of(ben.id, Date.now() + 3_600_000)])).body).toEqual({ noted: 1 });
    expect(Date.parse((await seenAt(ben.id))!)).toBeLessThanOrEqual(Date.now());
    expect((await see([of(ben.id, at)], 'no secret')).status).toBe(401);
  });
});
