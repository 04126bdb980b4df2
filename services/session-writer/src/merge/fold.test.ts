import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { fold, type KeySpan } from './fold.ts';
import { compareKeys, type UsageKey } from './key.ts';
import { paintedEntries } from './oracle.ts';
import type { Span } from './paint.ts';
import { apply, empty, erase, key, neighbourhood, ping, type State, step } from './testing.ts';

const facts = ({ entries, gaps }: { entries: KeySpan[]; gaps: Span[] }) => ({
  entries: entries.map(({ start, end, key: k }) => [start, end, k.state, k.app, k.host]),
  gaps: gaps.map(({ start, end }) => [start, end]),
});
const entriesOf = (state: State) => facts(state).entries.map(([start, end, , app]) => [start, end, app]);

const chat = key('Chat');
const mail = key('Mail');
const second = 1000;

describe('one stream', () => {
  const gap = 30 * second;
  const run = (...pings: KeySpan[]): State => pings.reduce((state, p) => step(state, [p], gap), empty());

  test.each([
    [29, 1],
    [30, 1],
    [31, 2],
  ])('a gap of %i s gives %i entries', (seconds, count) => {
    const state = run(ping(0, second, chat), ping((1 + seconds) * second, (2 + seconds) * second, chat));
    expect(state.entries).toHaveLength(count);
    expect(state.gaps).toEqual(count === 1 ? [{ start: second, end: (1 + seconds) * second }] : []);
  });

  test('touching and overlapping pings of one key are one entry without gaps', () => {
    const state = run(ping(0, 10, chat), ping(10, 20, chat), ping(15, 40, chat), ping(39, 41, chat));
    expect(entriesOf(state)).toEqual([[0, 41, 'Chat']]);
    expect(state.gaps).toEqual([]);
  });

  test('something else within a gap keeps two entries apart, before and after the fact', () => {
    const expected = [
      [0, 10, 'Chat'],
      [15, 16, 'Mail'],
      [20, 30, 'Chat'],
    ];
    expect(entriesOf(run(ping(0, 10, chat), ping(15, 15, mail), ping(20, 30, chat)))).toEqual(expected);
    const late = run(ping(0, 10, chat), ping(20, 30, chat), ping(15, 15, mail));
    expect(entriesOf(late)).toEqual(expected);
    expect(late.gaps).toEqual([]);
  });

  test('a late ping extends backwards, another joins two', () => {
    const state = run(ping(100_000, 110_000, chat), ping(90_000, 95_000, chat));
    expect(entriesOf(state)).toEqual([[90_000, 110_000, 'Chat']]);
    const apart = run(ping(0, 1000, chat), ping(60_000, 61_000, chat));
    expect(apart.entries).toHaveLength(2);
    expect(entriesOf(step(apart, [ping(30_500, 31_000, chat)], gap))).toEqual([[0, 61_000, 'Chat']]);
  });

  test('an instant covers one millisecond', () => {
    expect(entriesOf(run(ping(5, 5, chat)))).toEqual([[5, 6, 'Chat']]);
    expect(entriesOf(run(ping(5, 5, chat), ping(6, 6, mail), ping(5, 5, mail)))).toEqual([
      [5, 6, 'Chat'],
      [6, 7, 'Mail'],
    ]);
  });

  test('where pings contradict each other the first key in order owns the time', () => {
    const idle = key('A', null, 'idle');
    expect(entriesOf(run(ping(0, 100, mail), ping(40, 60, chat), ping(0, 100, idle)))).toEqual([
      [0, 40, 'Mail'],
      [40, 60, 'Chat'],
      [60, 100, 'Mail'],
    ]);
  });

  test('a gap of 0 joins only what touches', () => {
    let state = step(empty(), [ping(0, 10, chat), ping(10, 20, chat), ping(21, 30, chat)], 0);
    expect(entriesOf(state)).toEqual([
      [0, 20, 'Chat'],
      [21, 30, 'Chat'],
    ]);
    state = step(state, [ping(20, 20, chat)], 0);
    expect(entriesOf(state)).toEqual([[0, 30, 'Chat']]);
  });

  test('erased time stays erased whatever comes again, and is not bridged', () => {
    const pings = [ping(0, 10_000, chat), ping(12_000, 20_000, chat)];
    let state = erase(step(empty(), pings, gap), { start: 4000, end: 5000 }, gap);
    const expected = [
      [0, 4000, 'Chat'],
      [5000, 20_000, 'Chat'],
    ];
    expect(entriesOf(state)).toEqual(expected);
    state = step(state, pings, gap);
    expect(entriesOf(state)).toEqual(expected);
    // Also a bit of a gap that nobody owned.
    state = erase(state, { start: 10_500, end: 10_501 }, gap);
    expect(entriesOf(step(state, pings, gap))).toEqual([
      [0, 4000, 'Chat'],
      [5000, 10_000, 'Chat'],
      [12_000, 20_000, 'Chat'],
    ]);
    expect(state.gaps).toEqual([]);
  });

  test('what changes nothing says so', () => {
    const pings = [ping(0, 10, chat), ping(20, 30, chat), ping(30, 40, mail)];
    const state = step(empty(), pings, gap);
    expect(fold(state, [...pings, ...pings, ping(3, 4, chat), ping(0, 5, key('Z', null, 'idle'))], gap)).toEqual({
      added: [],
      changed: [],
      removed: [],
      gapsAdded: [],
      gapsRemoved: [],
    });
  });
});

// Apps whose order by code point differs from that by UTF-16 unit, hosts absent, empty and not, both states.
const keys: UsageKey[] = [
  key('A'),
  key('A', ''),
  key('A', 'a.example'),
  key('\uff5e'),
  key('\u{1f600}'),
  key('A', null, 'idle'),
  key('\u{1f600}', 'a.example', 'idle'),
];
const size = 160;
const anyPing = fc
  .tuple(
    fc.integer({ min: 0, max: size }),
    fc.oneof(fc.integer({ min: 0, max: 12 }), fc.integer({ min: 0, max: 90 })),
    fc.constantFrom(...keys),
  )
  .map(([start, length, k]) => ping(start, start + length, k));
const anyErased = fc
  .tuple(fc.integer({ min: 0, max: size }), fc.integer({ min: 1, max: 20 }))
  .map(([start, length]) => ({ start, end: start + length }));
const to = size + 100;

/** A way to send pings and erasures: shuffled, some several times, in batches of any size. */
const anyDelivery = fc
  .record({
    pings: fc.array(anyPing, { maxLength: 24 }),
    erased: fc.array(anyErased, { maxLength: 3 }),
    bridge: fc.constantFrom(0, 1, 3, 10),
  })
  .chain((given) => {
    const all = [...given.pings.map((p) => ({ ping: p })), ...given.erased.map((range) => ({ erase: range }))];
    const once = fc.shuffledSubarray(all, { minLength: all.length });
    const again = all.length === 0 ? fc.constant([]) : fc.array(fc.constantFrom(...all), { maxLength: 10 });
    const order = fc.tuple(once, again, fc.infiniteStream(fc.integer({ min: 1, max: 8 })));
    return fc.record({ given: fc.constant(given), first: order, second: order });
  });
type Event = { ping: KeySpan } | { erase: Span };

function deliver(
  [once, again, sizes]: readonly [readonly Event[], readonly Event[], Iterator<number>],
  bridge: number,
  whole: boolean,
): State {
  const events = [...once, ...again];
  let state = empty();
  while (events.length > 0) {
    const batch = events.splice(0, sizes.next().value as number);
    const pings = batch.flatMap((event) => ('ping' in event ? [event.ping] : []));
    const near = whole ? state : neighbourhood(state, pings, bridge);
    state = apply(state, fold(near, pings, bridge));
    for (const event of batch) if ('erase' in event) state = erase(state, event.erase, bridge);
  }
  return state;
}

describe('any set of pings, contradictory ones included', () => {
  test('any order, batching and repetition gives the same entries, those a painter of milliseconds sees', () => {
    fc.assert(
      fc.property(anyDelivery, ({ given: { pings, erased, bridge }, first, second }) => {
        const expected = facts(paintedEntries(0, to, pings, erased, bridge));
        expect(facts(deliver(first, bridge, false))).toEqual(expected);
        expect(facts(deliver(second, bridge, false))).toEqual(expected);
      }),
      { numRuns: 2000 },
    );
  });

  test('reading only what touches a window gives what reading everything gives', () => {
    fc.assert(
      fc.property(anyDelivery, ({ given: { bridge }, first }) => {
        expect(deliver(first, bridge, false)).toEqual(deliver(first, bridge, true));
      }),
      { numRuns: 500 },
    );
  });

  test('entries are disjoint, in order, and two of one key are further apart than the bridge or have something between', () => {
    fc.assert(
      fc.property(anyDelivery, ({ given: { bridge }, first }) => {
        const { entries, gaps, erased } = deliver(first, bridge, false);
        entries.slice(1).forEach((entry, i) => {
          const before = entries[i]!;
          expect(entry.start).toBeGreaterThanOrEqual(before.end);
          const between = erased.some((e) => e.start < entry.start && e.end > before.end);
          if (compareKeys(before.key, entry.key) === 0 && !between)
            expect(entry.start - before.end).toBeGreaterThan(bridge);
        });
        for (const g of gaps) {
          expect(g.end - g.start).toBeLessThanOrEqual(bridge);
          expect(entries.some((e) => e.start < g.start && g.end < e.end)).toBe(true);
        }
      }),
      { numRuns: 500 },
    );
  });
});
