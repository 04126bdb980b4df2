import { randomUUID } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { createMetrics, unavailable, uuidv7 } from '@worktide/runtime';
import { createAgentKeys } from './agent-keys.ts';
import type { AuthClient, ResolvedAgentKey } from './auth-client.ts';
import { createRevocationList } from './revocations.ts';

const minute = 60_000;

beforeEach(() => void jest.useFakeTimers({ doNotFake: ['setImmediate', 'nextTick', 'queueMicrotask'] }));
afterEach(() => void jest.useRealTimers());

/** Auth with one key, which can be taken away; the clock is the test's. */
function withAuth() {
  const key = `waka_${randomUUID()}`;
  const state = { away: false, asked: 0 };
  const credential: ResolvedAgentKey = {
    agentKeyId: uuidv7(),
    organizationId: uuidv7(),
    userId: uuidv7(),
    role: 'employee',
    timezone: 'UTC',
    deviceId: 'laptop',
  };
  const auth = {
    async resolveAgentKey() {
      state.asked++;
      if (state.away) throw unavailable('auth');
      return credential;
    },
  } as unknown as AuthClient;
  const revocations = createRevocationList();
  const agentKeys = createAgentKeys({ auth, revocations, metrics: createMetrics(), maxEntries: 100 });
  const pass = async (ms: number): Promise<void> => {
    jest.setSystemTime(Date.now() + ms);
    await new Promise((resolve) => setImmediate(resolve));
  };
  return { key, state, credential, revocations, agentKeys, pass };
}

describe('agent keys while auth is away', () => {
  test('an agent that posts every half minute is served for more than an hour of it', async () => {
    const { key, state, credential, agentKeys, pass } = withAuth();
    for (let at = 0; at < 30 * minute; at += minute / 2) {
      await agentKeys.resolve(key);
      await pass(minute / 2);
    }
    const before = state.asked;
    state.away = true;
    for (let at = 0; at < 100 * minute; at += minute / 2) {
      expect(await agentKeys.resolve(key)).toEqual(credential);
      await pass(minute / 2);
    }
    // And auth is not asked at each of its 200 requests, nor never.
    expect(state.asked - before).toBeGreaterThan(10);
    expect(state.asked - before).toBeLessThan(200);
  });

  test('an agent that was quiet for half an hour before is served for an hour, too', async () => {
    const { key, state, credential, agentKeys, pass } = withAuth();
    await agentKeys.resolve(key);
    await pass(30 * minute);
    state.away = true;
    await pass(60 * minute);
    expect(await agentKeys.resolve(key)).toEqual(credential);
  });

  test('a revoked key is out all the same', async () => {
    const { key, state, credential, revocations, agentKeys } = withAuth();
    await agentKeys.resolve(key);
    state.away = true;
    const item = {
      kind: 'agent-key',
      id: credential.agentKeyId,
      organizationId: credential.organizationId,
      at: Date.now(),
    } as const;
    agentKeys.forget(revocations.add([item]));
    await expect(agentKeys.resolve(key)).rejects.toMatchObject({ statusCode: 503 });
    state.away = false;
    await expect(agentKeys.resolve(key)).rejects.toMatchObject({ statusCode: 401 });
  });
});
