import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { openEventLog } from '@worktide/event-log';
import { createMetrics, silentLogger } from '@worktide/runtime';
import { type PeopleEvent, type PeopleRecord, peopleRecord, topics } from '@worktide/schemas';
import { until } from '@worktide/testing';
import { addColleague, authDatabase, type Running, signUp, startAuth, type TestDatabase } from '../testing.ts';

let database: TestDatabase;
let auth: Running;

beforeAll(async () => {
  database = await authDatabase();
  auth = await startAuth(database.url);
});
afterAll(async () => {
  await auth.close();
  await database.drop();
});

/** What the log was told of an organisation, in order. */
const told = async (organizationId: string, by = auth): Promise<PeopleEvent[]> =>
  (await recordsOf(organizationId, by)).flatMap(({ events }) => events);

async function recordsOf(organizationId: string, by = auth): Promise<PeopleRecord[]> {
  const log = openEventLog(by.eventLogUrl, { clientId: 'test', log: silentLogger(), metrics: createMetrics() });
  try {
    const { name, partitions } = topics.people;
    const pages = await Promise.all(
      Array.from({ length: partitions }, (_, partition) =>
        log.admin.read(name, { partition, fromOffset: 0, limit: 10_000 }),
      ),
    );
    // The wire format's five bytes, then JSON.
    const records = pages.flat().map(({ value }) => peopleRecord.parse(JSON.parse(value!.subarray(5).toString())));
    return records.filter((record) => record.organizationId === organizationId);
  } finally {
    await log.close();
  }
}

/** The newest state of each, as a consumer would have it. */
async function known(organizationId: string, by = auth): Promise<Record<string, PeopleEvent>> {
  const newest: Record<string, PeopleEvent> = {};
  for (const event of await told(organizationId, by)) {
    if ((newest[event.id]?.version ?? 0) < event.version) newest[event.id] = event;
  }
  return newest;
}
const untilKnown = (organizationId: string, id: string, expected: object, by = auth) =>
  until(`${id} is known`, async () => {
    const { [id]: state } = await known(organizationId, by);
    return Object.entries(expected).every(([key, value]) => state?.[key as 'id'] === value) && state;
  });

describe('topic people', () => {
  test('has everybody and their organisation, without address, picture or password', async () => {
    const { user, organization } = await signUp(auth, { timezone: 'Asia/Tokyo' });
    await untilKnown(organization.id, user.id, { type: 'person' });
    const { [user.id]: person, [organization.id]: company } = await known(organization.id);
    expect(person).toEqual({
      type: 'person',
      id: user.id,
      name: user.name,
      role: 'admin',
      status: 'active',
      timezone: 'Asia/Tokyo',
      version: expect.any(Number),
      deleted: false,
    });
    const { id, name } = organization;
    expect(company).toMatchObject({ type: 'organization', id, name, subscriptionStatus: 'trial', deleted: false });
  });

  test('is told of every change, whoever makes it, and of nothing else', async () => {
    const { accessToken: token, user, organization } = await signUp(auth);
    const colleague = await addColleague(auth, database, organization.id, 'employee');
    await untilKnown(organization.id, colleague.id, { role: 'employee' });
    const patch = (path: string, body: object) => auth.call('PATCH', `/api/v1${path}`, { token, body });
    await patch('/auth/me', { name: 'New' });
    await untilKnown(organization.id, user.id, { name: 'New' });
    await patch(`/users/${colleague.id}`, { role: 'manager', status: 'suspended' });
    await untilKnown(organization.id, colleague.id, { role: 'manager', status: 'suspended' });
    await patch('/organization', { timezone: 'Europe/Berlin' });
    await untilKnown(organization.id, organization.id, { timezone: 'Europe/Berlin' });
    await auth.call('DELETE', `/api/v1/users/${colleague.id}`, { token });
    const gone = await untilKnown(organization.id, colleague.id, { deleted: true });
    expect(gone).toMatchObject({ status: 'inactive' });
    const before = await told(organization.id);
    // Neither a setting, nor a picture, nor being seen is anybody's business there.
    await patch('/organization', { settings: { idleAfterSeconds: 600 } });
    await patch('/auth/me', { profile: { firstName: 'Ada' } });
    const later = await signUp(auth);
    await untilKnown(later.organization.id, later.user.id, { type: 'person' });
    expect(await told(organization.id)).toEqual(before);
  });

  test('is told of what was there before there was one', async () => {
    const { user, organization } = await signUp(auth);
    await untilKnown(organization.id, user.id, { type: 'person' });
    await database.admin.query('UPDATE auth.users SET told = false WHERE id = $1', [user.id]);
    const before = (await known(organization.id))[user.id]!;
    const again = await until('it is told again', async () => {
      const state = (await known(organization.id))[user.id]!;
      return state.version > before.version && state;
    });
    expect(again).toEqual({ ...before, version: again.version });
  });

  test('is told of nobody whose address is not proven', async () => {
    const strict = await startAuth(database.url, { VERIFY_ADDRESSES: 'true' });
    try {
      const { user, organization } = await signUp(strict);
      const other = await signUp(auth);
      // Whichever of the two processes tells.
      await until('the other is known', async () => {
        const states = { ...(await known(other.organization.id)), ...(await known(other.organization.id, strict)) };
        return states[other.user.id];
      });
      expect([await told(organization.id), await told(organization.id, strict)]).toEqual([[], []]);
      const { token } = await strict.mailTo(user.email);
      await strict.call('POST', '/api/v1/auth/verify', { body: { token } });
      await until('known', async () => {
        const states = { ...(await known(organization.id)), ...(await known(organization.id, strict)) };
        return states[user.id] && states[organization.id];
      });
    } finally {
      await strict.close();
    }
  });

  test('is told who has accepted whose invitation, beside the state of who is there now', async () => {
    const { user, organization, accessToken: token } = await signUp(auth);
    const email = `guest-of-${user.id}@example.com`;
    const invited = await auth.call('POST', '/api/v1/invitations', { token, body: { email, role: 'manager' } });
    const mail = await auth.mailTo(email);
    const body = { token: mail.token, name: 'Guest', password: 'correct horse battery' };
    const accepted = await auth.call('POST', '/api/v1/invitations/accept', { body });
    expect([invited.status, accepted.status]).toEqual([201, 201]);
    const guest = accepted.body.user;
    const record = await until('it is told', async () =>
      (await recordsOf(organization.id)).find(({ happened }) => happened !== undefined),
    );
    expect(record.happened).toEqual([
      { type: 'invitation.accepted', id: invited.body.id, userId: guest.id, invitedBy: user.id },
    ]);
    expect(record.events).toEqual([
      {
        type: 'person',
        id: guest.id,
        name: 'Guest',
        role: 'manager',
        status: 'active',
        timezone: guest.timezone,
        version: expect.any(Number),
        deleted: false,
      },
    ]);
    expect(JSON.stringify(record)).not.toContain('example.com');
  });
});
