import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { backend } from '@worktide/backends';
import { silentLogger } from '@worktide/runtime';
import { until } from '@worktide/testing';
import { openStates, type States } from '../index.ts';

const minute = 60_000;

describe.each(['memory', 'named memory', 'redis'])('states: %s', (kind) => {
  let states: States;
  let url: string;
  const options = { name: `test-${randomUUID()}`, log: silentLogger() };
  beforeAll(async () => {
    url = { memory: 'memory:', 'named memory': `memory:${randomUUID()}` }[kind] ?? (await backend('redis'));
    states = openStates(url, options);
  });
  afterAll(() => states.close());
  const change = (id: string, revision: number, value: string, dueAt: number | null = null) => ({
    id,
    revision,
    value,
    ttlMs: minute,
    dueAt,
  });

  test('what was made from an older state is not made', async () => {
    const id = randomUUID();
    expect(await states.read([id])).toEqual([undefined]);
    expect(await states.write([change(id, 0, 'a'), change(randomUUID(), 5, 'x')])).toEqual([true, false]);
    expect(await states.write([change(id, 0, 'b')])).toEqual([false]);
    expect(await states.write([change(id, 1, 'grüße')])).toEqual([true]);
    expect(await states.read([randomUUID(), id])).toEqual([undefined, { revision: 2, value: 'grüße' }]);
  });

  test('of many who change one at once from the same state, one does', async () => {
    const id = randomUUID();
    const made = await Promise.all(Array.from({ length: 50 }, (_, i) => states.write([change(id, 0, String(i))])));
    expect(made.flat().filter(Boolean)).toHaveLength(1);
  });

  test('what is due is given once, the longest due first, and again when nobody settled it', async () => {
    const [first, second, later] = [randomUUID(), randomUUID(), randomUUID()];
    await states.write([change(second, 0, 's', 200), change(first, 0, 'f', 100), change(later, 0, 'l', 1_000)]);
    const ids = async (now: number, limit = 10) =>
      (await states.claim({ now, limit, leaseMs: 300 })).map(({ id }) => id);
    expect(await ids(50)).toEqual([]);
    expect(await ids(250, 1)).toEqual([first]);
    expect(await states.claim({ now: 250, limit: 10, leaseMs: 300 })).toEqual([
      { id: second, revision: 1, value: 's' },
    ]);
    expect(await ids(250)).toEqual([]);
    expect(await states.write([change(second, 1, 't', null)])).toEqual([true]);
    expect(await ids(600)).toEqual([first]);
    expect(await states.waiting(950)).toEqual({ all: 2, due: 1 });
    expect(await ids(1_000)).toEqual([first, later]);
    await states.write([change(first, 1, 'f'), change(later, 1, 'l')]);
    expect(await states.waiting(10_000)).toEqual({ all: 0, due: 0 });
  });

  test('what was forgotten is not given', async () => {
    const id = randomUUID();
    await states.write([{ ...change(id, 0, 'x', 5_000), ttlMs: 20 }]);
    await until('it is forgotten', async () => (await states.read([id]))[0] === undefined);
    expect(await states.claim({ now: 5_000, limit: 10, leaseMs: 1 })).toEqual([]);
    expect(await states.write([change(id, 0, 'anew')])).toEqual([true]);
  });

  test('more than goes in one step', async () => {
    const all = Array.from({ length: 450 }, (_, i) => change(randomUUID(), i % 2, 'x'));
    expect(await states.write(all)).toEqual(all.map(({ revision }) => revision === 0));
  });
});

test('those who open memory by one name share it, by kind', async () => {
  const url = `memory:${randomUUID()}`;
  const open = (name: string) => openStates(url, { name, log: silentLogger() });
  const [one, two, other] = [open('a'), open('a'), open('b')];
  await one.write([{ id: 'x', revision: 0, value: 'v', ttlMs: minute, dueAt: null }]);
  expect(await two.read(['x'])).toEqual([{ revision: 1, value: 'v' }]);
  expect(await other.read(['x'])).toEqual([undefined]);
  await Promise.all([one.close(), two.close(), other.close()]);
  await expect(one.read(['x'])).rejects.toMatchObject({ statusCode: 503 });
});
