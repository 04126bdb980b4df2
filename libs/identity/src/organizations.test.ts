import { describe, expect, test } from '@jest/globals';
import { silentLogger, unavailable, uuidv7 } from '@worktide/runtime';
import { type KnownOrganization, organizationSettings } from '@worktide/schemas';
import type { AuthClient } from './auth-client.ts';
import { createOrganizations } from './organizations.ts';

const id = uuidv7();
const organization = (subscriptionStatus: KnownOrganization['subscriptionStatus']): KnownOrganization => ({
  id,
  timezone: 'UTC',
  subscriptionStatus,
  settings: organizationSettings.parse({}),
});

/** Auth as these tests need it: one organisation, asked a counted number of times, sometimes away. */
function fakeAuth() {
  const state = { answer: organization('trial') as KnownOrganization | undefined, away: false, asked: 0 };
  const findOrganization = async (): Promise<KnownOrganization | undefined> => {
    state.asked++;
    const { answer, away } = state;
    await new Promise((resolve) => setImmediate(resolve));
    if (away) throw unavailable('auth');
    return answer;
  };
  const organizations = createOrganizations({
    auth: { findOrganization } as unknown as AuthClient,
    log: silentLogger(),
    maxEntries: 100,
  });
  const tell = (at: number): void => organizations.forget([{ kind: 'organization', id, organizationId: id, at }]);
  return { state, organizations, tell };
}

describe('what is known of organisations', () => {
  test('is asked for once, however many ask', async () => {
    const { state, organizations } = fakeAuth();
    const answers = await Promise.all(Array.from({ length: 50 }, () => organizations.find(id)));
    expect(answers.every((answer) => answer?.subscriptionStatus === 'trial')).toBe(true);
    expect(organizations.planOf(id)).toBe('trial');
    expect(state.asked).toBe(1);
  });

  test('the plan is not waited for: unknown at first, known a moment later', async () => {
    const { organizations } = fakeAuth();
    expect(organizations.planOf(id)).toBeUndefined();
    await organizations.find(id);
    expect(organizations.planOf(id)).toBe('trial');
  });

  test('a change that the feed tells is asked for; until the answer the old plan goes on', async () => {
    const { state, organizations, tell } = fakeAuth();
    await organizations.find(id);
    state.answer = organization('pro');
    tell(1);
    expect(organizations.planOf(id)).toBe('trial');
    expect((await organizations.find(id))?.subscriptionStatus).toBe('pro');
    expect(organizations.planOf(id)).toBe('pro');
  });

  test('a change told while an answer is on its way is not missed', async () => {
    const { state, organizations, tell } = fakeAuth();
    const first = organizations.find(id);
    state.answer = organization('free');
    tell(1);
    await first;
    expect((await organizations.find(id))?.subscriptionStatus).toBe('free');
    expect(state.asked).toBe(2);
  });

  test('auth away: what was known goes on, what never was is 503', async () => {
    const { state, organizations, tell } = fakeAuth();
    state.away = true;
    await expect(organizations.find(id)).rejects.toMatchObject({ statusCode: 503 });
    expect(organizations.planOf(id)).toBeUndefined();
    state.away = false;
    await organizations.find(id);
    state.away = true;
    tell(1);
    expect((await organizations.find(id))?.subscriptionStatus).toBe('trial');
  });

  test('an organisation that is not there is undefined, which is an answer', async () => {
    const { state, organizations } = fakeAuth();
    state.answer = undefined;
    expect(await organizations.find(id)).toBeUndefined();
    expect(await organizations.find(id)).toBeUndefined();
    expect(state.asked).toBe(1);
  });
});
