import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { uuidv7 } from '@worktide/runtime';
import type { SignedIn } from '@worktide/schemas';
import { configSchema } from '../config.ts';
import {
  addColleague,
  auditedActions,
  authDatabase,
  feedOf,
  internalToken,
  type Running,
  signUp,
  startAuth,
  type TestDatabase,
} from '../testing.ts';
import { defaultSeats } from './plans.ts';

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

const path = '/api/v1/organization';
const patch = (body: unknown, token = admin.accessToken) => auth.call('PATCH', path, { token, body });
const get = (token = admin.accessToken) => auth.call('GET', path, { token });
const internal = (id: string) => auth.call('GET', `/internal/organizations/${id}`, { token: internalToken });

async function stored(): Promise<unknown> {
  const { rows } = await database.admin.query('SELECT settings FROM auth.organizations WHERE id = $1', [
    organizationId,
  ]);
  return rows[0].settings;
}

describe('GET and PATCH /organization', () => {
  test('settings are merged key by key, and only what was changed is stored', async () => {
    expect(await stored()).toEqual({});
    await patch({ settings: { idleAfterSeconds: 600 } });
    const { status, body } = await patch({ settings: { minimumBlurLevel: 2 }, timezone: 'Asia/Tokyo', name: ' New ' });
    expect(status).toBe(200);
    expect(body).toEqual({
      ...admin.organization,
      name: 'New',
      timezone: 'Asia/Tokyo',
      settings: { ...admin.organization.settings, idleAfterSeconds: 600, minimumBlurLevel: 2 },
    });
    expect(await stored()).toEqual({ idleAfterSeconds: 600, minimumBlurLevel: 2 });
    expect((await get()).body).toEqual(body);
    expect((await auth.call('GET', '/api/v1/auth/me', { token: admin.accessToken })).body.organization).toEqual(body);
  });

  test('changes that come at once all stay', async () => {
    const numbers = { idleAfterSeconds: 60, overtimeAfterSeconds: 3_600, minimumBlurLevel: 3 };
    const settings = { ...numbers, weekStart: 'sunday', taskVisibility: 'own' };
    await Promise.all(Object.entries(settings).map(([key, value]) => patch({ settings: { [key]: value } })));
    expect(await stored()).toEqual(settings);
  });

  test('a change is in the feed and in the audit trail, with what was before; none is in neither', async () => {
    await patch({ settings: { idleAfterSeconds: 300, weekStart: 'monday' }, name: admin.organization.name });
    await patch({ settings: {} });
    expect(await feedOf(auth, organizationId)).toEqual([]);
    await patch({ settings: { overlapPolicy: 'merge' }, name: 'Other' });
    expect(await feedOf(auth, organizationId)).toEqual([
      { kind: 'organization', id: organizationId, organizationId, at: expect.any(Number) },
    ]);
    const events = await auditedActions(auth, organizationId, 'organization.changed');
    const told = events.filter(({ action }) => action === 'organization.changed');
    expect(told).toHaveLength(1);
    expect(told[0]).toMatchObject({
      actorId: admin.user.id,
      entityType: 'organization',
      entityId: organizationId,
      before: { name: admin.organization.name, 'settings.overlapPolicy': 'reject' },
      after: { name: 'Other', 'settings.overlapPolicy': 'merge' },
    });
  });

  test('what was read may be sent back: fields that only show are ignored', async () => {
    const { body } = await get();
    const answer = await patch({ ...body, id: uuidv7(), subscriptionStatus: 'enterprise', name: 'Back' });
    expect(answer).toMatchObject({ status: 200, body: { ...body, name: 'Back', subscriptionStatus: 'trial' } });
  });

  test.each([
    ['nothing', {}],
    ['only what shows', { subscriptionStatus: 'enterprise' }],
    ['a setting that does not exist', { settings: { idleSeconds: 60 } }],
    ['a setting of no such value', { settings: { taskVisibility: 'team' } }],
    ['a setting of the wrong type', { settings: { idleAfterSeconds: '60' } }],
    ['a setting out of bounds', { settings: { minimumBlurLevel: 4 } }],
    ['a setting taken back to nothing', { settings: { weekStart: null } }],
    ['a timezone that is none', { timezone: 'Mars/Olympus' }],
    ['a name of spaces', { name: '  ' }],
  ])('%s is 400', async (_name, body) => {
    expect(await patch(body)).toMatchObject({ status: 400, body: { code: 'VALIDATION_FAILED' } });
    expect(await stored()).toEqual({});
  });

  test('is read by everybody in it, also by their agents, and changed by admins alone', async () => {
    const employee = await addColleague(auth, database, organizationId, 'employee');
    const manager = await addColleague(auth, database, organizationId, 'manager');
    const made = await auth.call('POST', '/api/v1/auth/agent-keys', {
      token: admin.accessToken,
      body: { name: 'agent' },
    });
    const stranger = await signUp(auth);
    for (const token of [employee.token, manager.token, made.body.key]) {
      expect((await get(token)).body).toEqual(admin.organization);
      expect((await patch({ name: 'Mine' }, token)).status).toBe(403);
    }
    expect((await patch({ name: 'Mine' }, stranger.accessToken)).body.id).toBe(stranger.organization.id);
    expect((await get()).body).toEqual(admin.organization);
  });
});

describe('what other services ask of an organisation', () => {
  test('plan and settings, with the defaults; null for none', async () => {
    await patch({ settings: { idleAfterSeconds: 900 } });
    const { timezone, subscriptionStatus, settings } = admin.organization;
    expect(settings.taskVisibility).toBe('organization');
    expect((await internal(organizationId)).body).toEqual({
      organization: {
        id: organizationId,
        timezone,
        subscriptionStatus,
        settings: { ...settings, idleAfterSeconds: 900 },
        privacy: { rules: [], titles: 'keep', urls: 'keep', trackingHours: null },
      },
    });
    expect((await internal(uuidv7())).body).toEqual({ organization: null });
    expect((await internal('no-id')).status).toBe(400);
  });
});

describe('the table of seats', () => {
  const seats = (text?: string) =>
    configSchema.shape.PLAN_SEATS.safeParse(text) as { success: boolean; data?: unknown };

  test('has defaults, of which some or all may be set', () => {
    expect(seats().data).toEqual({ free: 5, trial: 500, pro: 500, enterprise: null });
    expect(seats('{"free": 10, "pro": null, "enterprise": 9}').data).toEqual({
      ...defaultSeats,
      free: 10,
      pro: null,
      enterprise: 9,
    });
  });

  test.each(['', 'free=5', '{"free": 0}', '{"free": 1.5}', '{"gold": 5}', '[]', '{"free": "5"}'])(
    '%j is refused',
    (text) => {
      expect(seats(text).success).toBe(false);
    },
  );
});
