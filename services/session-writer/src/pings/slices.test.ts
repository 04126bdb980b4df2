import { describe, expect, test } from '@jest/globals';
import type { StoredRecord } from '@worktide/event-log';
import { key, newStream, seen } from '../testing.ts';
import { groupByUser, slices } from './slices.ts';

const record = (user: string, offset: number, bytes = 100): StoredRecord => ({
  topic: 'pings',
  partition: 0,
  offset,
  timestamp: 0,
  headers: {},
  key: user,
  value: Buffer.alloc(bytes),
});
const pings = (count: number) => Array.from({ length: count }, (_, i) => seen(count - i, count - i + 1, key('A')));

describe('transactions', () => {
  test('a user with much holds up nobody: all others are done in the first', () => {
    const [heavy, light] = [newStream(), newStream()];
    const work = [
      ...slices(
        [
          { stream: heavy, pings: pings(100_000) },
          { stream: light, pings: pings(10) },
        ],
        2_000,
      ),
    ];
    expect(work).toHaveLength(50);
    expect(work[0]!.map(({ stream, pings: p }) => [stream, p.length])).toEqual([
      [heavy, 2_000],
      [light, 10],
    ]);
    for (const slice of work.slice(1)) expect(slice.map(({ stream }) => stream)).toEqual([heavy]);
    // Each slice is a stretch of time of its own.
    const starts = work.flatMap((slice) =>
      slice.filter((w) => w.stream === heavy).flatMap((w) => w.pings.map((p) => p.start)),
    );
    expect(starts).toEqual(Array.from({ length: 100_000 }, (_, i) => i + 1));
  });

  test('nothing gives none, a full one no empty one after it', () => {
    expect([...slices([])]).toEqual([]);
    expect([...slices([{ stream: newStream(), pings: [] }])]).toEqual([]);
    expect([...slices([{ stream: newStream(), pings: pings(4) }], 2)]).toHaveLength(2);
  });
});

describe('groups', () => {
  test('keep a user together, in order, and are about equal', () => {
    const records = Array.from({ length: 1000 }, (_, i) => record(`user ${(i * 7) % 50}`, i));
    const groups = groupByUser(records, 25_000);
    expect(groups).toHaveLength(4);
    expect(groups.flat().sort((a, b) => a.offset - b.offset)).toEqual(records);
    for (const group of groups) {
      expect(group.length).toBeGreaterThanOrEqual(200);
      expect(group.map((r) => r.offset)).toEqual(group.map((r) => r.offset).sort((a, b) => a - b));
    }
    const users = groups.map((group) => new Set(group.map((r) => r.key)));
    expect(users.reduce((sum, set) => sum + set.size, 0)).toBe(50);
  });

  test('one user is one group, however much it is', () => {
    const records = Array.from({ length: 10 }, (_, i) => record('only', i, 1000));
    expect(groupByUser(records, 100)).toEqual([records]);
  });
});
