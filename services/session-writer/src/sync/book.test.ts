import { describe, expect, test } from '@jest/globals';
import type { SyncEntryEvent, TimeEntryState } from '@worktide/schemas';
import fc from 'fast-check';
import { type Applied, applyAll, type Stored } from './book.ts';
import { type Span, unionOf, workedOf } from './union.ts';

const nowMs = 1_000_000;
const options = { nowMs, problemOf: () => undefined };
const nothing = (): Stored => ({ entries: new Map(), keys: new Map(), taken: new Map() });

function event(key: string, from: number, to: number | null, more: Partial<SyncEntryEvent> = {}): SyncEntryEvent {
  return {
    index: 0,
    idempotencyKey: key,
    projectId: null,
    taskId: null,
    startedAt: from,
    endedAt: to,
    pausedAt: null,
    status: to === null ? 'RUNNING' : 'STOPPED',
    timezone: 'UTC',
    description: null,
    tags: [],
    billable: false,
    ...more,
  };
}

const inTime = (a: TimeEntryState, b: TimeEntryState): number => a.startedAt - b.startedAt;
const entriesOf = ({ entries }: Stored): TimeEntryState[] => [...entries.values()].sort(inTime);
const spans = (stored: Stored): unknown[] => entriesOf(stored).map(({ startedAt, endedAt }) => [startedAt, endedAt]);
const worked = ({ startedAt, endedAt, pauses }: TimeEntryState): Span[] =>
  workedOf({
    start: startedAt,
    end: endedAt ?? Number.POSITIVE_INFINITY,
    pauses: pauses.map(({ from, to }) => ({ start: from, end: to ?? Number.POSITIVE_INFINITY })),
  });
const length = (entry: TimeEntryState): number => worked(entry).reduce((sum, { start, end }) => sum + end - start, 0);
const outcomes = ({ results }: Applied): string[] => results.map(({ outcome }) => outcome);
const apply = (stored: Stored, events: SyncEntryEvent[], policy: 'reject' | 'merge' = 'reject'): Applied =>
  applyAll(stored, events, { ...options, policy });

describe('a key', () => {
  test('moves its entry on, never back', () => {
    const stored = nothing();
    expect(outcomes(apply(stored, [event('a', 800, null)]))).toEqual(['created']);
    expect(outcomes(apply(stored, [event('a', 800, 950)]))).toEqual(['updated']);
    expect(entriesOf(stored).map(length)).toEqual([150]);
    const again = apply(stored, [event('a', 800, null), event('a', 800, null, { status: 'PAUSED' }), event('a', 1, 2)]);
    expect(outcomes(again)).toEqual(['skipped', 'skipped', 'skipped']);
    expect(again.changes).toEqual([]);
    expect(spans(stored)).toEqual([[800, 950]]);
  });

  test('paused on the way counts what was worked before', () => {
    const stored = nothing();
    apply(stored, [event('a', 800, null), event('a', 800, null, { status: 'PAUSED', pausedAt: 860 })]);
    expect(entriesOf(stored)[0]).toMatchObject({ status: 'PAUSED', pauses: [{ from: 860, to: null }], version: 2 });
    apply(stored, [event('a', 800, 950)]);
    expect(entriesOf(stored)[0]).toMatchObject({ status: 'STOPPED', pauses: [{ from: 860, to: 950 }], version: 3 });
    expect(entriesOf(stored).map(length)).toEqual([60]);
  });

  test('is its entry for ever, also one that somebody deleted, or stopped by hand', () => {
    const stored = nothing();
    apply(stored, [event('a', 800, null)]);
    const [entry] = entriesOf(stored) as [TimeEntryState];
    stored.entries.set(entry.id, { ...entry, endedAt: 900, status: 'STOPPED' });
    expect(apply(stored, [event('a', 800, 950)]).results).toEqual([
      { index: 0, idempotencyKey: 'a', outcome: 'skipped', id: entry.id },
    ]);
    stored.entries.clear();
    expect(outcomes(apply(stored, [event('a', 800, 950)]))).toEqual(['skipped']);
    expect(spans(stored)).toEqual([]);
  });

  test('keeps what was said of its entry besides, until it says otherwise', () => {
    const stored = nothing();
    apply(stored, [
      event('a', 800, null, { description: 'x', tags: ['t'] }),
      event('a', 800, 900, { description: 'y' }),
    ]);
    expect(entriesOf(stored)[0]).toMatchObject({ description: 'y', tags: ['t'] });
  });
});

describe('overlap', () => {
  test('is a conflict that names whom it meets; touching is none', () => {
    const stored = nothing();
    apply(stored, [event('a', 100, 200), event('b', 200, 300)]);
    const [a] = entriesOf(stored) as [TimeEntryState];
    const { conflicts, changes } = apply(stored, [event('c', 199, 201)]);
    expect(conflicts).toEqual([{ index: 0, idempotencyKey: 'c', reason: 'overlap', conflictsWith: a.id }]);
    expect(changes).toEqual([]);
    expect(spans(stored)).toEqual([
      [100, 200],
      [200, 300],
    ]);
  });

  test('what an open entry took in and somebody cut off does not come back when it ends', () => {
    const stored = nothing();
    apply(stored, [event('open', 0, null, { status: 'PAUSED', pausedAt: 10 })], 'merge');
    apply(stored, [event('other', 100, 200)], 'merge');
    const [entry] = entriesOf(stored) as [TimeEntryState];
    // As the person said: from 500 on, of which nothing is worked yet.
    stored.entries.set(entry.id, { ...entry, startedAt: 500, pauses: [{ from: 500, to: null }] });
    apply(stored, [event('open', 500, 600)], 'merge');
    expect(spans(stored)).toEqual([[500, 600]]);
  });

  test.each(['reject', 'merge'] as const)('of a second open one is a conflict under %s', (policy) => {
    const stored = nothing();
    apply(stored, [event('a', 100, null)], policy);
    expect(outcomes(apply(stored, [event('b', 300, null), event('c', 50, null)], policy))).toEqual([
      'conflict',
      'conflict',
    ]);
    expect(spans(stored)).toEqual([[100, null]]);
  });

  test('merged is the union, never the sum: worked where either is', () => {
    const stored = nothing();
    apply(stored, [event('a', 900, 1_100)]);
    const [a] = entriesOf(stored) as [TimeEntryState];
    expect(apply(stored, [event('b', 1_000, 1_200)], 'merge').results).toEqual([
      { index: 0, idempotencyKey: 'b', outcome: 'created', id: a.id },
    ]);
    expect(spans(stored)).toEqual([[900, 1_200]]);
    expect(entriesOf(stored).map(length)).toEqual([300]);
    expect(outcomes(apply(stored, [event('b', 1_000, 1_200), event('a', 900, 1_100)], 'merge'))).toEqual([
      'skipped',
      'skipped',
    ]);
  });

  test('with an open one that is stopped later: what it took in stays, wherever it ends', () => {
    const stored = nothing();
    apply(stored, [event('a', 800, null)], 'merge');
    apply(stored, [event('b', 700, 1_000)], 'merge');
    expect(spans(stored)).toEqual([[700, null]]);
    apply(stored, [event('a', 800, 900)], 'merge');
    expect(spans(stored)).toEqual([[700, 1_000]]);
    expect(entriesOf(stored).map(length)).toEqual([300]);
  });

  test('merged, stopped entries are the unions of those that meet, in whatever order they come, however often', () => {
    const given = fc.array(fc.tuple(fc.nat(60), fc.integer({ min: 1, max: 12 })), { minLength: 1, maxLength: 12 });
    fc.assert(
      fc.property(
        given.chain((some) => {
          const events = some.map(([from, ms], i) => event(`key-${i}`, from, from + ms));
          const twice = [...events, ...events];
          return fc.tuple(fc.constant(events), fc.shuffledSubarray(twice, { minLength: twice.length }));
        }),
        ([events, order]) => {
          const stored = nothing();
          const applied = apply(stored, order, 'merge');
          expect(applied.conflicts).toEqual([]);
          expect(outcomes(applied).filter((outcome) => outcome === 'created')).toHaveLength(events.length);
          expect(spans(stored)).toEqual(components(events));
          const all = unionOf(events.map(({ startedAt, endedAt }) => ({ start: startedAt, end: endedAt! })));
          expect(unionOf(entriesOf(stored).flatMap(worked))).toEqual(all);
          for (const key of stored.keys.values()) expect(stored.entries.has(key.entryId)).toBe(true);
        },
      ),
    );
  });
});

/** Spans that hang together by meeting; what only touches does not. */
function components(events: readonly SyncEntryEvent[]): [number, number][] {
  const found: [number, number][] = [];
  for (const { startedAt, endedAt } of [...events].sort((a, b) => a.startedAt - b.startedAt)) {
    const last = found.at(-1);
    if (last && startedAt < last[1]) last[1] = Math.max(last[1], endedAt!);
    else found.push([startedAt, endedAt!]);
  }
  return found;
}

test('whatever comes, entries never meet, one is open at most, and what was applied says nothing new', () => {
  const events = fc.array(
    fc
      .tuple(fc.constantFrom('a', 'b', 'c', 'd', 'e'), fc.nat(50), fc.integer({ min: 1, max: 30 }), fc.nat(2))
      .map(([key, from, ms, kind]) => {
        if (kind === 0) return event(key, from, null);
        if (kind === 1) return event(key, from, null, { status: 'PAUSED', pausedAt: from + ms });
        return event(key, from, from + ms);
      }),
    { maxLength: 30 },
  );
  fc.assert(
    fc.property(events, fc.constantFrom('reject' as const, 'merge' as const), (all, policy) => {
      const stored = nothing();
      for (const one of all) {
        const before = new Map(stored.entries);
        const first = apply(stored, [one], policy);
        if (first.conflicts.length > 0) expect(stored.entries).toEqual(before);
        const again = apply(stored, [one], policy);
        expect(again.changes).toEqual([]);
        expect(outcomes(again)).toEqual([first.conflicts.length > 0 ? 'conflict' : 'skipped']);
        const entries = entriesOf(stored);
        for (const [i, { endedAt }] of entries.slice(0, -1).entries()) {
          expect(endedAt ?? Number.POSITIVE_INFINITY).toBeLessThanOrEqual(entries[i + 1]!.startedAt);
        }
        for (const key of stored.keys.values()) expect(stored.entries.has(key.entryId)).toBe(true);
      }
    }),
    { numRuns: 500 },
  );
});
