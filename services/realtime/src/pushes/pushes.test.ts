import { expect, test } from '@jest/globals';
import { openStates } from '@worktide/key-value';
import { silentLogger, uuidv7 } from '@worktide/runtime';
import type { TimeEntryState } from '@worktide/schemas';
import type { Delivery } from '../sockets/server.ts';
import { pushesOfEntries } from './follow.ts';
import { createPushes, isNews, type Push } from './pushes.ts';

function world() {
  const heard: { version: number; at: number; type?: string }[] = [];
  const at = { now: 1_000_000 };
  const failing = { deliver: false };
  const states = openStates('memory:', { name: 'pushes', log: silentLogger() });
  const replica = () =>
    createPushes({
      states,
      deliver: async ({ payload }: Delivery) => {
        if (failing.deliver) throw new Error('Redis is away');
        heard.push({ ...(payload as { version: number }), at: at.now });
      },
      keepInTask: async () => {},
      now: () => at.now,
    });
  const organizationId = uuidv7();
  const push = (kind: Push['kind'], id: string, version: number, more: object = {}): Push => ({
    kind,
    organizationId,
    id,
    version,
    deliveries: [{ rooms: [], event: 'x', payload: { version, ...more } }],
  });
  return { heard, at, failing, replica, push, pushes: replica() };
}
const versions = (heard: { version: number }[]) => heard.map(({ version }) => version);

test('an entry at most once a second, and the last state always', async () => {
  const { pushes, replica, push, at, heard } = world();
  const other = replica();
  for (let i = 1; i <= 42; i++) {
    await (i % 2 ? pushes : other).post([push('entry', 'a', i)]);
    await Promise.all([pushes.tell(), other.tell()]);
    at.now += 100;
  }
  for (let i = 0; i < 11; i++) {
    at.now += 100;
    await other.tell();
  }
  expect(versions(heard)).toEqual([1, 11, 21, 31, 41, 42]);
  for (const [i, { at: told }] of heard.entries())
    if (i > 0) expect(told - heard[i - 1]!.at).toBeGreaterThanOrEqual(1_000);
});

test('of a task all that happened, in order; two objects do not wait for each other', async () => {
  const { pushes, push, heard } = world();
  await pushes.post([push('task', 'a', 1), push('task', 'b', 5), push('task', 'a', 2), push('task', 'a', 3)]);
  await pushes.tell();
  expect(versions(heard).filter((version) => version < 5)).toEqual([1, 2, 3]);
  expect(versions(heard)).toContain(5);
});

test('a replay, and what comes late, is told to nobody', async () => {
  const { pushes, push, heard, at } = world();
  const history = [1, 2, 3, 4].map((version) => push('task', 'a', version));
  await pushes.post(history);
  await pushes.tell();
  await pushes.post(history);
  await pushes.post(history.toReversed());
  at.now += 60_000;
  await pushes.tell();
  expect(versions(heard)).toEqual([1, 2, 3, 4]);
  const day = 24 * 3_600_000;
  expect([isNews('task', 0, day - 1), isNews('task', 0, day)]).toEqual([true, false]);
});

test('what could not be told is told later, by whoever is there, and in order', async () => {
  const { pushes, replica, push, failing, heard, at } = world();
  failing.deliver = true;
  await pushes.post([push('task', 'a', 1)]);
  await expect(pushes.tell()).rejects.toThrow('Redis is away');
  await pushes.post([push('task', 'a', 2)]);
  failing.deliver = false;
  const other = replica();
  at.now += 11_000;
  await other.tell();
  await other.tell();
  expect(versions(heard)).toEqual([1, 2]);
});

test('what comes while something is told is told after it', async () => {
  const { replica, push, heard, pushes } = world();
  await pushes.post([push('task', 'a', 1)]);
  await Promise.all([pushes.tell(), replica().post([push('task', 'a', 2)])]);
  await pushes.tell();
  expect(versions(heard)).toEqual([1, 2]);
});

test('who was told of a deletion is told that it was taken back', async () => {
  const { pushes, push, heard } = world();
  const task = (version: number, deleted: boolean) => ({
    ...push('task', 'a', version, { type: deleted ? 'deleted' : 'updated' }),
    deleted,
  });
  await pushes.post([task(1, false), task(2, true), task(3, false), task(4, false)]);
  await pushes.tell();
  expect(heard.map(({ type }) => type)).toEqual(['updated', 'deleted', 'restored', 'updated']);
});

test('entries that come, or go, with an import are no news; what becomes of one since is', () => {
  const entry = (kind: TimeEntryState['kind'], version: number, deleted = false): TimeEntryState => ({
    id: uuidv7(),
    kind,
    status: 'STOPPED',
    projectId: null,
    taskId: null,
    description: null,
    tags: [],
    billable: false,
    timezone: 'UTC',
    startedAt: 0,
    endedAt: 1,
    pauses: [],
    createdAt: 0,
    updatedAt: 0,
    version,
    deleted,
  });
  const ids = { organizationId: uuidv7(), userId: uuidv7() };
  const entries = [entry('imported', 1), entry('imported', 2), entry('imported', 2, true), entry('manual', 1)];
  const told = pushesOfEntries({ ...ids, actorId: null, entries }, 1_000).map(({ id }) => id);
  expect(told).toEqual([entries[1]!.id, entries[3]!.id]);
});
