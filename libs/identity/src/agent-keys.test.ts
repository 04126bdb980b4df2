import { hash, randomUUID } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { createMetrics, unavailable, uuidv7 } from '@worktide/runtime';
import { createAgentKeys } from './agent-keys.ts';
import type { AuthClient, ResolvedAgentKey, UsedKey } from './auth-client.ts';
import { createRevocationList } from './revocations.ts';

const minute = 60_000;
const sender = () => '192.0.2.1';
const stranger = (): string => `waka_${randomUUID()}`;

beforeEach(() => void jest.useFakeTimers({ doNotFake: ['setImmediate', 'nextTick', 'queueMicrotask'] }));
afterEach(() => void jest.useRealTimers());

/** Auth that knows any key, or none; it can be taken away or made to wait; the clock is the test's. */
function withAuth() {
  const key = `waka_${randomUUID()}`;
  const ours = hash('sha256', key, 'hex');
  const state = {
    away: false,
    unknown: false,
    onlyOurs: false,
    /** Questions, and keys in them. */
    asked: 0,
    keys: 0,
    held: undefined as Promise<void> | undefined,
    expiresAt: null as number | null,
    from: [] as string[],
  };
  const credential: Omit<ResolvedAgentKey, 'expiresAt'> = {
    agentKeyId: uuidv7(),
    organizationId: uuidv7(),
    userId: uuidv7(),
    role: 'employee',
    timezone: 'UTC',
    deviceId: 'laptop',
  };
  const auth = {
    async resolveAgentKeys(used: UsedKey[]) {
      state.asked++;
      state.keys += used.length;
      state.from.push(...used.map(({ from }) => from));
      if (state.away) throw unavailable('auth');
      await state.held;
      return used.map(({ keyHash }) =>
        state.unknown || (state.onlyOurs && keyHash !== ours) ? null : { ...credential, expiresAt: state.expiresAt },
      );
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
      await agentKeys.resolve(key, sender);
      await pass(minute / 2);
    }
    const before = state.asked;
    state.away = true;
    for (let at = 0; at < 100 * minute; at += minute / 2) {
      expect(await agentKeys.resolve(key, sender)).toEqual(credential);
      await pass(minute / 2);
    }
    // And auth is not asked at each of its 200 requests, nor never.
    expect(state.asked - before).toBeGreaterThan(10);
    expect(state.asked - before).toBeLessThan(200);
  });

  test('an agent that was quiet for half an hour before is served for an hour, too', async () => {
    const { key, state, credential, agentKeys, pass } = withAuth();
    await agentKeys.resolve(key, sender);
    await pass(30 * minute);
    state.away = true;
    await pass(60 * minute);
    expect(await agentKeys.resolve(key, sender)).toEqual(credential);
  });

  test('a key that ends by itself ends, whatever was believed of it', async () => {
    const { key, state, credential, agentKeys, pass } = withAuth();
    state.expiresAt = Date.now() + 30 * minute;
    expect(await agentKeys.resolve(key, sender)).toEqual(credential);
    await pass(29 * minute);
    state.away = true;
    expect(await agentKeys.resolve(key, sender)).toEqual(credential);
    await pass(minute);
    await expect(agentKeys.resolve(key, sender)).rejects.toMatchObject({ statusCode: 401 });
  });

  test('a revoked key is out all the same', async () => {
    const { key, state, credential, revocations, agentKeys } = withAuth();
    await agentKeys.resolve(key, sender);
    state.away = true;
    const item = {
      kind: 'agent-key',
      id: credential.agentKeyId,
      organizationId: credential.organizationId,
      at: Date.now(),
    } as const;
    agentKeys.forget(revocations.add([item]));
    await expect(agentKeys.resolve(key, sender)).rejects.toMatchObject({ statusCode: 401 });
  });
});

describe('known agents while strangers try keys', () => {
  test('are served without a wait, and refreshed beside them', async () => {
    const { key, state, credential, agentKeys, pass } = withAuth();
    await agentKeys.resolve(key, sender);
    // As many look-ups as one address may have at once, and more that wait; auth answers none of them.
    const { promise, resolve: answer } = Promise.withResolvers<void>();
    state.held = promise;
    const strangers = Array.from({ length: 300 }, () => agentKeys.resolve(stranger(), sender).catch(() => {}));
    await pass(11 * minute);
    expect(await agentKeys.resolve(key, () => '192.0.2.3')).toEqual(credential);
    answer();
    state.held = undefined;
    await Promise.all(strangers);
    expect(state.keys).toBe(302);
    // Auth hears from where a key goes on being used.
    expect(state.from).toContain('192.0.2.3');
  });

  test('thousands of their keys are a few questions, and a newcomer from elsewhere is in the next', async () => {
    const { key, state, credential, agentKeys } = withAuth();
    state.onlyOurs = true;
    const { promise, resolve: answer } = Promise.withResolvers<void>();
    state.held = promise;
    const ended: string[] = [];
    const strangers = Array.from({ length: 1_100 }, () =>
      agentKeys.resolve(stranger(), sender).catch(() => void ended.push('stranger')),
    );
    const newcomer = agentKeys
      .resolve(key, () => '192.0.2.2')
      .then((caller) => {
        ended.push('newcomer');
        return caller;
      });
    answer();
    state.held = undefined;
    expect(await newcomer).toEqual(credential);
    // Before it no more than were on their way when it came.
    expect(ended.length).toBeLessThanOrEqual(129);
    await Promise.all(strangers);
    expect(state.asked).toBeLessThan(110);
  });

  test('beyond its line an address is told 503, and others are not', async () => {
    const { key, state, credential, agentKeys } = withAuth();
    state.onlyOurs = true;
    const { promise, resolve: answer } = Promise.withResolvers<void>();
    state.held = promise;
    const strangers = Array.from({ length: 1_200 }, () =>
      agentKeys.resolve(stranger(), sender).catch((error: { code: string }) => error.code),
    );
    const newcomer = agentKeys.resolve(key, () => '192.0.2.2');
    answer();
    expect(await newcomer).toEqual(credential);
    const codes = await Promise.all(strangers);
    // 128 in a place, 1,000 in the line.
    expect(codes.filter((code) => code === 'BUSY')).toHaveLength(72);
    expect(codes.filter((code) => code === 'UNAUTHORIZED')).toHaveLength(1_128);
  });

  test('are not forgotten for keys that do not exist', async () => {
    const { key, state, credential, agentKeys } = withAuth();
    await agentKeys.resolve(key, sender);
    state.unknown = true;
    for (let at = 0; at < 300; at++) await agentKeys.resolve(`waka_${randomUUID()}`, sender).catch(() => {});
    state.away = true;
    expect(await agentKeys.resolve(key, sender)).toEqual(credential);
  });
});
