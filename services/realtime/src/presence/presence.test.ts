import { expect, test } from '@jest/globals';
import { openStates } from '@worktide/key-value';
import { createMetrics, silentLogger, uuidv7 } from '@worktide/runtime';
import { organizationSettings } from '@worktide/schemas';
import fc from 'fast-check';
import type { Delivery } from '../sockets/server.ts';
import { createPresences, type PersonSeen } from './presences.ts';

const minute = 60_000;
const begin = Date.UTC(2026, 0, 5, 9);

/** Presences on a clock of their own; what is told of them is heard. */
function world(settings: object = {}, url = 'memory:') {
  const heard: Delivery[] = [];
  const at = { now: begin };
  const failing = { deliver: false };
  const states = openStates(url, { name: 'presence', log: silentLogger() });
  const organization = async (id: string) => ({
    id,
    timezone: 'UTC',
    subscriptionStatus: 'pro' as const,
    settings: organizationSettings.parse(settings),
  });
  const replica = () =>
    createPresences({
      states,
      organization,
      deliver: async (delivery) => {
        if (failing.deliver) throw new Error('Redis is away');
        heard.push(delivery);
      },
      metrics: createMetrics(),
      now: () => at.now,
    });
  const presences = replica();
  const [organizationId, userId] = [uuidv7(), uuidv7()];
  const seen = (activeAt: number, seenAt = activeAt, more: Partial<PersonSeen> = {}): PersonSeen => ({
    organizationId,
    userId,
    activeAt,
    seenAt,
    deviceId: 'laptop',
    app: 'Editor',
    ...more,
  });
  return {
    at,
    failing,
    heard,
    presences,
    replica,
    organizationId,
    userId,
    seen,
    async see(...all: PersonSeen[]) {
      await presences.see(all);
      await presences.tell();
    },
    /** Minutes go by, and each is looked at by two replicas. */
    async pass(minutes: number, other = replica()) {
      for (let i = 0; i < minutes; i++) {
        at.now += minute;
        await Promise.all([presences.tell(), other.tell()]);
      }
    },
    now: async (one = presences) => (await one.read(organizationId, [userId]))[0]!,
    states: () => heard.map(({ event }) => event),
  };
}

test('who sleeps their laptop is offline once, after five minutes', async () => {
  const w = world({ idleAfterSeconds: 3_600 });
  await w.see(w.seen(begin));
  await w.pass(4);
  expect(w.states()).toEqual(['user:online']);
  await w.pass(1);
  expect(w.states()).toEqual(['user:online', 'user:offline']);
  await w.pass(60);
  expect(w.states()).toEqual(['user:online', 'user:offline']);
  expect(w.heard[1]!.payload).toMatchObject({
    state: 'offline',
    since: new Date(begin + 5 * minute).toISOString(),
    lastSeenAt: new Date(begin).toISOString(),
  });
  expect(w.heard[1]!.rooms).toEqual([`user:${w.userId}`, `organization:${w.organizationId}`, `person:${w.userId}`]);
});

test('online, idle after as long as the organisation says, online again with activity', async () => {
  const w = world({ idleAfterSeconds: 120 });
  await w.see(w.seen(begin));
  for (let i = 1; i <= 3; i++) {
    await w.see(w.seen(begin, begin + i * minute));
    await w.pass(1);
  }
  expect(w.states()).toEqual(['user:online', 'user:idle']);
  expect(await w.now()).toMatchObject({ state: 'idle', since: new Date(begin + 2 * minute).toISOString() });
  await w.see(w.seen(w.at.now));
  expect(w.states()).toEqual(['user:online', 'user:idle', 'user:online']);
  const versions = w.heard.map(({ payload }) => (payload as { version: number }).version);
  expect(versions).toEqual([...versions].sort((a, b) => a - b));
  expect(new Set(versions).size).toBe(3);
});

test('who comes back and does nothing is idle since they came back', async () => {
  const w = world();
  await w.see(w.seen(begin));
  await w.pass(60);
  await w.see(w.seen(begin, w.at.now));
  expect(await w.now()).toMatchObject({ state: 'idle', since: new Date(w.at.now).toISOString() });
});

test('a replay, and what comes late, turn nothing back and tell nobody', async () => {
  const w = world();
  const history = Array.from({ length: 20 }, (_, i) => w.seen(begin + i * 10_000));
  for (const one of history) {
    w.at.now = one.seenAt;
    await w.see(one);
  }
  const before = await w.now();
  await w.see(...history);
  for (const one of history.toReversed()) await w.see(one);
  expect(await w.now()).toEqual(before);
  expect(w.states()).toEqual(['user:online']);
  await w.pass(10);
  await w.see(...history);
  await w.pass(1);
  expect(w.states()).toEqual(['user:online', 'user:offline']);
});

test('what was seen in any order, by any replica, ends alike', async () => {
  const one = fc.record({ activeAgo: fc.integer({ min: 0, max: 600 }), idle: fc.integer({ min: 0, max: 300 }) });
  await fc.assert(
    fc.asyncProperty(
      fc.array(one, { minLength: 1, maxLength: 8 }),
      fc.infiniteStream(fc.nat()),
      async (facts, order) => {
        const outcome = async (shuffled: typeof facts, replicas: number) => {
          const w = world({ idleAfterSeconds: 120 });
          const all = Array.from({ length: replicas }, () => w.replica());
          await Promise.all(
            shuffled.map(({ activeAgo, idle }, i) => {
              const activeAt = begin - activeAgo * 1_000;
              return all[i % replicas]!.see([w.seen(activeAt, Math.min(begin, activeAt + idle * 1_000))]);
            }),
          );
          const { state, lastSeenAt } = await w.now();
          return { state, lastSeenAt };
        };
        const shuffled = facts
          .map((fact) => ({ fact, at: order.next().value }))
          .sort((a, b) => a.at - b.at)
          .map(({ fact }) => fact);
        expect(await outcome(shuffled, 3)).toEqual(await outcome(facts, 1));
      },
    ),
    { numRuns: 50 },
  );
});

test('what could not be told is told later; both replicas say the same meanwhile', async () => {
  const w = world();
  w.failing.deliver = true;
  await w.presences.see([w.seen(begin)]);
  await expect(w.presences.tell()).rejects.toThrow('Redis is away');
  w.failing.deliver = false;
  const other = w.replica();
  expect(await w.now(other)).toEqual(await w.now());
  // The one that had it died: another has it when the lease is over.
  w.at.now += 11_000;
  await other.tell();
  expect(w.states()).toEqual(['user:online']);
  await other.tell();
  expect(w.states()).toEqual(['user:online']);
});

test('activity that comes while a change is told is kept', async () => {
  const w = world();
  await w.presences.see([w.seen(begin)]);
  w.at.now += 1_000;
  const telling = w.presences.tell();
  await w.replica().see([w.seen(begin + 1_000)]);
  await telling;
  expect(await w.now()).toMatchObject({ state: 'online', lastSeenAt: new Date(begin + 1_000).toISOString() });
  await w.pass(4);
  expect(w.states().filter((event) => event === 'user:offline')).toEqual([]);
});

test('which application is shown only where the organisation says so, and told no more than every ten seconds', async () => {
  const hidden = world();
  await hidden.see(hidden.seen(begin));
  expect(hidden.heard[0]!.payload).not.toHaveProperty('app');
  expect(await hidden.now()).not.toHaveProperty('app');

  const w = world({ showCurrentApp: true });
  await w.see(w.seen(begin));
  expect(w.heard[0]!.payload).toMatchObject({ app: 'Editor' });
  for (let i = 1; i <= 25; i++) {
    w.at.now = begin + i * 1_000;
    await w.see(w.seen(w.at.now, w.at.now, { app: `App ${i}` }));
  }
  expect(w.heard.map(({ payload }) => (payload as { app: string }).app)).toEqual(['Editor', 'App 10', 'App 20']);
  w.at.now += 10_000;
  await w.presences.tell();
  expect(w.heard.at(-1)!.payload).toMatchObject({ state: 'online', app: 'App 25' });
});

test('a clock that is ahead does not keep anybody online', async () => {
  const w = world();
  await w.see(w.seen(begin + 60 * minute));
  expect(await w.now()).toMatchObject({ lastSeenAt: new Date(begin).toISOString() });
  await w.pass(5);
  expect(w.states()).toEqual(['user:online', 'user:offline']);
});
