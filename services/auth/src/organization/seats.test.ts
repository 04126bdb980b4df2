import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { SignedIn } from '@worktide/schemas';
import { addColleague, authDatabase, type Running, signUp, startAuth, type TestDatabase } from '../testing.ts';

let database: TestDatabase;
let auth: Running;
let admin: SignedIn;
let organizationId: string;

beforeAll(async () => {
  database = await authDatabase();
  auth = await startAuth(database.url, { PLAN_SEATS: '{"free": 3}' });
});
beforeEach(async () => {
  admin = await signUp(auth);
  organizationId = admin.organization.id;
});
afterAll(async () => {
  await auth.close();
  await database.drop();
});

const colleague = (status: 'active' | 'inactive' | 'suspended' = 'active') =>
  addColleague(auth, database, organizationId, 'employee', status);
const patch = (id: string, body: unknown) =>
  auth.call('PATCH', `/api/v1/users/${id}`, { token: admin.accessToken, body });
const remove = (id: string) => auth.call('DELETE', `/api/v1/users/${id}`, { token: admin.accessToken });
const me = (token: string) => auth.call('GET', '/api/v1/auth/me', { token });

describe('seats', () => {
  const setPlan = (plan: string) =>
    database.admin.query('UPDATE auth.organizations SET subscription_status = $2 WHERE id = $1', [
      organizationId,
      plan,
    ]);

  test('an inactive user is brought back where a seat is left, however many try at once', async () => {
    await setPlan('free');
    await colleague('suspended');
    const away = await Promise.all(Array.from({ length: 4 }, () => colleague('inactive')));
    const answers = await Promise.all(
      away.map(({ id }, n) => patch(id, { status: n % 2 === 0 ? 'active' : 'suspended' })),
    );
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 409, 409, 409]);
    expect(answers.find(({ status }) => status === 409)!.body.code).toBe('SEAT_LIMIT');
  });

  test('who has a seat keeps it at a downgrade, and giving it up makes room only below the limit', async () => {
    const others = await Promise.all(Array.from({ length: 4 }, () => colleague()));
    await setPlan('free');
    for (const { token } of others) expect((await me(token)).status).toBe(200);
    // From suspended to active is no new seat.
    expect((await patch(others[0]!.id, { status: 'suspended' })).status).toBe(200);
    expect((await patch(others[0]!.id, { status: 'active' })).status).toBe(200);
    expect((await patch(others[0]!.id, { status: 'inactive' })).status).toBe(200);
    expect((await patch(others[0]!.id, { status: 'active' })).body.code).toBe('SEAT_LIMIT');
    await remove(others[1]!.id);
    await remove(others[2]!.id);
    expect((await patch(others[0]!.id, { status: 'active' })).status).toBe(200);
  });
});
