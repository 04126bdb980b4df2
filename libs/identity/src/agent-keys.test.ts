import { randomUUID } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { createMetrics, unavailable, uuidv7 } from '@worktide/runtime';
import { createAgentKeys } from './agent-keys.ts';
import type { AuthClient, ResolvedAgentKey } from './auth-client.ts';
import { createRevocationList } from './revocations.ts';

const minute = 60_000;

beforeEach(() => void jest.useFakeTimers({ doNotFake: ['setImmediate', 'nextTick', 'queueMicrotask'] }));
afterEach(() => void jest.useRealTimers());

/** Auth that knows any key, or none; it can be taken away or made to wait; the clock is the test's. */
function withAuth() {
  const key = `waka_${randomUUID()}`;
  const state = { away: false, unknown: false, asked: 0, held: undefined as Promise<void> | undefined };
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
      await state.held;
      if (state.unknown) return undefined;
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
    await expect(agentKeys.resolve(key)).rejects.toMatchObject({ statusCode: 401 });
  });
});

describe('known agents while strangers try keys', () => {
  test('are served without a wait, and refreshed again later', async () => {
    const { key, state, credential, agentKeys, pass } = withAuth();
    await agentKeys.resolve(key);
    // As many lookups as are allowed at once, and auth answers none of them.
    let answer = (): void => {};
    state.held = new Promise<void>((resolve) => {
      answer = resolve;
    });
    const strangers = Array.from({ length: 256 }, () => agentKeys.resolve(`waka_${randomUUID()}`).catch(() => {}));
    // Each time a refresh is due, and there is no room for it.
    for (let at = 0; at < 20; at++) {
      await pass(at === 0 ? 11 * minute : minute);
      expect(await agentKeys.resolve(key)).toEqual(credential);
    }
    answer();
    state.held = undefined;
    await Promise.all(strangers);
    const before = state.asked;
    await agentKeys.resolve(key);
    expect(state.asked).toBe(before + 1);
  });

  test('are not forgotten for keys that do not exist', async () => {
    const { key, state, credential, agentKeys } = withAuth();
    await agentKeys.resolve(key);
    state.unknown = true;
    for (let at = 0; at < 300; at++) await agentKeys.resolve(`waka_${randomUUID()}`).catch(() => {});
    state.away = true;
    expect(await agentKeys.resolve(key)).toEqual(credential);
  });
});
